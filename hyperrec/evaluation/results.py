"""Result rows: one JSON object for each method, task, budget and seed."""

import collections
import json
import math
import numbers
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from hyperrec import whole_file
from hyperrec.evaluation import significance

PRIMARY = 'ndcg@100'
COSTS = {
  'prepare': ('flops', 'seconds', 'peak_bytes'),
  'adapt': ('flops', 'seconds', 'peak_bytes', 'stored_bytes'),
}

Row = dict[str, Any]


class ResultError(ValueError):
  """A result file cannot be read, or a result row is invalid."""


class Task(NamedTuple):
  """The task of result rows: a data set, and its regime (or split)."""

  dataset: str
  regime: str


class Cell(NamedTuple):
  """The results of a method at a budget, over its seeds.

  Attributes:
    method: name of the method, with its arms after colons.
    budget: amount of evidence.
    quality: mean of the primary metric; None if the method refused every seed.
    interval: 95% interval of the quality, over users and seeds.
    per_user: seed -> the users' values, for paired comparisons; empty if any
      row has none.
    metrics: means of all metrics.
    prepare: mean costs of preparing on the source.
    adapt: mean costs of an adaptation.
    score: mean seconds of scoring, by the size of the batch; may be empty.
    tuning: mean trials and seconds of tuning; may be empty.
    seeds: the seeds that ran.
    cannot: seed -> reason why the method refused the task.
  """

  method: str
  budget: int
  quality: float | None
  interval: tuple[float, float] | None
  per_user: dict[int, np.ndarray]
  metrics: dict[str, float]
  prepare: dict[str, float]
  adapt: dict[str, float]
  score: dict[str, float]
  tuning: dict[str, float]
  seeds: tuple[int, ...]
  cannot: dict[int, str]


def validate(row: Any, where: str = 'row') -> Row:
  """Returns the row unchanged if it is valid.

  Args:
    row: a result row.
    where: the place of the row, for the error message.

  Raises:
    ResultError: a field is missing or has a wrong value. The message names the
      place and the field.
  """
  if not isinstance(row, dict):
    raise ResultError(f'{where}: {row!r:.60} is not a JSON object')
  needed = ['dataset', 'budget', 'method', 'seed']
  needed += [] if 'cannot' in row else ['metrics', 'prepare', 'adapt']
  missing = [name for name in needed if name not in row]
  if not (row.get('regime') or row.get('split')):
    missing.append('regime (or split)')
  if missing:
    raise ResultError(f'{where}: no {", ".join(missing)}')
  for name in ('budget', 'seed'):
    if not _is_number(row[name], numbers.Integral) or row[name] < 0:
      raise ResultError(f'{where}: {name} is {row[name]!r}, not an integer')
  for name in ('dataset', 'method'):
    if not isinstance(row[name], str) or not row[name]:
      raise ResultError(f'{where}: {name} is {row[name]!r}, not a name')
  if 'cannot' not in row:
    _check_measured(row, where)
  return row


def _check_measured(row: Row, where: str) -> None:
  where = f'{where} ({row["method"]}, budget {row["budget"]})'
  if PRIMARY not in row['metrics']:
    raise ResultError(f'{where}: the primary metric {PRIMARY} is missing')
  for name, value in row['metrics'].items():
    _check_number(value, f'{where}: metric {name}')
  for name, ends in row.get('interval', {}).items():
    if len(ends) != 2:
      raise ResultError(f'{where}: interval of {name} is {ends}, not [lo, hi]')
    for end in ends:
      _check_number(end, f'{where}: interval of {name}')
  for part, names in COSTS.items():
    for name in names:
      if name not in row[part]:
        raise ResultError(f'{where}: {part} has no {name}')
      _check_number(row[part][name], f'{where}: {part} {name}', low=0)
  for value in row.get('per_user', ()):
    _check_number(value, f'{where}: per_user')


def _is_number(value: Any, kind: type = numbers.Real) -> bool:
  return isinstance(value, kind) and not isinstance(value, bool)


def _check_number(value: Any, what: str, low: float = -math.inf) -> None:
  if not (_is_number(value) and math.isfinite(value) and value >= low):
    kind = 'a finite number' if low < 0 else 'a finite number from 0'
    raise ResultError(f'{what} is {value!r}, not {kind}')


