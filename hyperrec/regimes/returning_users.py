"""The regime of returning users: users of the training data come back."""

import numpy as np
from jaxtyping import Bool, Int

from hyperrec.data import interactions as interactions_lib
from hyperrec.regimes import people
from hyperrec.regimes import task as task_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Judged = task_lib.Judged
Task = task_lib.Task

# One in this many of a held-out user's items is a target, so that such a user
# has as many different items at least.
PARTS = 5


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """Users of the source come back; rank what they take up next.

  Held-out users have at least five different items. The last fifth of the items
  that they took up are their targets, or a random fifth where the order is
  unknown. Their rows before are in the source, and are their histories; later
  rows of known items are left out. All rows of all other users are in the
  source. The whole catalogue is ranked, including items without any row in the
  source. There is no evidence beside the source: it holds the held-out users
  without any row.

  Each user's rows are cut on their own (leave last out). So where times are
  known, the source holds rows of other users that are later than a target. The
  regime that cuts all users at the same time is `drift`.

  Args:
    data: the data set.
    budget: 0, since there is no evidence.
    seed: of all draws.
    num_heldout: most users of validation, and of test. The two are disjoint,
      so that each has at most half of the users with enough items.
    sources: not used.

  Raises:
    BudgetError: the budget is not 0.
    DataError: `num_heldout` is below 1, or fewer than two users have enough
      items.
  """
  del sources
  if budget:
    raise task_lib.BudgetError(
      f'budget={budget}: returning_users has no evidence; use budget=0'
    )
  users = _drawn_users(data, seed, num_heldout)
  held_out = np.concatenate([users.validation, users.test])
  is_heldout = np.isin(data.users, held_out)
  is_history, is_target = _cut(data, seed)
  source = data.rows(~is_heldout | is_history)
  targets = data.rows(is_heldout & is_target)
  nothing = data.rows(np.zeros(len(data), bool))

  def judged(numbers: np.ndarray) -> Judged:
    histories = source.take_users(numbers)
    evidence = nothing.take_users(numbers)
    return Judged(histories, targets.take_users(numbers), histories, evidence)

  return Task(
    'returning_users', 0, source, judged(users.validation), judged(users.test)
  )


def rehearse(task: Task, seed: int, num_domains: int = 0) -> tuple[Task]:
  """The task itself, with its validation users in place of its test users.

  They are users of the source as the test users are, and their targets are not
  in it either. So what was prepared for the task serves its rehearsal, too.
  """
  del seed, num_domains
  return (task._replace(test=task.validation),)


def _drawn_users(
  data: Interactions, seed: int, num_heldout: int
) -> people.Users:
  """Users of validation and of test who have enough items."""
  if num_heldout < 1:
    raise DataError(
      f'{data.name}: num_heldout={num_heldout} must be at least 1'
    )
  pairs = np.unique(interactions_lib.pair_codes(data))
  num_items = np.bincount(pairs // data.num_items, minlength=data.num_users)
  fit = np.flatnonzero(num_items >= PARTS)
  if len(fit) < 2:
    raise DataError(
      f'{data.name}: the number of users with at least {PARTS} different items '
      f'is {len(fit)}; returning_users needs one for validation and one for '
      'test: give more data'
    )
  size = min(num_heldout, len(fit) // 2)
  return people.drawn(data, seed, size, size, fit)


def _cut(
  data: Interactions, seed: int
) -> tuple[Bool[np.ndarray, ' n'], Bool[np.ndarray, ' n']]:
  """Whether each row is history, and whether it is a target; some are neither.

  Of a user's different items, in the order in which the user took them up, the
  last fifth are targets. Rows up to the last item before them are history.
  Later rows of an item of the history are neither.
  """
  pairs = interactions_lib.pair_codes(data)
  order = np.lexsort((_times(data, pairs, seed), data.users))
  users = data.users[order]
  is_first = np.zeros(len(data), bool)
  is_first[np.unique(pairs[order], return_index=True)[1]] = True
  num_items = np.bincount(users[is_first], minlength=data.num_users)
  items_before_user = np.cumsum(num_items) - num_items
  items_so_far = np.cumsum(is_first) - items_before_user[users]
  is_history = np.empty(len(data), bool)
  is_history[order] = items_so_far <= (num_items - num_items // PARTS)[users]
  return is_history, ~np.isin(pairs, pairs[is_history])


def _times(
  data: Interactions, pairs: Int[np.ndarray, ' n'], seed: int
) -> np.ndarray:
  """A number of each row that grows with time; a random one of each pair."""
  if data.timestamps is not None:
    return data.timestamps
  _, number = np.unique(pairs, return_inverse=True)
  return np.random.default_rng(seed).permutation(len(data))[number]


REGIME = task_lib.Regime(
  name='returning_users',
  title='Returning users',
  look=('#56b4e9', 'v'),
  make_task=make_task,
  rehearse=rehearse,
  has_oracle=False,
)
