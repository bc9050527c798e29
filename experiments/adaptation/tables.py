"""Collects runs, and rewrites the generated text and figures of READMEs.

  python -m experiments.adaptation.tables --take=DIR    (adds DIR/cells.jsonl)
  python -m experiments.adaptation.tables               (committed rows only)
  python -m experiments.adaptation.tables --report=report.html   (only the page)

Run it in the root of the repository. Rows are stored in one file for each data
set and regime. A row that exists already is kept, unless `--replace` is given.
Rows with other test users than the stored ones are refused.
"""

import pathlib
import re

from absl import flags

from experiments import pictures, readme, script
from experiments.adaptation import report, stored_rows
from experiments.adaptation.report import figures, numbers, roles, words
from experiments.adaptation.report import tables as tables_lib
from hyperrec.evaluation import results

_TAKE = flags.DEFINE_list(
  'take', [], 'Workdirs whose rows are added, such as DIR1,DIR2.'
)
_REPLACE = flags.DEFINE_bool(
  'replace', False, 'Replace stored rows by new ones.'
)
_ONLY = flags.DEFINE_list(
  'only', None, 'Methods whose rows are added; by default all.'
)

_REPORT = flags.DEFINE_string(
  'report',
  None,
  'HTML file for the report of all committed results; writes nothing else.',
)

_RESULTS = pathlib.Path('experiments/adaptation/results')
_DETAILS = 'experiments/adaptation/README.md'
# The data set of the curves in the README; the report shows all data sets.
_FRONT = 'movielens_small'


def main(argv):
  """Adds runs, then writes the figures and READMEs, or only the report."""
  del argv
  for workdir in _TAKE.value:
    new = stored_rows.read(workdir)
    if _ONLY.value is not None:
      new = [row for row in new if row['method'] in _ONLY.value]
    take_in(new, replace=_REPLACE.value)
  rows = committed()
  if _REPORT.value is not None:
    report.write_report(rows, _REPORT.value)
    return
  tasks = words.in_order(results.by_task(rows))
  analyses = {
    t: numbers.analyse(cells, has_evidence=words.has_evidence(t.regime))
    for t, cells in tasks.items()
  }
  readme.replace_block(_DETAILS, 'answer', answer(analyses))
  readme.replace_block(_DETAILS, 'guide', words.guide(analyses))
  readme.replace_block(_DETAILS, 'hypotheses', hypotheses(tasks))
  readme.replace_block(_DETAILS, 'verdict', verdict(tasks, analyses))
  readme.replace_block(_DETAILS, 'seeds', seeds(tasks))
  readme.replace_block(
    _DETAILS,
    'tables',
    f'{curves(tasks)}\n\n{tables_lib.markdown_table(rows)}',
  )


def take_in(rows: list[results.Row], *, replace: bool = False) -> None:
  """Adds rows to the files of their data sets and regimes.

  Rows of oracle arms have files of their own.
  """
  files: dict[pathlib.Path, list[results.Row]] = {}
  for row in rows:
    name = re.sub(r'\W+', '_', f'{row["dataset"]}-{row["regime"]}')
    if roles.is_oracle(row['method']):
      name += '_oracle'
    files.setdefault(_RESULTS / f'{name}.json', []).append(row)
  merged = {}
  for path, new in files.items():
    old = results.read_json(path) if path.exists() else []
    sides = (old, new) if replace else (new, old)
    chosen = {stored_rows.row_key(row): row for side in sides for row in side}
    stored_rows.check_alike(chosen.values())
    order = dict.fromkeys(row['method'] for row in [*old, *new])
    rank = {method: number for number, method in enumerate(order)}
    merged[path] = sorted(
      chosen.values(),
      key=lambda r, rank=rank: (rank[r['method']], r['budget'], r['seed']),
    )
  for path, all_rows in merged.items():
    results.write_json(all_rows, path)


def committed() -> list[results.Row]:
  """Returns the rows of all committed files."""
  return [
    row
    for path in sorted(_RESULTS.glob('*.json'))
    for row in results.read_json(path)
  ]


def answer(analyses) -> str:
  """Returns the answer of these cases: sentences and a figure."""
  told = '\n'.join(f'- {s}' for s in words.answer(analyses))
  drawn = pictures.save(
    _RESULTS / 'answer',
    lambda: figures.answer(analyses),
    'Gain in quality over cost of an adaptation, one point per case',
    pathlib.Path(_DETAILS).parent,
  )
  return (
    f'{told}\n\n{drawn}\n\n{words.CASES} In the figure, hollow points mark '
    'cases that are neither better nor worse; bars are 95% intervals.'
  )


def hypotheses(tasks) -> str:
  """Returns the table of hypotheses and its explanation."""
  table = tables_lib.as_markdown(tables_lib.hypotheses_table(tasks))
  return f'{table}\n\n{words.HYPOTHESES}'


def verdict(tasks, analyses) -> str:
  """Returns the table of standings and the verdict on each task."""
  standings = tables_lib.as_markdown(tables_lib.standings_table(tasks))
  told = '\n\n'.join(
    f'**{words.title(task)}**\n\n'
    + '\n'.join(f'- {s}' for s in words.verdict(found))
    for task, found in analyses.items()
  )
  return f'{words.STANDINGS}\n\n{standings}\n\n{told}'


def seeds(tasks) -> str:
  """Returns the number of seeds of each task, and methods with fewer."""
  lines = []
  for task, cells in tasks.items():
    ran: dict[str, int] = {}
    for c in roles.fair(cells):
      if c.seeds:
        ran[c.method] = min(len(c.seeds), ran.get(c.method, len(c.seeds)))
    most = max(ran.values(), default=0)
    parts = [
      f'{fewer}: {words.listed(m for m, n in ran.items() if n == fewer)}'
      for fewer in sorted(set(ran.values()) - {most}, reverse=True)
    ]
    about = f' ({"; ".join(parts)})' if parts else ''
    lines.append(f'- {words.title(task)}: {most}{about}')
  return '\n'.join(lines)


def curves(tasks) -> str:
  """Draws the curves of every regime on one data set; returns its HTML."""
  fair = {
    task: roles.fair(cells)
    for task, cells in tasks.items()
    if task.dataset == _FRONT
  }
  return pictures.save(
    _RESULTS / 'headline',
    lambda: figures.headline(fair),
    'Quality over the budget of evidence, by regime',
    _RESULTS.parent,
  )


if __name__ == '__main__':
  script.run(main)
