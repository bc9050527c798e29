"""The adaptation regimes: a budget of evidence becomes a `Task`.

A task holds all that a method may see (`source`, `evidence`) and the users it
is judged on. `validation` users serve the oracle arm only; the fair arm tunes
on `rehearsals`, the same regime cut out of the source alone.
"""

import itertools
from typing import NamedTuple

import numpy as np

from hyperrec.data import drift, splits
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import task as task_lib

DataError = interactions_lib.DataError
HeldOut = splits.HeldOut
Interactions = interactions_lib.Interactions


REGIMES = ('new_users', 'new_catalogue', 'new_domain', 'drift')


Judged = task_lib.Judged
Task = task_lib.Task


def new_users(
  data: Interactions, budget: int, seed: int, num_heldout: int
) -> Task:
  """Users unseen in the source show `budget` interactions; rank the rest.

  The split is strong generalization. A user's targets are the same at every
  budget; what is shown is the first `budget` of a random order of the
  fold-in, so that budgets are nested, and the rest of the fold-in is masked
  from the ranking. The evidence is what all judged users have shown.
  """
  task_lib.check_budget(budget)
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


def interviewed(judged: Judged) -> Judged:
  """The same users, who answer questions instead of showing items.

  The evidence is what their answers come from: all their rows that are masked
  from every method's ranking. The targets are the same and answer nothing.
  """
  nothing = judged.histories.rows(np.zeros(len(judged.histories), bool))
  return judged._replace(histories=nothing, evidence=judged.seen)


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
  users = _drawn_users(data, seed, num_heldout)
  source, target = splits.item_halves(data, seed)
  source = source.take_users(users.train)
  return _by_users(
    source, target, users, regime='new_catalogue', budget=budget, seed=seed
  )


def new_domain(
  target: Interactions,
  sources: tuple[Interactions, ...],
  budget: int,
  seed: int,
  num_heldout: int,
) -> Task:
  """Users and items unseen in any source: another data set altogether.

  The evidence is what the first `budget` training users of the target (in a
  random order, so that budgets are nested; users with at least one row) did.
  Held-out users are other users of the target.

  Raises:
    DataError: no source, a source that shares users or items with another one
      or with the target, or a budget that exceeds the training users. Ids are
      numbers in many data sets, so an id counts as shared only under the same
      name.
  """
  if not sources:
    raise DataError(
      f'new_domain: {target.name} has no source domains; name one at least'
    )
  _check_disjoint(target, *sources)
  users = _drawn_users(target, seed, num_heldout)
  return _by_users(
    sources, target, users, regime='new_domain', budget=budget, seed=seed
  )


def make_task(
  data: Interactions,
  regime: str,
  budget: int,
  seed: int,
  num_heldout: int,
  *,
  sources: tuple[Interactions, ...] = (),
) -> Task:
  """The task of a named regime.

  Args:
    data: where the judged users come from.
    regime: one of `REGIMES`.
    budget: of evidence, in the regime's own unit.
    seed: of every draw.
    num_heldout: users of validation, and of test.
    sources: the source domains of `new_domain`; the others cut their source
      out of `data`.

  Raises:
    DataError: an unknown regime or an impossible budget.
  """
  if regime == 'new_domain':
    return new_domain(data, sources, budget, seed, num_heldout)
  regimes = {
    'new_users': new_users,
    'new_catalogue': new_catalogue,
    'drift': drift.drift,
  }
  if regime not in regimes:
    raise DataError(f'regime={regime!r} is unknown; use one of {REGIMES}')
  return regimes[regime](data, budget, seed, num_heldout)


