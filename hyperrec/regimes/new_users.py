"""The regime of new users: the catalogue is known, and they show some items."""

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits
from hyperrec.regimes import people
from hyperrec.regimes import task as task_lib

Interactions = interactions_lib.Interactions
Judged = task_lib.Judged
Task = task_lib.Task


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """Users unseen in the source show `budget` interactions; rank the rest.

  Held-out users are in no training data, and the catalogue holds the items of
  the training users. A random fifth of a user's items are targets, the same at
  every budget; what is shown is the first `budget` of a random order of the
  others, so that budgets are nested, and the rest of the others is masked from
  the ranking. The evidence is what all judged users have shown.

  Raises:
    DataError: there are too few users.
  """
  del sources
  task_lib.check_held_out(data, num_heldout)
  users = people.drawn(data, seed, num_heldout, num_heldout)
  return _make_task(data, users, budget, seed)


def _make_task(
  data: Interactions, users: people.Users, budget: int, seed: int
) -> Task:
  task_lib.check_budget(budget)
  train = data.take_users(np.sort(users.train))
  known = np.flatnonzero(train.item_counts())
  catalogue = data.take_items(known)

  def judged(numbers: np.ndarray) -> Judged:
    held = splits.fold_in(catalogue.take_users(numbers), seed)
    shown = _first_rows_per_user(held.histories, budget, seed)
    return Judged(shown, held.targets, held.histories, shown)

  return Task(
    'new_users',
    budget,
    train.take_items(known),
    judged(users.validation),
    judged(users.test),
  )


def rehearse(task: Task, seed: int, num_domains: int = 0) -> tuple[Task]:
  """A quarter of the source's users, the same for all seeds, are new."""
  del num_domains
  source = task.source
  users = people.rehearsing(source, seed, source.num_users)
  return (_make_task(source, users, task.budget, seed),)


def interviewed(judged: Judged) -> Judged:
  """The same users, who answer questions instead of showing items.

  The evidence is what their answers come from: all their rows that are masked
  from every method's ranking. The targets are the same and answer nothing.
  """
  nothing = judged.histories.rows(np.zeros(len(judged.histories), bool))
  return judged._replace(histories=nothing, evidence=judged.seen)


def _first_rows_per_user(
  data: Interactions, count: int, seed: int
) -> Interactions:
  """The first `count` rows of each user in a seeded random order (nested)."""
  shuffled = np.random.default_rng(seed).permutation(len(data))
  order = shuffled[np.argsort(data.users[shuffled], kind='stable')]
  place = np.empty(len(data), np.int64)
  place[order] = interactions_lib.place_in_user(data.rows(order))
  return data.rows(place < count)


REGIME = task_lib.Regime(
  name='new_users',
  title='New users',
  unit='interactions that each new user has shown',
  flag='user_budgets',
  flag_help=(
    'Budgets of new users: numbers of interactions of each user that are '
    'given as evidence, such as 0,1,5,20.'
  ),
  budgets=(0, 1, 5, 20),
  look=('#2a7fc0', '^'),
  make_task=make_task,
  rehearse=rehearse,
)
