"""Points of curves over the number of questions, and the file they go to."""

import collections
import json
import math
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from experiments import script
from hyperrec import whole_file
from hyperrec.evaluation import significance


class Measured(NamedTuple):
  """One arm at one number of questions, of one seed.

  Attributes:
    arm: how questions are chosen, or what is done instead.
    condition: what may be asked.
    questions: how many.
    answered: share of them that got an answer.
    metrics: metric -> [B] value of each user who has one.
  """

  arm: str
  condition: str
  questions: int
  answered: float
  metrics: dict[str, np.ndarray]


def points(measured: Iterable[Measured]) -> list[dict]:
  """Means over users and seeds, intervals, and effects over random questions.

  Args:
    measured: the seeds in the same order for every arm.
  """
  groups = collections.defaultdict(list)
  for row in measured:
    groups[row.arm, row.condition, row.questions].append(row)
  return [
    _point(rows, groups.get(('random', condition, q)))
    for (_, condition, q), rows in groups.items()
  ]


def _point(rows: list[Measured], rivals: list[Measured] | None) -> dict:
  first = rows[0]
  point = {
    'arm': first.arm,
    'condition': first.condition,
    'questions': first.questions,
    'answered': sum(row.answered for row in rows) / len(rows),
    'metrics': {},
    'against_random': {},
  }
  for metric in first.metrics:
    by_seed = [row.metrics[metric] for row in rows]
    low, high = significance.bootstrap_interval(by_seed, seed=0)
    means = [float(of_users.mean()) for of_users in by_seed]
    point['metrics'][metric] = {
      'mean': sum(means) / len(means),
      'low': low,
      'high': high,
      'by_seed': means,
    }
    if rivals is not None and first.arm != 'random':
      point['against_random'][metric] = significance.paired_bootstrap(
        by_seed, [rival.metrics[metric] for rival in rivals], seed=0
      )._asdict()
  return point


def write(found: list[dict], path: str | pathlib.Path, **about) -> None:
  """Writes points, what they are about, and what made them."""
  document = {**about, 'curves': found, **script.provenance()}
  whole_file.write_whole(path, as_json(document).encode())


def as_json(document) -> str:
  """Readable JSON; what is no number is null."""
  return json.dumps(_clean(document), indent=1) + '\n'


def _clean(value):
  if isinstance(value, dict):
    return {key: _clean(inner) for key, inner in value.items()}
  if isinstance(value, list | tuple):
    return [_clean(inner) for inner in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
