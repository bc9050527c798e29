"""`Interactions`: an immutable table of users, items, ratings and times."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from hyperrec.data import original_ids

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DUPLICATE_POLICIES = ('first', 'last', 'keep', 'error')
# Rows that are searched for repeated pairs together, to bound the memory.
_PAIR_ROWS = 2**22


class DataError(ValueError):
  """Bad input: the message names the file, field, value and remedy."""


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
  """Rows (user, item[, rating, timestamp]) with ids from 0, in file order.

  Every array is read-only. Users or items without a row are allowed: a
  catalogue may hold items that nobody has touched yet.

  Attributes:
    users: int32 [n], from 0 to num_users - 1.
    items: int32 [n], from 0 to num_items - 1.
    num_users: U.
    num_items: V.
    ratings: float32 [n] or None.
    timestamps: int64 [n] or None; seconds, or any integers that grow with time.
    user_ids: Original ids of the users, [U].
    item_ids: Original ids of the items, [V].
    item_text: Title and attributes of each item, [V] str or None.
    name: Name of the data set, for reports.
    notes: Sentences that say which rows were left out, and why.
    is_order_only: Whether timestamps only order the rows of each user and
      cannot be compared between users.

  Raises:
    DataError: an array has the wrong length or type, or a value is out of
      range; the message names the field and the row.
  """

  users: np.ndarray
  items: np.ndarray
  num_users: int
  num_items: int
  ratings: np.ndarray | None = None
  timestamps: np.ndarray | None = None
  user_ids: np.ndarray | None = None
  item_ids: np.ndarray | None = None
  item_text: np.ndarray | None = None
  name: str = ''
  notes: tuple[str, ...] = ()
  is_order_only: bool = False

  def __post_init__(self):
    _validate(self)
    put = object.__setattr__
    put(self, 'users', _frozen(self.users, np.int32))
    put(self, 'items', _frozen(self.items, np.int32))
    put(self, 'ratings', _frozen(self.ratings, np.float32))
    put(self, 'timestamps', _frozen(self.timestamps, np.int64))
    for field, size in (('user_ids', 'num_users'), ('item_ids', 'num_items')):
      ids = getattr(self, field)
      ids = np.arange(getattr(self, size)) if ids is None else ids
      put(self, field, _frozen(ids))
    put(self, 'item_text', _frozen(self.item_text))

  def __len__(self) -> int:
    return len(self.users)

  def __repr__(self) -> str:
    return (
      f'Interactions({self.name!r}, users={self.num_users}, '
      f'items={self.num_items}, interactions={len(self)})'
    )

  def csr(self, dtype: Any = np.float32) -> scipy.sparse.csr_matrix:
    """The 0/1 matrix X [U, V]; a repeated (user, item) pair counts once."""
    x_UxV = scipy.sparse.csr_matrix(
      (np.ones(len(self), dtype), (self.users, self.items)),
      shape=(self.num_users, self.num_items),
    )
    x_UxV.data[:] = 1
    return x_UxV

  def item_counts(self) -> np.ndarray:
    """Number of rows of each item: int64 [V]."""
    return np.bincount(self.items, minlength=self.num_items)

  def user_counts(self) -> np.ndarray:
    """Number of rows of each user: int64 [U]."""
    return np.bincount(self.users, minlength=self.num_users)

  def first_times(self) -> np.ndarray | None:
    """Time of the first row of each item: int64 [V].

    Nobody knows when an item appeared that nobody touched; it gets the smallest
    number there is. None where times are not known.
    """
    if self.timestamps is None or self.is_order_only:
      return None
    first = np.full(self.num_items, np.iinfo(np.int64).max)
    np.minimum.at(first, self.items, self.timestamps)
    first[self.item_counts() == 0] = np.iinfo(np.int64).min
    return first

  def rows(self, index: np.ndarray) -> 'Interactions':
    """The rows at `index` (mask or indices), with all users and items."""
    take = lambda a: None if a is None else _fresh(a[index])  # noqa: E731
    return dataclasses.replace(
      self,
      users=take(self.users),
      items=take(self.items),
      ratings=take(self.ratings),
      timestamps=take(self.timestamps),
    )

  def take_users(self, users: np.ndarray) -> 'Interactions':
    """Keeps only these users, renumbered in the order given, and all items.

    Raises:
      DataError: a user does not exist or occurs twice.
    """
    users = np.asarray(users, np.int64)
    new = _renumber(users, self.num_users, 'user')
    kept = self.rows(new[self.users] >= 0)
    return dataclasses.replace(
      kept,
      users=_fresh(new[kept.users]),
      num_users=len(users),
      user_ids=self.user_ids[users],
    )

  def take_items(self, items: np.ndarray) -> 'Interactions':
    """Keeps only these items, renumbered in the order given, and all users.

    Raises:
      DataError: an item does not exist or occurs twice.
    """
    items = np.asarray(items, np.int64)
    new = _renumber(items, self.num_items, 'item')
    kept = self.rows(new[self.items] >= 0)
    text = None if self.item_text is None else self.item_text[items]
    return dataclasses.replace(
      kept,
      items=_fresh(new[kept.items]),
      num_items=len(items),
      item_ids=self.item_ids[items],
      item_text=text,
    )

  def by_user_and_time(self) -> 'Interactions':
    """Rows sorted by user, then by time; equal times keep the file order."""
    times = np.zeros(len(self)) if self.timestamps is None else self.timestamps
    return self.rows(np.lexsort((np.arange(len(self)), times, self.users)))


def pair_codes(data: Interactions) -> np.ndarray:
  """The (user, item) pair of each row as one number: int64 [n]."""
  return data.users.astype(np.int64) * data.num_items + data.items


def place_in_user(data: Interactions) -> np.ndarray:
  """How many rows of the same user precede each row, if sorted by user."""
  counts = data.user_counts()
  starts = np.cumsum(counts) - counts
  return np.arange(len(data)) - starts[data.users]


def from_columns(
  user: Sequence[Any] | original_ids.Coded,
  item: Sequence[Any] | original_ids.Coded,
  *,
  rating: Sequence[float] | None = None,
  timestamp: Sequence[int] | None = None,
  item_text: dict[Any, str] | None = None,
  duplicates: str = 'first',
  name: str = '',
  notes: tuple[str, ...] = (),
  is_order_only: bool = False,
) -> Interactions:
  """Builds `Interactions` from columns of original ids.

  Args:
    user: original user ids [n], of any sortable type.
    item: original item ids [n], of any sortable type.
    rating: [n] or None.
    timestamp: [n] or None; whole numbers, NumPy's dates, or datetimes, which
      become microseconds (in UTC if they have no time zone).
    item_text: original item id -> text. Items without interactions are left
      out; an item without an entry gets the empty text.
    duplicates: what to do with a repeated (user, item) pair: keep the `first`
      row, keep the `last` row, `keep` all rows, or raise an `error`.
    name: name of the data set.
    notes: see `Interactions`.
    is_order_only: see `Interactions`.

  Returns:
    Interactions whose rows are in the order given; users and items are numbered
    in the sorted order of their ids.

  Raises:
    DataError: there are no rows, columns differ in length, an id is missing, a
      number is not finite, the policy is unknown, or there is a duplicate under
      the policy `error`.
  """
  for what, column in (('user', user), ('item', item)):
    if not hasattr(column, '__len__'):
      raise DataError(
        f'{name or "input"}: {what} is a {type(column).__name__}; give a list '
        'or an array'
      )
  if len(user) == 0:
    raise DataError(
      f'{name or "input"}: no interactions; give a file with rows'
    )
  user_ids, users = _number(user, 'user', name)
  item_ids, items = _number(item, 'item', name)
  users, items = _fresh(users), _fresh(items)
  text = None
  if item_text is not None:
    text = np.array([str(item_text.get(i, '')) for i in item_ids], object)
  data = Interactions(
    users=users,
    items=items,
    num_users=len(user_ids),
    num_items=len(item_ids),
    ratings=None if rating is None else np.asarray(rating),
    timestamps=None if timestamp is None else _as_times(timestamp, name),
    user_ids=user_ids,
    item_ids=item_ids,
    item_text=text,
    name=name,
    notes=notes,
    is_order_only=is_order_only,
  )
  return drop_duplicates(data, duplicates)


def drop_duplicates(data: Interactions, policy: str) -> Interactions:
  """Applies a policy of `DUPLICATE_POLICIES` to repeated (user, item) pairs.

  Raises:
    DataError: the policy is unknown, or it is `error` and a pair is repeated.
  """
  if policy not in DUPLICATE_POLICIES:
    raise DataError(
      f'duplicates={policy!r} is unknown; use one of {DUPLICATE_POLICIES}'
    )
  if policy == 'keep':
    return data
  kept = _one_of_each_pair(data, last=policy == 'last')
  if kept.all():
    return data
  if policy == 'error':
    row = int(np.argmin(kept))
    user, item = (
      ids[[place]].tolist()[0]
      for ids, place in (
        (data.user_ids, data.users[row]),
        (data.item_ids, data.items[row]),
      )
    )
    raise DataError(
      f'{data.name or "input"}: the pair (user {user!r}, item {item!r}) occurs '
      f'more than once, again in interaction {row + 1}; choose '
      'duplicates=first, last or keep'
    )
  return data.rows(kept)


def _one_of_each_pair(data: Interactions, *, last: bool) -> np.ndarray:
  """A mask [n] of the first (or last) row of each (user, item) pair."""
  kept = np.zeros(len(data), bool)
  # All rows of a user are in the same block.
  ends = np.cumsum(data.user_counts())
  block_U = np.searchsorted(
    np.arange(_PAIR_ROWS, len(data), _PAIR_ROWS), ends
  ).astype(np.int32)
  for block in np.unique(block_U):
    start, end = np.searchsorted(block_U, [block, block + 1])
    rows = np.flatnonzero((data.users >= start) & (data.users < end))
    rows = rows[::-1] if last else rows
    pairs = data.users[rows].astype(np.int64) * data.num_items
    _, first = np.unique(pairs + data.items[rows], return_index=True)
    kept[rows[first]] = True
  return kept


def _as_times(timestamp: Sequence[Any], name: str) -> np.ndarray:
  """Keeps numbers unchanged; datetimes become microseconds, int64 [n]."""
  times = np.asarray(timestamp)
  if times.dtype != object:
    return times
  micro = np.empty(len(times), np.int64)
  for row, time in enumerate(times.tolist()):
    if isinstance(time, datetime.datetime) and time == time:  # noqa: PLR0124
      zone = time.tzinfo or datetime.UTC
      since = time.replace(tzinfo=zone) - _EPOCH
      micro[row] = since // datetime.timedelta(microseconds=1)
    elif isinstance(time, int):
      micro[row] = time
    else:
      raise DataError(
        f'{name or "input"}: timestamps[{row}] = {time!r} is neither a whole '
        'number nor a datetime'
      )
  return micro


def _number(
  ids: Sequence[Any], what: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """`original_ids.number` with the data set's name in its errors."""
  try:
    return original_ids.number(ids, what)
  except original_ids.IdError as error:
    raise DataError(f'{name or "input"}: {error}') from error


