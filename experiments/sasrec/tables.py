"""Rewrites the table of experiments/sasrec/README.md from committed results.

python -m experiments.sasrec.tables
"""

import json
import pathlib

from experiments import script
from hyperrec.evaluation import report

_FOLDER = pathlib.Path('experiments/sasrec')
_ROWS = {'beauty': 'Beauty', 'sports': 'Sports', 'toys': 'Toys'}


def main(argv):
  """Writes the table."""
  del argv
  report.replace_block(_FOLDER / 'README.md', 'rows', rows_table(_FOLDER))


def rows_table(folder: pathlib.Path) -> str:
  """Published and reproduced numbers of each flag file."""
  lines = [
    '| set | metric | published | here (95%) | validation | training | '
    'flag file |',
    '|---|---|---:|---:|---:|---:|---|',
  ]
  for name, title in _ROWS.items():
    file = folder / 'results' / f'{name}.json'
    flags = f'`{name}.flags`'
    if not file.exists():
      lines.append(f'| {title} | | | not run yet | | | {flags} |')
      continue
    row = json.loads(file.read_text())
    minutes = row['prepare']['seconds'] / 60
    for metric, published in row['expected'].items():
      low, high = row['interval'][metric]
      lines.append(
        f'| {title} | {metric} | {published:.4f} | '
        f'{row["metrics"][metric]:.4f} ({low:.4f} to {high:.4f}) | '
        f'{row["validation"][metric]:.4f} | {minutes:.0f} min | {flags} |'
      )
  return '\n'.join(lines)


if __name__ == '__main__':
  script.run(main)
