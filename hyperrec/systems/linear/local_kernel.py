"""Kernel regression of items on their nearest ones by features, in batches.

    c_j = (K_SS + l2 I)^-1 k_Sj,    k(i, j) = exp(s (f_i . f_j - 1))

where S are m known items near to item j. If S are all other items, these are
the columns of `item_kernel.relation`. All systems of a batch are solved at
once, on the devices of the mesh in use.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.cost import counts
from hyperrec.training import mesh as mesh_lib

# Systems that a device solves at once.
_BATCH = 512


def columns(
  known: Float[np.ndarray, 'V F'],
  near: Int[np.ndarray, 'N m'],
  new: Float[np.ndarray, 'N F'],
  sharpness: float,
  l2: float,
) -> Float[np.ndarray, 'N m']:
  """The regression of each new item on known items, at its neighbours.

  Args:
    known: features of the known items, rows of length 1 or 0.
    near: neighbours of each new item; -1 where there is none.
    new: features of the new items; `known` itself for the relation between
      known items.
    sharpness: s > 0.
    l2: the ridge, > 0.
  """

  def make(places):
    chosen = near[places]
    is_item = (chosen >= 0).astype(np.float32)
    return known[chosen], new[places], is_item

  return mesh_lib.map_items(
    *near.shape, _BATCH, make, _of_batch, np.float32(sharpness), np.float32(l2)
  )


def flops(num_near: int, width: int, search: float) -> float:
  """Operations of the regression of one item.

  Args:
    num_near: m, the number of neighbours.
    width: F.
    search: operations by which the neighbours are found.
  """
  return (
    search
    + counts.matmul(num_near, num_near, width)
    + counts.cholesky(num_near)
    + 2 * counts.triangular_solve(num_near, 1)
  )


def _of_batch(sharpness, l2, near_BxMxF, new_BxF, is_item_BxM):
  def one(near_MxF, new_F, is_item_M):
    return regression(near_MxF, near_MxF @ new_F, sharpness, l2, is_item_M)

  return jax.vmap(one)(near_BxMxF, new_BxF, is_item_BxM)


def regression(
  near_MxF: Float[Array, 'm F'],
  cosines_M: Float[Array, ' m'],
  sharpness: float,
  l2: float,
  is_item_M: Float[Array, ' m'] | None = None,
) -> Float[Array, ' m']:
  """The regression of one item on its neighbours.

  Args:
    near_MxF: features of the neighbours.
    cosines_M: of the neighbours and the item.
    sharpness: s > 0.
    l2: the ridge, > 0.
    is_item_M: 0 where there is no neighbour; None has all.
  """
  k_MxM = jnp.exp(sharpness * (near_MxF @ near_MxF.T - 1))
  k_M = jnp.exp(sharpness * (cosines_M - 1))
  if is_item_M is not None:
    k_MxM *= is_item_M[:, None] * is_item_M[None]
    k_M *= is_item_M
  k_MxM += l2 * jnp.eye(len(k_M))
  factor = jax.scipy.linalg.cho_factor(k_MxM, lower=True)
  return jax.scipy.linalg.cho_solve(factor, k_M)
