"""Rewrites the tables of experiments/new_items/README.md.

  python -m experiments.new_items.tables

The rows are those of the regime in experiments/verdict, and of citeulike.py.
"""

import collections
import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments import catalogue, goals, pictures, pooled, readme, script
from experiments.verdict import stored
from hyperrec.evaluation import results

_FOLDER = pathlib.Path('experiments/new_items')
_RESULTS = _FOLDER / 'results'
_EVIDENCE = 'known interactions'
# The methods that are held against the rivals; the first one against each.
OURS = ('hyperease_item', 'hyperease_item_trained')
# The closed form without weights, a kernel regression alone, which counts as a
# rival of the goals; and the closed form that reads few neighbours.
_KERNEL, _LOCAL = 'hyperease_item:no_weights', 'hyperease_item:local'
_RANDOM = 'random'
# EASE as it was before the items arrived, and fitted anew with them.
_FROZEN, _REFIT = 'ease', 'ease:retrain'
# Models that are fitted anew; how many interactions do they need?
_REFITS = (_REFIT, 'cease', 'l3ae:kernel', 'marec')
# Lines of the picture, and the method to which they are ratios.
_DRAWN = (*OURS, 'content_knn', 'alpharec', 'ease:retrain', 'l3ae:kernel')
_OVER = 'marec'
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
  """Writes the tables."""
  del argv
  rows = stored.of_experiment('new_items')
  file = _FOLDER / 'README.md'
  readme.replace_block(file, 'sets', sets_table(rows))
  ratios = pooled.pooled_table(rows, OURS, f'{_EVIDENCE} of an item')
  readme.replace_block(file, 'pooled', ratios)
  readme.replace_block(file, 'goals', goals.table(goals_of(rows)))
  best = pooled.best_table(rows, OURS, _EVIDENCE)
  readme.replace_block(file, 'best', best)
  readme.replace_block(file, 'picture', picture(rows))
  for ours, block in zip(OURS, ('against', 'against trained'), strict=True):
    against = pooled.against_table(rows, ours, 'interactions')
    readme.replace_block(file, block, against)
  worth = pooled.worth_table(rows, OURS, _REFITS)
  readme.replace_block(file, 'worth', worth)
  readme.replace_block(file, 'whole pooled', whole_table(rows))
  quality = pooled.quality_tables(rows, f'{_EVIDENCE} of each new item')
  readme.replace_block(file, 'quality', quality)
  readme.replace_block(file, 'near', near_table(rows))
  readme.replace_block(file, 'whole', _cells(rows, whole))
  readme.replace_block(file, 'cost', _cells(rows, cost))
  public = [
    json.loads(path.read_text(encoding='utf-8'))
    for path in sorted((_RESULTS / 'citeulike').glob('*.json'))
  ]
  readme.replace_block(file, 'citeulike', citeulike_table(public))
  readme.replace_block(file, 'one column', column_line(public))
  cells = json.loads((_RESULTS / 'attention.json').read_text(encoding='utf-8'))
  readme.replace_block(file, 'attention', attention_table(cells))


def picture(rows: Sequence[Row]) -> str:
  """The generated columns and their rivals over the most used rival."""
  found = pooled.lines(rows, _DRAWN, _OVER)
  if not found:
    return 'Three data sets are needed.'
  return pictures.save(
    _RESULTS / 'ratios',
    lambda: pictures.ratios(
      found, 'known interactions of a new item', f'NDCG@100 over {_OVER}'
    ),
    f'NDCG@100 among new items over that of {_OVER}, pooled over data sets',
    _FOLDER,
  )


def _cells(rows: Sequence[Row], cell) -> str:
  """A table of the methods without and with interactions."""
  return pooled.cells_table(rows, cell, (0, 20), _EVIDENCE)


def sets_table(rows: Sequence[Row]) -> str:
  """Data sets: how items were cut, and how many there are."""
  lines = [
    '| data set | new items | test users | seeds | methods |',
    '|---|---:|---:|---:|---:|',
  ]
  for (name,), own in pooled.grouped(rows, 'dataset').items():
    users = [len(row['per_user']) for row in own]
    lines.append(
      f'| {name} | {own[0]["num_arriving"]:,} | {min(users):,} | '
      f'{len({row["seed"] for row in own})} | '
      f'{len({row["method"] for row in own})} |'
    )
  return '\n'.join(lines)


