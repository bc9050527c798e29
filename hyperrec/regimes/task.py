"""Types of a regime and of the tasks that it makes from a data set."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


class BudgetError(DataError):
  """A budget is more evidence than the data holds."""


class Judged(NamedTuple):
  """The users on which a method is evaluated.

  Attributes:
    histories: interactions of each user that the method is shown.
    targets: held-out interactions that the method must find.
    seen: items excluded from the ranking; a superset of the histories.
    evidence: interactions that `adapt` receives.
    candidates: int [N], the items that are ranked, which hold all targets;
      None ranks the whole catalogue.
  """

  histories: Interactions
  targets: Interactions
  seen: Interactions
  evidence: Interactions
  candidates: np.ndarray | None = None


class Task(NamedTuple):
  """One regime at one budget: the known data and the held-out users.

  Attributes:
    regime: name of the regime.
    budget: amount of evidence.
    source: the data known beforehand; in `new_domain` a tuple of domains.
    validation: users on which the oracle arm is tuned, if the regime has one.
    test: users on which the result is measured.
    views: names -> other targets or candidates of the test users, on which
      the same adapted state is evaluated too.
    num_arriving: number of items that an adaptation takes in; 0 in regimes
      where none arrive.
  """

  regime: str
  budget: int
  source: Interactions | tuple[Interactions, ...]
  validation: Judged
  test: Judged
  views: Mapping[str, Judged] = types.MappingProxyType({})
  num_arriving: int = 0


def _no_folds(task: Task, num_folds: int, seed: int) -> tuple[Judged, ...]:
  del task, num_folds, seed
  return ()


@dataclasses.dataclass(frozen=True)
class Regime:
  """A kind of change that a recommender adapts to.

  Attributes:
    name: name in --regimes and in result rows.
    title: name in headings.
    unit: unit of the budget; empty in a regime without evidence.
    flag: name of the flag that holds the budgets; empty in a regime without
      evidence.
    flag_help: help text of that flag.
    budgets: default value of that flag; 0 alone in a regime without evidence.
    look: colour and marker in figures.
    make_task: (data, budget, seed, num_heldout, sources) -> the task. `data`
      is where the judged users come from, `num_heldout` the number of
      validation users, and of test users. `sources` are the source domains
      where `has_domains`, and empty elsewhere. Raises DataError where the data
      cannot be cut so, and BudgetError where the budget alone is too large.
    rehearse: (task, seed, num_domains) -> tasks of this regime inside the
      task's source.
    folds: (task, num_folds, seed) -> parts of the evidence that are judged by
      the others.
    has_domains: whether the source is other data sets.
    has_oracle: whether the validation users of a task are out of reach of a
      real adaptation, so that an arm tuned on them is an oracle.
  """

  name: str
  title: str
  look: tuple[str, str]
  make_task: Callable[..., Task]
  rehearse: Callable[[Task, int, int], tuple[Task, ...]]
  unit: str = ''
  flag: str = ''
  flag_help: str = ''
  budgets: tuple[int, ...] = (0,)
  folds: Callable[[Task, int, int], tuple[Judged, ...]] = _no_folds
  has_domains: bool = False
  has_oracle: bool = True

  @property
  def has_evidence(self) -> bool:
    """Whether an adaptation is given data beside the source."""
    return bool(self.flag)


def check_budget(budget: int) -> None:
  """Raises DataError where it is negative."""
  if budget < 0:
    raise DataError(f'budget={budget} must not be negative')


def check_held_out(data: Interactions, num_heldout: int) -> None:
  """Raises DataError where no user is held out, or none left for training."""
  if num_heldout < 1 or data.num_users <= 2 * num_heldout:
    raise DataError(
      f'{data.name}: {data.num_users} users cannot give '
      f'num_heldout={num_heldout} validation users and as many test users and '
      f'keep one for training; {splits.heldout_remedy(data)}'
    )
