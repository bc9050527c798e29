"""Rewrites the table of published and reproduced numbers in the README.

  python -m experiments.systems

The table in experiments/README.md has one row for each flag file of a
published table. A row without results says "not run". Run this script in the
root of the repository.
"""

import json
import pathlib
import re
from typing import NamedTuple

import numpy as np

from experiments import readme, script
from experiments.p5 import tables as p5_tables

_ROOT = pathlib.Path('experiments')
_HEAD = (
  '| system | data set | metric | published | here | flags | results |\n'
  '|---|---|---|---|---|---|---|'
)


class Row(NamedTuple):
  """A system on a data set.

  Attributes:
    system: name of the system in its paper.
    dataset: title of the data set.
    folder: folder of the experiment, below experiments.
    flags: name of the flag file and of its results, without the suffix.
    arm: arm of VQ-Rec, whose result files hold several.
  """

  system: str
  dataset: str
  folder: str
  flags: str
  arm: str = ''


class Number(NamedTuple):
  """One metric; None means not published, or not run."""

  metric: str
  published: float | None
  here: float | None


# A variant of this project; the paper's number beside it is of the original.
_AT_TEXT = 'VQ-Rec, codes started at the text'
ROWS = (
  Row('EASE', 'Gowalla', 'ease', 'gowalla'),
  Row('EASE', 'ML-20M', 'ease', 'ml20m'),
  Row('EDLAE', 'ML-20M', 'ease', 'ml20m_edlae'),
  Row('EASE', 'Netflix', 'ease', 'netflix'),
  Row('EASE', 'MSD', 'ease', 'msd'),
  Row('GF-CF', 'Gowalla', 'graph', 'gf_cf'),
  Row('ChebyCF', 'Gowalla', 'graph', 'cheby_cf'),
  Row('Turbo-CF', 'Gowalla', 'graph', 'turbo_cf'),
  Row('DAN', 'Gowalla', 'graph', 'dan'),
  Row('SASRec', 'Beauty', 'sasrec', 'beauty'),
  Row('SASRec', 'Sports', 'sasrec', 'sports'),
  Row('SASRec', 'Toys', 'sasrec', 'toys'),
  Row('VQ-Rec, from scratch', 'Scientific', 'vqrec', 'scientific', 'scratch'),
  Row(_AT_TEXT, 'Scientific', 'vqrec', 'scientific_start', 'scratch'),
  Row(
    f'{_AT_TEXT}, pre-trained',
    'Scientific',
    'vqrec',
    'scientific_transfer',
    'all',
  ),
  Row('VQ-Rec, pre-trained', 'Scientific', 'vqrec', 'scientific', 'full'),
  Row('VQ-Rec, looked up', 'Scientific', 'vqrec', 'scientific', 'lookup'),
  Row('VQ-Rec, pre-trained', 'Office', 'vqrec', 'office', 'full'),
  Row('PReF, 10 questions', 'movielens_small', 'pref', 'movielens_small'),
  Row('P5, numbers that leak', 'Beauty', 'p5', 'beauty_given'),
  Row('P5, random numbers', 'Beauty', 'p5', 'beauty_random'),
  Row('P5, collaborative numbers', 'Beauty', 'p5', 'beauty_collaborative_slow'),
)
# Flag file -> its row among the published numbers of P5.
_P5_PUBLISHED = {
  'beauty_given': 'P5-small, numbers along full sequences (leak)',
  'beauty_random': 'P5-small, random numbers (by the authors of TIGER)',
}
# The paper of PReF publishes nothing on these data sets.
_PREF = 'recommendation.json', 'ndcg@20', ('pref', 'known', 10)
_VQREC_METRICS = ('recall@10', 'ndcg@10')


def main(argv):
  """Writes the table."""
  del argv
  readme.replace_block('experiments/README.md', 'systems', table(ROWS, _ROOT))


def table(rows: tuple[Row, ...], root: pathlib.Path) -> str:
  """Returns all rows in Markdown, with links relative to `root`."""
  return '\n'.join([_HEAD, *(_line(row, root) for row in rows)])


