"""Numbers of items that a text model reads and writes, without a leak.

The published numbers of P5 (Geng et al., RecSys 2022) were handed out along
the users' full sequences, test items included, so that "the largest number
seen, plus one" is a strong guess of the test item. Here a numbering is a
function of the training interactions alone. The kinds follow Hua et al.: "How
to index item ids for recommendation foundation models" (SIGIR-AP 2023, arXiv
2305.06569).
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
  """A number in 0..V-1 for each item; near numbers share their first digits.

  random: by chance. sequential: in the order in which a walk along the users'
  training sequences, users in a random order, first meets them.
  collaborative: so that those alike by who chose them are near, by a recursive
  bisection of their spectral embedding. given: in the order of the catalogue;
  it leaks where the data set's makers numbered along full sequences, and is
  here to show that. Items without a training row come last, by chance.

  Args:
    train: training interactions; nothing else is looked at.
    indexing: one of `INDEXINGS`.
    seed: of what is drawn.

  Raises:
    DataError: an unknown kind.
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
    # Sums that threads share are rounded by how many there are, and near ties
    # of likeness fall otherwise.
    with threadpoolctl.threadpool_limits(1):
      known = ranked(train, random)
    rest = shuffled_V[~np.isin(shuffled_V, known)]
    order = np.concatenate([known, rest])
  numbers_V = np.empty(train.num_items, np.int64)
  numbers_V[order] = np.arange(train.num_items)
  return numbers_V


def _walk(train: Interactions, random: np.random.Generator) -> np.ndarray:
  """Items by the place of their first row, users in a random order."""
  turn_U = random.permutation(train.num_users)
  rows = train.by_user_and_time()
  items = rows.items[np.argsort(turn_U[rows.users], kind='stable')]
  known, first = np.unique(items, return_index=True)
  return known[np.argsort(first)]


def _by_likeness(train: Interactions, random: np.random.Generator):
  """Items with a row, in the order of the leaves of a recursive bisection."""
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
    # Close to the full rank ARPACK starts again from vectors of its own choice.
    _, strengths, v_RxV = np.linalg.svd(x_UxV.toarray(), full_matrices=False)
    strengths, v_RxV = strengths[:rank], v_RxV[:rank]
  # Per item, not per choice: else popular items would be a group of their own.
  table_VxR = (v_RxV * strengths[:, None]).T
  norms = np.linalg.norm(table_VxR, axis=1, keepdims=True)
  return known[_bisected(table_VxR / np.maximum(norms, 1e-12))]


def _bisected(table_VxR: Float[np.ndarray, 'V R']) -> np.ndarray:
  """Rows so ordered that each half, quarter, ... holds rows that are alike."""
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
  """Digits of every number of a catalogue: even, read in pieces of two."""
  width = 2
  while 10**width < num_items:
    width += 2
  return width


def as_text(numbers: Int[np.ndarray, ' N'], width: int) -> list[str]:
  """Numbers with leading zeros: "0042".

  Raises:
    DataError: a number that has more digits, or is negative.
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
  """Scores of a rule that learns nothing: what a leak alone is worth.

  First the number after the largest of the history, then the one after the
  last item's, then two after the largest, and so on; a hundred of each. All
  other items come last, alike.

  Args:
    numbers_V: of the items.
    items_BxL: histories in the order of time.
    mask_BxL: True where an item is.
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
  # The largest's turn always comes first, so it is written over the last's.
  for start_Bx1, late in ((last_Bx1, 1), (largest_Bx1, 0)):
    rows, steps = np.nonzero(start_Bx1 + ahead < num_items)
    numbers = start_Bx1[rows, 0] + ahead[steps]
    scores_BxV[rows, item_V[numbers]] = -2.0 * ahead[steps] - late
  return scores_BxV
