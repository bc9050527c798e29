"""The layers of T5, version 1.0, and what its positions attend to.

Raffel et al.: "Exploring the limits of transfer learning with a unified
text-to-text Transformer" (JMLR 2020, arXiv 1910.10683). `t5` joins them.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hyperrec.nn import transformer


@dataclasses.dataclass(frozen=True)
class T5Config:
  """The sizes of a T5, named as in its config.json.

  Attributes:
    vocab_size: rows of the embedding, which is also the output's.
    d_model: D.
    d_kv: E, of one head; H x E need not be D.
    d_ff: width inside the two-layer nets.
    num_layers: of the encoder.
    num_decoder_layers: of the decoder.
    num_heads: H.
    relative_attention_num_buckets: distances told apart.
    relative_attention_max_distance: beyond it all are one.
    dropout_rate: share dropped in training, the same at all positions of a
      text, as T5's authors do it (it also spares a third of a step's time).
    layer_norm_epsilon: added to the mean square in the norms.
    num_whole_words: rows of P5's whole-word embedding; 0 is T5 itself.
  """

  vocab_size: int
  d_model: int = 128
  d_kv: int = 32
  d_ff: int = 512
  num_layers: int = 2
  num_decoder_layers: int = 2
  num_heads: int = 4
  relative_attention_num_buckets: int = 32
  relative_attention_max_distance: int = 128
  dropout_rate: float = 0.1
  layer_norm_epsilon: float = 1e-6
  num_whole_words: int = 512


class KeysValues(NamedTuple):
  """What positions show of themselves in one layer."""

  keys: Float[Array, '*b K H E']
  values: Float[Array, '*b K H E']


class View(NamedTuple):
  """What queries attend to, and which of it each may see.

  Attributes:
    shown: keys and values.
    allowed: [..., q, k] is True where q may see k.
    bias: of relative position; None for none.
  """

  shown: KeysValues
  allowed: Bool[Array, '*b Q K']
  bias: Float[Array, '*c H Q K'] | None = None


class Memory(NamedTuple):
  """An encoded text, as the decoder's layers see it.

  Attributes:
    layers: for each layer of the decoder, keys and values [B, S, H, E].
    mask: [B, S], True where the text has a token.
  """

  layers: tuple[KeysValues, ...]
  mask: Bool[Array, 'B S']


# (layer, keys and values [B, Q, H, E] of the positions) -> what they attend to.
Look = Callable[[int, KeysValues], View]


def relative_buckets(
  distance: Int[Array, '*s'],
  *,
  bidirectional: bool,
  num_buckets: int = 32,
  max_distance: int = 128,
) -> Int[Array, '*s']:
  """Numbers of distances: small ones exact, larger ones by their logarithm.

  Section 2.1 of the paper. Half of the buckets are exact; a bidirectional
  stack keeps half of all for keys that come later, any other sees none.

  Args:
    distance: place of the key minus place of the query.
    bidirectional: whether keys may come after the query.
    num_buckets: in all.
    max_distance: from here on, all in the last bucket.
  """
  later = jnp.zeros_like(distance)
  if bidirectional:
    num_buckets //= 2
    later = jnp.where(distance > 0, num_buckets, 0)
    back = jnp.abs(distance)
  else:
    back = jnp.maximum(-distance, 0)
  exact = num_buckets // 2
  share = jnp.log(jnp.maximum(back, 1) / exact) / math.log(max_distance / exact)
  coarse = exact + (share * (num_buckets - exact)).astype(jnp.int32)
  coarse = jnp.minimum(coarse, num_buckets - 1)
  return later + jnp.where(back < exact, back, coarse)


class Stack(nn.Module):
  """The layers of the encoder, or of the decoder."""

  config: T5Config
  is_decoder: bool

  def setup(self):
    """The layers, and the rows of relative positions that they share."""
    config = self.config
    num_layers = config.num_layers
    if self.is_decoder:
      num_layers = config.num_decoder_layers
    self.positions = nn.Embed(
      config.relative_attention_num_buckets,
      config.num_heads,
      embedding_init=nn.initializers.normal(config.d_model**-0.5),
    )
    self.layers = [_Layer(config, self.is_decoder) for _ in range(num_layers)]
    self.norm = nn.RMSNorm(epsilon=config.layer_norm_epsilon)
    self.drop = _dropout(config)

  def __call__(
    self,
    x_BxQxD: Float[Array, 'B Q D'],
    look: Look,
    memory: Memory | None = None,
    *,
    train: bool = False,
  ) -> tuple[Float[Array, 'B Q D'], tuple[KeysValues, ...]]:
    """Transforms positions; also returns what each layer attended to."""
    x_BxQxD = self.drop(x_BxQxD, deterministic=not train)
    attended = []
    for i, layer in enumerate(self.layers):
      over = None
      if memory is not None:
        mask_Bx1xS = memory.mask[:, None]
        allowed = jnp.broadcast_to(
          mask_Bx1xS, (*x_BxQxD.shape[:2], mask_Bx1xS.shape[-1])
        )
        over = View(memory.layers[i], allowed)
      x_BxQxD, shown = layer(x_BxQxD, i, look, over, train=train)
      attended.append(shown)
    x_BxQxD = self.drop(self.norm(x_BxQxD), deterministic=not train)
    return x_BxQxD, tuple(attended)

  def bias(
    self, distance_QxK: Int[Array, '*b Q K']
  ) -> Float[Array, '*b H Q K']:
    """What attention adds for places of keys less places of queries."""
    buckets = relative_buckets(
      distance_QxK,
      bidirectional=not self.is_decoder,
      num_buckets=self.config.relative_attention_num_buckets,
      max_distance=self.config.relative_attention_max_distance,
    )
    return jnp.moveaxis(self.positions(buckets), -1, -3)

  def shown(
    self, states_BxSxD: Float[Array, 'B S D']
  ) -> tuple[KeysValues, ...]:
    """What each layer of a decoder is shown of an encoded text."""
    return tuple(layer.cross.shown(states_BxSxD) for layer in self.layers)


class _Layer(nn.Module):
  """Attention, in the decoder attention to the source, and a two-layer net."""

  config: T5Config
  is_decoder: bool

  def setup(self):
    config = self.config
    norm = lambda: nn.RMSNorm(epsilon=config.layer_norm_epsilon)  # noqa: E731
    self.attention_norm, self.net_norm = norm(), norm()
    self.attention = _Attention(config)
    if self.is_decoder:
      self.cross_norm = norm()
      self.cross = _Attention(config)
    self.expand = _dense(config.d_ff, config.d_model)
    self.contract = _dense(config.d_model, config.d_ff)
    self.drop = _dropout(config)

  def __call__(self, x_BxQxD, number, look, over, *, train):
    def drop(x):
      return self.drop(x, deterministic=not train)

    normed = self.attention_norm(x_BxQxD)
    view = look(number, self.attention.shown(normed))
    x_BxQxD += drop(self.attention(normed, view, drop))
    if over is not None:
      x_BxQxD += drop(self.cross(self.cross_norm(x_BxQxD), over, drop))
    hidden = drop(jax.nn.relu(self.expand(self.net_norm(x_BxQxD))))
    return x_BxQxD + drop(self.contract(hidden)), view.shown


class _Attention(nn.Module):
  """Heads without biases and without a scale: T5's initial weights hold it."""

  config: T5Config

  def setup(self):
    config = self.config
    width = config.num_heads * config.d_kv
    self.query = _dense(width, config.d_model * config.d_kv)
    self.key = _dense(width, config.d_model)
    self.value = _dense(width, config.d_model)
    self.out = _dense(config.d_model, width)

  def __call__(self, x_BxQxD, view, drop):
    q_BxQxHxE = self._heads(self.query(x_BxQxD))
    if view.shown.keys.ndim == q_BxQxHxE.ndim + 1:  # each query has its own
      q_BxQxHxE = q_BxQxHxE[:, :, None]
    mixed = transformer.mix(
      q_BxQxHxE, *view.shown, view.allowed, bias_HxQxK=view.bias, drop=drop
    )
    return self.out(mixed.reshape(*x_BxQxD.shape[:2], -1))

  def shown(self, x_BxQxD) -> KeysValues:
    return KeysValues(
      self._heads(self.key(x_BxQxD)), self._heads(self.value(x_BxQxD))
    )

  def _heads(self, x):
    return x.reshape(*x.shape[:-1], self.config.num_heads, self.config.d_kv)


def _dropout(config: T5Config) -> nn.Dropout:
  return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))


def _dense(features: int, variance: int) -> nn.Dense:
  """Without a bias; its weights start with variance 1 / `variance`."""
  init = nn.initializers.normal(variance**-0.5)
  return nn.Dense(features, use_bias=False, kernel_init=init)
