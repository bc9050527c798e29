"""What a regime makes of a data set: what is known, and who is judged."""

from typing import NamedTuple

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions


class BudgetError(interactions_lib.DataError):
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


def check_budget(budget: int) -> None:
  """Raises DataError where it is negative."""
  if budget < 0:
    raise interactions_lib.DataError(f'budget={budget} must not be negative')
