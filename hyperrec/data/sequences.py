"""Users' sequences of items as arrays of static shape.

Training rows are *packed*: a row holds the sequences of several users. If the
mean history has 9 items, rows of 50 positions would otherwise be mostly
padding.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


@dataclasses.dataclass(frozen=True, eq=False)
class Sequences:
  """The items of each user in the order of time, one user after another.

  Attributes:
    items: int32 [n]; a user's repeated items are kept.
    ends: int64 [U], the index after the last item of each user.
    num_items: V.
  """

  items: np.ndarray
  ends: np.ndarray
  num_items: int

  @classmethod
  def of(cls, data: Interactions) -> 'Sequences':
    """The sequences of all users; equal times keep the file's order."""
    ends = np.cumsum(data.user_counts())
    return cls(data.by_user_and_time().items, ends, data.num_items)

  def lengths(self) -> Int[np.ndarray, ' U']:
    """Number of items of each user."""
    return np.diff(self.ends, prepend=0)

  def shuffled(self, random: np.random.Generator) -> 'Sequences':
    """The same items of each user in a random order."""
    owner = np.repeat(np.arange(len(self.ends)), self.lengths())
    order = np.lexsort((random.random(len(owner)), owner))
    return dataclasses.replace(self, items=self.items[order])


class PackedRows(NamedTuple):
  """Inputs and targets of next-item prediction, in R rows of L positions.

  Attributes:
    inputs: int32 [R, L], items.
    targets: int32 [R, L], the item that follows each input.
    segments: int32 [R, L], number of the sequence in its row, from 1; 0 is
      padding.
    places: int32 [R, L], position within its sequence, from 0.
  """

  inputs: np.ndarray
  targets: np.ndarray
  segments: np.ndarray
  places: np.ndarray

  def from_the_end(self) -> 'PackedRows':
    """Numbers positions so that the last one of every sequence is L - 1.

    The next item is then predicted from the same position for all lengths.
    """
    num_rows, length = self.places.shape
    sequence = self.segments + np.arange(num_rows)[:, None] * (length + 1)
    size = np.bincount(sequence.ravel())[sequence]
    places = np.where(self.segments > 0, length - size + self.places, 0)
    return self._replace(places=places.astype(np.int32))

  def rows(self, index: np.ndarray) -> 'PackedRows':
    """The rows at `index`."""
    return PackedRows(*(array[index] for array in self))


def pack(sequences: Sequences, length: int) -> PackedRows:
  """Packs each user's last `length` + 1 items into rows.

  Users with only one item have no next item and are left out.

  Args:
    sequences: the sequences of all users.
    length: L, the length of a row, and of the longest sequence in it.

  Raises:
    DataError: `length` is below 1, or no user has two items.
  """
  if length < 1:
    raise DataError(f'length={length}: histories need at least 1 item')
  sizes = np.minimum(sequences.lengths() - 1, length)
  users = np.flatnonzero(sizes > 0)
  if len(users) == 0:
    raise DataError('no user has two items, so there is no next item to learn')
  sizes, ends = sizes[users], sequences.ends[users]
  row, first = _best_fit(sizes, length)
  # One entry for each position: its sequence, and its place in the sequence.
  owner = np.repeat(np.arange(len(users)), sizes)
  place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
  source = (ends - sizes - 1)[owner] + place
  columns = (
    sequences.items[source],
    sequences.items[source + 1],
    _number_within(row)[owner] + 1,
    place,
  )
  arrays = []
  for column in columns:
    array = np.zeros((row.max() + 1, length), np.int32)
    array[row[owner], first[owner] + place] = column
    arrays.append(array)
  return PackedRows(*arrays)


def _best_fit(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
  """Row and first position of each sequence, by best-fit decreasing.

  Starting with the longest, each sequence goes to the fullest row with enough
  space, which leaves few gaps.
  """
  row, first = np.empty_like(sizes), np.empty_like(sizes)
  open_rows = [[] for _ in range(length + 1)]  # by the space left in them
  num_rows = 0
  for i in np.argsort(-sizes, kind='stable'):
    size = int(sizes[i])
    space = next((s for s in range(size, length + 1) if open_rows[s]), 0)
    if not space:
      space = length
      open_rows[space].append(num_rows)
      num_rows += 1
    row[i], first[i] = open_rows[space].pop(), length - space
    open_rows[space - size].append(row[i])
  return row, first


def _number_within(group: np.ndarray) -> np.ndarray:
  """Number of earlier entries of the same group, for each entry."""
  order = np.argsort(group, kind='stable')
  sizes = np.bincount(group)
  starts = np.cumsum(sizes) - sizes
  number = np.empty_like(group)
  number[order] = np.arange(len(group)) - starts[group[order]]
  return number


def last_items(
  items: Int[np.ndarray, 'B M'], mask: np.ndarray, length: int
) -> tuple[Int[np.ndarray, 'B L'], Int[np.ndarray, ' B']]:
  """The last `length` items of padded histories, moved to the row's start.

  Args:
    items: padded histories.
    mask: bool [B, M], True at items, False at padding.
    length: L.

  Returns:
    The items, padded with 0, and the number of items in each row.
  """
  counts = mask.sum(axis=1)
  sizes = np.minimum(counts, length)
  # Items come first, in their order, wherever the padding was.
  order = np.argsort(~mask, axis=1, kind='stable')
  place = np.arange(length)[None]
  rank = (counts - sizes)[:, None] + place
  is_real = place < sizes[:, None]
  column = np.take_along_axis(order, np.where(is_real, rank, 0), axis=1)
  taken = np.take_along_axis(items, column, axis=1)
  return np.where(is_real, taken, 0).astype(np.int32), sizes


def buckets(longest: int, shortest: int = 8) -> tuple[int, ...]:
  """Lengths to which histories are padded: 8, 16, 32, ..., and the longest."""
  lengths = []
  while shortest < longest:
    lengths.append(shortest)
    shortest *= 2
  return (*lengths, longest)


def check_targets_unseen(histories: Interactions, targets: Interactions):
  """Raises DataError if a target is in its user's history.

  A ranking that excludes seen items could never find such a target.
  """
  pair_codes = interactions_lib.pair_codes
  repeated = np.flatnonzero(np.isin(pair_codes(targets), pair_codes(histories)))
  if len(repeated):
    user = targets.user_ids[targets.users[repeated[0]]]
    raise DataError(
      f'{targets.name}: {len(repeated)} targets are repeats, the first of user '
      f'{user}; a ranking without seen items cannot find them: rank all items '
      '(mask_seen=false), or drop repeats (duplicates=first)'
    )
