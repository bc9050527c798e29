"""The regime of drift: adapt after each slice of time, predict the next one."""

import functools
from collections.abc import Callable

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import joining, splits
from hyperrec.regimes import people
from hyperrec.regimes import task as task_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Judged = task_lib.Judged
Task = task_lib.Task

# The source is the first half of them.
NUM_SLICES = 10


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """The source is the past; after `budget` slices of time, rank the next one.

  The timeline is cut into `NUM_SLICES` slices of equal row counts. The first
  half is the source, and the next `budget` slices are the evidence. The
  held-out users are those with at least two rows in the following slice. Their
  histories are all their earlier rows and the first half of their rows in that
  slice; the new items in the second half are their targets. The whole
  catalogue is ranked, including items without any interaction so far. Half of
  these users are for the test at most, and a quarter for validation.

  Raises:
    DataError: no timestamps, a budget without a slice after it, or fewer than
      two users to judge.
  """
  del sources

  def drawn(users: np.ndarray) -> people.Users:
    num_test = min(num_heldout, len(users) // 2)
    num_validation = min(num_heldout, max(1, len(users) // 4))
    return people.drawn(data, seed, num_test, num_validation, users)

  return _make_task(data, budget, drawn)


def _make_task(
  data: Interactions,
  budget: int,
  drawn: Callable[[np.ndarray], people.Users],
) -> Task:
  """The task; `drawn` chooses among the users who can be judged."""
  task_lib.check_budget(budget)
  past = NUM_SLICES // 2
  if budget >= NUM_SLICES - past:
    raise task_lib.BudgetError(
      f'budget={budget} slices leave none to predict: {data.name} has '
      f'{NUM_SLICES - past} after its source; choose at most '
      f'{NUM_SLICES - past - 1}'
    )
  slices = splits.chronological_slices(data, NUM_SLICES)
  source = _joined(slices[:past])
  nothing = source.rows(np.zeros(len(source), bool))
  evidence = _joined([nothing, *slices[past : past + budget]])
  following = slices[past + budget].by_user_and_time()
  place = interactions_lib.place_in_user(following)
  shown = place < following.user_counts()[following.users] // 2
  before = _joined([source, evidence, following.rows(shown)])
  # What a user knows already, where repeats are kept, is not to be found.
  targets = joining.without_pairs(following.rows(~shown), before)
  users = np.flatnonzero(following.user_counts() >= 2)
  if len(users) < 2:
    raise DataError(
      f'{data.name}: {len(users)} users have two rows or more in the slice '
      f'after {budget}, and validation and test need one each at least'
    )
  chosen = drawn(users)
  known = evidence.take_users(np.unique(evidence.users))

  def judged(numbers: np.ndarray) -> Judged:
    histories = before.take_users(numbers)
    return Judged(histories, targets.take_users(numbers), histories, known)

  return Task(
    'drift',
    budget,
    source.take_users(np.unique(source.users)),
    judged(chosen.validation),
    judged(chosen.test),
  )


def rehearse(task: Task, seed: int, num_domains: int = 0) -> tuple[Task]:
  """Time goes on inside the source.

  Of the users who can be judged, a quarter is, the same for all seeds.
  """
  del num_domains
  source = task.source

  def drawn(users: np.ndarray) -> people.Users:
    return people.rehearsing(source, seed, len(users), users)

  return (_make_task(source, task.budget, drawn),)


def _joined(slices: list[Interactions]) -> Interactions:
  """Slices of one data set, which number users alike, as one."""
  return functools.reduce(joining.join_users, slices)


REGIME = task_lib.Regime(
  name='drift',
  title='Drift',
  unit='slices seen',
  flag='drift_budgets',
  flag_help=(
    'Budgets of drift: numbers of time slices after the source that are given '
    f'as evidence, such as 1,2,3,4; the timeline has {NUM_SLICES} slices.'
  ),
  budgets=(1, 2, 3, 4),
  look=('#8a6fb0', 'D'),
  make_task=make_task,
  rehearse=rehearse,
)
