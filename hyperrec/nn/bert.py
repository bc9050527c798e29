"""BERT as an encoder of short texts; it gives one vector per text.

Devlin et al.: "BERT" (NAACL 2019, arXiv 1810.04805); mean pooling after
Reimers and Gurevych: "Sentence-BERT" (EMNLP 2019, arXiv 1908.10084).
The parameters are converted from the tensors of Hugging Face files.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hyperrec.nn import transformer, weights

POOLINGS = ('mean', 'cls')

_ACTIVATIONS = {'gelu': transformer.gelu, 'relu': jax.nn.relu}
# Prefixes of tensors that a file may hold and the encoder does not need, such
# as those of the pre-training heads.
_UNUSED = ('pooler.', 'cls.', 'embeddings.position_ids')


@dataclasses.dataclass(frozen=True)
class BertConfig:
  """Sizes of a BERT; the fields have the names that its config.json uses."""

  vocab_size: int
  hidden_size: int
  num_hidden_layers: int
  num_attention_heads: int
  intermediate_size: int
  max_position_embeddings: int
  type_vocab_size: int = 2
  layer_norm_eps: float = 1e-12
  hidden_act: str = 'gelu'


def parse_config(values: Mapping[str, Any]) -> BertConfig:
  """Reads a configuration from the values of a config.json.

  Raises:
    ValueError: the model is not a BERT with absolute positions, a size is
      missing or not a positive number, the activation is unknown, or the
      number of heads does not divide the hidden size.
  """
  for name, known in (
    ('model_type', ('bert',)),
    ('position_embedding_type', ('absolute',)),
    ('hidden_act', tuple(_ACTIVATIONS)),
  ):
    if values.get(name, known[0]) not in known:
      raise ValueError(f'{name}={values[name]!r} is not one of {known}')
  fields = {field.name: field for field in dataclasses.fields(BertConfig)}
  chosen = {name: values[name] for name in fields if name in values}
  for name, field in fields.items():
    if name not in chosen and field.default is dataclasses.MISSING:
      raise ValueError(f'{name} is missing')
    value = chosen.get(name, field.default)
    if field.type in (int, float) and not (
      isinstance(value, (int, field.type)) and value > 0
    ):
      raise ValueError(f'{name}={value!r} is not a positive number')
  config = BertConfig(**chosen)
  if config.hidden_size % config.num_attention_heads:
    raise ValueError(
      f'hidden_size={config.hidden_size} is not a multiple of '
      f'num_attention_heads={config.num_attention_heads}'
    )
  return config


class Bert(nn.Module):
  """Word, position and type embeddings, then post-LN Transformer blocks."""

  config: BertConfig

  @nn.compact
  def __call__(
    self, tokens_BxL: Int[Array, 'B L'], mask_BxL: Bool[Array, 'B L']
  ) -> Float[Array, 'B L D']:
    """Encodes B single texts, whose tokens all have type 0.

    Args:
      tokens_BxL: token numbers.
      mask_BxL: True where a text has a token, False at padding.

    Returns:
      The last layer's state of each token.

    Raises:
      ValueError: L is larger than `max_position_embeddings`.
    """
    config = self.config
    L, limit = tokens_BxL.shape[1], config.max_position_embeddings
    if limit < L:
      raise ValueError(
        f'the texts have {L} tokens, but the encoder has {limit} positions'
      )

    def embed(size, name):
      return nn.Embed(size, config.hidden_size, name=name)

    x_BxLxD = embed(config.vocab_size, 'words')(tokens_BxL)
    positions = embed(limit, 'positions')
    x_BxLxD += positions(jnp.arange(L)[None])
    types = embed(config.type_vocab_size, 'types')
    x_BxLxD += types(jnp.zeros((1, 1), jnp.int32))
    epsilon = config.layer_norm_eps
    x_BxLxD = nn.LayerNorm(epsilon=epsilon, name='norm')(x_BxLxD)
    allowed_BxLxL = transformer.attention_mask(mask_BxL)
    for layer in range(config.num_hidden_layers):
      x_BxLxD = transformer.Block(
        num_heads=config.num_attention_heads,
        hidden_dim=config.intermediate_size,
        norm_first=False,
        activation=_ACTIVATIONS[config.hidden_act],
        norm_epsilon=epsilon,
        name=f'layer_{layer}',
      )(x_BxLxD, allowed_BxLxL)
    return x_BxLxD


def pool(
  states_BxLxD: Float[Array, 'B L D'],
  mask_BxL: Bool[Array, 'B L'],
  *,
  pooling: str,
  normalise: bool,
) -> Float[Array, 'B D']:
  """Pools the states of tokens to one vector per text.

  Args:
    states_BxLxD: states of the tokens.
    mask_BxL: True where a text has a token, False at padding.
    pooling: 'mean' averages the tokens of a text, 'cls' takes its first token.
    normalise: whether to scale the vectors to length 1.

  Raises:
    ValueError: `pooling` is unknown.
  """
  if pooling not in POOLINGS:
    raise ValueError(f'pooling={pooling!r} is unknown; use one of {POOLINGS}')
  if pooling == 'cls':
    pooled_BxD = states_BxLxD[:, 0]
  else:
    weight_BxLx1 = mask_BxL[..., None].astype(states_BxLxD.dtype)
    count_Bx1 = jnp.maximum(weight_BxLx1.sum(axis=1), 1)
    pooled_BxD = (states_BxLxD * weight_BxLx1).sum(axis=1) / count_Bx1
  if normalise:
    square_Bx1 = (pooled_BxD**2).sum(axis=-1, keepdims=True)
    pooled_BxD *= jax.lax.rsqrt(jnp.maximum(square_Bx1, 1e-24))
  return pooled_BxD


@functools.partial(jax.jit, static_argnames=('config', 'pooling', 'normalise'))
def embed(
  params: dict,
  tokens_BxL: Int[Array, 'B L'],
  mask_BxL: Bool[Array, 'B L'],
  *,
  config: BertConfig,
  pooling: str = 'mean',
  normalise: bool = True,
) -> Float[Array, 'B D']:
  """Embeds B texts; matrix products are in full float32 on every device.

  Args:
    params: parameters of `Bert`.
    tokens_BxL: token numbers.
    mask_BxL: True where a text has a token, False at padding.
    config: sizes of the BERT.
    pooling: one of `POOLINGS`; see `pool`.
    normalise: whether to scale the vectors to length 1.

  Returns:
    One vector per text.
  """
  with jax.default_matmul_precision('float32'):
    states = Bert(config).apply({'params': params}, tokens_BxL, mask_BxL)
  return pool(states, mask_BxL, pooling=pooling, normalise=normalise)


def convert_params(
  tensors: Mapping[str, np.ndarray], config: BertConfig
) -> dict[str, Any]:
  """Converts the tensors of a Hugging Face file to the parameters of `Bert`.

  Args:
    tensors: maps names to arrays, as in model.safetensors of a BERT. The
      pre-training heads are ignored, and the prefix 'bert.' is optional.
    config: the expected sizes.

  Raises:
    ValueError: a tensor is missing or unknown, does not have the shape that
      follows from `config`, is not floating point, or is not finite.
  """
  found = {_modern_name(name): array for name, array in tensors.items()}
  found = {k: v for k, v in found.items() if not k.startswith(_UNUSED)}
  expected = _expected(config)
  missing = sorted(set(expected) - set(found))
  extra = sorted(set(found) - set(expected))
  if missing or extra:
    raise ValueError(
      'the tensors do not fit a BERT with '
      f'{config.num_hidden_layers} layers: missing {_some(missing)}; '
      f'unknown {_some(extra)}'
    )
  flat = {}
  for name, (path, shape) in expected.items():
    flat[path] = weights.parameter(name, found[name], path, shape)
  return flax.traverse_util.unflatten_dict(flat)


_FILE_NAMES = {
  'words': 'embeddings.word_embeddings',
  'positions': 'embeddings.position_embeddings',
  'types': 'embeddings.token_type_embeddings',
  'norm': 'embeddings.LayerNorm',
  'attention.query': 'attention.self.query',
  'attention.key': 'attention.self.key',
  'attention.value': 'attention.self.value',
  'attention.out': 'attention.output.dense',
  'attention_norm': 'attention.output.LayerNorm',
  'expand': 'intermediate.dense',
  'contract': 'output.dense',
  'net_norm': 'output.LayerNorm',
}


def _expected(config: BertConfig) -> dict[str, tuple[tuple, tuple]]:
  """Maps the tensor name of each parameter to its path in `Bert` and shape."""
  tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  mask = jax.ShapeDtypeStruct((1, 1), jnp.bool_)
  init = functools.partial(Bert(config).init, jax.random.key(0))
  template = jax.eval_shape(init, tokens, mask)['params']
  expected = {}
  for path, leaf in flax.traverse_util.flatten_dict(template).items():
    *parts, kind = path
    prefix = ''
    if parts[0].startswith('layer_'):
      prefix = parts[0].replace('layer_', 'encoder.layer.') + '.'
      parts = parts[1:]
    suffix = 'bias' if kind == 'bias' else 'weight'
    name = f'{prefix}{_FILE_NAMES[".".join(parts)]}.{suffix}'
    expected[name] = (path, leaf.shape)
  return expected


def _modern_name(name: str) -> str:
  """Removes the optional prefix and renames the endings of older files."""
  name = name.removeprefix('bert.')
  for old, new in (('.gamma', '.weight'), ('.beta', '.bias')):
    if name.endswith(old):
      name = name.removesuffix(old) + new
  return name


def _some(names: list[str], limit: int = 5) -> str:
  """Lists the first few names and says how many more there are."""
  if not names:
    return 'none'
  more = f' and {len(names) - limit} more' if len(names) > limit else ''
  return ', '.join(names[:limit]) + more