def read_json_lines(path: str | pathlib.Path) -> list[Row]:
  """Reads the rows of a file; there are none if it does not exist yet.

  A last line that a killed run left incomplete is skipped.

  Raises:
    ResultError: another line is not JSON, or a row is invalid.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  rows = []
  lines = path.read_bytes().splitlines()
  for number, line in enumerate(lines, 1):
    try:
      row = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
      if number < len(lines):
        raise ResultError(
          f'{path}, line {number} is not JSON ({error}); delete that line, so '
          'that its cell is run again'
        ) from error
    else:
      rows.append(validate(row, f'{path}, line {number}'))
  return rows


def append_json_line(row: Row, path: str | pathlib.Path) -> None:
  """Appends a row to a file; an incomplete last line is removed first."""
  whole_file.append_line(path, json.dumps(validate(row)))


def write_json(rows: Iterable[Row], path: str | pathlib.Path) -> None:
  """Writes all rows as one array, whole or not at all."""
  lines = ',\n'.join(
    json.dumps(validate(row), separators=(',', ':')) for row in rows
  )
  whole_file.write_whole(path, f'[\n{lines}\n]\n'.encode())


def read_json(path: str | pathlib.Path) -> list[Row]:
  """Reads the rows of an array that `write_json` wrote.

  Raises:
    ResultError: the file cannot be read, or a row is invalid.
  """
  try:
    rows = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
  except (OSError, ValueError, RecursionError) as error:
    raise ResultError(f'{path}: {error}') from error
  if not isinstance(rows, list):
    raise ResultError(f'{path}: holds no JSON array of rows')
  return [validate(row, f'{path}, row {i}') for i, row in enumerate(rows)]


def task_of(row: Row) -> Task:
  """Returns the task of a row."""
  return Task(row['dataset'], row.get('regime') or row['split'])


def by_task(rows: Iterable[Row]) -> dict[Task, list[Cell]]:
  """Groups rows into the cells of each task, in the order of the rows.

  Raises:
    ResultError: a row is invalid, or a cell has two different rows of one seed.
  """
  groups = collections.defaultdict(lambda: collections.defaultdict(dict))
  for row in map(validate, rows):
    task = task_of(row)
    cell = groups[task][row['method'], row['budget']]
    if cell.setdefault(row['seed'], row) != row:
      raise ResultError(
        f'{task.dataset}, {task.regime}: two different rows of '
        f'{row["method"]}, budget {row["budget"]}, seed {row["seed"]}; '
        'keep one'
      )
  return {
    task: [
      _cell(*key, [by_seed[seed] for seed in sorted(by_seed)])
      for key, by_seed in cells.items()
    ]
    for task, cells in groups.items()
  }


def _cell(method: str, budget: int, rows: list[Row]) -> Cell:
  cannot = {row['seed']: row['cannot'] for row in rows if 'cannot' in row}
  ran = [row for row in rows if 'cannot' not in row]
  per_user = {}
  if all(row.get('per_user') for row in ran):
    per_user = {row['seed']: np.array(row['per_user']) for row in ran}
  metrics = _mean([row['metrics'] for row in ran])
  return Cell(
    method=method,
    budget=budget,
    quality=metrics.get(PRIMARY),
    interval=_interval(ran, per_user),
    per_user=per_user,
    metrics=metrics,
    prepare=_mean([row['prepare'] for row in ran]),
    adapt=_mean([row['adapt'] for row in ran]),
    score=_mean([row.get('score', {}) for row in ran]),
    tuning=_mean([row.get('tuning', {}) for row in ran]),
    seeds=tuple(row['seed'] for row in ran),
    cannot=cannot,
  )


def _interval(
  ran: list[Row], per_user: dict[int, np.ndarray]
) -> tuple[float, float] | None:
  """The interval from the users' values, or the one stated by a single row."""
  if per_user:
    return significance.bootstrap_interval(list(per_user.values()), seed=0)
  if len(ran) == 1 and PRIMARY in ran[0].get('interval', {}):
    return tuple(ran[0]['interval'][PRIMARY])
  return None


def _mean(records: list[dict[str, Any]]) -> dict[str, float]:
  if not records:
    return {}
  names = [n for n in records[0] if all(n in other for other in records)]
  return {name: float(np.mean([r[name] for r in records])) for name in names}
