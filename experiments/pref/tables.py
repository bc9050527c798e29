"""Rewrites the tables and plots of experiments/pref/README.md from results.

python -m experiments.pref.tables
"""

import itertools
import json
import pathlib

import matplotlib.figure

from experiments import pictures, script
from experiments import readme as readme_lib
from experiments.adaptation.report import figures
from hyperrec.evaluation import significance

_FOLDER = pathlib.Path('experiments/pref')
_COLOURS = (
  '#2a7fc0',
  '#d55e00',
  '#009e73',
  '#b0506a',
  '#8aa02c',
  '#7d6bd0',
  '#b58900',
  '#888888',
  '#3d8f86',
  '#cc79a7',
)
_PANELS = {
  'known': 'asked about films seen',
  'all': 'asked about popular films',
}
_ASKED = {'known': 'films seen', 'all': 'popular films'}
_TITLES = {
  'nothing': 'no questions',
  'known': 'asked only about films that the user has seen',
  'all': 'asked about popular films; "I don\'t know" costs a question',
  'likes': 'plain likes, as many as questions',
}


def main(argv):
  """Writes what there are results for."""
  del argv
  readme, folder = _FOLDER / 'README.md', _FOLDER / 'results'
  if document := read(folder / 'recommendation.json'):
    for metric in document['curves'][0]['metrics']:
      name = metric.split('@')[0]
      image = picture(document, metric, name)
      table = curves_table(document, metric)
      readme_lib.replace_block(readme, name, f'{image}\n\n{table}')
    metric = next(iter(document['curves'][0]['metrics']))
    found = against_random(document, metric, 10)
    readme_lib.replace_block(readme, 'random', found)
  if document := read(folder / 'noisy.json'):
    metric = next(iter(document['curves'][0]['metrics']))
    readme_lib.replace_block(readme, 'noisy', curves_table(document, metric))
  files = sorted((folder / 'bases').glob('*.json'))
  if files:
    readme_lib.replace_block(readme, 'bases', bases_table(files, 10))
  if document := read(folder / 'latency.json'):
    readme_lib.replace_block(readme, 'latency', latency_table(document))
  if document := read(folder / 'attributes.json'):
    image = picture(document, 'auc', 'attributes')
    table = curves_table(document, 'auc')
    readme_lib.replace_block(readme, 'attributes', f'{image}\n\n{table}')


def read(file: pathlib.Path):
  """A document of results, None where there is none yet."""
  return json.loads(file.read_text()) if file.exists() else None


def picture(document, metric, name) -> str:
  """Draws the curves of a metric; gives the HTML that shows them."""
  return pictures.save(
    _FOLDER / 'results' / name,
    lambda: draw(document, metric),
    f'{metric} by questions and arm',
    _FOLDER,
  )


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
    f'| at {questions} questions | answered | {metric} relative to random | '
    'verdict |',
    '|---|---:|---|---|',
  ]
  for point in document['curves']:
    if point['questions'] != questions or not point['against_random']:
      continue
    found = significance.Comparison(**point['against_random'][metric])
    share = point['answered']
    lines.append(
      f'| {point["arm"]}, {_ASKED[point["condition"]]} | '
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
  lines = ['| measured | median | best | goal | |', '|---|---:|---:|---:|---|']
  for row in document['rows']:
    word = 'met' if row['is_met'] else 'missed'
    lines.append(
      f'| {row["what"]} | {row["median"]} | {row["best"]} | {row["goal"]} | '
      f'{word} |'
    )
  return '\n'.join(lines)


def draw(document, metric) -> matplotlib.figure.Figure:
  """One panel a condition; plain likes in all of them, dashed."""
  panels = [c for c in conditions(document) if c in ('known', 'all')]
  panels = panels or [c for c in conditions(document) if c != 'likes']
  figure = matplotlib.figure.Figure((9.4, 3.9), dpi=72)
  width = 0.68 / len(panels)
  # So far below that the others would be one line; the table has it.
  sets = {
    condition: {
      arm: points
      for arm, points in arms(document, condition).items()
      if arm != 'published'
    }
    for condition in conditions(document)
  }
  names = list(dict.fromkeys(a for found in sets.values() for a in found))
  colours = dict(zip(names, itertools.cycle(_COLOURS)))
  top = max(p['metrics'][metric]['mean'] for p in points_of(sets))
  low = min(p['metrics'][metric]['mean'] for p in points_of(sets))
  margin = 0.05 * (top - low) or 0.01
  budgets = sorted({c['questions'] for c in document['curves']})
  for index, condition in enumerate(panels):
    box = (0.065 + index * (width + 0.035), 0.13, width - 0.02, 0.77)
    axes = figures.make_axes(figure, box)
    _draw_lines(axes, sets, condition, metric, colours)
    axes.set_xscale('log')
    axes.set_xticks([q + 1 for q in budgets], [str(q) for q in budgets])
    axes.minorticks_off()
    axes.set_ylim(low - margin, top + margin)
    title = _PANELS.get(condition, '')
    axes.set_title(title, size=9, color=figures.INK, loc='left')
    axes.set_xlabel('questions, or likes')
  figure.axes[0].set_ylabel(metric)
  _legend(figure)
  return figure


def _draw_lines(axes, sets, condition, metric, colours) -> None:
  """What knows nothing, what asks, and what is shown likes."""
  for kind, dashes in (('nothing', ':'), (condition, '-'), ('likes', '--')):
    for arm, points in sets.get(kind, {}).items():
      axes.plot(
        [q + 1 for q in points],
        [p['metrics'][metric]['mean'] for p in points.values()],
        dashes,
        color=colours[arm],
        lw=1.3,
        marker='.',
        label=f'{arm}, likes' if kind == 'likes' else arm,
      )


def _legend(figure) -> None:
  """One entry an arm, at the right."""
  found = {}
  for axes in figure.axes:
    for line, label in zip(*axes.get_legend_handles_labels(), strict=True):
      found.setdefault(label, line)
  figure.legend(
    found.values(),
    found.keys(),
    loc='center right',
    frameon=False,
    fontsize=8,
    labelcolor=figures.INK,
  )


def points_of(sets) -> list:
  """Every point of every condition and arm."""
  return [p for found in sets.values() for arm in found.values()
          for p in arm.values()]  # fmt: skip


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
