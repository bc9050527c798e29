"""Tasks whose evidence is the interactions of some users in a new catalogue."""

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits
from hyperrec.regimes import people
from hyperrec.regimes import task as task_lib

Interactions = interactions_lib.Interactions
Judged = task_lib.Judged
Task = task_lib.Task


def drawn(data: Interactions, seed: int, num_heldout: int) -> people.Users:
  """Draws the held-out users.

  Raises:
    DataError: no user is held out, or none is left for training.
  """
  task_lib.check_held_out(data, num_heldout)
  return people.drawn(data, seed, num_heldout, num_heldout)


def with_rows(data: Interactions, users: np.ndarray) -> np.ndarray:
  """Those of the users who did something."""
  return users[data.user_counts()[users] > 0]


def make_task(
  source,
  target: Interactions,
  users: people.Users,
  *,
  regime: str,
  budget: int,
  seed: int,
) -> Task:
  """A task whose evidence is what `budget` training users did in `target`.

  Raises:
    DataError: the budget is negative.
    BudgetError: it exceeds the training users who did something.
  """
  task_lib.check_budget(budget)
  train = with_rows(target, users.train)
  if budget > len(train):
    raise task_lib.BudgetError(
      f'budget={budget} users of evidence, but only {len(train)} training '
      f'users of {target.name} touched the new catalogue; choose a smaller one'
    )
  evidence = target.take_users(train[:budget])

  def judged(held_out: np.ndarray) -> Judged:
    held = splits.fold_in(target.take_users(held_out), seed)
    return Judged(held.histories, held.targets, held.histories, evidence)

  return Task(
    regime, budget, source, judged(users.validation), judged(users.test)
  )


def folds(task: Task, num_folds: int, seed: int) -> tuple[Judged, ...]:
  """Cuts the evidence users into folds for cross-validation.

  A fair arm may be tuned on these folds besides the rehearsals: they are part
  of the target, but contain evidence users only. Each fold is evaluated with
  the rows of all other folds as evidence. A fold in which no user has five
  rows has no targets and is left out.

  Args:
    task: the task whose evidence is cut.
    num_folds: number of folds, at most one per user; below 2 gives none.
    seed: seed of the random draws.

  Returns:
    The folds; none if the evidence has fewer than two users.
  """
  evidence = task.test.evidence
  num_folds = min(num_folds, evidence.num_users)
  if num_folds < 2:
    return ()
  order = np.random.default_rng(seed).permutation(evidence.num_users)
  parts = []
  for part in np.array_split(order, num_folds):
    others = evidence.take_users(np.setdiff1d(order, part))
    held = splits.fold_in(evidence.take_users(part), seed)
    if len(held.targets):
      parts.append(Judged(held.histories, held.targets, held.histories, others))
  return tuple(parts)
