"""Splits of `Interactions`, one function for each protocol."""

from typing import NamedTuple

import numpy as np

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


class HeldOut(NamedTuple):
  """Held-out users: their histories, and the targets to rank.

  Both parts use the same numbers for users and items. Users without targets
  keep their numbers, but the metrics leave them out.
  """

  histories: Interactions
  targets: Interactions


class Split(NamedTuple):
  """Training data and the held-out users of validation and test."""

  train: Interactions
  validation: HeldOut
  test: HeldOut


def strong_generalization(
  data: Interactions,
  num_heldout: int,
  *,
  seed: int = 98765,
  test_share: float = 0.2,
) -> Split:
  """Splits by users (Liang et al., WWW 2018), with the paper's random draws.

  The users, sorted by id, are permuted by NumPy's legacy MT19937. The last
  `num_heldout` users are test users, as many before them are validation users,
  and the others are training users. The catalogue holds the items of the
  training users, in order of first appearance. For a held-out user with n >= 5
  distinct items, int(test_share * n) random items are targets; with fewer
  items, all of them are history. The random generator starts again from `seed`
  for validation and for test, as in the paper's public notebook.

  Args:
    data: all interactions in file order, on which the draws depend.
    num_heldout: number of validation users, and of test users.
    seed: 98765 in the paper.
    test_share: 0.2 in the paper.

  Raises:
    DataError: there are fewer than 2 * num_heldout + 1 users.
  """
  if num_heldout < 1 or data.num_users <= 2 * num_heldout:
    raise DataError(
      f'{data.name}: {data.num_users} users cannot give {num_heldout} '
      'validation and as many test users and keep one for training; '
      f'{heldout_remedy(data)}'
    )
  order = np.random.RandomState(seed).permutation(data.num_users)
  cut = data.num_users - 2 * num_heldout
  train_rows = np.isin(data.users, order[:cut])
  items, first = np.unique(data.items[train_rows], return_index=True)
  catalogue = data.take_items(items[np.argsort(first, kind='stable')])
  held_out = []
  for users in (order[cut:-num_heldout], order[-num_heldout:]):
    part = catalogue.take_users(np.sort(users))
    held_out.append(_fold_in(part, np.random.RandomState(seed), test_share))
  train = catalogue.take_users(np.sort(order[:cut]))
  return Split(train, *held_out)


def heldout_remedy(data: Interactions) -> str:
  """The remedy that a message names if `num_heldout` is out of range."""
  more = 'keep more users by a lower min_user_interactions'
  if data.num_users < 3:
    return f'at least 3 users are needed: give more data, or {more}'
  return (
    f'choose num_heldout in 1..{(data.num_users - 1) // 2} (a fifth of the '
    f'users is {data.num_users // 5}), or {more}'
  )


def fold_in(data: Interactions, seed: int, test_share: float = 0.2) -> HeldOut:
  """Hides `test_share` of each user's items; see `strong_generalization`."""
  return _fold_in(data, np.random.RandomState(seed), test_share)


def _fold_in(
  data: Interactions, random: np.random.RandomState, test_share: float
) -> HeldOut:
  """Draws the targets; all repeats of a (user, item) pair stay together."""
  order = np.argsort(data.users, kind='stable')
  pairs = interactions_lib.pair_codes(data)[order]
  _, first, pair = np.unique(pairs, return_index=True, return_inverse=True)
  is_first = np.zeros(len(data), bool)
  is_first[first] = True
  distinct = np.flatnonzero(is_first)
  counts = np.bincount(data.users[order][distinct], minlength=data.num_users)
  hidden = np.zeros(len(first), bool)
  start = 0
  for count in counts:
    if count >= 5:
      size = int(test_share * count)
      drawn = random.choice(count, size=size, replace=False)
      hidden[pair[distinct[start + drawn]]] = True
    start += count
  is_hidden = np.zeros(len(data), bool)
  is_hidden[order] = hidden[pair]
  return HeldOut(data.rows(~is_hidden), data.rows(is_hidden))


