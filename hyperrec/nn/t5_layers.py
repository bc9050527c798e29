"""The layers of T5, version 1.0, and their attention.

Raffel et al.: "Exploring the limits of transfer learning with a unified
text-to-text Transformer" (JMLR 2020, arXiv 1910.10683). The module
`systems.p5.t5` makes the whole network of these layers.

Shapes: B texts, Q queries, K keys, S source tokens, H heads, E dimensions of
each head.
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
  """Sizes of a T5; the fields have the names that its config.json uses.

  Attributes:
    vocab_size: Number of rows of the embedding, which also gives the output
      logits.
    d_model: Width D of the hidden states.
    d_kv: Width E of each head; H x E need not equal D.
    d_ff: Hidden width of the feed-forward networks.
    num_layers: Number of encoder layers.
    num_decoder_layers: Number of decoder layers.
    num_heads: Number of attention heads, H.
    relative_attention_num_buckets: Number of buckets of relative positions.
    relative_attention_max_distance: Distance, in tokens, from which on all
      distances share the last bucket.
    dropout_rate: Share of units dropped in training. All positions of a text
      drop the same units, as in the authors' code; this also saves a third of
      a step's time.
    layer_norm_epsilon: Number added to the mean square in the norms.
    num_whole_words: Number of rows of P5's whole-word embedding; with 0, the
      network is the original T5.
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
  """Keys and values of K positions in one attention layer."""

  keys: Float[Array, '*b K H E']
  values: Float[Array, '*b K H E']


class View(NamedTuple):
  """What queries attend to.

  Attributes:
    shown: keys and values.
    allowed: [..., q, k] is True where query q may attend to key k.
    bias: relative position bias that is added to the logits, or None.
  """

  shown: KeysValues
  allowed: Bool[Array, '*b Q K']
  bias: Float[Array, '*c H Q K'] | None = None


class Memory(NamedTuple):
  """Encoded texts, in the form that the decoder's layers attend to.

  Attributes:
    layers: keys and values [B, S, H, E] of each decoder layer.
    mask: True where a text has a token, False at padding.
  """

  layers: tuple[KeysValues, ...]
  mask: Bool[Array, 'B S']


# Maps the layer's number, and the keys and values [B, Q, H, E] of the positions
# in it, to what the positions attend to.
Look = Callable[[int, KeysValues], View]


def relative_buckets(
  distance: Int[Array, '*s'],
  *,
  bidirectional: bool,
  num_buckets: int = 32,
  max_distance: int = 128,
) -> Int[Array, '*s']:
  """Maps relative positions to buckets (paper, section 2.1).

  Half of the buckets hold one small distance each; the others hold ranges of
  larger distances that grow with the logarithm. With `bidirectional`, half of
  all buckets are for keys after the query. Without it, such keys share the
  bucket of distance 0, since causal attention does not reach them.

  Args:
    distance: position of the key minus position of the query.
    bidirectional: whether queries attend to keys after them.
    num_buckets: number of all buckets.
    max_distance: distance from which on all share the last bucket.

  Returns:
    Buckets, from 0 to `num_buckets` - 1.
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
  """All layers of the encoder or of the decoder."""

  config: T5Config
  is_decoder: bool

  def setup(self):
    """Makes the layers and the position biases that they share."""
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
    """Transforms the positions by all layers.

    Args:
      x_BxQxD: embeddings of the positions.
      look: gives what the positions of each layer attend to.
      memory: the encoded texts, in a decoder; None in an encoder.
      train: whether to apply dropout, with the rng "dropout".

    Returns:
      The last states, and the keys and values that each layer attended to.
    """
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
    """Position biases that the layers add to their attention logits.

    Args:
      distance_QxK: position of the key minus position of the query.
    """
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
    """Keys and values of encoded texts, for each layer of a decoder."""
    return tuple(layer.cross.shown(states_BxSxD) for layer in self.layers)


class _Layer(nn.Module):
  """Self-attention, cross-attention in the decoder, and a feed-forward net."""

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
  """Multi-head attention without biases.

  The logits are not scaled by 1 / sqrt(E), since T5's initial query weights
  are smaller by this factor.
  """

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
    if view.shown.keys.ndim == q_BxQxHxE.ndim + 1:  # Each query has own keys.
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
  """A layer without bias; its initial weights have variance 1 / `variance`."""
  init = nn.initializers.normal(variance**-0.5)
  return nn.Dense(features, use_bias=False, kernel_init=init)
