"""Output forms of a hypernetwork: five ways to change parameters by z.

A form is a module form(z, base) -> change with form(0, base) = 0; `base` and
`change` map the names of parts ('layer.kernel') to arrays of equal shapes.

The last layer of every form is zero at initialisation, so that training starts
exactly at the base (Ortiz et al., ICLR 2024, arXiv 2304.07645).
"""

import math
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

Parts = Mapping[str, Array]
Condition = Float[Array, ' Z']


class Film(nn.Module):
  """Scales matrices by output and shifts vectors; starts at the base.

  This equals scaling and shifting a layer's output (Perez et al., AAAI 2018,
  arXiv 1709.07871).
  """

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""

    def change(name, leaf):
      out = _linear(self, name, z, leaf.shape[-1:])
      return out if leaf.ndim < 2 else leaf * jnp.broadcast_to(out, leaf.shape)

    return {name: change(name, leaf) for name, leaf in base.items()}


class Mixture(nn.Module):
  """sum_k c_k(z) B_k, with the same K = `num_bases` coefficients everywhere."""

  num_bases: int = 8

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""
    c_K = _linear(self, 'coefficients', z, (self.num_bases,), 1.0)
    return _linear_parts(self, c_K, base)


class LowRank(nn.Module):
  """(A_0 + A(z)) B(z) of rank `rank` for matrices; vectors in full.

  Both factors are generated, as in the LoRA of Charakorn et al.
  ("Text-to-LoRA", ICML 2025, arXiv 2506.06105). A_0 keeps the change from being
  an even function of z.
  """

  rank: int = 4

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""
    half, r = math.sqrt(0.5), self.rank

    def change(name, leaf):
      if leaf.ndim < 2:
        return _linear(self, name, z, leaf.shape)
      left, columns = (leaf.size // leaf.shape[-1], r), leaf.shape[-1]
      a = self.param(f'{name}.constant', nn.initializers.normal(half), left)
      a += _linear(self, f'{name}.left', z, left, half)
      b = _linear(self, f'{name}.right', z, (r, columns))
      return (a @ b).reshape(leaf.shape)

    return {name: change(name, leaf) for name, leaf in base.items()}


class Chunked(nn.Module):
  """Generates chunks of `chunk_size` numbers from z and a chunk embedding.

  The form is that of von Oswald et al. (ICLR 2020, arXiv 1906.00695), but z is
  multiplied with the embedding instead of both entering a network, so that
  z = 0 changes nothing.
  """

  chunk_size: int = 256
  embedding_dim: int = 32

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""
    dim = self.embedding_dim
    hidden_E = _linear(self, 'hidden', z, (dim,), 1.0)
    init = nn.initializers.normal(1 / math.sqrt(dim))
    write_ExS = self.param('write', init, (dim, self.chunk_size))

    def change(name, leaf):
      shape = (-(-leaf.size // self.chunk_size), dim)
      chunks_CxE = self.param(name, nn.initializers.zeros, shape)
      out = (chunks_CxE * jnp.broadcast_to(hidden_E, shape)) @ write_ExS
      return out.ravel()[: leaf.size].reshape(leaf.shape)

    return {name: change(name, leaf) for name, leaf in base.items()}


class Full(nn.Module):
  """H z: each number has its own row of H."""

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""
    return _linear_parts(self, z, base)


Form = Film | Mixture | LowRank | Chunked | Full


def _linear_parts(module, x, base):
  return {
    name: _linear(module, name, x, leaf.shape) for name, leaf in base.items()
  }


def _linear(module, name, x_Z, shape, std=0.0):
  """H x without bias; its std is `std` if x has norm sqrt(Z)."""
  init = nn.initializers.zeros
  if std:
    init = nn.initializers.normal(std / math.sqrt(len(x_Z)))
  weights = module.param(name, init, (len(x_Z), *shape))
  return jnp.tensordot(x_Z, weights, axes=1)
