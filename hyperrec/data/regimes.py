"""The adaptation regimes: a budget of evidence becomes a `Task`.

A task holds all that a method may see (`source`, `evidence`) and the users it
is judged on. `validation` users serve the oracle arm only; the fair arm tunes
on `rehearsal`, the same regime cut out of the source alone.
"""

from typing import NamedTuple

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits

DataError = interactions_lib.DataError
HeldOut = splits.HeldOut
Interactions = interactions_lib.Interactions


class Judged(NamedTuple):
  """Users a method is judged on.

  Attributes:
    histories: what the method is shown of each user.
    targets: what it is to find.
    seen: what is masked in the ranking; a superset of the histories.
    evidence: what `adapt` is given.
  """

  histories: Interactions
  targets: Interactions
  seen: Interactions
  evidence: Interactions


class Task(NamedTuple):
  """One regime at one budget: what is known, and who is judged."""

  regime: str
  budget: int
  source: Interactions
  validation: Judged
  test: Judged


def new_users(
  data: Interactions, budget: int, seed: int, num_heldout: int
) -> Task:
  """Users unseen in the source show `budget` interactions; rank the rest.

  The split is strong generalization. A user's targets are the same at every
  budget; what is shown is the first `budget` of a random order of the
  fold-in, so that budgets are nested, and the rest of the fold-in is masked
  from the ranking. The evidence is what all judged users have shown.
  """
  _check_budget(budget)
  split = splits.strong_generalization(data, num_heldout, seed=seed)

  def judged(held: HeldOut) -> Judged:
    shown = first_rows_per_user(held.histories, budget, seed)
    return Judged(shown, held.targets, held.histories, shown)

  return Task(
    'new_users',
    budget,
    split.train,
    judged(split.validation),
    judged(split.test),
  )


def new_catalogue(
  data: Interactions, budget: int, seed: int, num_heldout: int
) -> Task:
  """Items unseen in the source, and `budget` users' worth of evidence.

  The catalogue is cut in two random halves. The source is what training users
  did in one half; the evidence what the first `budget` of them (in a random
  order, so that budgets are nested; users with at least one row) did in the
  other. Held-out users appear in neither, and are judged on the other half.

  Raises:
    DataError: the budget exceeds the training users.
  """
  _check_budget(budget)
  order = np.random.RandomState(seed).permutation(data.num_users)
  cut = data.num_users - 2 * num_heldout
  if cut < 1:
    raise DataError(
      f'{data.name}: {data.num_users} users cannot hold out 2 x '
      f'num_heldout={num_heldout}; choose a smaller one'
    )
  source, target = splits.item_halves(data, seed)
  train = order[:cut]
  train = train[target.user_counts()[train] > 0]
  if budget > len(train):
    raise DataError(
      f'budget={budget} users of evidence, but only {len(train)} training '
      f'users of {data.name} touched the new catalogue; choose a smaller one'
    )
  evidence = target.take_users(train[:budget])

  def judged(users: np.ndarray) -> Judged:
    held = splits.fold_in(target.take_users(users), seed)
    return Judged(held.histories, held.targets, held.histories, evidence)

  return Task(
    'new_catalogue',
    budget,
    source.take_users(order[:cut]),
    judged(order[cut:-num_heldout]),
    judged(order[-num_heldout:]),
  )


REGIMES = {'new_users': new_users, 'new_catalogue': new_catalogue}


def make_task(
  data: Interactions, regime: str, budget: int, seed: int, num_heldout: int
) -> Task:
  """The task of a named regime.

  Raises:
    DataError: an unknown regime or an impossible budget.
  """
  if regime not in REGIMES:
    raise DataError(f'regime={regime!r} is unknown; use one of {list(REGIMES)}')
  return REGIMES[regime](data, budget, seed, num_heldout)


def rehearsal(task: Task, seed: int) -> Task:
  """The same regime inside the source: what a fair arm is tuned on.

  A quarter of the source's users are held out twice; the budget is capped at
  the users that remain.
  """
  source = task.source
  num_heldout = max(1, source.num_users // 4)
  budget = task.budget
  if task.regime == 'new_catalogue':
    _, target = splits.item_halves(source, seed)
    order = np.random.RandomState(seed).permutation(source.num_users)
    train = order[: source.num_users - 2 * num_heldout]
    budget = min(budget, int((target.user_counts()[train] > 0).sum()))
  return make_task(source, task.regime, budget, seed, num_heldout)


def first_rows_per_user(
  data: Interactions, count: int, seed: int
) -> Interactions:
  """The first `count` rows of each user in a seeded random order (nested)."""
  shuffled = np.random.default_rng(seed).permutation(len(data))
  order = shuffled[np.argsort(data.users[shuffled], kind='stable')]
  counts = data.user_counts()
  starts = np.cumsum(counts) - counts
  place = np.empty(len(data), np.int64)
  place[order] = np.arange(len(data)) - starts[data.users[order]]
  return data.rows(place < count)


def _check_budget(budget: int) -> None:
  if budget < 0:
    raise DataError(f'budget={budget} must not be negative')
