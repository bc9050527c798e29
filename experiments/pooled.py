"""Tables that pool the results of several data sets.

Rows are those of `experiments.adaptation.run`. A cell is the rows of one data
set, budget and method; its seeds are averaged.
"""

import collections
import itertools
import json
import math
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from experiments import catalogue, pictures
from experiments.adaptation import stored_rows
from hyperrec import whole_file
from hyperrec.evaluation import results, significance

Row = results.Row

# The largest loss to the best rival that counts as none.
CLOSE = 0.01
# Fewest data sets over which ratios are pooled.
FEWEST_SETS = 3

# Fields whose values many rows of a file share, and that are stored once.
_SHARED = ('flags', 'versions', 'commit', 'data', 'people')


def read(folder: pathlib.Path) -> list[Row]:
  """All rows that a folder holds, one JSON file for each data set."""
  return [row for path in sorted(folder.glob('*.json')) for row in _load(path)]


def take_in(rows: Sequence[Row], folder: pathlib.Path) -> None:
  """Adds rows to the file of their data set; the same cell is replaced."""
  folder.mkdir(parents=True, exist_ok=True)
  by_set = collections.defaultdict(list)
  for row in rows:
    by_set[row['dataset']].append(row)
  for name, new in by_set.items():
    path = folder / (re.sub(r'\W+', '_', name) + '.json')
    old = _load(path) if path.exists() else []
    merged = {stored_rows.row_key(row): row for row in [*old, *new]}
    stored_rows.check_alike(merged.values())
    _save(list(merged.values()), path)


def _save(rows: Sequence[Row], path: pathlib.Path) -> None:
  """Writes rows; in place of a shared value, a row has its number."""
  shared = {name: [] for name in _SHARED}
  numbered = []
  for row in map(results.validate, rows):
    numbers = {}
    for name in shared.keys() & row.keys():
      if row[name] not in shared[name]:
        shared[name].append(row[name])
      numbers[name] = shared[name].index(row[name])
    numbered.append({**row, **numbers})
  lines = [json.dumps(row, separators=(',', ':')) for row in numbered]
  text = json.dumps(shared, separators=(',', ':'))
  rows_text = ',\n'.join(lines)
  whole_file.write_whole(
    path, f'{{"shared":{text},\n"rows":[\n{rows_text}\n]}}\n'.encode()
  )


def _load(path: pathlib.Path) -> list[Row]:
  """Reads what `_save` wrote.

  Raises:
    ResultError: the file cannot be read, or a row is invalid.
  """
  try:
    document = json.loads(path.read_text(encoding='utf-8'))
    rows = [
      {
        **row,
        **{n: v[row[n]] for n, v in document['shared'].items() if n in row},
      }
      for row in document['rows']
    ]
  except (OSError, ValueError, TypeError, LookupError) as error:
    raise results.ResultError(
      f'{path}: {error!r}; make it again by --take=WORKDIR'
    ) from error
  return [
    results.validate(row, f'{path}, row {i}') for i, row in enumerate(rows)
  ]


def ran(rows: Sequence[Row]) -> list[Row]:
  """The rows of methods that served."""
  return [row for row in rows if 'cannot' not in row]


def mean_of(rows: Sequence[Row], name: str, view: str | None = None) -> float:
  """Mean of a metric over seeds, in the ranking that counts or in a view."""
  found = [(row if view is None else row['views'][view]) for row in rows]
  return float(np.mean([each['metrics'][name] for each in found]))


def ratio(
  own: Sequence[Row], other: Sequence[Row], view: str | None = None
) -> float | None:
  """Mean NDCG@100 over that of another method, on the seeds that both have.

  None if they have no seed in common, or if one of them finds nothing.

  Args:
    own: rows of a method on one data set at one budget.
    other: those of the other method.
    view: a view of the ranking; None is the ranking that counts.
  """
  seeds = {row['seed'] for row in own} & {row['seed'] for row in other}
  if not seeds:
    return None
  mine, theirs = (
    mean_of([r for r in rows if r['seed'] in seeds], results.PRIMARY, view)
    for rows in (own, other)
  )
  return mine / theirs if mine and theirs else None


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple, list[Row]]:
  """Rows by the values of some of their fields."""
  groups = collections.defaultdict(list)
  for row in ran(rows):
    groups[tuple(row[name] for name in names)].append(row)
  return dict(groups)


def best_rival(
  cells: dict[str, list[Row]], also: Sequence[str] = ()
) -> str | None:
  """The rival with the best validation value among those of all seeds.

  Args:
    cells: method -> rows of one data set and budget.
    also: methods of another role that count as rivals.
  """
  most = max(map(len, cells.values()))
  values = {
    name: float(np.mean([row['validation'] for row in rows]))
    for name, rows in cells.items()
    if (catalogue.BY_NAME[name].role == 'rival' or name in also)
    and len(rows) == most
    and all(row.get('validation') is not None for row in rows)
  }
  return max(values, key=values.__getitem__) if values else None


