"""The k largest numbers of each row; among equal numbers the first are taken.

With `np.argpartition`, the choice among equal numbers depends on the processor,
so results would differ between machines.
"""

import numpy as np
from jaxtyping import Float, Int


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
