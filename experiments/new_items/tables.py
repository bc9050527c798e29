"""Rewrites the tables of experiments/new_items/README.md.

  python -m experiments.new_items.tables

With --take=WORKDIR,... the rows of runs are added to results/ first.
"""

import collections
import itertools
import json
import math
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from absl import flags
from scipy import stats

from experiments import catalogue, readme, script
from experiments.adaptation import stored_rows
from hyperrec.evaluation import results

_TAKE = flags.DEFINE_list(
  'take', [], 'Folders of runs (--workdir) whose rows are added.'
)

_FOLDER = pathlib.Path('experiments/new_items')
# The methods that are held against the rivals; the first one against each.
OURS = ('hyperease_item', 'hyperease_item_trained')
# Seconds are told for this many arriving items.
_MANY = 1000
# Recall@20 and NDCG@20 on CiteULike's cold split in table 1 of LLM-InS (arXiv
# 2402.09176): of its three backbones, the one with the best NDCG.
_PUBLISHED = {
  'LLM-InS, a language model on the texts': (0.3601, 0.2126),
  'MetaEmb': (0.2830, 0.1664),
  'ALDI': (0.2684, 0.1550),
  'GPatch': (0.2606, 0.1532),
  'GAR': (0.2539, 0.1489),
  'MTPR': (0.2496, 0.1476),
  'CLCRec': (0.2435, 0.1425),
  'DropoutNet': (0.2268, 0.1356),
  'DeepMusic': (0.2141, 0.1262),
}

Row = results.Row


def main(argv):
  """Adds the rows of runs, and writes the tables."""
  del argv
  for workdir in _TAKE.value:
    take_in(stored_rows.read(workdir))
  rows = [
    row
    for path in sorted((_FOLDER / 'results').glob('*.json'))
    for row in results.read_json(path)
  ]
  file = _FOLDER / 'README.md'
  readme.replace_block(file, 'sets', sets_table(rows))
  readme.replace_block(file, 'pooled', pooled_table(rows))
  readme.replace_block(file, 'against', against_table(rows))
  readme.replace_block(file, 'quality', quality_tables(rows))
  readme.replace_block(file, 'near', near_table(rows))
  readme.replace_block(file, 'whole', cells_table(rows, whole))
  readme.replace_block(file, 'cost', cells_table(rows, cost))
  readme.replace_block(
    file, 'citeulike', citeulike_table(_FOLDER / 'results' / 'citeulike')
  )


def take_in(rows: list[Row]) -> None:
  """Adds rows to the file of their data set; the same cell is replaced."""
  by_set = collections.defaultdict(list)
  for row in rows:
    by_set[row['dataset']].append(row)
  for name, new in by_set.items():
    path = _FOLDER / 'results' / (re.sub(r'\W+', '_', name) + '.json')
    old = results.read_json(path) if path.exists() else []
    merged = {stored_rows.row_key(row): row for row in [*old, *new]}
    stored_rows.check_alike(merged.values())
    results.write_json(merged.values(), path)


def ran(rows: Sequence[Row]) -> list[Row]:
  """The rows of methods that served."""
  return [row for row in rows if 'cannot' not in row]


def mean_of(rows: Sequence[Row], name: str, view: str | None = None) -> float:
  """Mean of a metric over seeds, in the ranking that counts or in a view."""
  found = [(row if view is None else row['views'][view]) for row in rows]
  return float(np.mean([each['metrics'][name] for each in found]))


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple, list[Row]]:
  """Rows by the values of some of their fields."""
  groups = collections.defaultdict(list)
  for row in ran(rows):
    groups[tuple(row[name] for name in names)].append(row)
  return dict(groups)


def best_rival(cells: dict[str, list[Row]]) -> str | None:
  """The rival with the best validation value among those of all seeds.

  Args:
    cells: method -> rows of one data set and budget.
  """
  most = max(map(len, cells.values()))
  values = {
    name: float(np.mean([row['validation'] for row in rows]))
    for name, rows in cells.items()
    if catalogue.BY_NAME[name].role == 'rival'
    and len(rows) == most
    and all(row.get('validation') is not None for row in rows)
  }
  return max(values, key=values.__getitem__) if values else None


