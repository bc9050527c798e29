"""Rewrites the tables of experiments/p5/README.md from committed results.

python -m experiments.p5.tables
"""

import json
import pathlib

import numpy as np

from experiments import readme, script

_FOLDER = pathlib.Path('experiments/p5')
_SASREC = pathlib.Path('experiments/sasrec/results/beauty.json')
RANKING = 'hr@5', 'ndcg@5', 'hr@10', 'ndcg@10'
# HR@5, NDCG@5, HR@10 and NDCG@10 on Beauty, as the authors report them.
PUBLISHED = {
  'P5-small, numbers along full sequences (leak)': (
    0.0503, 0.0370, 0.0659, 0.0421,
  ),
  'P5-small, random numbers (by the authors of TIGER)': (
    0.0163, 0.0107, 0.0254, 0.0136,
  ),
  'SASRec, well trained (by the authors of eSASRec)': (
    None, None, 0.0921, 0.0531,
  ),
}  # fmt: skip
BEAUTY = {
  'beauty_given': 'P5, the numbers of the file (leak), half the learning rate',
  'beauty_sequential': 'P5, sequential numbers',
  'beauty_random': 'P5, random numbers, half the learning rate',
  'beauty_collaborative': 'P5, collaborative numbers',
  'beauty_collaborative_long': 'P5, collaborative numbers, 4 times the steps',
  'beauty_collaborative_slow': (
    'P5, collaborative numbers, half the learning rate'
  ),
  'beauty_collaborative_slower': (
    'P5, collaborative numbers, a quarter of the learning rate'
  ),
  'beauty_sequential_slower': (
    'P5, sequential numbers, a quarter of the learning rate'
  ),
  'beauty_given_long': (
    'P5, the numbers of the file (leak), a quarter of the learning rate, 4 '
    'times the steps'
  ),
  'beauty_collaborative_wide': (
    'P5, collaborative numbers, half the learning rate, twice the width'
  ),
}


def main(argv):
  """Writes the tables of Beauty, of leaks, of families and of latencies."""
  del argv
  file = _FOLDER / 'README.md'
  results = _FOLDER / 'results'
  readme.replace_block(file, 'beauty', beauty_table(results))
  readme.replace_block(file, 'leak', leak_table(results))
  readme.replace_block(file, 'families', families_table(results))
  readme.replace_block(file, 'latency', latency_table(results))


def runs(results: pathlib.Path, row: str) -> list[dict]:
  """Reads the result of each seed of a row."""
  paths = sorted(results.glob(f'{row}-*.json'))
  return [json.loads(path.read_text()) for path in paths]


def beauty_table(results: pathlib.Path) -> str:
  """Table of the next item on Beauty: published results, and those here."""
  lines = _head('Beauty, next item', RANKING, 'training', 'flag file')
  for what, values in PUBLISHED.items():
    lines.append(_row(f'published: {what}', map(_number, values), '', ''))
  of_rows = {row: runs(results, row) for row in BEAUTY}
  lines += _beauty_baselines(
    [run for found in of_rows.values() for run in found]
  )
  for row, what in BEAUTY.items():
    found = of_rows[row]
    flags = f'`{row}.flags`'
    if not found:
      lines.append(_row(what, ['not run yet', '', '', ''], '', flags))
      continue
    seconds = np.mean([run['prepare']['seconds'] for run in found])
    for seen, wording in ((True, ''), (False, ', unseen wording')):
      values = _over_seeds(found, ('sequential', '{item}', seen), RANKING)
      minutes = f'{seconds / 60:.1f} core-min'
      lines.append(_row(what + wording, values, minutes, flags))
  return '\n'.join(lines)


def _beauty_baselines(found) -> list[str]:
  """Rows of our SASRec, popularity, and the rule on each kind of numbers."""
  sasrec = json.loads(_SASREC.read_text())
  values = [
    sasrec['metrics'][metric.replace('hr@', 'recall@')] for metric in RANKING
  ]
  minutes = f'{sasrec["prepare"]["seconds"] / 60:.0f} min'
  flags = f'`{_SASREC.parents[1].name}/{sasrec["row"]}.flags`'
  lines = [_row('SASRec here', map(_number, values), minutes, flags)]
  if found:
    values = [found[0]['popularity'][metric] for metric in RANKING]
    lines.append(_row('popularity', map(_number, values), 'none', ''))
  ruled = {run['config']['names']: run['number_rule'] for run in found}
  for names, rule in ruled.items():
    values = [_number(rule[metric]) for metric in RANKING]
    lines.append(_row(f'rule of numbers, {names}', values, 'none', ''))
  return lines