def pooled_table(
  rows: Sequence[Row], methods: Sequence[str], evidence: str
) -> str:
  """Methods over the rival that validation prefers, pooled over data sets.

  Args:
    rows: all rows.
    methods: names of the methods that are held against the rivals.
    evidence: heading of the column of budgets.
  """
  budgets = sorted({row['budget'] for row in rows})
  lines = [
    f'| method | {evidence} | sets | ratio to the best rival '
    '[95%] | lowest | highest |',
    '|---|---:|---:|---:|---|---|',
  ]
  for ours, budget in itertools.product(methods, budgets):
    found = over_best_rival(rows, ours, budget)
    lines.append(f'| {ours} {_pooled_line(budget, found)}')
  return '\n'.join(lines)


def over_best_rival(
  rows: Sequence[Row], ours: str, budget: int, also: Sequence[str] = ()
) -> dict[str, float]:
  """The log ratio to the rival that validation prefers, on each data set.

  Args:
    rows: all rows.
    ours: name of the method.
    budget: one of the budgets.
    also: methods of another role that count as rivals.

  Returns:
    "data set, rival" -> log ratio.
  """
  found = {}
  by_cell = grouped(rows, 'dataset', 'budget', 'method')
  for name in dict.fromkeys(key[0] for key in by_cell):
    cells = {
      method: own
      for (data, b, method), own in by_cell.items()
      if (data, b) == (name, budget)
    }
    rival = best_rival(cells, also) if ours in cells else None
    if rival and (found_ratio := ratio(cells[ours], cells[rival])):
      found[f'{name}, {rival}'] = math.log(found_ratio)
  return found


def _pooled_line(budget: int, found: dict[str, float]) -> str:
  """One budget: the pooled ratio, and the sets with the extreme ones."""
  if not found:
    return f'| {budget} | 0 | too few sets | | |'
  ends = [
    f'{math.exp(found[name]):.3f} ({name})'
    for name in (min(found, key=found.get), max(found, key=found.get))
  ]
  return (
    f'| {budget} | {len(found)} | {pooled(list(found.values()))} | {ends[0]} | '
    f'{ends[1]} |'
  )


def pooled(log_ratios: Sequence[float]) -> str:
  """The mean ratio with data sets as units, and its interval."""
  if len(log_ratios) < FEWEST_SETS:
    return 'too few sets'
  found = pooled_ratio(log_ratios)
  return f'{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]'


def pooled_ratio(log_ratios: Sequence[float]) -> pictures.Point:
  """The same as numbers; the interval is Student's t, 95%."""
  return pictures.Point(*significance.pooled(np.exp(log_ratios))[:3])


def best_table(
  rows: Sequence[Row], methods: Sequence[str], evidence: str
) -> str:
  """Methods over the rival that is best on the test users themselves.

  This is stricter than over the rival that validation prefers.

  Args:
    rows: all rows.
    methods: names of the methods that are held against the rivals.
    evidence: what a budget counts.
  """
  by_cell = grouped(rows, 'dataset', 'budget', 'method')
  tasks = list(dict.fromkeys(key[:2] for key in by_cell))
  lines = [
    f'| data set, {evidence} | best rival | {" | ".join(methods)} |',
    f'|---|---|{"---:|" * len(methods)}',
  ]
  for task in tasks:
    values = {
      key[2]: mean_of(own, results.PRIMARY)
      for key, own in by_cell.items()
      if key[:2] == task
    }
    rivals = {
      name: value
      for name, value in values.items()
      if catalogue.BY_NAME[name].role == 'rival'
    }
    best = max(rivals, key=rivals.__getitem__)
    cells = [
      _ratio(values[name] / rivals[best]) if name in values else ''
      for name in methods
    ]
    lines.append(
      f'| {task[0]}, {task[1]} | {best} {rivals[best]:.4f} | '
      f'{" | ".join(cells)} |'
    )
  return '\n'.join(lines)


def _ratio(value: float) -> str:
  """A ratio, in bold where the goal is met."""
  return f'**{value:.3f}**' if value >= 1 - CLOSE else f'{value:.3f}'