def sets_table(rows: Sequence[Row]) -> str:
  """Data sets: how items were cut, and how many there are."""
  lines = [
    '| data set | new items | test users | seeds | methods |',
    '|---|---:|---:|---:|---:|',
  ]
  for (name,), own in grouped(rows, 'dataset').items():
    users = [len(row['per_user']) for row in own]
    lines.append(
      f'| {name} | {own[0]["num_arriving"]:,} | {min(users):,} | '
      f'{len({row["seed"] for row in own})} | '
      f'{len({row["method"] for row in own})} |'
    )
  return '\n'.join(lines)


def pooled_table(rows: Sequence[Row]) -> str:
  """Generated columns over the rival that validation prefers, pooled."""
  by_cell = grouped(rows, 'dataset', 'budget', 'method')
  budgets = sorted({budget for _, budget, _ in by_cell})
  lines = [
    '| method | known interactions of an item | sets | ratio to the best rival '
    '[95%] | lowest | highest |',
    '|---|---:|---:|---:|---|---|',
  ]
  for ours, budget in itertools.product(OURS, budgets):
    found = {}
    for name in dict.fromkeys(key[0] for key in by_cell):
      cells = {
        method: own
        for (data, b, method), own in by_cell.items()
        if (data, b) == (name, budget)
      }
      rival = best_rival(cells) if ours in cells else None
      if rival is not None:
        found[f'{name}, {rival}'] = math.log(
          mean_of(cells[ours], results.PRIMARY)
          / mean_of(cells[rival], results.PRIMARY)
        )
    lines.append(f'| {ours} {_pooled_line(budget, found)}')
  return '\n'.join(lines)


def _pooled_line(budget: int, found: dict[str, float]) -> str:
  """One budget: the pooled ratio, and the sets with the extreme ones."""
  if len(found) < 2:
    return f'| {budget} | {len(found)} | not enough sets | | |'
  ends = [
    f'{math.exp(found[name]):.3f} ({name})'
    for name in (min(found, key=found.get), max(found, key=found.get))
  ]
  return (
    f'| {budget} | {len(found)} | {pooled(list(found.values()))} | {ends[0]} | '
    f'{ends[1]} |'
  )


def pooled(log_ratios: Sequence[float]) -> str:
  """The mean ratio with data sets as units, and its interval by Student's t."""
  values = np.array(log_ratios)
  half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
  low, high = (np.exp(values.mean() + sign * half) for sign in (-1, 1))
  return f'{np.exp(values.mean()):.3f} [{low:.3f}, {high:.3f}]'


