"""Rewrites the tables of experiments/sasrec/README.md from committed results.

python -m experiments.sasrec.tables
"""

import json
import pathlib

from experiments import script
from hyperrec.evaluation import report

_FOLDER = pathlib.Path('experiments/sasrec')
_ROWS = {'beauty': 'Beauty', 'sports': 'Sports', 'toys': 'Toys'}


def main(argv):
  """Writes the tables."""
  del argv
  readme = _FOLDER / 'README.md'
  report.replace_block(readme, 'rows', rows_table(_FOLDER))
  report.replace_block(readme, 'trials', trials_table(_FOLDER))


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


def trials_table(folder: pathlib.Path) -> str:
  """Best validation of each trial, from its run's manifest and metrics."""
  lines = [
    '| trial on Beauty | Recall@10 | NDCG@10 | at step | run until step |',
    '|---|---:|---:|---:|---:|',
  ]
  for file in sorted((folder / 'results' / 'trials').glob('*.json')):
    trial = json.loads(file.read_text())
    best = max(trial['validation'], key=lambda v: v['validation_ndcg@10'])
    lines.append(
      f'| {trial["what"]} | {best["validation_recall@10"]:.4f} | '
      f'{best["validation_ndcg@10"]:.4f} | {best["step"]} | '
      f'{trial["validation"][-1]["step"]} |'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  script.run(main)
