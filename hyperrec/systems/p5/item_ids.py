"""Item numbers that a text model reads and writes, free of test data.

The published item numbers of P5 (Geng et al., RecSys 2022) follow the users'
full sequences, test items included, so "the largest number of the history, plus
one" is a strong guess of the test item. Here the numbers depend on the training
interactions alone. The indexings follow Hua et al.: "How to index item ids for
recommendation foundation models" (SIGIR-AP 2023, arXiv 2305.06569).
"""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import threadpoolctl
from jaxtyping import Bool, Float, Int

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

INDEXINGS = ('random', 'sequential', 'collaborative', 'given')

_RANK = 32
_RULE_DEPTH = 100


def number_items(
  train: Interactions, indexing: str, seed: int
) -> Int[np.ndarray, ' V']:
  """Gives each item a number in 0..V-1; near numbers share their first digits.

  The indexings are:
    random: Items are numbered in random order.
    sequential: Users are put in random order, and their training sequences are
      read one after another; items are numbered as they first appear.
    collaborative: Items that similar users chose get near numbers, by recursive
      bisection of a spectral embedding of the items.
    given: Items keep their order in the catalogue. These numbers leak test
      items if the makers of the data set numbered the items along full
      sequences; the indexing exists to show this leak.

  With sequential and collaborative, items without training interactions come
  last, in random order.

  Args:
    train: training interactions; nothing else is used.
    indexing: one of `INDEXINGS`.
    seed: seed of all random draws.

  Raises:
    DataError: the indexing is unknown.
  """
  if indexing not in INDEXINGS:
    raise DataError(f'indexing={indexing!r} is unknown; use one of {INDEXINGS}')
  random = np.random.default_rng(seed)
  shuffled_V = random.permutation(train.num_items)
  if indexing == 'given':
    return np.arange(train.num_items)
  order = shuffled_V
  if indexing != 'random' and len(train):
    ranked = _walk if indexing == 'sequential' else _by_likeness
    # The number of threads changes how sums are rounded, and so the order of
    # items that are almost equally similar.
    with threadpoolctl.threadpool_limits(1):
      known = ranked(train, random)
    rest = shuffled_V[~np.isin(shuffled_V, known)]
    order = np.concatenate([known, rest])
  numbers_V = np.empty(train.num_items, np.int64)
  numbers_V[order] = np.arange(train.num_items)
  return numbers_V


def _walk(train: Interactions, random: np.random.Generator) -> np.ndarray:
  """Known items as they first appear when users are read in random order."""
  turn_U = random.permutation(train.num_users)
  rows = train.by_user_and_time()
  items = rows.items[np.argsort(turn_U[rows.users], kind='stable')]
  known, first = np.unique(items, return_index=True)
  return known[np.argsort(first)]


def _by_likeness(train: Interactions, random: np.random.Generator):
  """Known items, ordered by recursive bisection of a spectral embedding."""
  known = np.flatnonzero(train.item_counts())
  x_UxV = train.csr(np.float64)[:, known]
  rank = min(_RANK, min(x_UxV.shape) - 1)
  if rank < 1:
    return known
  scale = lambda counts: scipy.sparse.diags(  # noqa: E731
    1 / np.sqrt(np.maximum(counts, 1))
  )
  counts_U, counts_V = np.diff(x_UxV.indptr), x_UxV.getnnz(axis=0)
  x_UxV = scale(counts_U) @ x_UxV @ scale(counts_V)
  start = random.normal(size=min(x_UxV.shape))
  if min(x_UxV.shape) > 2 * rank:
    _, strengths, v_RxV = scipy.sparse.linalg.svds(x_UxV, k=rank, v0=start)
  else:
    # Near full rank, ARPACK restarts from random vectors of its own, so its
    # result would change from call to call.
    _, strengths, v_RxV = np.linalg.svd(x_UxV.toarray(), full_matrices=False)
    strengths, v_RxV = strengths[:rank], v_RxV[:rank]
  # Every item gets norm 1; otherwise popular items would form their own group.
  table_VxR = (v_RxV * strengths[:, None]).T
  norms = np.linalg.norm(table_VxR, axis=1, keepdims=True)
  return known[_bisected(table_VxR / np.maximum(norms, 1e-12))]


def _bisected(table_VxR: Float[np.ndarray, 'V R']) -> np.ndarray:
  """Orders rows so that each half, quarter, and so on holds similar rows."""
  order = np.arange(len(table_VxR))
  parts = [order]
  while any(len(part) > 2 for part in parts):
    halves = []
    for part in parts:
      if len(part) <= 2:
        halves.append(part)
        continue
      centred = table_VxR[part] - table_VxR[part].mean(axis=0)
      direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
      direction *= np.sign(direction[np.argmax(np.abs(direction))])
      ranked = part[np.argsort(centred @ direction, kind='stable')]
      halves += np.split(ranked, [len(part) // 2])
    parts = halves
  return np.concatenate(parts)


def width_of(num_items: int) -> int:
  """Number of digits of an item number; even, as digits are read in pairs."""
  width = 2
  while 10**width < num_items:
    width += 2
  return width


def as_text(numbers: Int[np.ndarray, ' N'], width: int) -> list[str]:
  """Writes numbers as text with leading zeros, such as "0042".

  Args:
    numbers: [N] item numbers.
    width: number of digits of each text.

  Raises:
    DataError: a number is negative or has more than `width` digits.
  """
  for number in (numbers.max(initial=0), numbers.min(initial=0)):
    if not 0 <= number < 10**width:
      raise DataError(
        f'number {number} does not fit the id space of {width} digits; '
        f'give a width of {width_of(int(number) + 1)}'
      )
  return [f'{number:0{width}d}' for number in numbers.tolist()]


def next_number_scores(
  numbers_V: Int[np.ndarray, ' V'],
  items_BxL: Int[np.ndarray, 'B L'],
  mask_BxL: Bool[np.ndarray, 'B L'],
) -> Float[np.ndarray, 'B V']:
  """Scores of a rule that learns nothing; its accuracy measures the leak.

  The rule ranks first the largest number of the history plus 1, then the number
  of the last item plus 1, then the largest plus 2, and so on up to plus 100.
  All other items share the lowest score.

  Args:
    numbers_V: number of each item.
    items_BxL: histories as item indices, in the order of time.
    mask_BxL: True where a history has an item.
  """
  shown_BxL = np.where(mask_BxL, numbers_V[items_BxL], -1)
  place = np.arange(shown_BxL.shape[1])
  last_B = np.where(mask_BxL, place[None], -1).max(axis=1, initial=0)
  largest_Bx1 = shown_BxL.max(axis=1, keepdims=True)
  last_Bx1 = np.take_along_axis(shown_BxL, last_B[:, None], axis=1)
  item_V, num_items = np.argsort(numbers_V), len(numbers_V)
  ahead = np.arange(1, _RULE_DEPTH + 1)
  scores_BxV = np.full(
    (len(items_BxL), num_items), -4.0 * _RULE_DEPTH, np.float32
  )
  # Where both starts reach an item, the largest number gives the higher score,
  # so its scores are written last.
  for start_Bx1, late in ((last_Bx1, 1), (largest_Bx1, 0)):
    rows, steps = np.nonzero(start_Bx1 + ahead < num_items)
    numbers = start_Bx1[rows, 0] + ahead[steps]
    scores_BxV[rows, item_V[numbers]] = -2.0 * ahead[steps] - late
  return scores_BxV