def rehearsals(task: Task, seed: int, num_domains: int = 3) -> tuple[Task, ...]:
  """The same regime inside the source: what a fair arm is tuned on.

  Where there is one source, a quarter of its users are held out twice. Where
  there are several, each of the first `num_domains` in turn is the target and
  all others are its sources; of users are held out as many as in the task, a
  quarter at most. The budget is capped at the users that remain.

  Raises:
    DataError: one source domain alone, or no domain to rehearse on.
  """
  if isinstance(task.source, Interactions):
    return (_rehearsal(task, task.source, (), seed),)
  if len(task.source) < 2 or num_domains < 1:
    raise DataError(
      f'hyper-parameters of {task.regime} are chosen on source domains in '
      f'turn: that takes two domains (there are {len(task.source)}) and '
      f'num_domains={num_domains} of at least 1; add one, or try one trial'
    )
  return tuple(
    _rehearsal(task, target, task.source[:i] + task.source[i + 1 :], seed)
    for i, target in enumerate(task.source[:num_domains])
  )


def evidence_folds(task: Task, num_folds: int, seed: int) -> tuple[Judged, ...]:
  """The users of the evidence in turn: each part judged by what others did.

  What a fair arm may be tuned on besides rehearsals: the target itself, but
  no user that is not evidence. Every part is judged with the rows of all
  other parts as its evidence. A part none of whose users has five rows hides
  nothing and is left out.

  Args:
    task: of a regime whose evidence is users' rows (new_catalogue,
      new_domain); others have no such folds.
    num_folds: parts, or as many as there are users; below 2 there are none.
    seed: of the draws.

  Returns:
    The parts, none where there are fewer than two users.
  """
  is_of_users = task.regime in ('new_catalogue', 'new_domain')
  evidence = task.test.evidence
  num_folds = min(num_folds, evidence.num_users)
  if not is_of_users or num_folds < 2:
    return ()
  order = np.random.default_rng(seed).permutation(evidence.num_users)
  folds = []
  for part in np.array_split(order, num_folds):
    others = evidence.take_users(np.setdiff1d(order, part))
    held = splits.fold_in(evidence.take_users(part), seed)
    if len(held.targets):
      folds.append(Judged(held.histories, held.targets, held.histories, others))
  return tuple(folds)


def _rehearsal(task: Task, target: Interactions, sources, seed: int) -> Task:
  num_heldout = max(1, target.num_users // 4)
  if sources:
    num_heldout = min(num_heldout, task.test.histories.num_users)
  budget = task.budget
  if task.regime in ('new_catalogue', 'new_domain'):
    users = _drawn_users(target, seed, num_heldout)
    halves = (target,) if sources else splits.item_halves(target, seed)
    budget = min(budget, len(_with_rows(halves[-1], users.train)))
  return make_task(
    target, task.regime, budget, seed, num_heldout, sources=sources
  )


class _Users(NamedTuple):
  """Training and held-out users of a data set, in a random order."""

  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


def _drawn_users(data: Interactions, seed: int, num_heldout: int) -> _Users:
  cut = data.num_users - 2 * num_heldout
  if num_heldout < 1 or cut < 1:
    raise DataError(
      f'{data.name}: {data.num_users} users cannot hold out 2 x '
      f'num_heldout={num_heldout}; {splits.heldout_remedy(data)}'
    )
  order = np.random.RandomState(seed).permutation(data.num_users)
  return _Users(order[:cut], order[cut:-num_heldout], order[-num_heldout:])


def _by_users(
  source,
  target: Interactions,
  users: _Users,
  *,
  regime: str,
  budget: int,
  seed: int,
) -> Task:
  """A task whose evidence is what `budget` training users did in `target`."""
  task_lib.check_budget(budget)
  train = _with_rows(target, users.train)
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


def _with_rows(data: Interactions, users: np.ndarray) -> np.ndarray:
  return users[data.user_counts()[users] > 0]


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


def first_rows_per_user(
  data: Interactions, count: int, seed: int
) -> Interactions:
  """The first `count` rows of each user in a seeded random order (nested)."""
  shuffled = np.random.default_rng(seed).permutation(len(data))
  order = shuffled[np.argsort(data.users[shuffled], kind='stable')]
  place = np.empty(len(data), np.int64)
  place[order] = interactions_lib.place_in_user(data.rows(order))
  return data.rows(place < count)
