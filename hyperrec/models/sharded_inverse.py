"""The inverse of a matrix that no single device can hold.

A symmetric positive definite A [V, V] lies on the devices by blocks of rows
(`mesh.rows_of`). Blocked Gauss-Jordan elimination sweeps its diagonal: with the
pivot block K and K^-1 on every device,

    A    <- A - A_:K K^-1 A_K:   (the other rows and columns)
    A_K: <- K^-1 A_K:,   A_:K <- -A_:K K^-1,   A_KK <- K^-1

and after the last block A holds A^-1. That is 2 V^3 operations, nearly all of
them in products of [V / devices, b] by [b, V]; between devices goes only the
pivot row, V^2 numbers in all. No pivoting is needed: A is positive definite.
Pivot blocks are inverted in the same way, row by row: LAPACK inside of a
program of many devices was slower by far. Newton-Schulz, which needs products
alone, takes some 4 V^3 operations a step and tens of steps
(`experiments/benchmarks/sharded_ease.py` compares them).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.sharding import Mesh
from jaxtyping import Array, Float

from hyperrec.training import mesh as mesh_lib

Csr = scipy.sparse.csr_matrix


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
    The matrix with ones on the diagonal beyond V, W the next multiple of
    a block on every device.
  """
  num_items = x.shape[1]
  step = block * mesh.size
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

  return jax.make_array_from_callback(
    (size, size), mesh_lib.rows_of(mesh), part
  )


@functools.partial(jax.jit, static_argnames=('mesh', 'block'), donate_argnums=0)
def inverse(
  a_WxW: Float[Array, 'W W'], mesh: Mesh, block: int
) -> Float[Array, 'W W']:
  """A^-1, laid out as A; A is overwritten.

  Args:
    a_WxW: symmetric positive definite, by rows over the mesh.
    mesh: of the devices.
    block: rows eliminated at a time; divides the rows of a device.
  """
  axes = mesh.axis_names

  def eliminate(number, own_RxW):
    start = number * block
    first = jax.lax.axis_index(axes) * own_RxW.shape[0]
    is_mine = (first <= start) & (start < first + own_RxW.shape[0])
    place = jnp.where(is_mine, start - first, 0)
    shape = block, own_RxW.shape[1]
    rows_bxW = jax.lax.dynamic_slice(own_RxW, (place, 0), shape)
    rows_bxW = jax.lax.psum(jnp.where(is_mine, rows_bxW, 0), axes)
    pivot = jax.lax.dynamic_slice(rows_bxW, (0, start), (block, block))
    inverse_bxb = _small_inverse(pivot)
    scaled_bxW = inverse_bxb @ rows_bxW
    columns_Rxb = jax.lax.dynamic_slice(
      own_RxW, (0, start), (own_RxW.shape[0], block)
    )
    own_RxW = own_RxW - columns_Rxb @ scaled_bxW
    own_RxW = jax.lax.dynamic_update_slice(
      own_RxW, -columns_Rxb @ inverse_bxb, (0, start)
    )
    scaled_bxW = jax.lax.dynamic_update_slice(
      scaled_bxW, inverse_bxb, (0, start)
    )
    kept = jax.lax.dynamic_slice(own_RxW, (place, 0), shape)
    kept = jnp.where(is_mine, scaled_bxW, kept)
    return jax.lax.dynamic_update_slice(own_RxW, kept, (place, 0))

  def sweep(own_RxW):
    count = own_RxW.shape[1] // block
    return jax.lax.fori_loop(0, count, eliminate, own_RxW)

  spec = mesh_lib.rows_of(mesh).spec
  return jax.shard_map(sweep, mesh=mesh, in_specs=spec, out_specs=spec)(a_WxW)


def _small_inverse(a_bxb: Float[Array, 'b b']) -> Float[Array, 'b b']:
  """The same elimination row by row; every device does it for itself."""

  def eliminate(i, a_bxb):
    row_b = jax.lax.dynamic_index_in_dim(a_bxb, i, 0, keepdims=False)
    column_b = jax.lax.dynamic_index_in_dim(a_bxb, i, 1, keepdims=False)
    scaled_b = row_b / row_b[i]
    a_bxb = a_bxb - column_b[:, None] * scaled_b[None]
    a_bxb = a_bxb.at[:, i].set(-column_b / row_b[i])
    return a_bxb.at[i].set(scaled_b.at[i].set(1 / row_b[i]))

  return jax.lax.fori_loop(0, len(a_bxb), eliminate, a_bxb)


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
  p_WxW = inverse(gram(x, ridge, mesh, block), mesh, block)
  error = float(residual(gram(x, ridge, mesh, block), p_WxW))
  return _weights(p_WxW), error


@functools.partial(jax.jit, donate_argnums=0)
def _weights(p_WxW: Float[Array, 'W W']) -> Float[Array, 'W W']:
  """B = I - P / diag P (Steck 2019, eq. 8); its diagonal is 0."""
  weights = -p_WxW / jnp.diagonal(p_WxW)[None]
  index = jnp.arange(len(p_WxW))
  return weights.at[index, index].set(0)
