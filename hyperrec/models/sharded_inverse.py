"""The inverse of a matrix that no single device can hold.

A symmetric positive definite A [V, V] lies on the devices by blocks of rows.
Blocked Gauss-Jordan elimination sweeps its diagonal: with the pivot block K and
K^-1 on every device,

    A    <- A - A_:K K^-1 A_K:   (the other rows and columns)
    A_K: <- K^-1 A_K:,   A_:K <- -A_:K K^-1,   A_KK <- K^-1

and after the last block A holds A^-1. That is 2 V^3 operations, nearly all of
them in products of [V / devices, b] by [b, V]; between devices goes only the
pivot row, V^2 numbers in all. No pivoting is needed: A is positive definite.
Newton-Schulz, which needs products alone, takes some 4 V^3 operations a step
and tens of steps (`experiments/benchmarks/sharded_ease.py` compares them).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

Csr = scipy.sparse.csr_matrix


def rows_of(mesh: Mesh) -> NamedSharding:
  """Rows over all devices of the mesh, columns whole."""
  return NamedSharding(mesh, PartitionSpec(mesh.axis_names, None))


def gram(
  x: Csr, ridge_V: Float[np.ndarray, ' V'], mesh: Mesh, block: int
) -> Float[Array, 'W W']:
  """X'X + diag(ridge), made block by block where it is to lie.

  Args:
    x: users' items [U, V].
    ridge_V: added to the diagonal.
    mesh: of the devices.
    block: of the elimination.

  Returns:
    The matrix with ones on the diagonal beyond V, W the next size that blocks
    and devices divide.
  """
  num_items = x.shape[1]
  step = np.lcm(block, mesh.size)
  size = -(-num_items // step) * step
  columns = x.tocsc()

  def part(index):
    first, last = index[0].start or 0, index[0].stop or size
    out = np.zeros((last - first, size), np.float32)
    kept = min(last, num_items) - first
    if kept > 0:
      chosen = columns[:, first : first + kept]
      out[:kept, :num_items] = (chosen.T @ x).toarray()
    place = np.arange(first, last)
    known = place < num_items
    out[place - first, place] += np.where(
      known, ridge_V[np.minimum(place, num_items - 1)], 1
    )
    return out

  return jax.make_array_from_callback((size, size), rows_of(mesh), part)


@functools.partial(jax.jit, static_argnames='block', donate_argnums=0)
def inverse(a_WxW: Float[Array, 'W W'], block: int) -> Float[Array, 'W W']:
  """A^-1, laid out as A; A is overwritten.

  Args:
    a_WxW: symmetric positive definite.
    block: rows eliminated at a time; divides W.
  """
  size = a_WxW.shape[0]

  def eliminate(number, a_WxW):
    start = number * block
    rows_bxW = jax.lax.dynamic_slice(a_WxW, (start, 0), (block, size))
    columns_Wxb = jax.lax.dynamic_slice(a_WxW, (0, start), (size, block))
    pivot = jax.lax.dynamic_slice(rows_bxW, (0, start), (block, block))
    factor = jax.scipy.linalg.cho_factor(pivot)
    inverse_bxb = jax.scipy.linalg.cho_solve(factor, jnp.eye(block))
    scaled_bxW = inverse_bxb @ rows_bxW
    a_WxW = a_WxW - columns_Wxb @ scaled_bxW
    left_Wxb = -columns_Wxb @ inverse_bxb
    a_WxW = jax.lax.dynamic_update_slice(a_WxW, left_Wxb, (0, start))
    scaled_bxW = jax.lax.dynamic_update_slice(
      scaled_bxW, inverse_bxb, (0, start)
    )
    return jax.lax.dynamic_update_slice(a_WxW, scaled_bxW, (start, 0))

  return jax.lax.fori_loop(0, size // block, eliminate, a_WxW)


@jax.jit
def residual(
  a_WxW: Float[Array, 'W W'], inverse_WxW: Float[Array, 'W W']
) -> Float[Array, '']:
  """The largest entry of |A P v - v| over sign probes v: 0 is exact.

  Costs O(W^2) a probe. Of A itself, so make it anew: `inverse` overwrote it.
  """
  key = jax.random.key(0)
  probes = jax.random.rademacher(key, (a_WxW.shape[0], 4), jnp.float32)
  back = a_WxW @ (inverse_WxW @ probes)
  return jnp.abs(back - probes).max()


def ease(
  x: Csr, l2: float, mesh: Mesh, block: int = 512
) -> tuple[Float[Array, 'W W'], float]:
  """EASE's B over the devices of a mesh, and the residual of its inverse.

  Args:
    x: users' items [U, V].
    l2: lambda.
    mesh: B lies on it by rows; two matrices of its size are needed.
    block: rows eliminated at a time.

  Returns:
    B [W, W], zero beyond V, and `residual`.
  """
  ridge = np.full(x.shape[1], l2, np.float32)
  p_WxW = inverse(gram(x, ridge, mesh, block), block)
  error = float(residual(gram(x, ridge, mesh, block), p_WxW))
  return _weights(p_WxW), error


@functools.partial(jax.jit, donate_argnums=0)
def _weights(p_WxW: Float[Array, 'W W']) -> Float[Array, 'W W']:
  """B = I - P / diag P (Steck 2019, eq. 8); its diagonal is 0."""
  weights = -p_WxW / jnp.diagonal(p_WxW)[None]
  index = jnp.arange(len(p_WxW))
  return weights.at[index, index].set(0)
