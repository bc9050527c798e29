"""What a regime is, and what it makes of a data set."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


class BudgetError(DataError):
  """A budget is more evidence than the data holds."""


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
  """One regime at one budget: what is known, and who is judged.

  Attributes:
    regime: its name.
    budget: of evidence.
    source: what is known beforehand; in `new_domain` a tuple of domains.
    validation: users that an oracle is tuned on.
    test: users that the result is of.
  """

  regime: str
  budget: int
  source: Interactions | tuple[Interactions, ...]
  validation: Judged
  test: Judged


def _no_folds(task: Task, num_folds: int, seed: int) -> tuple[Judged, ...]:
  del task, num_folds, seed
  return ()


@dataclasses.dataclass(frozen=True)
class Regime:
  """A kind of news that a recommender adapts to.

  Attributes:
    name: what --regimes and result rows call it.
    title: what headings call it.
    unit: what the budget is a number of.
    flag: name of the flag that holds the budgets.
    flag_help: what that flag says of itself.
    budgets: the flag's default.
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
  """

  name: str
  title: str
  unit: str
  flag: str
  flag_help: str
  budgets: tuple[int, ...]
  look: tuple[str, str]
  make_task: Callable[..., Task]
  rehearse: Callable[[Task, int, int], tuple[Task, ...]]
  folds: Callable[[Task, int, int], tuple[Judged, ...]] = _no_folds
  has_domains: bool = False


def check_budget(budget: int) -> None:
  """Raises DataError where it is negative."""
  if budget < 0:
    raise DataError(f'budget={budget} must not be negative')


def quarter_of_users(data: Interactions) -> int:
  """How many users a rehearsal holds out twice: a quarter, and one at least."""
  return max(1, data.num_users // 4)
