"""How a training run is evaluated, logged and saved.

Models that are not trained take a `Run` too, and import nothing of the loop.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Evaluate = Callable[[Any], Mapping[str, float]]
Writer = Callable[[int, Mapping[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Run:
  """How a training run is evaluated, logged and saved.

  All intervals are in steps; 0 means only at the end.

  Attributes:
    evaluate: parameters (or a model's state) -> metrics on validation data. If
      given, the result is the best parameters instead of the last ones.
    best_metric: the metric of `evaluate` that selects the best parameters;
      higher is better.
    evaluate_every: steps between evaluations.
    workdir: folder of checkpoints and metrics.jsonl; the same call with the
      same workdir resumes. None trains in memory and writes no file.
    checkpoint_every: steps between checkpoints.
    max_to_keep: number of checkpoints to keep.
    log_every: steps between records of the training metrics.
    writers: functions that also receive all metrics, as (steps done, metrics).
    description: title of the progress bar, which is shown on terminals only; ''
      shows none.
  """

  evaluate: Evaluate | None = None
  best_metric: str = ''
  evaluate_every: int = 0
  workdir: str | pathlib.Path | None = None
  checkpoint_every: int = 0
  max_to_keep: int = 2
  log_every: int = 100
  writers: Sequence[Writer] = ()
  description: str = ''

  def part(self, name: str) -> 'Run':
    """Returns the same run in a folder of its own within the workdir."""
    if self.workdir is None:
      return self
    return dataclasses.replace(self, workdir=pathlib.Path(self.workdir) / name)

  def of(self, make_state: Callable[[Any], Any]) -> 'Run':
    """Returns a run whose `evaluate` takes parameters instead of a state.

    Args:
      make_state: parameters -> the state that the present `evaluate` takes.
    """
    if self.evaluate is None:
      return self
    judge = self.evaluate
    return dataclasses.replace(
      self, evaluate=lambda params: judge(make_state(params))
    )