def goals_of(rows: Sequence[Row]) -> list[goals.Goal]:
  """What was asked of the columns, and in the whole catalogue."""
  closed, trained = OURS
  over = {
    k: pooled.over_best_rival(rows, trained, k, also=[_KERNEL]) for k in (0, 1)
  }
  shown = {0: 'no interaction', 1: 'one interaction'}
  among_new = [
    goals.Goal(f'{trained} over the best rival, {shown[k]}', least, found, each)
    for least, each in ((1.05, False), (0.99, True))
    for k, found in over.items()
  ]
  last = max(row['budget'] for row in rows)
  # Where the refit finds no more than chance does, a ratio to it says nothing.
  over_chance = whole_ratios(rows, _RANDOM, 0, 'whole, new', last)
  of_new = {
    name: log
    for name, log in whole_ratios(rows, trained, 0, 'whole, new', last).items()
    if over_chance.get(name, 0.0) < 0
  }
  among_all = [
    goals.Goal(
      f'{trained} in the whole catalogue, no interaction: {what}',
      least,
      found,
      on_each,
    )
    for on_each in (False, True)
    for what, least, found in (
      (
        'all targets, over the old model',
        1.15,
        whole_ratios(rows, trained, 0, 'whole', last),
      ),
      (
        'old targets, over the old model',
        0.97,
        whole_ratios(rows, trained, 0, 'whole, old', last),
      ),
      (
        f'new targets, over a refit at {last} that finds more than chance does',
        0.9,
        of_new,
      ),
    )
  ]
  by_cell = pooled.grouped(rows, 'dataset', 'method', 'budget')
  local = {
    f'{name}, {budget}': math.log(ratio)
    for name, method, budget in by_cell
    if method == _LOCAL
    if (dense := by_cell.get((name, closed, budget)))
    and (ratio := pooled.ratio(by_cell[name, _LOCAL, budget], dense))
  }
  of_local = goals.Goal(f'{_LOCAL} over {closed}', 0.99, local, on_each=True)
  return [*among_new, *among_all, of_local]


def near_table(rows: Sequence[Row]) -> str:
  """NDCG@100 at no interactions, without and with near-duplicates."""
  by_cell = pooled.grouped(rows, 'method', 'budget', 'dataset')
  view = 'with near-duplicates'
  names = [
    name
    for name in dict.fromkeys(key[2] for key in by_cell)
    if view in by_cell[OURS[0], 0, name][0]['views']
  ]
  lines = [
    f'| method | {" | ".join(names)} |',
    f'|---|{"---:|" * len(names)}',
  ]
  for method in dict.fromkeys(key[0] for key in by_cell):
    cells = [by_cell.get((method, 0, name), ()) for name in names]
    pairs = [
      f'{pooled.mean_of(own, results.PRIMARY):.3f} / '
      f'{pooled.mean_of(own, results.PRIMARY, view):.3f}'
      if own
      else ''
      for own in cells
    ]
    if any(pairs):
      lines.append(f'| {method} | {" | ".join(pairs)} |')
  return '\n'.join(lines)


def whole_table(rows: Sequence[Row]) -> str:
  """Ratios in the whole catalogue, pooled over data sets, by method."""
  by_cell = pooled.grouped(rows, 'method', 'budget', 'dataset')
  budgets = sorted({key[1] for key in by_cell})
  lines = [
    f'| method, {_EVIDENCE} | all targets, over the old model | '
    'old targets, over the old model | new targets, over a refit at '
    f'{budgets[-1]} |',
    '|---|---:|---:|---:|',
  ]
  for method, budget in dict.fromkeys(key[:2] for key in by_cell):
    if method == _FROZEN or budget not in (budgets[0], budgets[-1]):
      continue
    found = [
      whole_ratios(rows, method, budget, view, budgets[-1])
      for view in ('whole', 'whole, old', 'whole, new')
    ]
    cells = [
      f'{pooled.pooled(list(one.values()))} ({len(one)})' if one else ''
      for one in found
    ]
    lines.append(f'| {method}, {budget} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def whole_ratios(
  rows: Sequence[Row], method: str, budget: int, view: str, last: int
) -> dict[str, float]:
  """Data set -> log ratio in a view of the whole catalogue.

  New targets are held against a refit at the last budget, others against the
  old model.
  """
  by_cell = pooled.grouped(rows, 'method', 'budget', 'dataset')
  base = (_REFIT, last) if view == 'whole, new' else (_FROZEN, 0)
  found = {}
  for name in dict.fromkeys(key[2] for key in by_cell):
    own, other = by_cell.get((method, budget, name)), by_cell.get((*base, name))
    if own and other and (ratio := pooled.ratio(own, other, view)):
      found[name] = math.log(ratio)
  return found


