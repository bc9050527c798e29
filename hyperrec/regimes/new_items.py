"""The regime of new items: they arrive in a live catalogue, with their text.

A fifth of the items is new: those that appeared last, where times are known,
and random ones elsewhere. Held-out users have histories among the old items,
and are judged by the new items that they took up. Of the new items, those whose
text nearly repeats that of an old one (variants, sequels) say little about a
new item, and are left out of the ranking that counts, unless no target remains.
"""

from collections.abc import Callable, Iterable

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import near_duplicates
from hyperrec.regimes import people
from hyperrec.regimes import task as task_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Judged = task_lib.Judged
Task = task_lib.Task

NEW_SHARE = 0.2
# Share of a held-out user's old items that are targets in the whole catalogue.
OLD_TARGET_SHARE = 0.2
# A held-out user has this many old items at least.
FEWEST_OLD = 2
# Items that rehearsals take for new; random test items are never among them.
_VALIDATION = 'validation'


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """New items, of each of which `budget` interactions are known.

  The source is what training users did among the old items; the evidence, over
  the whole catalogue, what they did first with each new item (in a random order
  where times are unknown). Test users are half of those who have both old and
  new items, and `num_heldout` at most. Their targets are the new items, which
  are ranked among themselves. The views rank the whole catalogue, for old and
  new targets together ("whole") and apart ("whole, old", "whole, new"), and all
  new items, near-duplicates included ("with near-duplicates").

  Args:
    data: the data set.
    budget: number of known interactions of each new item, where it has them.
    seed: of all draws.
    num_heldout: most users of validation, and of test.
    sources: not used.

  Raises:
    DataError: no item is new, or fewer than two users can be judged.
  """
  del sources
  is_new = _is_last(data) if _has_times(data) else _is_drawn(data, seed)

  def drawn(fit: np.ndarray) -> people.Users:
    num_test = min(num_heldout, max(1, len(fit) // 2))
    num_validation = min(num_heldout, max(1, len(fit) // 6))
    return people.drawn(data, seed, num_test, num_validation, fit)

  return _make_task(data, is_new, budget, seed, drawn)


def rehearse(task: Task, seed: int, num_domains: int = 0) -> tuple[Task]:
  """Some of the source's items are new to the others.

  They are the last to appear, or a fixed random part that is the same for all
  seeds and is never drawn for a test. A quarter of the source's users who have
  both old and new items are judged, the same for all seeds.
  """
  del num_domains
  source = task.source
  if _has_times(source):
    is_new = _is_last(source)
  else:
    is_new = _is_for_validation(source.item_ids)

  def drawn(fit: np.ndarray) -> people.Users:
    return people.rehearsing(source, seed, len(fit), fit)

  return (_make_task(source, is_new, task.budget, seed, drawn),)


def _make_task(
  data: Interactions,
  is_new: np.ndarray,
  budget: int,
  seed: int,
  drawn: Callable[[np.ndarray], people.Users],
) -> Task:
  """The task of some new items; `drawn` chooses the users it judges."""
  task_lib.check_budget(budget)
  new, old = np.flatnonzero(is_new), np.flatnonzero(~is_new)
  if not (len(new) and len(old)):
    raise DataError(
      f'{data.name}: of {data.num_items} items {len(new)} are new; new_items '
      'needs old and new ones: give more items'
    )
  users = drawn(_can_be_judged(data, is_new))
  known = data.take_users(np.sort(users.train))
  arrived = known.rows(is_new[known.items])
  evidence = arrived.rows(_place_in_item(arrived, seed) < budget)
  others = _without_near_duplicates(data, new, old)

  def judged(numbers: np.ndarray) -> dict[str, Judged]:
    own = data.take_users(numbers)
    is_target = is_new[own.items] | _is_old_target(own, is_new, seed)
    histories = own.rows(~is_target)
    targets = own.rows(is_target)
    of_new = targets.rows(is_new[targets.items])
    of_old = targets.rows(~is_new[targets.items])
    of_others = of_new.rows(np.isin(of_new.items, others))
    found = {
      'new': Judged(histories, of_others, histories, evidence, others),
      'with near-duplicates': Judged(
        histories, of_new, histories, evidence, new
      ),
      'whole': Judged(histories, targets, histories, evidence),
      'whole, old': Judged(histories, of_old, histories, evidence),
      'whole, new': Judged(histories, of_new, histories, evidence),
    }
    return {k: one for k, one in found.items() if len(one.targets)}

  views = judged(users.test)
  first = _counting(views)
  return Task(
    'new_items',
    budget,
    known.take_items(old),
    _counting(judged(users.validation)),
    first,
    views,
    len(new),
  )


def _counting(views: dict[str, Judged]) -> Judged:
  """Takes out the ranking that counts."""
  everything = views['with near-duplicates']
  return views.pop('new', everything)


def _has_times(data: Interactions) -> bool:
  return data.timestamps is not None and not data.is_order_only


def _is_last(data: Interactions) -> np.ndarray:
  """[V], whether an item is in the fifth that appeared last."""
  order = np.argsort(data.first_times(), kind='stable')
  is_new = np.zeros(data.num_items, bool)
  is_new[order[data.num_items - int(NEW_SHARE * data.num_items) :]] = True
  return is_new


def _is_drawn(data: Interactions, seed: int) -> np.ndarray:
  """[V], whether an item is in the random fifth of a seed."""
  places = people.uniform(data.item_ids, str(seed))
  places[_is_for_validation(data.item_ids)] = np.inf
  is_new = np.zeros(data.num_items, bool)
  is_new[np.argsort(places)[: int(NEW_SHARE * data.num_items)]] = True
  return is_new


def _is_for_validation(item_ids: Iterable) -> np.ndarray:
  return people.uniform(item_ids, _VALIDATION) < NEW_SHARE


def _can_be_judged(data: Interactions, is_new: np.ndarray) -> np.ndarray:
  """Users who have old items and a new one.

  Raises:
    DataError: there are fewer than two.
  """
  num_new = np.bincount(
    data.users[is_new[data.items]], minlength=data.num_users
  )
  num_old = data.user_counts() - num_new
  fit = np.flatnonzero((num_new > 0) & (num_old >= FEWEST_OLD))
  if len(fit) < 2 or data.num_users < 3:
    raise DataError(
      f'{data.name}: {len(fit)} users have {FEWEST_OLD} old items and a new '
      'one, and new_items judges two at least; give more data'
    )
  return fit


def _place_in_item(data: Interactions, seed: int) -> np.ndarray:
  """How many rows of the same item come before each row, by time if known."""
  shuffled = np.random.default_rng(seed).permutation(len(data))
  if _has_times(data):
    shuffled = shuffled[np.argsort(data.timestamps[shuffled], kind='stable')]
  order = shuffled[np.argsort(data.items[shuffled], kind='stable')]
  counts = data.item_counts()
  starts = np.cumsum(counts) - counts
  place = np.empty(len(data), np.int64)
  place[order] = np.arange(len(data)) - starts[data.items[order]]
  return place


def _is_old_target(
  data: Interactions, is_new: np.ndarray, seed: int
) -> np.ndarray:
  """[n], rows of a random part of the old items of each user."""
  pairs = interactions_lib.pair_codes(data)
  is_old = ~is_new[data.items]
  distinct = np.unique(pairs[is_old])
  user = distinct // data.num_items
  order = np.random.default_rng(seed).permutation(len(distinct))
  order = order[np.argsort(user[order], kind='stable')]
  counts = np.bincount(user, minlength=data.num_users)
  starts = np.cumsum(counts) - counts
  place = np.arange(len(order)) - starts[user[order]]
  most = (OLD_TARGET_SHARE * counts).astype(int)
  hidden = distinct[order[place < most[user[order]]]]
  return np.isin(pairs, hidden)


def _without_near_duplicates(
  data: Interactions, new: np.ndarray, old: np.ndarray
) -> np.ndarray:
  """The new items whose text does not nearly repeat that of an old one."""
  if data.item_text is None:
    return new
  is_near = near_duplicates.are_near(data.item_text[new], data.item_text[old])
  return new[~is_near]


REGIME = task_lib.Regime(
  name='new_items',
  title='New items',
  unit='interactions of each item that arrives',
  flag='item_budgets',
  flag_help=(
    'Budgets of new items: numbers of interactions of each arriving item that '
    'are given as evidence, such as 0,1,5,20.'
  ),
  budgets=(0, 1, 5, 20),
  look=('#e69f00', 'P'),
  make_task=make_task,
  rehearse=rehearse,
)
