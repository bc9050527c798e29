"""Rewrites the README's table from the committed results.

python -m experiments.benchmarks.table
"""

import json
import pathlib
import statistics
from typing import Any

from experiments import readme, script
from experiments.benchmarks import measure

HERE = pathlib.Path('experiments/benchmarks')
HEAD = ('input', 'measured', 'hyperrec', 'compared with', '', 'ratio', 'goal')


def main(argv):
  """Reads results/*.json and rewrites README.md; run from the clone."""
  del argv
  files = sorted((HERE / 'results').glob('*.json'))
  content = '\n\n'.join(section(json.loads(f.read_text())) for f in files)
  readme.replace_block(HERE / 'README.md', 'benchmarks', content)


def section(result: dict[str, Any]) -> str:
  """One benchmark: its command, where it ran, and a row a comparison."""
  name, threads = result['benchmark'], result['threads']
  versions = ', '.join(
    f'{package} {version}' for package, version in result['versions'].items()
  )
  lines = [
    f'### {name}',
    '',
    f'`python -m experiments.benchmarks.{name} --results_dir={HERE}/results`',
    '',
    _row(HEAD),
    _row(['---'] * len(HEAD)),
    *(_row(_cells(row)) for row in result['comparisons']),
    '',
    *(f'Skipped: {reason}' for reason in result['skipped']),
    f'{threads["cores"]} CPU cores, BLAS threads: {threads["blas"]}, '
    f'{_others(result)}; commit {result["commit"]}; {versions}.',
  ]
  return '\n'.join(lines)


def _others(result: dict[str, Any]) -> str:
  cores = result['cores_used_by_others']
  if cores is None:
    return 'load by other processes unknown'
  return f'{cores:.2f} cores busy with other processes meanwhile'


def _cells(row: dict[str, Any]) -> list[str]:
  ours, theirs = (
    measure.amount(statistics.median(row[side]), row['unit'])
    for side in ('ours', 'theirs')
  )
  mark = {None: '', True: ' met', False: ' **missed**'}[row['is_met']]
  ratio = f'{row["ratio"]:.2f}'
  goal = row['goal'] + mark
  return [row['case'], row['what'], ours, row['peer'], theirs, ratio, goal]


def _row(cells) -> str:
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  script.run(main)