def leave_one_out(data: Interactions) -> Split:
  """Each user's last item is the test target, the one before for validation.

  Users with fewer than 3 rows are only in the training data. Rows with equal
  times keep the file order. Validation histories are the training rows; test
  histories also hold the validation target.
  """
  data = data.by_user_and_time()
  counts = data.user_counts()
  ends = np.cumsum(counts)
  from_end = ends[data.users] - np.arange(len(data))
  long = counts[data.users] >= 3
  is_test = long & (from_end == 1)
  is_validation = long & (from_end == 2)
  train = data.rows(~is_test & ~is_validation)
  return Split(
    train,
    HeldOut(train, data.rows(is_validation)),
    HeldOut(data.rows(~is_test), data.rows(is_test)),
  )


def fixed(train: Interactions, test: Interactions) -> tuple[HeldOut, int]:
  """A published split in which every user is in both `train` and `test`.

  Returns:
    The held-out users, whose histories are all of `train`, and the number of
    test rows whose item has no training row. These rows stay targets, as in the
    published tables.

  Raises:
    DataError: the two parts do not number the same users and items.
  """
  if not np.array_equal(train.item_ids, test.item_ids) or not np.array_equal(
    train.user_ids, test.user_ids
  ):
    raise DataError(
      f'{train.name}: train and test must number the same users and items'
    )
  unseen = int((train.item_counts()[test.items] == 0).sum())
  return HeldOut(train, test), unseen


def item_halves(
  data: Interactions, seed: int
) -> tuple[Interactions, Interactions]:
  """Splits the catalogue into two halves; both keep all users.

  The second half holds the items that appeared last, where times are known.
  Elsewhere the halves are random.
  """
  if data.timestamps is None or data.is_order_only:
    order = np.random.default_rng(seed).permutation(data.num_items)
  else:
    order = np.argsort(data.first_times(), kind='stable')
  half = data.num_items // 2
  return (
    data.take_items(np.sort(order[:half])),
    data.take_items(np.sort(order[half:])),
  )


def chronological_slices(
  data: Interactions, num_slices: int
) -> list[Interactions]:
  """Splits the rows by time into slices of about equally many rows.

  Rows with equal times are in the same slice. All slices have the same numbers
  for users and items; a later slice may hold users and items that no earlier
  slice has.

  Raises:
    DataError: there are no timestamps, they cannot be compared between users,
      there are fewer distinct times than slices, or num_slices is below 2.
  """
  if data.timestamps is None:
    raise DataError(
      f'{data.name}: chronological slices need timestamps; this source has none'
    )
  if data.is_order_only:
    raise DataError(
      f'{data.name}: chronological slices need times; this source has only the '
      "order of each user's interactions"
    )
  if num_slices < 2:
    raise DataError(f'num_slices={num_slices} must be at least 2')
  ranks = np.arange(1, num_slices) * len(data) // num_slices
  edges = np.sort(data.timestamps)[ranks]
  part = np.searchsorted(edges, data.timestamps, side='right')
  slices = [data.rows(part == i) for i in range(num_slices)]
  if any(len(s) == 0 for s in slices):
    raise DataError(
      f'{data.name}: {len(np.unique(data.timestamps))} different times do not '
      f'give {num_slices} slices of equally many rows, as drift needs them; '
      'leave drift out, or give finer times'
    )
  return slices


def most_popular(
  data: Interactions,
  num_items: int,
  least_interactions: int,
  *,
  num_users: int | None = None,
) -> Interactions:
  """The part of a large catalogue that most interactions are in.

  Args:
    data: all interactions.
    num_items: items that are kept, those with the most interactions. They keep
      their order, and so do the users.
    least_interactions: users with fewer interactions in the part are left out.
    num_users: if more users are left than this, so many are drawn from them.
  """
  order = np.argsort(-data.item_counts(), kind='stable')
  data = data.take_items(np.sort(order[:num_items]))
  users = np.flatnonzero(data.user_counts() >= least_interactions)
  if num_users is not None and len(users) > num_users:
    random = np.random.default_rng(0)
    users = np.sort(random.choice(users, num_users, replace=False))
  return data.take_users(users)
