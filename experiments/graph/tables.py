"""Rewrites the tables of experiments/graph/README.md from committed results.

python -m experiments.graph.tables
"""

import json
import pathlib

from experiments import readme, script
from experiments.graph import rows

_FOLDER = pathlib.Path('experiments/graph')
_TITLES = {
  'gf_cf': 'GF-CF',
  'cheby_cf': 'ChebyCF',
  'turbo_cf': 'Turbo-CF',
  'dan': 'DAN',
  'ease': 'EASE',
}


def main(argv):
  """Writes the tables of quality, of cost and of the trials."""
  del argv
  path = _FOLDER / 'README.md'
  documents = {name: _read(name) for name in rows.ROWS}
  readme.replace_block(path, 'quality', quality_table(documents))
  readme.replace_block(path, 'cost', cost_table(documents))
  readme.replace_block(path, 'trials', trials_table(documents))


def _read(name: str) -> dict | None:
  file = _FOLDER / 'results' / f'{name}.json'
  return json.loads(file.read_text(encoding='utf-8')) if file.exists() else None


def quality_table(documents) -> str:
  """Published numbers beside ours, with both kinds of settings."""
  lines = [
    '| method | settings | Recall@20 published | here [95%] '
    '| NDCG@20 published | here [95%] |',
    '|---|---|---:|---:|---:|---:|',
  ]
  for name, title, kind, run, expected in _runs(documents):
    cells = [f'{title} (`{name}.flags`)' if kind == 'published' else title]
    if run is None:
      lines.append(f'| {cells[0]} | {kind}: not run yet | | | | |')
      continue
    cells.append(f'{kind}: {_settings(run["settings"])}')
    for metric in rows.METRICS:
      low, high = run['interval'][metric]
      published = expected.get(metric) if kind == 'published' else None
      cells.append('' if published is None else f'{published:.4f}')
      cells.append(f'{run["metrics"][metric]:.4f} [{low:.4f}, {high:.4f}]')
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


def cost_table(documents) -> str:
  """What a fit and the scores of a user took."""
  lines = [
    '| method | fit | operations of the fit | peak memory | kept '
    '| scores of a user |',
    '|---|---:|---:|---:|---:|---:|',
  ]
  for _, title, kind, run, _ in _runs(documents):
    if run is not None:
      seconds = run['score_seconds_per_user']
      lines.append(_cost_line(f'{title}, {kind}', run['prepare'], seconds))
  return '\n'.join(lines)


def _cost_line(title: str, cost, score_seconds: float) -> str:
  cells = [
    title,
    f'{cost["seconds"]:.0f} s',
    f'{cost["flops"]:.2g}',
    f'{cost["peak_bytes"] / 2**20:,.0f} MiB',
    f'{cost["stored_bytes"] / 2**20:,.0f} MiB',
    f'{1e3 * score_seconds:.1f} ms',
  ]
  return f'| {" | ".join(cells)} |'


def trials_table(documents) -> str:
  """What was tried to choose settings, best first."""
  lines = ['| method | settings | validation Recall@20 |', '|---|---|---:|']
  for name, document in documents.items():
    trials = (document or {}).get('trials', ())
    for trial in sorted(trials, key=lambda t: -t['recall@20']):
      lines.append(
        f'| {_TITLES[name]} | {_settings(trial["settings"])} '
        f'| {trial["recall@20"]:.4f} |'
      )
  return '\n'.join(lines)


def _runs(documents):
  """Each method with published settings, then with those chosen."""
  for name, document in documents.items():
    runs = {
      'published': document,
      'chosen here': (document or {}).get('chosen'),
    }
    for kind, run in runs.items():
      yield name, _TITLES[name], kind, run, (document or {}).get('expected', {})


def _settings(settings) -> str:
  return ', '.join(f'{name} {value:g}' for name, value in settings.items())


if __name__ == '__main__':
  script.run(main)
