"""Rewrites the tables of experiments/sasrec/README.md from committed results.

  python -m experiments.sasrec.tables

With --trials=NAME=WORKDIR,... the validation metrics of runs are added first:
results/trials/NAME.json is made from the manifest and metrics of a workdir.
"""

import json
import pathlib
from typing import Any

from absl import app, flags

from experiments import readme, script
from hyperrec.training import manifest, run_log

_TRIALS = flags.DEFINE_list(
  'trials', [], 'Runs to add, each written NAME=WORKDIR.'
)

_FOLDER = pathlib.Path('experiments/sasrec')
_ROWS = {'beauty': 'Beauty', 'sports': 'Sports', 'toys': 'Toys'}


def main(argv):
  """Writes the tables."""
  del argv
  for entry in _TRIALS.value:
    name, _, workdir = entry.partition('=')
    if not workdir:
      raise app.UsageError(f'--trials={entry}: write NAME=WORKDIR')
    script.write_document(
      trial_of(pathlib.Path(workdir)),
      _FOLDER / 'results' / 'trials' / f'{name}.json',
    )
  file = _FOLDER / 'README.md'
  readme.replace_block(file, 'rows', rows_table(_FOLDER))
  readme.replace_block(file, 'trials', trials_table(_FOLDER))


def rows_table(folder: pathlib.Path) -> str:
  """Returns the published and reproduced numbers of each flag file."""
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


def trial_of(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns the flags of a run and its validation metrics over the steps."""
  about = manifest.read(workdir)
  records = run_log.read_metrics(workdir / 'metrics.jsonl')
  kept = ('step', 'validation_recall@10', 'validation_ndcg@10')
  return {
    'what': _what(about['flags']),
    'validation': [
      {name: record[name] for name in kept}
      for record in records
      if 'validation_ndcg@10' in record
    ],
    'commit': about['commit'],
    'flags': about['flags'],
    'versions': about['versions'],
  }


def _what(flags_of_run: dict[str, Any]) -> str:
  """Describes the settings of a run."""
  sampled = flags_of_run['num_negatives']
  drawn = 'by count, corrected' if flags_of_run['logq'] else 'uniformly'
  loss = f'{sampled:,} sampled {drawn}' if sampled else 'full softmax'
  seen = ', attention to padding' if flags_of_run.get('sees_padding') else ''
  return (
    "authors' block, width {dim}, {num_layers} block, dropout {dropout} and "
    '{item_dropout} of the item table, {epochs} epochs, {loss}{seen}'
  ).format(loss=loss, seen=seen, **flags_of_run)


def trials_table(folder: pathlib.Path) -> str:
  """Returns the best validation metrics of each trial."""
  lines = [
    '| set | trial | positions counted from | Recall@10 | NDCG@10 | at step | '
    'run until step |',
    '|---|---|---|---:|---:|---:|---:|',
  ]
  trials = [
    json.loads(file.read_text())
    for file in sorted((folder / 'results' / 'trials').glob('*.json'))
  ]
  ndcg = lambda v: v['validation_ndcg@10']  # noqa: E731
  best_of = lambda trial: max(trial['validation'], key=ndcg)  # noqa: E731
  for trial in sorted(
    trials, key=lambda t: (t['flags']['row'], ndcg(best_of(t)))
  ):
    best = best_of(trial)
    end = 'last' if trial['flags'].get('from_the_end') else 'first'
    lines.append(
      f'| {_ROWS[trial["flags"]["row"]]} | {trial["what"]} | {end} | '
      f'{best["validation_recall@10"]:.4f} | '
      f'{best["validation_ndcg@10"]:.4f} | {best["step"]} | '
      f'{trial["validation"][-1]["step"]} |'
    )
  return '\n'.join(lines)


if __name__ == '__main__':
  script.run(main)
