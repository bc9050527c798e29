"""The table of forms: what parameters of a user's own gain, and cost."""

import collections
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hyperrec.evaluation import significance

Row = dict[str, Any]

_STARTS = ('frozen', 'part')
# In the order of the lines.
_NAMES = {
  'mult_vae': 'Mult-VAE',
  'sasrec': 'SASRec',
  'frozen': 'as it is (NDCG@100)',
  'finetuned': 'fine-tuned for one user',
  'retrained': 'retrained',
  'film': 'hidden layer, film',
  'mixture': 'hidden layer, mixture',
  'low_rank': 'hidden layer, low rank',
  'chunked': 'hidden layer, chunked',
  'full': 'hidden layer, full',
  'head': 'last layer, full',
  'film:statistics': 'hidden layer, film, reads statistics',
  'film:text': 'hidden layer, film, reads text',
  'mixture:size': 'hidden layer, mixture, reads the size only',
  'mixture:constant': 'hidden layer, mixture, the same for all',
  'part': 'of two thirds of the users, as it is (NDCG@100)',
  'part:film': 'hidden layer, film',
  'part:low_rank': 'hidden layer, low rank',
  'part:head': 'last layer, full',
}


def read(folder: pathlib.Path) -> list[Row]:
  """All rows of a folder."""
  return [
    row
    for path in sorted(folder.glob('*.json'))
    for row in json.loads(path.read_text(encoding='utf-8'))
  ]


def table(rows: Sequence[Row]) -> str:
  """Two tables for each base: ratios to where a way starts, and the costs.

  A way is compared on the seeds that it has. Ways of the second table start at
  a base that two thirds of the users trained. The interval and the test
  are of the mean over budgets, paired by users; the p-values of all ways, bases
  and data sets are one family of Holm.
  """
  found = _by_way(rows)
  tests = {
    key: _against_start(found, key) for key in found if key[1] not in _STARTS
  }
  adjusted = significance.holm([test.p_value for test in tests.values()])
  is_sure = {
    key: test.relative > 0 and value < significance.ALPHA
    for (key, test), value in zip(tests.items(), adjusted, strict=True)
  }
  parts = []
  for start in _STARTS:
    for base in dict.fromkeys(key[0] for key in found):
      keys = [k for k in found if k[0] == base and _start(k[1]) == start]
      if not keys:
        continue
      sets = list(dict.fromkeys(key[2] for key in keys))
      lines = [_head(base, sets), '|---|' + '---:|' * 6 * len(sets)]
      for way in sorted({key[1]: None for key in keys}, key=_place):
        cells = [_NAMES[way]]
        for name in sets:
          key = base, way, name
          if key in tests:
            cells += _against(found, key, tests[key], is_sure[key])
          else:
            cells += _alone(found.get(key))
        lines.append(f'| {" | ".join(cells)} |')
      parts.append('\n'.join(lines))
  return '\n\n'.join(parts)


def _start(way: str) -> str:
  """The way to which a way is compared."""
  return 'part' if way.startswith('part') else 'frozen'


def _place(way: str) -> int:
  return list(_NAMES).index(way)


def _by_way(rows: Sequence[Row]) -> dict[tuple, dict[int, list[Row]]]:
  """(base, way, data set) -> budget -> rows of all seeds."""
  found = collections.defaultdict(lambda: collections.defaultdict(list))
  for row in sorted(rows, key=lambda row: row['seed']):
    base, _, way = row['method'].partition(':')
    found[base, way, row['dataset']][row['budget']].append(row)
  return found


def _head(base: str, sets: Sequence[str]) -> str:
  columns = [
    column
    for name in sets
    for column in (
      f'{name}, 1', '5', '20', 'mean [95%]', 'operations for a user', 'before'
    )
  ]  # fmt: skip
  return f'| {_NAMES[base]} | {" | ".join(columns)} |'


def _users(own: dict[int, list[Row]]) -> list[np.ndarray]:
  """For each seed, the mean over budgets of each user's value."""
  return [
    np.mean([row['per_user'] for row in of_seed], axis=0)
    for of_seed in zip(*own.values(), strict=True)
  ]


def _start_of(found, key) -> dict[int, list[Row]]:
  """Where a way starts: budget -> rows of the seeds that the way has."""
  base, way, name = key
  seeds = {row['seed'] for rows in found[key].values() for row in rows}
  return {
    budget: [row for row in rows if row['seed'] in seeds]
    for budget, rows in found[base, _start(way), name].items()
  }


def _against_start(found, key) -> significance.Comparison:
  start = _users(_start_of(found, key))
  return significance.paired_bootstrap(_users(found[key]), start, seed=0)


def _alone(own: dict[int, list[Row]] | None) -> list[str]:
  """Three budgets, their mean, and the operations; empty if it did not run."""
  if own is None:
    return [''] * 6
  values = [_mean(rows, 'ndcg@100') for rows in own.values()]
  return [*(f'{v:.4f}' for v in (*values, np.mean(values))), *_costs(own)]


def _against(found, key, test, is_sure: bool) -> list[str]:
  """The same as ratios to the start; bold is a sure gain."""
  own, start = found[key], _start_of(found, key)
  ratios = [
    f'{_mean(own[budget], "ndcg@100") / _mean(rows, "ndcg@100"):.3f}'
    for budget, rows in start.items()
  ]
  mean = f'{1 + test.relative:.3f}'
  mean = f'**{mean}**' if is_sure else mean
  interval = f'[{1 + test.low:.3f}, {1 + test.high:.3f}]'
  return [*ratios, f'{mean} {interval}', *_costs(own)]


def _costs(own: dict[int, list[Row]]) -> list[str]:
  """Operations for a user and before, at the budget with the most."""
  return [
    f'{max(_mean(rows, cost) for rows in own.values()):.1e}'
    for cost in ('operations_per_user', 'prepare_operations')
  ]


def _mean(rows: Sequence[Row], name: str) -> float:
  return float(np.mean([row[name] for row in rows]))
