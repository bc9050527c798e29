"""Rewrites the tables of experiments/catalogues/README.md.

python -m experiments.catalogues.tables
"""

import collections
import json
import pathlib

import numpy as np

from experiments import goals, pictures, pooled, readme, script

_FOLDER = pathlib.Path('experiments/catalogues')
_METHODS = ('generated', 'shuffled', 'grid', 'folds')
_REFERENCE = 'fixed'
# Names in the picture, whose colours and markers are those of the systems.
_LOOKS = {
  'generated': 'hyperease_catalogue',
  'shuffled': 'hyperease_catalogue:shuffled',
  'grid': 'l3ae:kernel',
}


def main(argv):
  """Writes the tables of development and untouched data sets apart."""
  del argv
  place, everything = _FOLDER / 'README.md', []
  for block in ('development', 'untouched'):
    rows = [
      row
      for path in sorted((_FOLDER / 'results').glob(f'{block}*.json'))
      for row in json.loads(path.read_text(encoding='utf-8'))['rows']
    ]
    everything += rows
    readme.replace_block(place, block, pooled_table(rows))
    readme.replace_block(place, f'{block}_sets', sets_table(rows))
    readme.replace_block(place, f'{block}_worth', worth_table(rows))
    readme.replace_block(place, f'{block}_costs', costs_table(rows))
    if block == 'untouched':
      readme.replace_block(place, 'goals', goals.table(goals_of(rows)))
  readme.replace_block(place, 'rivals', rivals_table(everything))
  readme.replace_block(place, 'picture', picture(everything))


def goals_of(rows: list[dict]) -> list[goals.Goal]:
  """What was asked of the generated composition on untouched domains."""

  def over(other, *budgets):
    return {
      f'{target}, {budget} users': log
      for (target, budget), log in log_ratios(rows, 'generated', other).items()
      if budget in budgets
    }

  in_the_mean = [
    goals.Goal(f'generated over {other}, {budget} users', 1.03, logs)
    for other in (_REFERENCE, 'grid')
    for budget in (5, 20)
    if (logs := over(other, budget))
  ]
  on_each = goals.Goal(
    'generated over folds, 50 users and more',
    0.99,
    over('folds', 50, 200),
    True,
  )
  return [*in_the_mean, on_each]


def rivals_table(rows: list[dict]) -> str:
  """Generated over each rival, pooled over all domains, by budget."""
  pairs = {
    other: ('generated', other) for other in (_REFERENCE, 'grid', 'folds')
  }
  return gains_table(rows, 'generated over', pairs)


def log_ratios(rows: list[dict], method: str, over: str = _REFERENCE) -> dict:
  """(target, budget) -> mean over seeds of the log ratio to another method."""
  value = {
    (r['target'], r['budget'], r['seed'], r['method']): r['ndcg@100']
    for r in rows
  }
  found = collections.defaultdict(list)
  for (target, budget, seed, name), ndcg in value.items():
    if name == method:
      other = value[target, budget, seed, over]
      found[target, budget].append(np.log(ndcg / other))
  return {place: float(np.mean(logs)) for place, logs in found.items()}


def pooled_table(rows: list[dict]) -> str:
  """Methods by budgets: pooled gain over `fixed`, data sets as units."""
  pairs = {method: (method, _REFERENCE) for method in _METHODS}
  return gains_table(rows, 'composition', pairs)


