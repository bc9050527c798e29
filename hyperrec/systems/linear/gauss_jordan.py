"""The inverse of a matrix whose rows are spread over many devices.

Blocked Gauss-Jordan elimination sweeps the diagonal of a symmetric positive
definite A [W, W]: with the pivot block K and K^-1 on every device,

    A    <- A - A_:K K^-1 A_K:   (the other rows and columns)
    A_K: <- K^-1 A_K:,   A_:K <- -A_:K K^-1,   A_KK <- K^-1

and after the last block A holds A^-1. This takes 2 W^3 operations, nearly all
of them in products of [W / devices, b] by [b, W]. The devices exchange only the
pivot rows, W^2 numbers in total. No pivoting is needed, since A is positive
definite. Pivot blocks are inverted in the same way, row by row, because LAPACK
was much slower inside a program of many devices. The Newton-Schulz iteration
consists of products only, but takes about 4 W^3 operations per step and tens of
steps (`experiments/benchmarks/sharded_ease.py` compares them).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sweep(
  own_RxW: Float[Array, 'R W'], *, axes: tuple[str, ...], block: int
) -> Float[Array, 'R W']:
  """Replaces the rows of A on one device with the same rows of A^-1.

  All devices run it at once, inside a `shard_map`.

  Args:
    own_RxW: the device's rows of A.
    axes: names of the mesh axes over which the rows are sharded.
    block: number of rows eliminated at a time; it must divide R.
  """
  first = jax.lax.axis_index(axes) * own_RxW.shape[0]
  shape = block, own_RxW.shape[1]

  def eliminate(number, own_RxW):
    start = number * block
    is_mine = (first <= start) & (start < first + own_RxW.shape[0])
    place = jnp.where(is_mine, start - first, 0)
    rows_bxW = jax.lax.dynamic_slice(own_RxW, (place, 0), shape)
    rows_bxW = jax.lax.psum(jnp.where(is_mine, rows_bxW, 0), axes)
    pivot = jax.lax.dynamic_slice(rows_bxW, (0, start), (block, block))
    inverse_bxb = small_inverse(pivot)
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

  return jax.lax.fori_loop(0, own_RxW.shape[1] // block, eliminate, own_RxW)


def small_inverse(a_bxb: Float[Array, 'b b']) -> Float[Array, 'b b']:
  """The inverse of a pivot block, row by row, computed on every device."""

  def eliminate(i, a_bxb):
    row_b = jax.lax.dynamic_index_in_dim(a_bxb, i, 0, keepdims=False)
    column_b = jax.lax.dynamic_index_in_dim(a_bxb, i, 1, keepdims=False)
    scaled_b = row_b / row_b[i]
    a_bxb = a_bxb - column_b[:, None] * scaled_b[None]
    a_bxb = a_bxb.at[:, i].set(-column_b / row_b[i])
    return a_bxb.at[i].set(scaled_b.at[i].set(1 / row_b[i]))

  return jax.lax.fori_loop(0, len(a_bxb), eliminate, a_bxb)