def against_table(rows: Sequence[Row]) -> str:
  """The generated column over each other method, pooled over data sets.

  A method that ranks nothing (0 on a data set) is left out there: no ratio to
  it exists.
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  budgets = sorted({key[1] for key in by_cell})
  lines = [
    f'| method | {" | ".join(f"{b} interactions" for b in budgets)} |',
    f'|---|{"---:|" * len(budgets)}',
  ]
  for method in dict.fromkeys(key[0] for key in by_cell):
    if method == OURS[0]:
      continue
    cells = []
    for budget in budgets:
      ratios = []
      for own in _of(by_cell, method, budget):
        ours = by_cell.get((OURS[0], budget, own[0]['dataset']))
        theirs = mean_of(own, results.PRIMARY)
        if ours and theirs:
          ratios.append(math.log(mean_of(ours, results.PRIMARY) / theirs))
      enough = len(ratios) > 1
      cells.append(f'{pooled(ratios)} ({len(ratios)})' if enough else '')
    lines.append(f'| {method} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _of(by_cell, method: str, budget: int) -> list[list[Row]]:
  """The rows of a method at a budget, one list for each data set."""
  return [own for key, own in by_cell.items() if key[:2] == (method, budget)]


def near_table(rows: Sequence[Row]) -> str:
  """NDCG@100 at no interactions, without and with near-duplicates."""
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  methods = (*OURS, 'content_knn')
  lines = [
    f'| data set | {" | ".join(methods)} |',
    f'|---|{"---|" * len(methods)}',
  ]
  view = 'with near-duplicates'
  for name in dict.fromkeys(key[2] for key in by_cell):
    cells = [by_cell.get((method, 0, name)) for method in methods]
    if not cells[0] or view not in cells[0][0]['views']:
      continue
    pairs = [
      f'{mean_of(own, results.PRIMARY):.3f} / '
      f'{mean_of(own, results.PRIMARY, view):.3f}'
      if own
      else ''
      for own in cells
    ]
    lines.append(f'| {name} | {" | ".join(pairs)} |')
  return '\n'.join(lines)


def quality_tables(rows: Sequence[Row]) -> str:
  """For each budget: NDCG@100 among new items, by method and data set."""
  by_cell = grouped(rows, 'budget', 'method', 'dataset')
  sets = list(dict.fromkeys(key[2] for key in by_cell))
  parts = []
  for budget in sorted({key[0] for key in by_cell}):
    lines = [
      f'**{budget} known interactions of each new item**',
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
  rows: Sequence[Row], cell: Callable[[Sequence[Row]], str]
) -> str:
  """A row for each method at 0 and at 20 interactions, a column for each set.

  Args:
    rows: all rows.
    cell: rows of one method, budget and data set -> text.
  """
  by_cell = grouped(rows, 'method', 'budget', 'dataset')
  sets = list(dict.fromkeys(key[2] for key in by_cell))
  lines = [
    f'| method, known interactions | {" | ".join(sets)} |',
    f'|---|{"---|" * len(sets)}',
  ]
  for method, budget in dict.fromkeys(key[:2] for key in by_cell):
    if budget not in (0, 20):
      continue
    cells = [by_cell.get((method, budget, name)) for name in sets]
    values = [cell(own) if own else '' for own in cells]
    lines.append(f'| {method}, {budget} | {" | ".join(values)} |')
  return '\n'.join(lines)


def whole(cell: Sequence[Row]) -> str:
  """NDCG@100 in the whole catalogue: of all, of old and of new targets."""
  views = ('whole', 'whole, old', 'whole, new')
  return ' / '.join(f'{mean_of(cell, results.PRIMARY, v):.3f}' for v in views)


def cost(cell: Sequence[Row]) -> str:
  """Operations for each arriving item, and seconds for 1,000 of them."""
  per_item = np.mean([r['adapt']['flops'] / r['num_arriving'] for r in cell])
  seconds = np.median(
    [_MANY * r['adapt']['seconds'] / r['num_arriving'] for r in cell]
  )
  return f'{per_item:.1e}, {seconds:.2g} s'


def citeulike_table(folder: pathlib.Path) -> str:
  """The methods on the cold split of CiteULike-a, the best first.

  Published numbers come last.
  """
  lines = [
    '| method | Recall@20 [95%] | NDCG@20 [95%] | validation NDCG@20 | '
    'operations for each new item |',
    '|---|---:|---:|---:|---:|',
  ]
  documents = [json.loads(f.read_text()) for f in sorted(folder.glob('*.json'))]
  for row in sorted(documents, key=lambda d: -d['metrics']['ndcg@20']):
    values = []
    for name in ('recall@20', 'ndcg@20'):
      low, high = row['interval'][name]
      values.append(f'{row["metrics"][name]:.4f} [{low:.4f}, {high:.4f}]')
    lines.append(
      f'| {row["method"]} | {" | ".join(values)} | {row["validation"]:.4f} | '
      f'{row["adapt_flops"] / row["num_arriving"]:.1e} |'
    )
  lines += [
    f'| published: {name} | {recall:.4f} | {ndcg:.4f} | | |'
    for name, (recall, ndcg) in _PUBLISHED.items()
  ]
  return '\n'.join(lines)


if __name__ == '__main__':
  script.run(main)