def gains_table(
  rows: list[dict], heading: str, pairs: dict[str, tuple[str, str]]
) -> str:
  """Pooled gains by budget, a line for each pair of a method and another."""
  budgets = sorted({row['budget'] for row in rows})
  lines = [
    f'| {heading} | {" | ".join(f"{k} users" for k in budgets)} |',
    f'|---|{"---:|" * len(budgets)}',
  ]
  for name, (method, over) in pairs.items():
    found = log_ratios(rows, method, over)
    cells = [
      _gain([log for (_, k), log in found.items() if k == budget])
      for budget in budgets
    ]
    lines.append(f'| {name} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _gain(logs: list[float]) -> str:
  if len(logs) < 2:
    return ''
  mean, low, high = (
    f'{100 * (ratio - 1):+.1f}' for ratio in pooled.pooled_ratio(logs)
  )
  return f'{mean}% [{low}, {high}]'


def picture(rows: list[dict]) -> str:
  """What is generated, and its rivals, over the fixed composition."""
  lines = {}
  for method in _METHODS:
    found = log_ratios(rows, method)
    budgets = sorted({budget for _, budget in found})
    lines[_LOOKS.get(method, method)] = {
      budget: pooled.pooled_ratio(
        [log for (_, other), log in found.items() if other == budget]
      )
      for budget in budgets
    }
  return pictures.save(
    _FOLDER / 'results' / 'ratios',
    lambda: pictures.ratios(
      lines, 'users of evidence', 'NDCG@100 over the fixed composition'
    ),
    'NDCG@100 in new domains over that of the fixed composition, pooled over '
    'all data sets',
    _FOLDER,
  )


def sets_table(rows: list[dict]) -> str:
  """NDCG@100 of `fixed`, and gains of the generated one and of the folds."""
  budgets = sorted({row['budget'] for row in rows})
  gains = {m: log_ratios(rows, m) for m in ('generated', 'folds')}
  lines = [
    f'| target | {" | ".join(f"{k} users" for k in budgets)} |',
    f'|---|{"---|" * len(budgets)}',
  ]
  for target in sorted({row['target'] for row in rows}):
    cells = []
    for budget in budgets:
      fixed = [
        r['ndcg@100']
        for r in rows
        if (r['target'], r['budget'], r['method'])
        == (target, budget, _REFERENCE)
      ]
      two = ', '.join(
        f'{100 * np.expm1(g[target, budget]):+.1f}%' for g in gains.values()
      ) if fixed else ''  # fmt: skip
      cells.append(f'{np.mean(fixed):.3f}: {two}' if fixed else '')
    lines.append(f'| {target} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def worth_table(rows: list[dict]) -> str:
  """The users of evidence with which `fixed` ranks as well as `generated`.

  Without evidence both are the same.
  """
  values = collections.defaultdict(list)
  for row in rows:
    place = row['target'], row['method'], row['budget']
    values[place].append(row['ndcg@100'])
  mean = {place: np.mean(found) for place, found in values.items()}
  budgets = sorted({row['budget'] for row in rows})
  lines = [
    f'| target | {" | ".join(f"{k} users" for k in budgets[1:])} |',
    f'|---|{"---:|" * len(budgets[1:])}',
  ]
  for target in sorted({row['target'] for row in rows}):
    cells = []
    for budget in budgets[1:]:
      ours = mean.get((target, 'generated', budget))
      enough = (
        str(k)
        for k in budgets
        if mean.get((target, _REFERENCE, k), -np.inf) >= ours
      )
      cells.append('' if ours is None else next(enough, f'> {budgets[-1]}'))
    lines.append(f'| {target} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def costs_table(rows: list[dict]) -> str:
  """Mean operations of an adaptation, tuning on the evidence included.

  Where a catalogue is adapted to again, what depends on its text alone has been
  paid for.
  """
  budgets = sorted({row['budget'] for row in rows})
  lines = [
    f'| composition | {" | ".join(f"{k} users" for k in budgets)} |',
    f'|---|{"---:|" * len(budgets)}',
  ]
  for method in (_REFERENCE, 'generated', 'folds'):
    own = [row for row in rows if row['method'] == method]
    for name, total in ((method, _total), (f'{method}, again', _again)):
      cells = [
        f'{np.mean([total(r) for r in own if r["budget"] == k]) / 1e9:.2f}'
        for k in budgets
      ]
      lines.append(f'| {name} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _total(row: dict) -> float:
  return row['operations'] + row['tuning_operations']


def _again(row: dict) -> float:
  of_text = row['operations_of_text'] + row['tuning_operations_of_text']
  return _total(row) - of_text


if __name__ == '__main__':
  script.run(main)
