"""An arm: what the adaptation experiment tunes, runs and reports a row of."""

from collections.abc import Callable
from typing import NamedTuple

from experiments.adaptation import grids
from hyperrec import method as method_lib


class Arm(NamedTuple):
  """A builder of a `Method` and the hyper-parameters to try on it.

  Attributes:
    build: takes the fields of a trial, and `num_questions` of an interview.
    trials: most promising first.
    interviews: the budget is of questions, not of shown items.
    family: arms of one family prepare alike, and so need to only once.
  """

  build: Callable[..., method_lib.Method]
  trials: tuple[grids.Trial, ...]
  interviews: bool = False
  family: str | None = None