def worth_table(
  rows: Sequence[Row], methods: Sequence[str], refits: Sequence[str]
) -> str:
  """The evidence with which a refit ranks as well as a method at the least.

  Args:
    rows: all rows.
    methods: names of the methods, at the smallest budget.
    refits: names of models that are fitted anew, at any budget.
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  sets = list(dict.fromkeys(key[2] for key in by_cell))
  budgets = sorted({key[1] for key in by_cell})
  lines = [
    f'| method | fitted anew | {" | ".join(sets)} |',
    f'|---|---|{"---:|" * len(sets)}',
  ]
  for method, refit in itertools.product(methods, refits):
    cells = []
    for name in sets:
      ours = by_cell.get((method, budgets[0], name))
      value = mean_of(ours, results.PRIMARY) if ours else math.nan
      enough = (
        str(budget)
        for budget in budgets
        if (own := by_cell.get((refit, budget, name)))
        and mean_of(own, results.PRIMARY) >= value
      )
      cells.append(next(enough, f'> {budgets[-1]}') if ours else '')
    lines.append(f'| {method} | {refit} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def lines(
  rows: Sequence[Row], methods: Sequence[str], over: str
) -> dict[str, dict[int, pictures.Point]]:
  """Methods over one other method, pooled, by budget; for `pictures.ratios`.

  A budget at which fewer than three data sets have both is left out.

  Args:
    rows: all rows.
    methods: names of the methods.
    over: the other method.
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  found = {}
  for method in methods:
    line = {}
    for budget in sorted({key[1] for key in by_cell}):
      logs = [
        math.log(found_ratio)
        for own in _of(by_cell, method, budget)
        if (other := by_cell.get((over, budget, own[0]['dataset'])))
        and (found_ratio := ratio(own, other))
      ]
      if len(logs) >= FEWEST_SETS:
        line[budget] = pooled_ratio(logs)
    if line:
      found[method] = line
  return found


def against_table(rows: Sequence[Row], ours: str, evidence: str) -> str:
  """One method over each other one, pooled over data sets.

  A method that ranks nothing (0 on a data set) is left out there: no ratio to
  it exists.

  Args:
    rows: all rows.
    ours: name of the method.
    evidence: what a budget counts, as "interactions".
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  budgets = sorted({key[1] for key in by_cell})
  lines = [
    f'| method | {" | ".join(f"{evidence}: {b}" for b in budgets)} |',
    f'|---|{"---:|" * len(budgets)}',
  ]
  for method in dict.fromkeys(key[0] for key in by_cell):
    if method == ours:
      continue
    cells = []
    for budget in budgets:
      ratios = []
      for own in _of(by_cell, method, budget):
        mine = by_cell.get((ours, budget, own[0]['dataset']))
        if mine and (found := ratio(mine, own)):
          ratios.append(math.log(found))
      cells.append(f'{pooled(ratios)} ({len(ratios)})' if ratios else '')
    lines.append(f'| {method} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _of(by_cell, method: str, budget: int) -> list[list[Row]]:
  """The rows of a method at a budget, one list for each data set."""
  return [own for key, own in by_cell.items() if key[:2] == (method, budget)]


def quality_tables(rows: Sequence[Row], evidence: str) -> str:
  """For each budget: NDCG@100 by method and data set.

  Args:
    rows: all rows.
    evidence: what a budget counts, as "known interactions of each new item".
  """
  by_cell = grouped(rows, 'budget', 'method', 'dataset')
  sets = list(dict.fromkeys(key[2] for key in by_cell))
  parts = []
  for budget in sorted({key[0] for key in by_cell}):
    lines = [
      f'**{evidence[:1].upper()}{evidence[1:]}: {budget}**',
      '',
      f'| method | {" | ".join(sets)} |',
      f'|---|{"---:|" * len(sets)}',
    ]
    for method in dict.fromkeys(key[1] for key in by_cell):
      cells = [by_cell.get((budget, method, name)) for name in sets]
      values = [
        f'{mean_of(c, results.PRIMARY):.3f}' if c else '' for c in cells
      ]
      lines.append(f'| {method} | {" | ".join(values)} |')
    parts.append('\n'.join(lines))
  return '\n\n'.join(parts)


def cells_table(
  rows: Sequence[Row],
  cell: Callable[[Sequence[Row]], str],
  budgets: Sequence[int],
  evidence: str,
) -> str:
  """A row for each method at some budgets, a column for each data set.

  Args:
    rows: all rows.
    cell: rows of one method, budget and data set -> text.
    budgets: the budgets that are shown.
    evidence: what a budget counts.
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  sets = list(dict.fromkeys(key[2] for key in by_cell))
  lines = [
    f'| method, {evidence} | {" | ".join(sets)} |',
    f'|---|{"---|" * len(sets)}',
  ]
  for method, budget in dict.fromkeys(key[:2] for key in by_cell):
    if budget not in budgets:
      continue
    cells = [by_cell.get((method, budget, name)) for name in sets]
    values = [cell(own) if own else '' for own in cells]
    lines.append(f'| {method}, {budget} | {" | ".join(values)} |')
  return '\n'.join(lines)
