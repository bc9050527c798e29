"""Four more output forms of a hypernetwork; `output_forms` tells the contract.

They are here and not in the library. What they gained, a control gained too
that does not read the content of a history; see README.md.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from hyperrec.systems.hypernetwork import output_forms


class Film(nn.Module):
  """Scales matrices by output and shifts vectors; starts at the base.

  This equals scaling and shifting a layer's output (Perez et al., AAAI 2018,
  arXiv 1709.07871).
  """

  @nn.compact
  def __call__(
    self, z: output_forms.Condition, base: output_forms.Parts
  ) -> output_forms.Parts:
    """Changes all parts of `base`."""

    def change(name, leaf):
      out = output_forms.linear(self, name, z, leaf.shape[-1:])
      return out if leaf.ndim < 2 else leaf * jnp.broadcast_to(out, leaf.shape)

    return {name: change(name, leaf) for name, leaf in base.items()}


class Mixture(nn.Module):
  """sum_k c_k(z) B_k, with the same K = `num_bases` coefficients everywhere."""

  num_bases: int = 8

  @nn.compact
  def __call__(
    self, z: output_forms.Condition, base: output_forms.Parts
  ) -> output_forms.Parts:
    """Changes all parts of `base`."""
    c_K = output_forms.linear(self, 'coefficients', z, (self.num_bases,), 1.0)
    return output_forms.linear_parts(self, c_K, base)


class LowRank(nn.Module):
  """(A_0 + A(z)) B(z) of rank `rank` for matrices; vectors in full.

  Both factors are generated, as in the LoRA of Charakorn et al.
  ("Text-to-LoRA", ICML 2025, arXiv 2506.06105). A_0 keeps the change from being
  an even function of z.
  """

  rank: int = 4

  @nn.compact
  def __call__(
    self, z: output_forms.Condition, base: output_forms.Parts
  ) -> output_forms.Parts:
    """Changes all parts of `base`."""
    half, r = math.sqrt(0.5), self.rank

    def change(name, leaf):
      if leaf.ndim < 2:
        return output_forms.linear(self, name, z, leaf.shape)
      left, columns = (leaf.size // leaf.shape[-1], r), leaf.shape[-1]
      a = self.param(f'{name}.constant', nn.initializers.normal(half), left)
      a += output_forms.linear(self, f'{name}.left', z, left, half)
      b = output_forms.linear(self, f'{name}.right', z, (r, columns))
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
  def __call__(
    self, z: output_forms.Condition, base: output_forms.Parts
  ) -> output_forms.Parts:
    """Changes all parts of `base`."""
    dim = self.embedding_dim
    hidden_E = output_forms.linear(self, 'hidden', z, (dim,), 1.0)
    init = nn.initializers.normal(1 / math.sqrt(dim))
    write_ExS = self.param('write', init, (dim, self.chunk_size))

    def change(name, leaf):
      shape = (-(-leaf.size // self.chunk_size), dim)
      chunks_CxE = self.param(name, nn.initializers.zeros, shape)
      out = (chunks_CxE * jnp.broadcast_to(hidden_E, shape)) @ write_ExS
      return out.ravel()[: leaf.size].reshape(leaf.shape)

    return {name: change(name, leaf) for name, leaf in base.items()}