def leak_table(results: pathlib.Path) -> str:
  """The rule that learns nothing, on each kind of numbers."""
  lines = _head('data set', ['numbers', *RANKING])
  path = results / 'leak.json'
  if not path.exists():
    return '\n'.join([*lines, _row('not run yet', [''] * 5)])
  for row in json.loads(path.read_text())['rows']:
    values = [row['numbers'], *(_number(row['metrics'][m]) for m in RANKING)]
    lines.append(_row(row['set'], values))
  return '\n'.join(lines)


def families_table(results: pathlib.Path) -> str:
  """Table of all families on MovieLens, with seen and unseen wordings."""
  lines = _head('family', ['answer', 'metric', 'seen', 'unseen', 'baseline'])
  found = runs(results, 'movielens_small')
  if not found:
    return '\n'.join([*lines, _row('not run yet', [''] * 5)])
  kinds = {
    (record['family'], record['target']): list(record['metrics'])
    for record in found[0]['templates']
  }
  for (family, target), metrics in kinds.items():
    for metric in metrics:
      cells = [
        _over_seeds(found, (family, target, seen), [metric])[0]
        for seen in (True, False)
      ]
      baseline = ''
      if target == '{rating}' and metric in ('rmse', 'mae'):
        mean = [run['mean_rating'][metric] for run in found]
        baseline = f'mean rating: {_number(np.mean(mean))}'
      common = _over_seeds(
        found, (family, target, True), [metric], 'common_answer'
      )
      if common[0]:
        baseline = f'most common answer: {common[0]}'
      if target == '{item}':
        counts, rule = (
          _number(np.mean([run[name][metric] for run in found]))
          for name in ('popularity', 'number_rule')
        )
        baseline = f'popularity: {counts}, rule of numbers: {rule}'
      lines.append(_row(family, [f'`{target}`', metric, *cells, baseline]))
  minutes = np.mean([run['prepare']['seconds'] for run in found]) / 60
  size = f'{found[0]["prepare"]["parameters"] / 1e6:.2f}M parameters'
  cells = ['', 'training, core-minutes', f'{minutes:.1f}', '']
  lines.append(_row('all', [*cells, f'{len(found)} seed(s), {size}']))
  return '\n'.join(lines)


def latency_table(results: pathlib.Path) -> str:
  """Seconds for 1,000 users of each way to rank."""
  lines = _head(
    'names', ['nodes', 'method', 'seconds for 1,000 users', 'batch']
  )
  path = results / 'latency.json'
  if not path.exists():
    return '\n'.join([*lines, _row('not run yet', [''] * 4)])
  for row in json.loads(path.read_text())['rows']:
    seconds = f'{row["seconds_per_1000"]:,.1f}'
    cells = [f'{row["nodes"]:,}', row['way'], seconds, str(row['batch'])]
    lines.append(_row(row['names'], cells))
  return '\n'.join(lines)


def _over_seeds(found, kind, metrics, what='metrics'):
  """Averages metrics over a family's wordings, and then over seeds.

  Args:
    found: the result of each seed.
    kind: family, target, and whether the wordings were seen in training.
    metrics: names of the metrics.
    what: entry of the templates' records that holds the metrics.

  Returns:
    A cell for each metric: the mean, and the standard deviation over seeds if
    there are several; empty without values.
  """
  cells = []
  for metric in metrics:
    values = [
      np.mean(records)
      for run in found
      if (
        records := [
          record[what][metric]
          for record in run['templates']
          if (record['family'], record['target'], record['seen']) == kind
          and record[what]
        ]
      )
    ]
    cell = _number(np.mean(values)) if values else ''
    if len(values) > 1:
      cell += f' ± {np.std(values, ddof=1):.4f}'
    cells.append(cell)
  return cells


def _number(value) -> str:
  return '' if value is None else f'{value:.4f}'


def _head(first: str, *names) -> list[str]:
  flat = [
    name
    for group in names
    for name in ([group] if isinstance(group, str) else group)
  ]
  rule = '|---|' + '---:|' * len(flat)
  return [_row(first, flat), rule]


def _row(first, cells, *more) -> str:
  return '| ' + ' | '.join([first, *cells, *more]) + ' |'


if __name__ == '__main__':
  script.run(main)
