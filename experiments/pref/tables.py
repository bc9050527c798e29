"""Rewrites the tables and plots of experiments/pref/README.md from results.

python -m experiments.pref.tables
"""

import json
import pathlib

import matplotlib
import matplotlib.figure

from experiments import script
from hyperrec.evaluation import report, significance

_FOLDER = pathlib.Path('experiments/pref')
_TITLES = {
  'known': 'asked only about films that the user has seen',
  'all': 'asked about popular films, "I don\'t know" costs a question',
  'likes': 'the same number of plain likes',
}


def main(argv):
  """Writes what there are results for."""
  del argv
  readme = _FOLDER / 'README.md'
  file = _FOLDER / 'results' / 'recommendation.json'
  if file.exists():
    document = json.loads(file.read_text())
    for metric in document['curves'][0]['metrics']:
      name = metric.split('@')[0]
      report.replace_block(readme, name, curves_table(document, metric))
      draw(document, metric, _FOLDER / 'results' / f'{name}.svg')
    metric = next(iter(document['curves'][0]['metrics']))
    found = against_random(document, metric, 10)
    report.replace_block(readme, 'random', found)
  files = sorted((_FOLDER / 'results' / 'bases').glob('*.json'))
  if files:
    report.replace_block(readme, 'bases', bases_table(files, 10))
  file = _FOLDER / 'results' / 'latency.json'
  if file.exists():
    report.replace_block(
      readme, 'latency', latency_table(json.loads(file.read_text()))
    )
  file = _FOLDER / 'results' / 'attributes.json'
  if file.exists():
    document = json.loads(file.read_text())
    report.replace_block(readme, 'attributes', curves_table(document, 'auc'))
    draw(document, 'auc', _FOLDER / 'results' / 'attributes.svg')


def curves_table(document, metric) -> str:
  """Mean and 95% interval of each arm by questions."""
  budgets = sorted({c['questions'] for c in document['curves']})
  lines = [
    f'| {metric} | {" | ".join(f"q = {q}" for q in budgets)} |',
    f'|---|{"---:|" * len(budgets)}',
  ]
  for condition in conditions(document):
    title = _TITLES.get(condition, condition)
    lines.append(f'| **{title}** |{" |" * len(budgets)}')
    for arm, points in arms(document, condition).items():
      cells = [cell(points.get(q), metric) for q in budgets]
      lines.append(f'| {arm} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def cell(point, metric) -> str:
  """Mean, its interval, and the share of questions that were answered."""
  if point is None:
    return ''
  found = point['metrics'][metric]
  half = (found['high'] - found['low']) / 2
  return f'{found["mean"]:.3f} ±{half:.3f}'


def against_random(document, metric, questions) -> str:
  """Each rule against random questions, and how much was answered."""
  lines = [
    f'| at {questions} questions | answered | {metric} against random | '
    'verdict |',
    '|---|---:|---|---|',
  ]
  for point in document['curves']:
    if point['questions'] != questions or not point['against_random']:
      continue
    found = significance.Comparison(**point['against_random'][metric])
    share = point['answered']
    lines.append(
      f'| {point["arm"]}, {point["condition"]} | '
      f'{"" if share is None else f"{share:.0%}"} | '
      f'{found.relative:+.1%} ({found.low:+.1%} to {found.high:+.1%}) | '
      f'{significance.verdict(found)} |'
    )
  return '\n'.join(lines)


def bases_table(files: list[pathlib.Path], questions: int) -> str:
  """One row a base: of the paper's rule, of films that the user has seen."""
  lines = []
  for file in files:
    document = json.loads(file.read_text())
    flags = document['flags']
    points = arms(document, 'known')['pref']
    metrics = points[questions]['metrics']
    if not lines:
      heads = [f'{m}, q = {q}' for m in metrics for q in (0, questions)]
      lines = [
        f'| base | J | {" | ".join(heads)} |',
        f'|---|---:|{"---:|" * 2 * len(metrics)}',
      ]
    cells = [cell(points.get(q), m) for m in metrics for q in (0, questions)]
    lines.append(f'| {file.stem} | {flags["rank"]} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def latency_table(document) -> str:
  """Measured against the goals."""
  lines = ['| what | median | best | goal | |', '|---|---:|---:|---:|---|']
  for row in document['rows']:
    word = 'met' if row['is_met'] else 'missed'
    lines.append(
      f'| {row["what"]} | {row["median"]} | {row["best"]} | {row["goal"]} | '
      f'{word} |'
    )
  return '\n'.join(lines)


def draw(document, metric, path) -> None:
  """One panel a condition; plain likes in all of them, dashed."""
  panels = [c for c in conditions(document) if c != 'likes']
  with matplotlib.rc_context({'svg.hashsalt': 'pref', 'font.size': 9}):
    figure = matplotlib.figure.Figure(
      (4.6 * len(panels), 3.6), layout='constrained'
    )
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, condition in zip(axes, panels, strict=True):
      drawn = {k: (v, '-') for k, v in arms(document, condition).items()}
      drawn |= {k: (v, '--') for k, v in arms(document, 'likes').items()}
      for arm, (points, line) in drawn.items():
        means = [p['metrics'][metric]['mean'] for p in points.values()]
        axis.plot([q + 1 for q in points], means, line, marker='.', label=arm)
      budgets = sorted({c['questions'] for c in document['curves']})
      axis.set_xscale('log')
      axis.set_xticks([q + 1 for q in budgets], [str(q) for q in budgets])
      axis.minorticks_off()
      axis.set_title(_TITLES.get(condition, condition), fontsize=9)
      axis.set_xlabel('questions')
    axes[0].set_ylabel(metric)
    axes[-1].legend(loc='center left', bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, metadata={'Date': None})


def conditions(document) -> list[str]:
  """In the order of the results."""
  return list(dict.fromkeys(c['condition'] for c in document['curves']))


def arms(document, condition) -> dict:
  """Arm -> questions -> point."""
  found: dict = {}
  for point in document['curves']:
    if point['condition'] == condition:
      found.setdefault(point['arm'], {})[point['questions']] = point
  return found


if __name__ == '__main__':
  script.run(main)