def whole(cell: Sequence[Row]) -> str:
  """NDCG@100 in the whole catalogue: of all, of old and of new targets."""
  views = ('whole', 'whole, old', 'whole, new')
  return ' / '.join(
    f'{pooled.mean_of(cell, results.PRIMARY, v):.3f}' for v in views
  )


def cost(cell: Sequence[Row]) -> str:
  """Operations for each arriving item, and seconds for 1,000 of them.

  A model that is fitted anew is fitted once for all of them.
  """
  per_item = np.mean([r['adapt']['flops'] / r['num_arriving'] for r in cell])
  is_shared = catalogue.is_refitted(cell[0]['method'], cell[0]['regime'])
  seconds = np.median(
    [
      r['adapt']['seconds'] * (1 if is_shared else _MANY / r['num_arriving'])
      for r in cell
    ]
  )
  return f'{per_item:.1e}, {seconds:.2g} s'


def attention_table(cells: dict[str, dict]) -> str:
  """NDCG@100 among hidden items with kinds of attention, mean over seeds.

  Args:
    cells: "data set:seed" -> what attention.py measured.
  """
  values = collections.defaultdict(lambda: collections.defaultdict(list))
  errors = collections.defaultdict(lambda: collections.defaultdict(list))
  for place, cell in cells.items():
    name = place.partition(':')[0]
    for arm, found in cell['arms'].items():
      values[name][arm].append(found['ndcg@100'])
      errors[name][arm].append(found['gain over trained'])
  arms = max((list(own) for own in values.values()), key=len)
  lines = [
    f'| data set | seeds | {" | ".join(arms)} |',
    f'|---|---:|{"---:|" * len(arms)}',
  ]
  for name, own in values.items():
    shown = []
    for arm in arms:
      if arm not in own:
        shown.append('')
        continue
      gain, error = np.mean(errors[name][arm], axis=0)
      over = '' if arm == 'trained' else f' ({gain:+.4f} ± {error:.4f})'
      shown.append(f'{np.mean(own[arm]):.4f}{over}')
    seeds = len(own['trained'])
    lines.append(f'| {name} | {seeds} | {" | ".join(shown)} |')
  return '\n'.join(lines)


def column_line(documents: Sequence[dict]) -> str:
  """What the column of one new item takes, beside the cheapest refit."""
  found = {one['method']: one for one in documents}
  local, dense = found[_LOCAL], found[OURS[0]]
  refits = {
    name: one['adapt_flops']
    for name, one in found.items()
    if name in ('cease', 'l3ae', 'l3ae:kernel', 'marec')
  }
  cheapest = min(refits, key=refits.get)
  column = local['adapt_flops'] / local['num_arriving']
  quality = local['metrics']['ndcg@20'] / dense['metrics']['ndcg@20']
  return (
    f'Where one item arrives alone, its column from {_LOCAL} takes '
    f'{column:.1e} operations. That is {column / refits[cheapest]:.1e} of the '
    f'cheapest refit ({cheapest}), where at most 1.0e-04 was asked for. Its '
    f'NDCG@20 is {quality:.3f} of that of {OURS[0]}.'
  )


def citeulike_table(documents: Sequence[dict]) -> str:
  """The methods on the cold split of CiteULike-a, the best first.

  Published numbers come last.
  """
  lines = [
    '| method | Recall@20 [95%] | NDCG@20 [95%] | validation NDCG@20 | '
    'operations for each new item |',
    '|---|---:|---:|---:|---:|',
  ]
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