def _renumber(chosen: np.ndarray, size: int, what: str) -> np.ndarray:
  """The new number of each old number, int32 [size]; -1 if not chosen."""
  if len(chosen) and (chosen.min() < 0 or chosen.max() >= size):
    raise DataError(f'the {what}s to take are not all in 0..{size - 1}')
  if len(np.unique(chosen)) != len(chosen):
    raise DataError(f'the {what}s to take are not distinct')
  new = np.full(size, -1, np.int32)
  new[chosen] = np.arange(len(chosen), dtype=np.int32)
  return new


def _frozen(array: Any, dtype: Any = None) -> np.ndarray | None:
  """A read-only copy; None and what nobody can write to stay as they are."""
  if array is None or _is_frozen(array, dtype):
    return array
  array = np.array(array, dtype=dtype)
  array.flags.writeable = False
  return array


def _fresh(array: np.ndarray) -> np.ndarray:
  """Makes a new array read-only, so that `Interactions` needs no copy of it."""
  array.flags.writeable = False
  return array


def _is_frozen(array: Any, dtype: Any) -> bool:
  """Whether this is a read-only array of the type, and no view of another."""
  return (
    type(array) is np.ndarray
    and dtype in (None, array.dtype)
    and array.base is None
    and not array.flags.writeable
  )


