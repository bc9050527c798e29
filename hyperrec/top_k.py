"""The k largest numbers of each row; among equal numbers the first are taken.

With `np.argpartition`, the choice among equal numbers depends on the processor,
so results would differ between machines.
"""

import numpy as np
from jaxtyping import Float, Int


def places(values: Float[np.ndarray, 'B N'], k: int) -> Int[np.ndarray, 'B k']:
  """Returns the column indices of the `k` largest values, largest first.

  They are the first `k` of a stable sort, but the rest is not sorted.

  Args:
    values: may hold infinities. NaN counts as smaller than all others.
    k: at most N.

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
    is_better = losses[crowded] < bound[crowded]
    is_tie = losses[crowded] == bound[crowded]
    room = k - np.count_nonzero(is_better, axis=1)
    is_first = np.cumsum(is_tie, axis=1, dtype=np.int32) <= room[:, None]
    is_taken[crowded] = is_better | (is_tie & is_first)
  taken = np.nonzero(is_taken)[1].reshape(num_rows, k)
  found = np.take_along_axis(losses, taken, axis=1)
  order = np.argsort(found, axis=1, kind='stable')
  return np.take_along_axis(taken, order, axis=1)
