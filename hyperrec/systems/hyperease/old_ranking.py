"""How long the columns of new items may be, so that old items keep their rank.

The longer its column, the more often a new item ranks above old ones. Whether
that is right cannot be known before users have seen the new item. What can be
known is how much the old items lose. So some users of the catalogue are
watched: a part of their items is hidden, and is ranked by weights that were
fitted without these users. The new columns are then made as long as the NDCG of
the hidden old items allows.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec.systems.hyperease import simulated_users

Csr = scipy.sparse.csr_matrix

# Watched users at most, the share of their items that is hidden, and the
# length of their lists.
_MOST_USERS = 500
_HIDDEN_SHARE = 0.2
_DEPTH = 100
# Each halves what is unknown of the logarithm of the length.
_HALVINGS = 24


class Watched(NamedTuple):
  """Users of a catalogue of whom some items are hidden.

  Attributes:
    histories: [B, V], the items that are shown.
    users: [T], the user of each hidden item.
    scores: [T], its score, by weights that were fitted without its user.
    ranks: [T], its rank from 1 among the items that are not shown.
  """

  histories: Csr
  users: Int[np.ndarray, ' T']
  scores: Float[np.ndarray, ' T']
  ranks: Int[np.ndarray, ' T']


def watch(x: Csr, precision: Float[np.ndarray, 'V V']) -> tuple[Watched, float]:
  """Draws the users that are watched; the draw is the same for equal X.

  Args:
    x: [U, V], one row for each user.
    precision: (X'X + l2 I)^-1.

  Returns:
    At most 500 users with two items or more, and the operations.
  """
  random = np.random.default_rng(0)
  x = x[draw(random, x)]
  shown, user, item = hide(random, x)
  scores_BxV = simulated_users.left_out_scores(
    precision, x, shown, x @ precision
  )
  scores_T = scores_BxV[user, item]
  scores_BxV[shown.nonzero()] = -np.inf
  ranks_T = np.array(
    [(scores_BxV[u] >= s).sum() for u, s in zip(user, scores_T, strict=True)],
    np.int64,
  )
  operations = simulated_users.simulate_flops(x, x.shape[0]) if x.nnz else 0.0
  return Watched(shown, user, scores_T, ranks_T), operations


def draw(
  random: np.random.Generator, x: Csr, most: int = _MOST_USERS
) -> Int[np.ndarray, ' B']:
  """Rows of X of at most `most` users with two items or more, in order."""
  rows = random.permutation(np.flatnonzero(x.getnnz(1) > 1))[:most]
  return np.sort(rows)


def hide(
  random: np.random.Generator, x: Csr
) -> tuple[Csr, Int[np.ndarray, ' T'], Int[np.ndarray, ' T']]:
  """Hides a part of the items of each user.

  Args:
    random: draws the items.
    x: [B, V], users with two items or more.

  Returns:
    What is shown [B, V]; the user and the item of each hidden one.
  """
  counts_B = x.getnnz(1)
  num_hidden_B = np.maximum(1, (_HIDDEN_SHARE * counts_B).astype(int))
  user = np.repeat(np.arange(x.shape[0]), counts_B)
  order = np.lexsort((random.random(x.nnz), user))
  place = np.arange(x.nnz) - np.repeat(x.indptr[:-1], counts_B)
  is_hidden = np.empty(x.nnz, bool)
  is_hidden[order] = place < num_hidden_B[user]
  shown = scipy.sparse.csr_matrix(
    (x.data[~is_hidden], (user[~is_hidden], x.indices[~is_hidden])), x.shape
  )
  return shown, user[is_hidden], x.indices[is_hidden]


def longest(
  watched: Watched,
  columns: Float[np.ndarray, 'V N'] | Csr,
  most_lost: float,
  limit: float,
) -> tuple[float, float]:
  """The largest factor of new columns at which old items lose no more.

  Args:
    watched: users of the old catalogue.
    columns: of the new items.
    most_lost: share of the NDCG of the hidden items that may be lost.
    limit: the factor if even that loses no more.

  Returns:
    The factor, from limit / 2^24 to `limit`, and the operations. It is 1 if
    nobody is watched.
  """
  if not len(watched.users):
    return 1.0, 0.0
  scores_BxN = watched.histories @ columns
  if scipy.sparse.issparse(scores_BxN):
    scores_BxN = scores_BxN.toarray()
  scores_BxN = np.sort(scores_BxN, axis=1)
  operations = 2.0 * watched.histories.nnz * columns.shape[1]
  operations += scores_BxN.size * np.log2(max(2, columns.shape[1]))
  order = np.argsort(watched.users, kind='stable')
  ends = np.cumsum(np.bincount(watched.users, minlength=len(scores_BxN)))
  targets_of = np.split(order, ends[:-1])
  fewest = (1 - most_lost) * _gain(watched, np.zeros_like(watched.ranks))

  def is_kept(factor):
    scores_T = watched.scores / factor
    above_T = np.empty_like(watched.ranks)
    for row_N, own in zip(scores_BxN, targets_of, strict=True):
      above_T[own] = len(row_N) - np.searchsorted(row_N, scores_T[own])
    return _gain(watched, above_T) >= fewest

  if is_kept(limit):
    return limit, operations
  low, high = np.log2(limit) - _HALVINGS, np.log2(limit)
  for _ in range(_HALVINGS):
    middle = (low + high) / 2
    low, high = (middle, high) if is_kept(2**middle) else (low, middle)
  looks = len(watched.ranks) * np.log2(max(2, columns.shape[1]))
  return float(2**low), operations + (1 + _HALVINGS) * looks


def _gain(watched: Watched, above: Int[np.ndarray, ' T']) -> float:
  """The sum of NDCG over users, with so many new items above each target."""
  ranks_T = watched.ranks + above
  gains_T = np.where(ranks_T <= _DEPTH, 1 / np.log2(ranks_T + 1.0), 0.0)
  num_users = watched.histories.shape[0]
  gain_B = np.bincount(watched.users, gains_T, num_users)
  targets_B = np.bincount(watched.users, minlength=num_users)
  places = 1 / np.log2(np.arange(2, _DEPTH + 2))
  ideal = np.append(0.0, np.cumsum(places))
  ideal_B = ideal[np.minimum(targets_B, _DEPTH)]
  return float((gain_B / np.maximum(ideal_B, 1.0)).sum())
