"""Result rows: one JSON object for each method, task, budget and seed."""

import collections
import json
import math
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from hyperrec.evaluation import significance

PRIMARY = 'ndcg@100'
NEEDED = ('dataset', 'budget', 'method', 'seed')

Row = dict[str, Any]


class ResultError(ValueError):
  """A result file or row is not what it should be."""


class Task(NamedTuple):
  """What a group of rows is about."""

  dataset: str
  regime: str


class Cell(NamedTuple):
  """A method at a budget, over its seeds.

  Attributes:
    method: with its arm after a colon.
    budget: of evidence.
    quality: mean of the primary metric, None where the method refused.
    interval: of the quality, 95%, over users and seeds.
    per_user: values of each seed, for paired comparisons.
    metrics: means of all metrics.
    prepare: mean costs.
    adapt: mean costs.
    cannot: the refusal, or None.
  """

  method: str
  budget: int
  quality: float | None
  interval: tuple[float, float] | None
  per_user: tuple[np.ndarray, ...]
  metrics: dict[str, float]
  prepare: dict[str, float]
  adapt: dict[str, float]
  cannot: str | None


def validate(row: Row, where: str = 'row') -> Row:
  """Returns the row; raises ResultError naming what it lacks."""
  missing = [name for name in NEEDED if name not in row]
  if 'regime' not in row and 'split' not in row:
    missing.append('regime (or split)')
  if 'cannot' not in row:
    missing += [n for n in ('metrics', 'prepare', 'adapt') if n not in row]
  if missing:
    raise ResultError(f'{where}: no {", ".join(missing)}')
  for name, value in row.get('metrics', {}).items():
    if not isinstance(value, int | float) or not math.isfinite(value):
      raise ResultError(f'{where}: metric {name} is {value!r}')
  if 'cannot' not in row and PRIMARY not in row['metrics']:
    raise ResultError(f'{where}: the primary metric {PRIMARY} is missing')
  return row


def read_json_lines(path: str | pathlib.Path) -> list[Row]:
  """The rows of a file; none where it does not exist yet.

  A last line torn by a killed run is left out.

  Raises:
    ResultError: another line is not a row.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  rows = []
  lines = path.read_text().splitlines()
  for number, line in enumerate(lines, 1):
    try:
      rows.append(validate(json.loads(line), f'{path}, line {number}'))
    except json.JSONDecodeError as error:
      if number < len(lines):
        raise ResultError(f'{path}, line {number}: {error}') from error
  return rows


def append_json_line(row: Row, path: str | pathlib.Path) -> None:
  """Adds a row; a torn last line is cut off first."""
  path = pathlib.Path(path)
  text = path.read_text() if path.exists() else ''
  if text and not text.endswith('\n'):
    path.write_text(text[: text.rfind('\n') + 1])
  with path.open('a') as file:
    file.write(json.dumps(validate(row)) + '\n')


def write_json(rows: Iterable[Row], path: str | pathlib.Path) -> None:
  """Writes all rows as one array, whole or not at all."""
  path = pathlib.Path(path)
  lines = ',\n'.join(json.dumps(validate(row)) for row in rows)
  temporary = path.with_suffix('.tmp')
  temporary.write_text(f'[\n{lines}\n]\n')
  temporary.replace(path)


def read_json(path: str | pathlib.Path) -> list[Row]:
  """The rows of an array written by `write_json`."""
  try:
    rows = json.loads(pathlib.Path(path).read_text())
  except (OSError, ValueError) as error:
    raise ResultError(f'{path}: {error}') from error
  return [validate(row, f'{path}, row {i}') for i, row in enumerate(rows)]


def is_oracle(method: str) -> bool:
  """Whether the arm was tuned on validation users of the target."""
  return method.endswith(':oracle')


def by_task(rows: Iterable[Row]) -> dict[Task, list[Cell]]:
  """Cells of each (dataset, regime), methods in the order they appear."""
  groups = collections.defaultdict(lambda: collections.defaultdict(list))
  for row in rows:
    task = Task(row['dataset'], row.get('regime') or row['split'])
    groups[task][row['method'], row['budget']].append(row)
  return {
    task: [_cell(*key, group) for key, group in cells.items()]
    for task, cells in groups.items()
  }


def _cell(method: str, budget: int, rows: list[Row]) -> Cell:
  refused = [row['cannot'] for row in rows if 'cannot' in row]
  if refused:
    return Cell(method, budget, None, None, (), {}, {}, {}, refused[0])
  rows = sorted(rows, key=lambda row: row['seed'])
  per_user = tuple(np.array(row.get('per_user', ())) for row in rows)
  metrics = _mean([row['metrics'] for row in rows])
  if all(len(values) for values in per_user):
    interval = significance.bootstrap_interval(per_user, seed=0)
  else:
    ends = [row['interval'][PRIMARY] for row in rows if 'interval' in row]
    interval = tuple(np.mean(ends, axis=0).tolist()) if ends else None
    per_user = ()
  return Cell(
    method,
    budget,
    metrics[PRIMARY],
    interval,
    per_user,
    metrics,
    _mean([row['prepare'] for row in rows]),
    _mean([row['adapt'] for row in rows]),
    None,
  )


def _mean(records: list[dict[str, Any]]) -> dict[str, float]:
  names = set.intersection(*(set(record) for record in records))
  return {name: float(np.mean([r[name] for r in records])) for name in names}
