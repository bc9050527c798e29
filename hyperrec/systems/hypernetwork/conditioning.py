"""Encoders: they map the evidence to z, the input of a hypernetwork.

Every encoder gives z of constant norm sqrt(Z), because a hypernetwork's outputs
and gradients scale with its input (Ortiz, Guttag, Dalca: "Magnitude Invariant
Parametrizations Improve Hypernetwork Learning", ICLR 2024, arXiv 2304.07645).
The one exception is z = 0, which means that nothing is known.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# The encoding of a set's size is in [0, 1); at this size it is one half.
_HALF_SIZE = 10.0
# Below this square length a vector is a rounding error.
_LEAST_SQUARE = 1e-20


class MaskedSet(NamedTuple):
  """Evidence without an order; masked entries have no effect.

  A multi-hot row x of a catalogue is MaskedSet(arange(V), x).

  Attributes:
    members: item indices [L].
    mask: True for entries that count.
  """

  members: Int[Array, ' L']
  mask: Bool[Array, ' L']


def constant_norm(x: Float[Array, '*B D']) -> Float[Array, '*B D']:
  """Scales vectors to norm sqrt(D); one of no length gives 0, with gradient 0.

  Rounding errors have no direction, and their gradient is not finite. So a
  vector shorter than 1e-10 counts as one of no length.
  """
  square = jnp.sum(x**2, axis=-1, keepdims=True)
  is_long = square > _LEAST_SQUARE
  scale = jax.lax.rsqrt(jnp.where(is_long, square, 1.0) / x.shape[-1])
  return x * jnp.where(is_long, scale, 0.0)


def cos_sin(x: Float[Array, ' F']) -> Float[Array, ' 2*F']:
  """Maps numbers in [0, 1] to the quarter circle (MIP): norm sqrt(2 F)."""
  angle = 0.5 * jnp.pi * x
  return jnp.sqrt(2.0) * jnp.concatenate([jnp.cos(angle), jnp.sin(angle)])


class Trunk(nn.Module):
  """Two layers and the constant norm, at the end of every encoder."""

  z_dim: int
  hidden_dim: int

  @nn.compact
  def __call__(self, x: Float[Array, ' D']) -> Float[Array, ' Z']:
    """Maps an input of constant norm to z."""
    hidden = nn.gelu(nn.Dense(self.hidden_dim, name='hidden')(x))
    return constant_norm(nn.Dense(self.z_dim, name='out')(hidden))


class VectorEncoder(nn.Module):
  """Encodes the direction of a vector of width `in_dim` as z."""

  in_dim: int
  z_dim: int = 32
  hidden_dim: int = 64

  @nn.compact
  def __call__(self, x: Float[Array, ' F']) -> Float[Array, ' Z']:
    """Encodes one vector; raises ValueError if its width is not `in_dim`."""
    _check_width(x, self.in_dim)
    return Trunk(self.z_dim, self.hidden_dim, name='trunk')(constant_norm(x))


class InteractionEncoder(nn.Module):
  """Encodes a user's items, of a catalogue of `num_items`, as z."""

  num_items: int
  z_dim: int = 32
  hidden_dim: int = 64

  @nn.compact
  def __call__(self, members: MaskedSet) -> Float[Array, ' Z']:
    """Encodes one user; 0 without items, NaN for unknown item indices."""
    items, mask = members
    rows = nn.Embed(self.num_items, self.hidden_dim, name='items')(items)
    return _encode_set(self, rows, mask)


def _encode_set(module, rows_LxH, mask_L):
  """Encodes the rows' mean and number; called inside `module`."""
  # A matrix product: if users share their rows (a multi-hot batch under vmap),
  # one product serves all of them.
  mask = mask_L.astype(rows_LxH.dtype)
  size = mask.sum()
  mean_H = mask @ rows_LxH / jnp.maximum(size, 1.0)
  amount = cos_sin((size / (size + _HALF_SIZE))[None])
  pooled = jnp.concatenate([constant_norm(mean_H), amount])
  z_Z = Trunk(module.z_dim, module.hidden_dim, name='trunk')(pooled)
  return jnp.where(size > 0, z_Z, 0.0)


def _check_width(x, expected: int) -> None:
  if x.shape[-1] != expected:
    raise ValueError(
      f'conditioning of width {x.shape[-1]} (shape {x.shape}) does not fit an '
      f'encoder of width {expected}; give the features it was built for'
    )
