"""Goals that were set beforehand, beside what was measured."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments import pooled


class Goal(NamedTuple):
  """A goal for ratios on several data sets.

  Attributes:
    what: what is divided by what.
    least: the ratio that is asked for.
    logs: data set -> the logarithm of the ratio on it.
    on_each: whether it is asked for on each data set, instead of in the mean.
  """

  what: str
  least: float
  logs: dict[str, float]
  on_each: bool = False


def table(goals: Iterable[Goal]) -> str:
  """A line for each goal: what was asked for, measured, and whether it is met.

  A mean that reaches its goal while its interval does not is not sure.
  """
  lines = ['| goal | asked for | measured | |', '|---|---:|---:|---|']
  for goal in goals:
    where = 'on each set' if goal.on_each else 'in the mean'
    lines.append(
      f'| {goal.what} | {goal.least:g} {where} | {" | ".join(_found(goal))} |'
    )
  return '\n'.join(lines)


def _found(goal: Goal) -> Sequence[str]:
  """What was measured, and the word on it."""
  if len(goal.logs) < pooled.FEWEST_SETS:
    return 'too few sets', 'open'
  if goal.on_each:
    below = {n for n, log in goal.logs.items() if math.exp(log) < goal.least}
    worst = min(goal.logs, key=goal.logs.get)
    told = f'{math.exp(goal.logs[worst]):.3f} ({worst})'
    of = f'missed on {len(below)} of {len(goal.logs)}'
    return told, of if below else 'met'
  found = pooled.pooled_ratio(list(goal.logs.values()))
  told = pooled.pooled(list(goal.logs.values()))
  if found.mean < goal.least:
    return told, 'missed'
  return told, 'met' if found.low >= goal.least else 'met, not sure'
