"""Rewrites the tables of experiments/vqrec/README.md from committed results.

python -m experiments.vqrec.tables
"""

import json
import pathlib
import statistics

from experiments import readme, script
from experiments.vqrec import rows

_FOLDER = pathlib.Path('experiments/vqrec')
_TARGETS = {
  'scientific': 'Scientific',
  'scientific_start': (
    'Scientific, 128-dimensional codes, initialised from text'
  ),
  'scientific_transfer': 'Scientific after its sources, initialised from text',
  'office': 'Office',
}
_TRIALS = {
  'scientific': 'From scratch',
  'scientific_transfer': 'From the sources, initialised from text',
}


def main(argv):
  """Writes the tables of arms, trials, codes, quantizers and epochs."""
  del argv
  path = _FOLDER / 'README.md'
  readme.replace_block(path, 'arms', arms_tables(_FOLDER))
  readme.replace_block(path, 'trials', trials_table(_FOLDER))
  readme.replace_block(path, 'codes', codes_table(_FOLDER))
  readme.replace_block(path, 'quantizer', quantizer_table(_FOLDER))
  readme.replace_block(path, 'epoch', epoch_table(_FOLDER))


def arms_tables(folder: pathlib.Path) -> str:
  """Table of the arms of each target."""
  parts = []
  for name, title in _TARGETS.items():
    document = _read(folder, name)
    if document is None:
      parts.append(f'**{title}** (`{name}.flags`): not run yet.')
      continue
    sources = ', '.join(document['sources']) or 'none'
    first = next(iter(document['arms'].values()))
    num_seeds = len(first['metrics']['ndcg@10']['by_seed'])
    parts.append(
      f'**{title}** (`{name}.flags`): {document["users"]:,} users, '
      f'{document["items"]:,} items, sources {sources}, seeds: {num_seeds}.\n\n'
      f'{rows.as_table(document)}'
    )
  return '\n\n'.join(parts)


def trials_table(folder: pathlib.Path) -> str:
  """Table of the trials on validation users, with the time of each."""
  parts = []
  for name, title in _TRIALS.items():
    document = _read(folder / 'results', name, 'trials')
    flag_file = f'`{name}_trials.flags`'
    if document is None:
      parts.append(f'**{title}** ({flag_file}): not run yet.')
      continue
    lines = [
      f'**{title}** ({flag_file}):\n',
      '| trial | R@10 | NDCG@10 | R@50 | NDCG@50 | processor seconds |',
      '|---|---:|---:|---:|---:|---:|',
    ]
    for trial in document['trials']:
      found = ' | '.join(f'{trial["validation"][m]:.4f}' for m in rows.METRICS)
      lines.append(
        f'| `{trial["trial"]}` | {found} | {trial["cpu_seconds"]:.0f} |'
      )
    parts.append('\n'.join(lines))
  return '\n\n'.join(parts)


def codes_table(folder: pathlib.Path) -> str:
  """Table of the use of codes and the stored bytes, by target and index."""
  lines = [
    '| target | index | bits of 8 (mean, least group) | equal codes | '
    'codes | index | code embeddings |',
    '|---|---|---:|---:|---:|---:|---:|',
  ]
  for name, title in _TARGETS.items():
    document = _read(folder, name)
    kinds = {'scratch': 'its own', 'source_index': 'of the sources'}
    for arm in [k for k in kinds if document and k in document['arms']]:
      codes = document['arms'][arm]['codes']
      bits = codes['entropy_bits']
      sizes = ' | '.join(
        f'{codes[f"{what}_bytes"] / 2**10:.0f} KiB'
        for what in ('codes', 'index', 'table')
      )
      lines.append(
        f'| {title} | {kinds[arm]} | {bits["mean"]:.2f}, {bits["min"]:.2f} | '
        f'{codes["collision_share"]:.1%} | {sizes} |'
      )
  return '\n'.join(lines)


def quantizer_table(folder: pathlib.Path) -> str:
  """Table of our and faiss's quantization of each measured data set."""
  lines = [
    '| data set | quantizer | error | error of faiss | '
    'bits of 8 (mean, least group) | '
    'equal codes |',
    '|---|---|---:|---:|---:|---:|',
  ]
  for path in sorted((folder / 'results' / 'quantizer').glob('*.json')):
    document = json.loads(path.read_text())
    for kind in ('plain', 'optimised'):
      ours, bits = document[kind], document[kind]['entropy_bits']
      theirs = document.get('faiss', {}).get(kind)
      reference = f'{theirs["error"]:.4f}' if theirs else ''
      lines.append(
        f'| {document["dataset"]}, {document["items"]:,} items | {kind} | '
        f'{ours["error"]:.4f} | {reference} | '
        f'{bits["mean"]:.2f}, {bits["min"]:.2f} | '
        f'{ours["collision_share"]:.1%} |'
      )
  return '\n'.join(lines)


def epoch_table(folder: pathlib.Path) -> str:
  """Table of the time of one epoch from scratch."""
  document = _read(folder, 'epoch')
  step = statistics.median(document['step_seconds'])
  return '\n'.join(
    [
      '| data set | code dimensions | prefixes | rows | steps | per step | '
      'per epoch |',
      '|---|---:|---:|---:|---:|---:|---:|',
      f'| {document["dataset"]} | {document["flags"]["dim"]} | '
      f'{document["prefixes"]:,} | {document["rows"]} | {document["steps"]} | '
      f'{step:.2f} s | {document["epoch_seconds"]:.1f} s |',
    ]
  )


def _read(folder: pathlib.Path, name: str, kind: str = 'results'):
  path = folder / kind / f'{name}.json'
  return json.loads(path.read_text()) if path.exists() else None


if __name__ == '__main__':
  script.run(main)
