"""Rewrites the READMEs' table and picture from the committed results.

  python -m experiments.adaptation.tables

Run it in the repository's root, after
  python -m experiments.adaptation.run \
    --flagfile=experiments/adaptation/full.flags --workdir=DIR
and after copying DIR/results.json to experiments/adaptation/results/.
"""

import pathlib

from absl import flags

from experiments import script
from hyperrec.evaluation import (
  report,
  report_figures,
  report_words,
  results,
)

_RESULTS = flags.DEFINE_string(
  'results', 'experiments/adaptation/results/results.json', 'The rows.'
)

_INKS = {'light': '#1b1f24', 'dark': '#e4e8ec'}
_PICTURE = 'experiments/adaptation/results/headline-{}.svg'


def main(argv):
  """Writes the pictures, then the blocks between the READMEs' markers."""
  del argv
  rows = results.read_json(_RESULTS.value)
  tasks = results.by_task(rows)
  fair = {task: report_words.fair(cells) for task, cells in tasks.items()}
  for scheme, ink in _INKS.items():
    figure = report_figures.headline(fair)
    pathlib.Path(_PICTURE.format(scheme)).write_text(
      report_figures.svg(figure, ink)
    )
  picture = (
    f'<picture><source media="(prefers-color-scheme: dark)" '
    f'srcset="{_PICTURE.format("dark")}">'
    f'<img alt="Quality over the budget of evidence, by regime" '
    f'src="{_PICTURE.format("light")}"></picture>'
  )
  table = report.markdown_table(rows)
  report.replace_block('README.md', 'adaptation', f'{picture}\n\n{table}')
  verdict = '\n\n'.join(
    f'### {task.regime.replace("_", " ")}, {task.dataset}\n\n'
    + '\n'.join(f'- {s}' for s in report_words.sentences(task, cells))
    for task, cells in tasks.items()
  )
  report.replace_block(
    'experiments/adaptation/README.md', 'verdict', f'{verdict}\n\n{table}'
  )


if __name__ == '__main__':
  script.run(main)
