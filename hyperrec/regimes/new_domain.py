"""The regime of a new domain: users and items come from another data set."""

import itertools

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.regimes import evidence_of_users, people
from hyperrec.regimes import task as task_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Task = task_lib.Task


def make_task(
  data: Interactions,
  budget: int,
  seed: int,
  num_heldout: int,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """Users and items unseen in any source: another data set altogether.

  The evidence is what the first `budget` training users of the target (in a
  random order, so that budgets are nested; users with at least one row) did.
  Held-out users are other users of the target.

  Args:
    data: the target.
    budget: users of evidence.
    seed: of every draw.
    num_heldout: users of validation, and of test.
    sources: the source domains.

  Raises:
    DataError: no source, a source that shares users or items with another one
      or with the target, or a budget that exceeds the training users. Ids are
      numbers in many data sets, so an id counts as shared only under the same
      name.
  """
  if not sources:
    raise DataError(
      f'new_domain: {data.name} has no source domains; name one at least'
    )
  _check_disjoint(data, *sources)
  users = evidence_of_users.drawn(data, seed, num_heldout)
  return _make_task(sources, data, users, budget, seed)


def _make_task(
  sources: tuple[Interactions, ...],
  data: Interactions,
  users: people.Users,
  budget: int,
  seed: int,
) -> Task:
  return evidence_of_users.make_task(
    sources, data, users, regime='new_domain', budget=budget, seed=seed
  )


def rehearse(task: Task, seed: int, num_domains: int) -> tuple[Task, ...]:
  """Each source domain in turn is the target, and the others its sources.

  The first `num_domains` are. As many of their users are judged as in the task,
  a quarter at most, the same for all seeds; the budget is capped at the users
  that remain.

  Raises:
    DataError: one source domain alone, or no domain to rehearse on.
  """
  if len(task.source) < 2 or num_domains < 1:
    raise DataError(
      f'hyperparameters of {task.regime} are chosen on source domains in '
      f'turn: that takes two domains (there are {len(task.source)}) and '
      f'num_domains={num_domains} of at least 1; add one, or try one trial'
    )
  return tuple(
    _rehearsal(task, target, task.source[:i] + task.source[i + 1 :], seed)
    for i, target in enumerate(task.source[:num_domains])
  )


def _rehearsal(task: Task, target: Interactions, sources, seed: int) -> Task:
  users = people.rehearsing(target, seed, task.test.histories.num_users)
  most = len(evidence_of_users.with_rows(target, users.train))
  return _make_task(sources, target, users, min(task.budget, most), seed)


def _check_disjoint(*domains: Interactions) -> None:
  for a, b in itertools.combinations(domains, 2):
    if a.name != b.name:
      continue
    for what in ('user_ids', 'item_ids'):
      shared = np.intersect1d(getattr(a, what), getattr(b, what))
      if len(shared):
        raise DataError(
          f'new_domain: two domains are called {a.name!r} and share '
          f'{len(shared)} {what} (such as {shared.tolist()[0]!r}); give a '
          'domain once, and do not name the target among its sources'
        )


REGIME = task_lib.Regime(
  name='new_domain',
  title='New domain',
  unit="users' worth of evidence in the new domain",
  flag='domain_budgets',
  flag_help=(
    'Budgets of the new domain: numbers of its users whose interactions are '
    'given as evidence, such as 0,5,20,100.'
  ),
  budgets=(0, 5, 20, 100),
  look=('#d55e00', 'o'),
  make_task=make_task,
  rehearse=rehearse,
  folds=evidence_of_users.folds,
  has_domains=True,
)
