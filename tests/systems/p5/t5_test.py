"""T5: its size, its parts against each other, and torch's logits."""

import dataclasses
import json
import math
import pathlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.nn import t5_layers
from hyperrec.systems.p5 import t5, t5_weights

CONFIG = t5.T5Config(
  20, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_decoder_layers=2,
  num_heads=3, num_whole_words=5,
)  # fmt: skip
REFERENCE = json.loads(
  pathlib.Path(__file__).with_name('t5_reference.json').read_text()
)


def source():
  random = np.random.default_rng(0)
  mask = np.arange(7)[None] < np.array([[7], [4]])
  tokens = random.integers(20, size=(2, 7))
  return tokens, np.where(mask, [[1, 1, 2, 2, 3, 4, 5]], 0), mask


def random_params(config=CONFIG):
  random = np.random.default_rng(1)
  return jax.tree.map(
    lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32) / 2,
    t5.abstract_params(config),
  )


def apply(params, method, *args, config=CONFIG):
  run = lambda params, *args: t5.T5(config).apply(  # noqa: E731
    {'params': params}, *args, method=method
  )
  return jax.jit(run)(params, *args)


@pytest.mark.parametrize(
  ('config', 'size'),
  [(t5.P5_SMALL, 60_754_432), (t5.T5Config(2000), 1_240_832)],
)
def test_number_of_parameters(config, size):
  """60.75M is P5-small's, as published; the default is 1.24M."""
  leaves = jax.tree.leaves(t5.abstract_params(config))
  assert sum(math.prod(leaf.shape) for leaf in leaves) == size


def test_initial_logits_are_about_one():
  """T5's initial weights stand for the scales that its layers lack."""
  params = jax.jit(t5.init_params, static_argnums=0)(
    t5.T5Config(50), jax.random.key(0)
  )
  target = np.arange(12).reshape(2, 6)
  logits = apply(params, '__call__', source(), target, config=t5.T5Config(50))
  assert 0.3 < float(jnp.std(logits)) < 3


def test_buckets_of_distances():
  """Small distances are exact, and the last bucket holds all beyond."""
  back = -np.arange(200)
  causal = np.asarray(t5_layers.relative_buckets(back, bidirectional=False))
  np.testing.assert_array_equal(causal[:16], np.arange(16))
  assert (np.diff(causal) >= 0).all()
  assert causal[127] == causal[199] == 31
  assert t5_layers.relative_buckets(np.array([5]), bidirectional=False) == 0
  both = np.asarray(t5_layers.relative_buckets(back, bidirectional=True))
  np.testing.assert_array_equal(both[:8], np.arange(8))
  later = np.asarray(t5_layers.relative_buckets(-back[1:], bidirectional=True))
  np.testing.assert_array_equal(later, both[1:] + 16)


def test_what_is_written_sees_no_later_token():
  params = random_params()
  memory = apply(params, 'remember', *source())
  target = np.arange(12).reshape(2, 6)
  before = apply(params, 'write', target, memory)
  target[:, 4] += 1
  after = apply(params, 'write', target, memory)
  np.testing.assert_array_equal(before[:, :4], after[:, :4])
  assert (abs(before - after)[:, 4:].max(axis=-1) > 1e-4).all()


def test_padding_of_the_source_changes_nothing():
  params = random_params()
  target = np.arange(12).reshape(2, 6)
  tokens, whole, mask = source()
  found = apply(params, '__call__', (tokens, whole, mask), target)
  short = tokens[1:, :4], whole[1:, :4], mask[1:, :4]
  alone = apply(params, '__call__', short, target[1:])
  np.testing.assert_allclose(found[1:], alone, atol=1e-5)


def test_whole_words_matter_and_are_capped():
  params = random_params()
  tokens, whole, mask = source()
  found = apply(params, 'encode', tokens, whole, mask)
  assert abs(found - apply(params, 'encode', tokens, whole * 0, mask)).max() > 1
  high = np.where(whole == 4, 99, whole)
  np.testing.assert_array_equal(
    found, apply(params, 'encode', tokens, high, mask)
  )


