"""The adaptation regimes: a budget of evidence becomes a `Task`.

A task holds the data that a method may use (`source`, `evidence`) and the
held-out users. The `validation` users are for the oracle arm only; the fair arm
is tuned on `rehearsals`, tasks of the same regime made from the source alone.
Among returning users there is no oracle arm: their validation users are in the
source, so that anybody can tune on them.

A regime is one file with a value `REGIME`, which is listed here.
"""

from hyperrec.regimes import (
  drift,
  new_catalogue,
  new_domain,
  new_items,
  new_users,
  returning_users,
)
from hyperrec.regimes import task as task_lib

BudgetError = task_lib.BudgetError
DataError = task_lib.DataError
Interactions = task_lib.Interactions
Judged = task_lib.Judged
Regime = task_lib.Regime
Task = task_lib.Task

# In the order in which a report tells of them.
ALL = (
  returning_users.REGIME,
  new_users.REGIME,
  new_items.REGIME,
  new_catalogue.REGIME,
  new_domain.REGIME,
  drift.REGIME,
)
WITH_EVIDENCE = tuple(regime for regime in ALL if regime.has_evidence)
BY_NAME = {regime.name: regime for regime in ALL}


def find(name: str) -> Regime:
  """The regime of a name.

  Raises:
    DataError: there is none.
  """
  if name not in BY_NAME:
    raise DataError(f'regime={name!r} is unknown; use one of {list(BY_NAME)}')
  return BY_NAME[name]


def rehearsals(task: Task, seed: int, num_domains: int = 3) -> tuple[Task, ...]:
  """The same regime inside the source: what a fair arm is tuned on.

  Args:
    task: what hyperparameters are chosen for.
    seed: of every draw.
    num_domains: how many source domains rehearse, where there are several.

  Raises:
    DataError: the source cannot rehearse.
  """
  return find(task.regime).rehearse(task, seed, num_domains)


def evidence_folds(task: Task, num_folds: int, seed: int) -> tuple[Judged, ...]:
  """Parts of the evidence, each judged by the others; none in some regimes.

  Args:
    task: whose evidence is cut.
    num_folds: parts; below 2 there are none.
    seed: of the draws.
  """
  return find(task.regime).folds(task, num_folds, seed)
