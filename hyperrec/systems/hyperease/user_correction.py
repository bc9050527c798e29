"""A low-rank change of item-item weights, generated from one user's items.

    B_u = B + A diag(c(z_u)) Q' - diagonal
    scores = x B_u + c_0(z_u) b + c_1(z_u) l(x)

B [V, V] is fixed and has a zero diagonal; B_u also has exactly a zero diagonal.
z_u encodes the user's row x [V]. From it the generator makes r + 2 numbers:
the strengths c of r factors, the strength c_0 of an item bias b, and the
strength c_1 of l(x), the logarithm of how often other users took up each item
together with those of x. (A column of ones in A would give the same bias if the
diagonal were not zero.) B_u is never formed.

In GLSLIM (Christakopoulou & Karypis, RecSys 2016), the user-specific part is a
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

# EASE scores are about 0 to 1; this factor makes logits of them.
_TEMPERATURE = 10.0
# Scale of the factors at the start.
_SIZE = 0.3
# The encoding of a history's size is in [0, 1); at this size it is one half.
_HALF_SIZE = 10.0


class Factors(NamedTuple):
  """The items' factors.

  Attributes:
    left: A.
    right: Q.
    bias: b.
  """

  left: Float[Array, 'V r']
  right: Float[Array, 'V r']
  bias: Float[Array, ' V']


class Coefficients(NamedTuple):
  """The generated numbers of one user.

  Attributes:
    factors: c.
    bias: c_0.
    temperature: turns x B into logits; c and c_0 are in units of x B.
    together: weight of the logarithm of co-occurrences, in the same unit.
  """

  factors: Float[Array, ' r']
  bias: Float[Array, '']
  temperature: Float[Array, '']
  together: Float[Array, '']


class Generator(nn.Module):
  """Maps the output of `read` to `Coefficients`; all of them start at 0.

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
      told: output of `read`; zeros carry no information.
      size: |x|. c is divided by its root, as if x had length 1.
    """
    trunk = conditioning.Trunk(self.z_dim, self.hidden_dim, name='trunk')
    zeros = nn.initializers.zeros
    last = nn.Dense(self.rank + 3, kernel_init=zeros, name='coefficients')
    out = last(trunk(told))
    temperature = _TEMPERATURE * jnp.exp(out[0])
    length = jnp.sqrt(jnp.maximum(size, 1.0))
    return Coefficients(
      out[3:] / (length * temperature),
      out[1] / temperature,
      temperature,
      out[2] / temperature,
    )


def read(
  left: Float[Array, 'V r'], shown: Float[Array, ' V']
) -> Float[Array, ' r+2']:
  """The generator's input for one user: the direction of x A, and |x|.

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
  """The generator's inputs for B users, or for others in their place.

  Args:
    conditioning: the input: the user's 'history'; only its 'size'; the same
      zeros for all users ('constant'); or another user's history ('shuffled').
    left: A.
    shown: x of each user.
    strangers: histories for 'shuffled'; a user always gets the same one,
      whichever users share the batch.
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
  factors: Factors,
  shown: Float[Array, ' V'],
  together: Float[Array, ' V'],
  c: Coefficients,
) -> Float[Array, ' V']:
  """The user's scores minus x B, in O(V r).

  The products by which an item would score itself are subtracted.

  Args:
    factors: see `Factors`.
    shown: x, binary.
    together: l(x).
    c: the generated numbers.
  """
  own = (factors.left * factors.right) @ c.factors
  return correction_of_others(factors, shown, together, c) - shown * own


def correction_of_others(
  factors: Factors,
  shown: Float[Array, ' V'],
  together: Float[Array, ' V'],
  c: Coefficients,
) -> Float[Array, ' V']:
  """The same as `correction` for all items that are not in the history.

  It takes half as long, and suits a loss that leaves the history out.
  """
  product = factors.right @ ((shown @ factors.left) * c.factors)
  return product + c.bias * factors.bias + c.together * together


def init_factors(x: Csr, rank: int) -> Factors:
  """A = Q from the leading singular vectors of X D^-1/2; b is log popularity.

  D holds the items' counts, so that no factor is used up by popularity.

  Args:
    x: [U, V], binary, with at least two users and two items.
    rank: r; it is lowered to min(U, V) - 1 if it is higher.
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