def test_dropout_is_for_training():
  params = random_params()
  target = np.arange(12).reshape(2, 6)

  @jax.jit
  def run(key):
    return t5.T5(CONFIG).apply(
      {'params': params}, source(), target, train=True, rngs={'dropout': key}
    )

  first, second = (run(jax.random.key(seed)) for seed in range(2))
  assert abs(first - second).max() > 0.1


def reference_tensors():
  return {
    name: np.random.default_rng(zlib.crc32(name.encode()))
    .normal(size=shape)
    .astype(np.float32)
    / 2
    for name, shape in REFERENCE['shapes'].items()
  }


def test_logits_equal_the_reference(tmp_path):
  """`make_t5_reference.py` tells how the reference was made."""
  numpy_files = pytest.importorskip('safetensors.numpy')
  path = tmp_path / 'model.safetensors'
  numpy_files.save_file(reference_tensors(), path)
  (tmp_path / 'config.json').write_text(json.dumps(REFERENCE['config']))
  config, params = t5_weights.load(tmp_path, num_whole_words=9)
  tokens, mask, target = (
    np.array(REFERENCE[name]) for name in ('source', 'mask', 'target')
  )
  whole = np.broadcast_to(np.arange(50), tokens.shape)
  logits = apply(
    params, '__call__', (tokens, whole, mask > 0), target, config=config
  )
  np.testing.assert_allclose(
    logits[:, np.array([0, 3, 23]), ::4], REFERENCE['logits'], atol=1e-3, rtol=0
  )


QUERY = 'decoder.block.1.layer.1.EncDecAttention.q.weight'


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({QUERY: None}, f'1 missing .*{QUERY}'),
    ({'pooler.weight': np.zeros(3)}, '1 unknown .*pooler.weight'),
    ({QUERY: np.zeros((16, 18), np.float32)}, r'shape \(16, 18\), expected'),
    ({QUERY: np.zeros((18, 16), int)}, f'{QUERY} is int64, expected floating'),
    ({QUERY: np.full((18, 16), np.nan)}, f'{QUERY} is not finite'),
    ({'lm_head.weight': np.zeros((40, 16))}, 'lm_head.weight differs from'),
  ],
)
def test_tensors_that_do_not_fit_are_named(change, message):
  config = t5_weights.parse_config(REFERENCE['config'])
  tensors = {**reference_tensors(), **change}
  tensors = {k: v for k, v in tensors.items() if v is not None}
  with pytest.raises(ValueError, match=message):
    t5_weights.convert_params(tensors, config)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'d_model': None}, 'd_model=None is not a positive number'),
    ({'num_heads': 0}, 'num_heads=0 is not a positive number'),
    ({'d_ff': 'wide'}, "d_ff='wide' is not a positive number"),
    ({'model_type': 'bert'}, "model_type='bert' is not 't5'"),
    ({'feed_forward_proj': 'gated-gelu'}, 'feed_forward_proj'),
    ({'tie_word_embeddings': False}, 'tie_word_embeddings=False is not True'),
  ],
)
def test_configurations_that_cannot_be_run(change, message):
  with pytest.raises(ValueError, match=message):
    t5_weights.parse_config({**REFERENCE['config'], **change})


def test_a_decoder_has_as_many_layers_where_the_file_does_not_say():
  values = {**REFERENCE['config'], 'num_decoder_layers': None}
  config = t5_weights.parse_config(values)
  assert config.num_decoder_layers == config.num_layers == 2
  expected = dataclasses.replace(
    t5_weights.parse_config(REFERENCE['config']), num_decoder_layers=2
  )
  assert config == expected


def test_a_folder_without_the_files(tmp_path):
  pytest.importorskip('safetensors')
  with pytest.raises(ValueError, match=r'config\.json: .*No such file'):
    t5_weights.load(tmp_path)
  (tmp_path / 'config.json').write_text(json.dumps(REFERENCE['config']))
  (tmp_path / 'model.safetensors').write_bytes(b'not a tensor')
  with pytest.raises(ValueError, match=r'model\.safetensors: '):
    t5_weights.load(tmp_path)
