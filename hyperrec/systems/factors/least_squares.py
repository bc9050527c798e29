"""Half a sweep of implicit ALS: the factors of all rows, given the columns'.

For each row u of a binary matrix X [M, N], with S the columns where it has a 1
and h_j the factor of column j, it solves

    min_w sum_{j in S} (1 - w.h_j)^2 + alpha sum_j (w.h_j)^2 + r |w - m|^2

exactly: (alpha H'H + sum_S h_j h_j' + r I) w = sum_S h_j + r m. The matrix H'H
is the same for all rows. `solve_rows` solves with LAPACK and compiles
nothing; `solve_padded` is the same as one function of JAX.
"""

import concurrent.futures
import functools
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse
import threadpoolctl
from jaxtyping import Array, Bool, Float, Int

from hyperrec.cost import counts

Csr = scipy.sparse.csr_matrix

_WORKERS = min(4, os.cpu_count() or 1)
# Numbers of a block of rows that one thread solves at a time: they stay in the
# cache.
_NUMBERS = 2**18
# Scorers are called from several threads, and the number of threads of BLAS,
# which `solve_rows` sets, is one for the whole process.
_ONE_AT_A_TIME = threading.Lock()


def solve_rows(
  x: Csr,
  columns: Float[np.ndarray, 'N D'],
  gram: Float[np.ndarray, 'D D'],
  ridge: Float[np.ndarray, ' M'],
  mean: Float[np.ndarray, 'M D'] | None = None,
) -> Float[np.ndarray, 'M D']:
  """The factor of each row, float32.

  Args:
    x: [M, N], binary.
    columns: H, the factors of the columns.
    gram: alpha H'H.
    ridge: r of each row, above 0.
    mean: m of each row; None is 0.

  Raises:
    numpy.linalg.LinAlgError: the matrix of a row is not positive definite in
      float32.
  """
  columns, gram = (np.asarray(a, np.float32) for a in (columns, gram))
  ridge = np.asarray(ridge, np.float32)
  found = np.asarray(x @ columns, np.float32)  # the right sides, for now
  if mean is not None:
    found += ridge[:, None] * np.asarray(mean, np.float32)
  dim = columns.shape[1]
  # The last row stands for the places beyond a row's length.
  columns = np.vstack([columns, np.zeros((1, dim), np.float32)])

  def solve(block):
    length, rows = block
    h_BxLxD = columns[_padded_columns(x, rows, length)]
    normal_BxDxD = h_BxLxD.transpose(0, 2, 1) @ h_BxLxD
    normal_BxDxD += gram
    normal_BxDxD.reshape(len(rows), -1)[:, :: dim + 1] += ridge[rows, None]
    for normal, row in zip(normal_BxDxD, rows, strict=True):
      _, found[row], is_bad = scipy.linalg.lapack.sposv(
        normal.T, found[row], overwrite_a=1
      )
      if is_bad:
        raise np.linalg.LinAlgError(
          f'row {row} has no factor in float32: its matrix is not positive '
          'definite; raise l2'
        )

  # These matrices are too small for several threads each.
  with (
    _ONE_AT_A_TIME,
    _thread_pools().limit(limits=1, user_api='blas'),
    concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool,
  ):
    list(pool.map(solve, _alike(np.diff(x.indptr), dim)))
  return found


@functools.cache
def _thread_pools() -> threadpoolctl.ThreadpoolController:
  """The libraries with threads of their own that are loaded by now."""
  return threadpoolctl.ThreadpoolController()


def _alike(
  lengths: Int[np.ndarray, ' M'], dim: int
) -> Iterator[tuple[int, Int[np.ndarray, ' B']]]:
  """Yields a padded length, and the rows of a block that are padded to it.

  A row's padded length depends on its own length alone, so that its factor does
  not depend on the other rows. Padding adds an eighth at most, beyond 64.
  """
  step = 2 ** np.floor(np.log2(np.maximum(lengths, 64))).astype(np.int64) // 8
  padded = -(-np.maximum(lengths, 1) // step) * step
  # The longest come first, so that the threads end together.
  for length in np.unique(padded)[::-1]:
    rows = np.flatnonzero(padded == length)
    size = max(1, _NUMBERS // (dim * max(int(length), dim)))
    for start in range(0, len(rows), size):
      yield int(length), rows[start : start + size]


def _padded_columns(
  x: Csr, rows: Int[np.ndarray, ' B'], length: int
) -> Int[np.ndarray, 'B L']:
  """The columns of some rows of X; N beyond the length of a row."""
  first_Bx1, last_Bx1 = x.indptr[rows, None], x.indptr[rows + 1, None]
  place_BxL = first_Bx1 + np.arange(length)
  if not x.nnz:
    return np.full(place_BxL.shape, x.shape[1])
  shown_BxL = x.indices[np.minimum(place_BxL, x.nnz - 1)]
  return np.where(place_BxL < last_Bx1, shown_BxL, x.shape[1])


def gram(
  columns: Float[np.ndarray, 'N D'], alpha: float
) -> Float[np.ndarray, 'D D']:
  """The matrix alpha H'H."""
  return alpha * (columns.T @ columns)


def flops(num_rows: int, num_columns: int, nnz: int, dim: int) -> float:
  """Operations of `gram` and `solve_rows`.

  Args:
    num_rows: M.
    num_columns: N; 0 where the Gram matrix is at hand.
    nnz: interactions.
    dim: D.
  """
  matrices = counts.matmul(dim, dim, num_columns + nnz)
  sides = 2.0 * nnz * dim
  solves = counts.cholesky(dim) + 2 * counts.triangular_solve(dim, 1)
  return matrices + sides + num_rows * solves


class Rows(NamedTuple):
  """Rows that are solved together: their columns, and r and m.

  Columns beyond the length of a row are masked.
  """

  columns: Int[Array, 'B L']
  mask: Bool[Array, 'B L']
  ridge: Float[Array, ' B']
  mean: Float[Array, 'B D']


@jax.jit
def solve_padded(
  columns: Float[Array, 'N D'], gram: Float[Array, 'D D'], rows: Rows
) -> Float[Array, 'B D']:
  """The factor of each row; for the arguments see `solve_rows`."""
  eye = jnp.eye(gram.shape[0], dtype=gram.dtype)

  def of_row(row):
    h_LxD = jnp.where(row.mask[:, None], columns[row.columns], 0)
    normal = gram + h_LxD.T @ h_LxD + row.ridge * eye
    factor = jax.scipy.linalg.cho_factor(normal)
    right = h_LxD.sum(axis=0) + row.ridge * row.mean
    return jax.scipy.linalg.cho_solve(factor, right)

  return jax.vmap(of_row)(rows)