def _validate(data: Interactions) -> None:
  """Raises DataError for values that would silently give wrong numbers."""
  name = data.name or 'interactions'
  if data.num_items < 1:
    raise DataError(
      f'{name}: num_items={data.num_items}; a catalogue is needed'
    )
  largest = np.iinfo(np.int32).max
  if max(data.num_users, data.num_items) > largest:
    raise DataError(f'{name}: more than {largest} users or items')
  n = len(data.users)
  for field in ('items', 'ratings', 'timestamps'):
    column = getattr(data, field)
    if column is not None and len(column) != n:
      raise DataError(f'{name}: {field} has {len(column)} rows, users has {n}')
  for field, size in (('users', data.num_users), ('items', data.num_items)):
    column = np.asarray(getattr(data, field))
    if n and not np.issubdtype(column.dtype, np.integer):
      raise DataError(f'{name}: {field} is {column.dtype}, not integer')
    if n and (column.min() < 0 or column.max() >= size):
      bad = int(np.flatnonzero((column < 0) | (column >= size))[0])
      raise DataError(
        f'{name}: {field}[{bad}] = {column[bad]} is outside 0..{size - 1}'
      )
  _check_numbers(data, name)
  for field, size in (
    ('user_ids', data.num_users),
    ('item_ids', data.num_items),
    ('item_text', data.num_items),
  ):
    ids = getattr(data, field)
    if ids is not None and len(ids) != size:
      raise DataError(f'{name}: {field} has {len(ids)} entries, not {size}')


