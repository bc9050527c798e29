"""Half a sweep of implicit ALS: the factors of all rows, given the columns'.

For each row u of a binary matrix X [M, N], with S the columns where it has a 1
and h_j the factor of column j, it solves

    min_w sum_{j in S} (1 - w.h_j)^2 + alpha sum_j (w.h_j)^2 + r |w - m|^2

exactly: (alpha H'H + sum_S h_j h_j' + r I) w = sum_S h_j + r m. The matrix H'H
is the same for all rows. Rows of about the same length are solved together.
"""

import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Bool, Float, Int

from hyperrec.cost import counts

Csr = scipy.sparse.csr_matrix

# Rows are padded to powers of two from here on.
_SHORTEST = 16
# Padded entries that are solved together, which bounds the memory.
_ENTRIES = 2**15
# Scorers are called from several threads. On two cores, two factorizations that
# JAX 0.10 runs at once may wait for each other's threads forever.
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
  """
  num_rows, dim = x.shape[0], columns.shape[1]
  found = np.zeros((num_rows, dim), np.float32)
  # Columns are padded, too, so that the parts of a data set share programs.
  padding = (1 << max(0, len(columns) - 1).bit_length()) - len(columns)
  columns = jnp.asarray(np.pad(columns, ((0, padding), (0, 0))))
  gram = jnp.asarray(gram)
  lengths = np.diff(x.indptr)
  for length, rows in _alike(lengths, dim):
    # Places beyond the last row, and beyond a row's length, are masked.
    used = np.append(rows, np.zeros(_block(length, dim) - len(rows), np.int64))
    mask = np.arange(length) < lengths[used][:, None]
    places = np.where(mask, x.indptr[used][:, None] + np.arange(length), 0)
    items = x.indices[places] if x.nnz else np.zeros_like(places)
    means = np.zeros((len(used), dim)) if mean is None else mean[used]
    block = Rows(
      items.astype(np.int32),
      mask,
      ridge[used].astype(np.float32),
      means.astype(np.float32),
    )
    with _ONE_AT_A_TIME:
      solved = np.asarray(solve_padded(columns, gram, block))
    found[rows] = solved[: len(rows)]
  return found


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


def _block(length: int, dim: int) -> int:
  """How many rows of a padded length are solved together."""
  return max(1, _ENTRIES // max(length, dim))


def _alike(lengths: np.ndarray, dim: int):
  """Yields a padded length, and the rows of a block that are padded to it."""
  padded = np.maximum(lengths, _SHORTEST)
  padded = 2 ** np.ceil(np.log2(padded)).astype(np.int64)
  for length in np.unique(padded):
    rows, size = np.flatnonzero(padded == length), _block(int(length), dim)
    for start in range(0, len(rows), size):
      yield int(length), rows[start : start + size]


class Rows(NamedTuple):
  """Rows that are solved together: their columns, and r and m."""

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
