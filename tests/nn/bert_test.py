"""The encoder against an independent forward pass, and MiniLM's own."""

import functools
import json
import pathlib

import jax
import numpy as np
import pytest
import scipy.special

from hyperrec.nn import bert as text_encoder

SIZES = {
  'model_type': 'bert',
  'vocab_size': 11,
  'hidden_size': 8,
  'num_hidden_layers': 2,
  'num_attention_heads': 2,
  'intermediate_size': 12,
  'max_position_embeddings': 6,
  'layer_norm_eps': 1e-12,
  'hidden_act': 'gelu',
}
CONFIG = text_encoder.parse_config(SIZES)
TOKENS = np.array([[2, 7, 1, 9, 3], [2, 5, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def make_tensors(seed=0):
  """A random BERT in the form of a Hugging Face file."""
  random = np.random.default_rng(seed)
  D, F = SIZES['hidden_size'], SIZES['intermediate_size']
  shapes = {
    'embeddings.word_embeddings.weight': (SIZES['vocab_size'], D),
    'embeddings.position_embeddings.weight': (6, D),
    'embeddings.token_type_embeddings.weight': (2, D),
  }
  norms = ['embeddings.LayerNorm']
  dense = {}
  for i in range(SIZES['num_hidden_layers']):
    layer = f'encoder.layer.{i}'
    for name in ('query', 'key', 'value'):
      dense[f'{layer}.attention.self.{name}'] = (D, D)
    dense[f'{layer}.attention.output.dense'] = (D, D)
    dense[f'{layer}.intermediate.dense'] = (F, D)
    dense[f'{layer}.output.dense'] = (D, F)
    norms += [
      f'{layer}.attention.output.LayerNorm',
      f'{layer}.output.LayerNorm',
    ]
  for name, shape in dense.items():
    shapes |= {f'{name}.weight': shape, f'{name}.bias': shape[:1]}
  for name in norms:
    shapes |= {f'{name}.weight': (D,), f'{name}.bias': (D,)}
  return {
    name: random.normal(size=shape).astype(np.float32)
    for name, shape in shapes.items()
  }


def numpy_bert(tensors, tokens):
  """The states of one text's tokens, written from the paper in float64."""
  t = {name: array.astype(np.float64) for name, array in tensors.items()}

  def dense(x, name):
    return x @ t[f'{name}.weight'].T + t[f'{name}.bias']

  def norm(x, name):
    x = x - x.mean(axis=1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-12)
    return x * t[f'{name}.weight'] + t[f'{name}.bias']

  x = (
    t['embeddings.word_embeddings.weight'][tokens]
    + t['embeddings.position_embeddings.weight'][: len(tokens)]
    + t['embeddings.token_type_embeddings.weight'][0]
  )
  x = norm(x, 'embeddings.LayerNorm')
  for i in range(SIZES['num_hidden_layers']):
    layer = f'encoder.layer.{i}'
    q, k, v = (
      np.split(dense(x, f'{layer}.attention.self.{name}'), 2, axis=1)
      for name in ('query', 'key', 'value')
    )
    heads = [
      scipy.special.softmax(q[h] @ k[h].T / 2, axis=1) @ v[h] for h in range(2)
    ]
    mixed = dense(np.hstack(heads), f'{layer}.attention.output.dense')
    x = norm(x + mixed, f'{layer}.attention.output.LayerNorm')
    h = dense(x, f'{layer}.intermediate.dense')
    h = h * (1 + scipy.special.erf(h / np.sqrt(2))) / 2
    x = norm(x + dense(h, f'{layer}.output.dense'), f'{layer}.output.LayerNorm')
  return x


def test_states_equal_an_independent_forward_pass():
  tensors = make_tensors()
  params = text_encoder.convert_params(tensors, CONFIG)
  apply = jax.jit(text_encoder.Bert(CONFIG).apply)
  found = apply({'params': params}, TOKENS, MASK)
  for row, length in enumerate(MASK.sum(axis=1)):
    expected = numpy_bert(tensors, TOKENS[row, :length])
    np.testing.assert_allclose(found[row, :length], expected, atol=2e-5)


@pytest.mark.parametrize(
  ('pooling', 'normalise'), [('mean', True), ('cls', False)]
)
def test_embeddings(pooling, normalise):
  tensors = make_tensors()
  found = text_encoder.embed(
    text_encoder.convert_params(tensors, CONFIG),
    TOKENS,
    MASK,
    config=CONFIG,
    pooling=pooling,
    normalise=normalise,
  )
  for row, length in enumerate(MASK.sum(axis=1)):
    states = numpy_bert(tensors, TOKENS[row, :length])
    expected = states.mean(axis=0) if pooling == 'mean' else states[0]
    if normalise:
      expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(found[row], expected, atol=2e-5)


def test_a_text_of_no_token_is_zero():
  states = jax.random.normal(jax.random.key(0), (1, 3, 4))
  found = text_encoder.pool(
    states, np.zeros((1, 3), bool), pooling='mean', normalise=True
  )
  np.testing.assert_array_equal(found, 0)


def test_unknown_pooling():
  with pytest.raises(ValueError, match="pooling='max' is unknown"):
    text_encoder.pool(
      np.zeros((1, 3, 4)), MASK[:1, :3], pooling='max', normalise=True
    )


def test_more_tokens_than_positions():
  params = text_encoder.convert_params(make_tensors(), CONFIG)
  long = np.ones((1, 7), int)
  with pytest.raises(ValueError, match='7 tokens, but the encoder has 6'):
    text_encoder.Bert(CONFIG).apply({'params': params}, long, long > 0)


def test_older_names_and_heads_are_understood():
  tensors = make_tensors()
  older = {
    'bert.'
    + (
      name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace(
        'LayerNorm.bias', 'LayerNorm.beta'
      )
    ): array
    for name, array in tensors.items()
  }
  older['bert.pooler.dense.weight'] = np.zeros((8, 8), np.float32)
  older['bert.embeddings.position_ids'] = np.arange(6)[None]
  older['cls.predictions.bias'] = np.zeros(11, np.float32)
  jax.tree.map(
    np.testing.assert_array_equal,
    text_encoder.convert_params(older, CONFIG),
    text_encoder.convert_params(tensors, CONFIG),
  )


def test_the_tree_is_the_modules_own():
  params = text_encoder.convert_params(make_tensors(), CONFIG)
  init = functools.partial(text_encoder.Bert(CONFIG).init, jax.random.key(0))
  form = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)  # noqa: E731
  assert form(params) == form(jax.eval_shape(init, TOKENS, MASK)['params'])


QUERY = 'encoder.layer.1.attention.self.query.weight'


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({QUERY: None}, f'missing {QUERY}; unknown none'),
    ({'decoder.bias': np.zeros(3)}, 'missing none; unknown decoder.bias'),
    (
      {QUERY: np.zeros((8, 9), np.float32)},
      rf'{QUERY} has shape \(8, 9\), expected \(8, 8\)',
    ),
    (
      {'encoder.layer.0.output.dense.weight': np.zeros((12, 8), np.float32)},
      r'has shape \(12, 8\), expected \(8, 12\)',
    ),
    ({QUERY: np.zeros((8, 8), int)}, f'{QUERY} is int64, expected floating'),
    ({QUERY: np.full((8, 8), np.nan)}, f'{QUERY} is not finite'),
  ],
)
def test_tensors_that_do_not_fit_are_named(change, message):
  tensors = {**make_tensors(), **change}
  tensors = {k: v for k, v in tensors.items() if v is not None}
  with pytest.raises(ValueError, match=message):
    text_encoder.convert_params(tensors, CONFIG)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'hidden_size': None}, 'hidden_size is missing'),
    ({'hidden_size': 9}, 'hidden_size=9 is not a multiple of'),
    ({'num_hidden_layers': 0}, 'num_hidden_layers=0 is not a positive'),
    ({'vocab_size': 'many'}, "vocab_size='many' is not a positive"),
    ({'model_type': 'roberta'}, "model_type='roberta' is not one of"),
    ({'hidden_act': 'gelu_new'}, "hidden_act='gelu_new' is not one of"),
    ({'position_embedding_type': 'relative_key'}, 'position_embedding_type'),
  ],
)
def test_configurations_that_cannot_be_run(change, message):
  values = {**SIZES, **change}
  values = {k: v for k, v in values.items() if v is not None}
  with pytest.raises(ValueError, match=message):
    text_encoder.parse_config(values)


def test_minilm_equals_the_reference():
  """`make_text_reference.py` tells how the reference was made."""
  item_text = pytest.importorskip('hyperrec.data.item_text')
  try:
    encoder = item_text.load_encoder()
  except item_text.EncoderMissingError as error:
    pytest.skip(f'MiniLM against its reference: {error}')
  path = pathlib.Path(__file__).parent / 'text_reference.json'
  reference = json.loads(path.read_text())
  found = item_text.encode(reference['texts'], encoder, batch_size=8)
  np.testing.assert_allclose(
    found[:, :16], reference['embeddings'], atol=1e-4, rtol=0
  )
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