def _check_numbers(data: Interactions, name: str) -> None:
  """Raises DataError unless ratings fit float32 and timestamps fit int64."""
  for field, fits, kind, remedy in (
    (
      'ratings',
      _fits_float32,
      'a finite number',
      'correct it, or leave the ratings out',
    ),
    (
      'timestamps',
      _fits_int64,
      'a whole number',
      'give seconds, or dates as datetimes',
    ),
  ):
    if getattr(data, field) is None:
      continue
    column = np.asarray(getattr(data, field))
    good = _where(fits, column)
    if not good.all():
      bad = int(np.argmin(good))
      (value,) = column[[bad]].tolist()
      raise DataError(
        f'{name}: {field}[{bad}] = {value!r} is not {kind}; {remedy}'
      )


def _where(
  fits: Callable[[np.ndarray], np.ndarray], column: np.ndarray
) -> np.ndarray:
  """Which values fit, bool [n]; those that are no numbers do not."""
  try:
    return fits(column)
  except (TypeError, ValueError, OverflowError):
    if len(column) == 1:
      return np.zeros(1, bool)
  return np.concatenate(
    [_where(fits, column[row : row + 1]) for row in range(len(column))]
  )


def _fits_float32(column: np.ndarray) -> np.ndarray:
  with np.errstate(over='ignore'):
    return np.isfinite(column.astype(np.float32))


def _fits_int64(column: np.ndarray) -> np.ndarray:
  if np.issubdtype(column.dtype, np.signedinteger):
    return np.ones(len(column), bool)
  if column.dtype.kind in 'OSU':
    column.astype(np.int64)  # of text this is stricter than what follows
  column = column.astype(np.float64)
  return (column == np.floor(column)) & (np.abs(column) < 2**63)