def state(system: str, root: pathlib.Path = _ROOT) -> str:
  """A system's numbers beside those of its paper, where both are there.

  Args:
    system: name in its paper, with which names of `ROWS` start.
    root: folder of the experiments.
  """
  told = []
  for row in ROWS:
    name, _, form = row.system.partition(', ')
    pairs = [
      f'{number.metric} {number.here:.4f} of {number.published:.4f}'
      for number in _numbers(row, root / row.folder)
      if number.here is not None and number.published is not None
    ]
    if name == system and pairs:
      told.append(f'{row.dataset}{f", {form}" if form else ""}: {pairs[0]}')
  return '; '.join(told) or 'no published number is made again here'


def _line(row: Row, root: pathlib.Path) -> str:
  folder = root / row.folder
  found = _numbers(row, folder)
  home = row.folder  # links are relative to the folder of the table
  where = f'[README]({home}/README.md)'
  file = _PREF[0] if row.folder == 'pref' else f'{row.flags}[.-]*json'
  results = sorted((folder / 'results').glob(file))
  if results:
    where = f'[{results[0].name}]({home}/results/{results[0].name}), {where}'
  told = [
    ', '.join(number.metric for number in found),
    ', '.join(_text(number.published, 'none') for number in found),
    ', '.join(_text(number.here, '') for number in found if number.here)
    or 'not run',
  ]
  flags = f'[{row.flags}]({home}/{row.flags}.flags)'
  return f'| {" | ".join([row.system, row.dataset, *told, flags, where])} |'


def _text(value: float | None, missing: str) -> str:
  return missing if value is None else f'{value:.4f}'


def _numbers(row: Row, folder: pathlib.Path) -> list[Number]:
  """Returns the numbers of a row; without results, only published ones."""
  results = folder / 'results'
  if row.folder == 'p5':
    return _of_p5(row, results)
  if row.folder == 'pref':
    return _of_pref(results)
  path = results / f'{row.flags}.json'
  if not path.exists():
    return _expected((folder / f'{row.flags}.flags').read_text('utf-8'), row)
  document = json.loads(path.read_text(encoding='utf-8'))
  if row.arm:
    return _of_arm(row, document)
  published = document['expected'] or dict.fromkeys(document['metrics'])
  return [
    Number(metric, value, document['metrics'][metric])
    for metric, value in published.items()
  ]


def _expected(flags: str, row: Row) -> list[Number]:
  """Returns the published numbers of a flag file (--expect=METRIC=VALUE)."""
  found = re.findall(r'^--expect=(.+)$', flags, re.MULTILINE)
  pairs = [one.rsplit('=', 1) for line in found for one in line.split(',')]
  start = f'{row.arm}/' if row.arm else ''
  return [
    Number(name.removeprefix(start), float(value), None)
    for name, value in pairs
    if name.startswith(start)
  ]


def _of_arm(row: Row, document) -> list[Number]:
  if row.arm not in document['arms']:
    return []
  metrics = document['arms'][row.arm]['metrics']
  published = document['expected'].get(row.arm, {})
  return [
    Number(name, published.get(name), metrics[name]['mean'])
    for name in _VQREC_METRICS
  ]


def _of_pref(results: pathlib.Path) -> list[Number]:
  """Returns PReF's number after ten questions about films seen by the user."""
  name, metric, place = _PREF
  if not (results / name).exists():
    return []
  return [
    Number(metric, None, curve['metrics'][metric]['mean'])
    for curve in json.loads((results / name).read_text('utf-8'))['curves']
    if (curve['arm'], curve['condition'], curve['questions']) == place
  ]


def _of_p5(row: Row, results: pathlib.Path) -> list[Number]:
  """Returns the mean over seeds for the next item, with trained prompts."""
  of_row = _P5_PUBLISHED.get(row.flags)
  values = p5_tables.PUBLISHED[of_row] if of_row else (None,) * 4
  published = dict(zip(p5_tables.RANKING, values, strict=True))
  records = [
    record['metrics']
    for run in p5_tables.runs(results, row.flags)
    for record in run['templates']
    if (record['family'], record['target'], record['seen'])
    == ('sequential', '{item}', True)
  ]
  return [
    Number(
      metric,
      value,
      float(np.mean([r[metric] for r in records])) if records else None,
    )
    for metric, value in published.items()
    if metric in ('hr@10', 'ndcg@10')
  ]


if __name__ == '__main__':
  script.run(main)
