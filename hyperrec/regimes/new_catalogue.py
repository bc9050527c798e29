"""The regime of a new catalogue: all of its items are new."""

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits
from hyperrec.regimes import evidence_of_users, people
from hyperrec.regimes import task as task_lib

Interactions = interactions_lib.Interactions
Task = task_lib.Task


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """Items unseen in the source, and `budget` users' worth of evidence.

  The catalogue is cut in two random halves. The source is what training users
  did in one half; the evidence what the first `budget` of them (in a random
  order, so that budgets are nested; users with at least one row) did in the
  other. Held-out users appear in neither, and are judged on the other half.

  Raises:
    DataError: the budget exceeds the training users.
  """
  del sources
  users = evidence_of_users.drawn(data, seed, num_heldout)
  return _make_task(data, users, budget, seed)


def _make_task(
  data: Interactions, users: people.Users, budget: int, seed: int
) -> Task:
  source, target = splits.item_halves(data, seed)
  source = source.take_users(users.train)
  return evidence_of_users.make_task(
    source, target, users, regime='new_catalogue', budget=budget, seed=seed
  )


def rehearse(task: Task, seed: int, num_domains: int = 0) -> tuple[Task]:
  """Half of the source's items are new to its other half.

  A quarter of its users, the same for all seeds, are judged. The budget is
  capped at the users that remain.
  """
  del num_domains
  source = task.source
  users = people.rehearsing(source, seed, source.num_users)
  _, target = splits.item_halves(source, seed)
  most = len(evidence_of_users.with_rows(target, users.train))
  return (_make_task(source, users, min(task.budget, most), seed),)


REGIME = task_lib.Regime(
  name='new_catalogue',
  title='New catalogue',
  unit="users' worth of evidence on items that the source lacks",
  flag='catalogue_budgets',
  flag_help=(
    'Budgets of the new catalogue: numbers of users whose interactions with '
    'its items are given as evidence, such as 0,5,20,100.'
  ),
  budgets=(0, 5, 20, 100),
  look=('#009e73', 's'),
  make_task=make_task,
  rehearse=rehearse,
  folds=evidence_of_users.folds,
)
