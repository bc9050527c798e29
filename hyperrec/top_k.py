"""The k largest numbers of each row; among equal numbers the first are taken.

With `np.argpartition`, the choice among equal numbers depends on the processor,
so results would differ between machines.
"""

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

# Padded numbers that `of_sparse` holds at once.
_PADDED = 2**22


def places(
  values: Float[np.ndarray, 'B N'],
  k: int,
  order: Int[np.ndarray, ' N'] | None = None,
) -> Int[np.ndarray, 'B k']:
  """Returns the column indices of the `k` largest values, largest first.

  They are the first `k` of a stable sort, but the rest is not sorted.

  Args:
    values: may hold infinities. NaN counts as smaller than all others.
    k: at most N.
    order: all columns, in the order in which equal values are taken; None takes
      the first ones first.

  Raises:
    ValueError: `k` is not in 0..N, or a row has fewer than `k` numbers.
  """
  num_rows, width = values.shape
  if not 0 <= k <= width:
    raise ValueError(f'k={k} must be within 0..{width}')
  if k == 0:
    return np.zeros((num_rows, 0), np.int64)
  losses = -values
  bound = np.partition(losses, k - 1, axis=1)[:, k - 1 : k]
  if np.isnan(bound).any():
    raise ValueError(f'a row has fewer than k={k} values that are numbers')
  is_taken = losses <= bound
  crowded = np.flatnonzero(np.count_nonzero(is_taken, axis=1) > k)
  if len(crowded):
    columns = slice(None) if order is None else order
    is_better = losses[crowded] < bound[crowded]
    is_tie = (losses[crowded] == bound[crowded])[:, columns]
    room = k - np.count_nonzero(is_better, axis=1)
    is_first = np.cumsum(is_tie, axis=1, dtype=np.int32) <= room[:, None]
    is_better[:, columns] |= is_tie & is_first
    is_taken[crowded] = is_better
  taken = np.nonzero(is_taken)[1].reshape(num_rows, k)
  found = np.take_along_axis(losses, taken, axis=1)
  rank = taken
  if order is not None:
    rank_of = np.empty(width, np.int64)
    rank_of[order] = np.arange(width)
    rank = rank_of[taken]
  sorted_by_loss = np.lexsort((rank, found), axis=1)
  return np.take_along_axis(taken, sorted_by_loss, axis=1)


def of_sparse(
  matrix: scipy.sparse.csr_matrix, k: int
) -> tuple[Int[np.ndarray, 'B k'], Float[np.ndarray, 'B k']]:
  """The `k` largest stored numbers of each row of a sparse matrix.

  Rows of similar length are padded to the same power of two and selected
  together, so the time grows with the stored numbers and not with the columns.

  Args:
    matrix: with sorted column indices; among equal numbers, the first columns
      are taken. No number is -inf or NaN.
    k: at least 1.

  Returns:
    Columns, the largest first, and their numbers; -1 and -inf where a row
    stores fewer than `k` numbers.
  """
  num_rows = matrix.shape[0]
  columns = np.full((num_rows, k), -1, np.int32)
  numbers = np.full((num_rows, k), -np.inf, matrix.data.dtype)
  lengths = np.diff(matrix.indptr)
  sizes = np.maximum(
    k, 1 << np.ceil(np.log2(np.maximum(lengths, 1))).astype(int)
  )
  for size in np.unique(sizes[lengths > 0]):
    rows = np.flatnonzero((sizes == size) & (lengths > 0))
    for start in range(0, len(rows), max(1, _PADDED // size)):
      part = rows[start : start + max(1, _PADDED // size)]
      place = np.arange(size)
      is_own = place < lengths[part, None]
      at = np.where(is_own, matrix.indptr[part, None] + place, 0)
      padded = np.where(is_own, matrix.data[at], -np.inf)
      best = places(padded, k)
      numbers[part] = np.take_along_axis(padded, best, axis=1)
      found = matrix.indices[np.take_along_axis(at, best, axis=1)]
      columns[part] = np.where(best < lengths[part, None], found, -1)
  return columns, numbers
