"""A low-rank change of item-item weights, generated from one user's items.

    B_u = B + A diag(c(z_u)) Q' - diagonal,    scores = x B_u + c_0(z_u) b

B [V, V] is fixed and has a zero diagonal; so has B_u, exactly. z_u encodes the
user's row x [V], and the generator makes r + 1 numbers of it: strengths c of r
factors, and c_0 of an item bias b, which is what a column of ones in A would
give, were it not bound by the diagonal. B_u is never formed.

The user-specific part of GLSLIM (Christakopoulou & Karypis, RecSys 2016) is a
matrix for each cluster of users; here it is a point in r dimensions.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Array, Bool, Float

from hyperrec.systems.hypernetwork import conditioning

Csr = scipy.sparse.csr_matrix

CONDITIONINGS = ('history', 'size', 'constant', 'shuffled')

# EASE scores are about 0 to 1; so much makes logits of them.
_TEMPERATURE = 10.0
# How large factors are at the start.
_SIZE = 0.3
# The number of items that its encoding, in [0, 1), puts at one half.
_HALF_SIZE = 10.0


class Factors(NamedTuple):
  """What the items bring.

  Attributes:
    left: A.
    right: Q.
    bias: b.
  """

  left: Float[Array, 'V r']
  right: Float[Array, 'V r']
  bias: Float[Array, ' V']


class Coefficients(NamedTuple):
  """What is generated for a user.

  Attributes:
    factors: c.
    bias: c_0.
    temperature: what makes logits of x B; c and c_0 are in units of x B.
  """

  factors: Float[Array, ' r']
  bias: Float[Array, '']
  temperature: Float[Array, '']


class Generator(nn.Module):
  """What `read` gives -> `Coefficients`; c and c_0 start at 0.

  Attributes:
    rank: r.
    z_dim: width of z_u.
    hidden_dim: width of the encoder's hidden layer.
  """

  rank: int
  z_dim: int = 32
  hidden_dim: int = 64

  @nn.compact
  def __call__(
    self, told: Float[Array, ' T'], size: Float[Array, '']
  ) -> Coefficients:
    """Generates for one user.

    Args:
      told: of the user; zeros tell nothing.
      size: |x|. c falls with its root, as if x had length 1.
    """
    trunk = conditioning.Trunk(self.z_dim, self.hidden_dim, name='trunk')
    zeros = nn.initializers.zeros
    last = nn.Dense(self.rank + 2, kernel_init=zeros, name='coefficients')
    out = last(trunk(told))
    temperature = _TEMPERATURE * jnp.exp(out[0])
    length = jnp.sqrt(jnp.maximum(size, 1.0))
    return Coefficients(
      out[2:] / (length * temperature), out[1] / temperature, temperature
    )


def read(
  left: Float[Array, 'V r'], shown: Float[Array, ' V']
) -> Float[Array, ' r+2']:
  """What a generator is told of a user: the direction of x A, and |x|.

  Args:
    left: A.
    shown: x, binary; may be all 0.
  """
  size = shown.sum()
  amount = conditioning.cos_sin((size / (size + _HALF_SIZE))[None])
  return jnp.concatenate([conditioning.constant_norm(shown @ left), amount])


def tell(
  conditioning: str,
  left: Float[Array, 'V r'],
  shown: Float[Array, 'B V'],
  strangers: Bool[Array, 'S V'],
) -> Float[Array, 'B r+2']:
  """What the generator is told of B users, or of others in their place.

  Args:
    conditioning: their 'history'; only its 'size'; nothing, so that all are
      told the same ('constant'); or a stranger's history ('shuffled').
    left: A.
    shown: x of each.
    strangers: histories for 'shuffled'; a user is always given the same one,
      whoever else is in the batch.
  """
  rows = shown
  if conditioning == 'shuffled':
    place_V = jnp.arange(shown.shape[1])
    number_B = (shown.astype(jnp.int32) @ place_V) % len(strangers)
    rows = strangers.astype(shown.dtype)[number_B]
  told_BxT = jax.vmap(read, in_axes=(None, 0))(left, rows)
  if conditioning == 'size':
    return told_BxT.at[:, : left.shape[1]].set(0.0)
  return jnp.zeros_like(told_BxT) if conditioning == 'constant' else told_BxT


def correction(
  factors: Factors, shown: Float[Array, ' V'], c: Coefficients
) -> Float[Array, ' V']:
  """What the user's scores have beyond x B, in O(V r).

  The products with which an item would score itself are taken out again.
  """
  product = factors.right @ ((shown @ factors.left) * c.factors)
  own = (factors.left * factors.right) @ c.factors
  return product - shown * own + c.bias * factors.bias


def weights(
  base: Float[Array, 'V V'], factors: Factors, c: Coefficients
) -> Float[Array, 'V V']:
  """B_u itself, to look at; scoring has no need of it."""
  change = (factors.left * c.factors[None]) @ factors.right.T
  return base + change - jnp.diag(jnp.diagonal(change))


def init_factors(x: Csr, rank: int) -> Factors:
  """A = Q from the leading singular vectors of X D^-1/2; b is log popularity.

  D holds the items' counts, so that no factor is spent on popularity.

  Args:
    x: [U, V], binary, of two users and two items at least.
    rank: r; lowered to min(U, V) - 1 where it is higher.
  """
  counts_V = np.asarray(x.sum(axis=0), np.float64).ravel() + 1
  scaled = x.astype(np.float64) @ scipy.sparse.diags(counts_V**-0.5)
  rank = min(rank, min(x.shape) - 1)
  start = np.random.default_rng(0).standard_normal(min(x.shape))
  _, _, right_rxV = scipy.sparse.linalg.svds(scaled, k=rank, v0=start)
  left = right_rxV.T * (_SIZE * np.sqrt(x.shape[1] / rank))
  bias_V = np.log(counts_V)
  left, bias_V = jax.tree.map(jnp.float32, (left, bias_V - bias_V.mean()))
  return Factors(left, left, bias_V)
