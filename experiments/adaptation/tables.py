"""Collects runs, and rewrites the READMEs' words, tables and picture.

  python -m experiments.adaptation.tables --take=DIR    (DIR/cells.jsonl)
  python -m experiments.adaptation.tables               (what is committed)

Run it in the repository's root. There is one file for each data set and regime.
Rows that are there already are kept; `--replace` takes the new ones.
"""

import pathlib
import re

from absl import flags

from experiments import script
from hyperrec.evaluation import (
  report,
  report_figures,
  report_numbers,
  report_verdicts,
  report_words,
  results,
)

_TAKE = flags.DEFINE_list('take', [], 'Workdirs of runs to take in.')
_REPLACE = flags.DEFINE_bool('replace', False, 'New rows replace old ones.')
_ONLY = flags.DEFINE_list('only', None, 'Methods to take in; default all.')

_INKS = {'light': '#1b1f24', 'dark': '#e4e8ec'}
_RESULTS = pathlib.Path('experiments/adaptation/results')
_PICTURE = 'experiments/adaptation/results/headline-{}.svg'
_DETAILS = 'experiments/adaptation/README.md'
# The README's tables; the rest is on the experiment's own page.
_FRONT = 'movielens_small'


def main(argv):
  """Takes runs in, then writes the pictures and the READMEs' blocks."""
  del argv
  for workdir in _TAKE.value:
    new = results.read_json_lines(pathlib.Path(workdir) / 'cells.jsonl')
    if _ONLY.value is not None:
      new = [row for row in new if row['method'] in _ONLY.value]
    take_in(new, replace=_REPLACE.value)
  rows = committed()
  tasks = results.by_task(rows)
  front = [row for row in rows if row['dataset'] == _FRONT]
  report.replace_block('README.md', 'answer', answer(tasks))
  report.replace_block(
    'README.md', 'adaptation', f'{picture()}\n\n{report.markdown_table(front)}'
  )
  standings = report_verdicts.markdown(report_verdicts.standings_table, tasks)
  verdict = '\n\n'.join(
    f'### {task.regime.replace("_", " ")}, {task.dataset}\n\n'
    + '\n'.join(f'- {s}' for s in report_words.sentences(task, cells))
    for task, cells in tasks.items()
  )
  report.replace_block(
    _DETAILS,
    'verdict',
    f'{report_verdicts.STANDINGS}\n\n{standings}\n\n{verdict}\n\n'
    f'{report.markdown_table(rows)}',
  )


def take_in(rows: list[results.Row], *, replace: bool = False) -> None:
  """Adds rows to the file of their data set and regime."""
  files: dict[pathlib.Path, list[results.Row]] = {}
  for row in rows:
    name = re.sub(r'\W+', '_', f'{row["dataset"]}-{row["regime"]}')
    files.setdefault(_RESULTS / f'{name}.json', []).append(row)
  place = lambda row: (row['method'], row['budget'], row['seed'])  # noqa: E731
  for path, new in files.items():
    old = results.read_json(path) if path.exists() else []
    sides = (old, new) if replace else (new, old)
    kept = {place(row): row for side in sides for row in side}
    order = dict.fromkeys(row['method'] for row in [*old, *new])
    rank = {method: number for number, method in enumerate(order)}
    results.write_json(
      sorted(
        kept.values(),
        key=lambda r: (rank[r['method']], r['budget'], r['seed']),
      ),
      path,
    )


def committed() -> list[results.Row]:
  """The rows of all files."""
  return [
    row
    for path in sorted(_RESULTS.glob('*.json'))
    for row in results.read_json(path)
  ]


def answer(tasks) -> str:
  """The README's first words: what all tasks say, then the hypotheses."""
  analyses = {
    task: report_numbers.analyse(cells) for task, cells in tasks.items()
  }
  told = ' '.join(report_words.answer(analyses)[:3])
  table = report_verdicts.markdown(report_verdicts.hypotheses_table, tasks)
  return f'{told}\n\n{table}\n\n{report_verdicts.HYPOTHESES}'


def picture() -> str:
  """Draws the headline in both schemes; gives what shows it."""
  tasks = results.by_task(
    [row for row in committed() if row['dataset'] == _FRONT]
  )
  fair = {task: report_words.fair(cells) for task, cells in tasks.items()}
  for scheme, ink in _INKS.items():
    figure = report_figures.headline(fair)
    pathlib.Path(_PICTURE.format(scheme)).write_text(
      report_figures.svg(figure, ink)
    )
  return (
    f'<picture><source media="(prefers-color-scheme: dark)" '
    f'srcset="{_PICTURE.format("dark")}">'
    f'<img alt="Quality over the budget of evidence, by regime" '
    f'src="{_PICTURE.format("light")}"></picture>'
  )


if __name__ == '__main__':
  script.run(main)
