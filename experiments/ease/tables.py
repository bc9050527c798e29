"""Rewrites the tables of experiments/ease/README.md from committed results.

python -m experiments.ease.tables
"""

import json
import pathlib

from experiments import readme, script
from experiments.ease import ways
from hyperrec.evaluation import significance

_FOLDER = pathlib.Path('experiments/ease')
_ROWS = {
  'gowalla': 'Gowalla, EASE',
  'ml20m': 'ML-20M, EASE',
  'ml20m_edlae': 'ML-20M, EDLAE',
  'netflix': 'Netflix, EASE',
  'msd': 'MSD, EASE',
}


def main(argv):
  """Writes the tables of rows, arms, the large catalogue and claims."""
  del argv
  path = _FOLDER / 'README.md'
  readme.replace_block(path, 'rows', rows_table())
  documents = [
    json.loads(file.read_text())
    for file in sorted(_FOLDER.glob('results/claims_*.json'))
  ]
  readme.replace_block(path, 'arms', arms_table(documents))
  readme.replace_block(path, 'diginetica', large_table())
  readme.replace_block(path, 'claims', claims_table(documents))


def rows_table() -> str:
  """Returns the published and reproduced numbers of each flag file."""
  lines = [
    '| row | metric | published | here | fit | flag file |',
    '|---|---|---:|---:|---:|---|',
  ]
  for name, title in _ROWS.items():
    file = _FOLDER / 'results' / f'{name}.json'
    flags = f'`{name}.flags`'
    if not file.exists():
      lines.append(f'| {title} | | | not run: data not at hand | | {flags} |')
      continue
    row = json.loads(file.read_text())
    for metric, published in row['expected'].items():
      lines.append(
        f'| {title} | {metric} | {published:.6f} | '
        f'{row["metrics"][metric]:.6f} | {row["prepare"]["seconds"]:.0f} s | '
        f'{flags} |'
      )
  return '\n'.join(lines)


def large_table() -> str:
  """Returns the quality and the cost of each method on Diginetica."""
  lines = [
    '| way | settings | Recall@20 [95%] | MRR@20 [95%] | fit | memory '
    'predicted, at most | measured | kept |',
    '|---|---|---:|---:|---:|---:|---:|---:|',
  ]
  for name in ways.WAYS:
    file = _FOLDER / 'results' / f'diginetica_{name}.json'
    if not file.exists():
      lines.append(f'| {name} | not run yet |{" |" * 6}')
      continue
    row = json.loads(file.read_text())
    cost = row['prepare']
    settings = ', '.join(f'{k} {v:g}' for k, v in row['options'].items())
    found = [
      f'{row["metrics"][m]:.4f} [{low:.4f}, {high:.4f}]'
      for m in ways.METRICS
      for low, high in [row['interval'][m]]
    ]
    memory = [
      '' if cost[k] is None else f'{cost[k] / 2**20:,.0f} MiB'
      for k in ('predicted_bytes', 'peak_bytes', 'stored_bytes')
    ]
    lines.append(
      f'| {name} | {settings} | {" | ".join(found)} | {cost["seconds"]:.0f} s '
      f'| {" | ".join(memory)} |'
    )
  return '\n'.join(lines)


def arms_table(documents) -> str:
  """Returns NDCG@100 of every arm on every data set, and the time of a fit."""
  names = [d['dataset'] for d in documents]
  lines = [
    f'| arm | {" | ".join(names)} |',
    f'|---|{"---:|" * len(names)}',
  ]
  for arm in documents[0]['arms'] if documents else ():
    cells = [
      f'{d["arms"][arm]["metrics"]["ndcg@100"]:.4f} '
      f'({d["arms"][arm]["fit_seconds"]:.2g} s)'
      for d in documents
    ]
    lines.append(f'| {arm} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def claims_table(documents) -> str:
  """Returns the measurements for each claim, and whether it holds."""
  names = [d['dataset'] for d in documents]
  lines = [
    f'| claim | {" | ".join(names)} | holds |',
    f'|---|{"---|" * len(names)}---|',
  ]
  for title, judge in _CLAIMS.items():
    found = [judge(d) for d in documents]
    held = sum(is_true for _, is_true in found)
    cells = [f'{text}{"" if ok else " (no)"}' for text, ok in found]
    lines.append(
      f'| {title} | {" | ".join(cells)} | on {held} of {len(found)} |'
    )
  return '\n'.join(lines)


def _against(document, arm):
  """Returns the comparison of EASE with an arm as text, and the verdict."""
  found = significance.Comparison(**document['against_ease'][arm])
  word = significance.verdict(found)
  word = {'win': 'loss', 'loss': 'win'}.get(word, word)
  text = (
    f'{arm} {found.relative:+.1%} ({found.low:+.1%} to {found.high:+.1%}) '
    'relative to EASE'
  )
  return text, word


def _beats(arm):
  def judge(document):
    text, word = _against(document, arm)
    return text, word == 'win'

  return judge


def _not_worse_than(arm):
  def judge(document):
    text, word = _against(document, arm)
    return text, word != 'loss'

  return judge


def _negative_share(document):
  ease = document['arms']['ease']
  share = ease['negative_share']
  by_size = ease['negative_share_by_size']
  text = f'{share:.0%} of the weights, {by_size:.0%} of their absolute sum'
  return text, 0.5 <= share <= 0.7


def _clipping_gives_slim(document):
  ndcg = {
    name: document['arms'][name]['metrics']['ndcg@100']
    for name in ('ease', 'ease:nonnegative', 'slim')
  }
  gap = ndcg['ease:nonnegative'] / ndcg['slim'] - 1
  text = f'clipped EASE {gap:+.1%} relative to SLIM'
  return text, abs(gap) < 0.02 and ndcg['ease:nonnegative'] < ndcg['ease']


def _cheaper_than_slim(document):
  arms = document['arms']
  ratio = arms['slim']['fit_flops'] / arms['ease']['fit_flops']
  return f'SLIM takes {ratio:.0f} times the operations', ratio >= 10


_CLAIMS = {
  'a linear model is at least as good as a deep one': _not_worse_than(
    'mult_vae'
  ),
  'the zero diagonal is what makes EASE rank well': _beats(
    'ease:unconstrained'
  ),
  'about 60% of the weights are negative': _negative_share,
  'setting negative weights to zero (clipping) costs quality': _beats(
    'ease:nonnegative'
  ),
  'clipped EASE ranks within 2% of SLIM': _clipping_gives_slim,
  'a non-negative fit without L1 is worse than EASE, too': _beats('slim:no_l1'),
  'without L1 and non-negativity, EASE ranks better than SLIM': _beats('slim'),
  'EASE costs at most a tenth of SLIM (30 ADMM steps)': _cheaper_than_slim,
  'the precision matrix ranks better than cosine (ItemKNN)': _beats('itemknn'),
}


if __name__ == '__main__':
  script.run(main)
