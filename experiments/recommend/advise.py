"""Tries recommenders on your data and says which one to use in which case.

  python -m experiments.recommend.advise --source=table --path=orders.csv \
    --user_column=customer --item_column=product --timestamp_column=date \
    --text_columns=title --minutes=10 --workdir=my_advice

Says what the file holds and how long the trials take, tries methods in the
cases that the data can have, and ends with one recommendation for each case.
Writes DIR/advice.html (for you), DIR/research.html (all numbers) and
DIR/advice.json, which `experiments.recommend.fit` reads. Ctrl-C ends it early
with a report of what is done; the same command goes on from there.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from absl import app, flags
from rich import console as console_lib
from rich import progress as progress_lib

from experiments import catalogue, script, source_flags
from experiments.adaptation import cells as cells_lib
from experiments.adaptation import report
from experiments.recommend import advice as advice_lib
from experiments.recommend import cases as cases_lib
from experiments.recommend import forecast, page
from hyperrec import features as features_lib
from hyperrec import folder_lock, regimes
from hyperrec.data import description as description_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features
from hyperrec.evaluation import results

_MINUTES = flags.DEFINE_float(
  'minutes',
  None,
  'Time limit in minutes, such as 10. Methods that do not fit into it are left '
  'out, the costliest first. The default has no limit.',
  lower_bound=0.0,
)
_CASES = flags.DEFINE_list(
  'cases', None, 'Cases to try, such as new_users,new_items; by default all.'
)
_METHODS = flags.DEFINE_list(
  'methods', None, 'Methods to try, such as ease,mult_vae; by default those '
  'that can win.'
)  # fmt: skip
_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout',
  200,
  'Number of users on whom methods are compared, and as many on whom '
  'hyperparameters are chosen; at most a fifth of all users each.',
  lower_bound=1,
)
_TRIALS = flags.DEFINE_integer(
  'trials', 3, 'Number of hyperparameter settings to try of a method.',
  lower_bound=1,
)  # fmt: skip
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'tfidf', item_features.ENCODERS, 'Encoder of item text.'
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', 'results/advice', 'Folder of the results and of the pages.'
)

_KEEPS = {'cells.jsonl': 1}
_CHOICE = 'it chooses which cells are run'
_FREE = dict.fromkeys(('minutes', 'cases', 'methods'), _CHOICE)
_PAGES = ('advice.html', 'research.html', 'advice.json', 'advise.log')


class Job(NamedTuple):
  """A method in a case: its cells share what they prepare."""

  case: cases_lib.Case
  method: str
  seconds: float | None

  def cells(self) -> Iterator[cells_lib.Cell]:
    """The cells, one for each budget."""
    for budget in self.case.budgets:
      yield cells_lib.Cell(self.case.regime, 0, budget, self.method)


def main(argv):
  """Describes the data, tries methods and writes the advice."""
  del argv
  start = time.monotonic()
  workdir = pathlib.Path(_WORKDIR.value)
  for name in (*_KEEPS, *_PAGES):
    script.check_place('workdir', workdir / name)
  whole = source_flags.load_whole()
  about = description_lib.describe(whole)
  console = console_lib.Console()
  console.print(page.described(about))
  data = cells_lib.Data(source_flags.cleaned(whole))
  num_heldout = min(_NUM_HELDOUT.value, max(1, data.target.num_users // 5))
  cases, notes = chosen_cases(about)
  cases, refused = feasible(data, cases, num_heldout)
  notes = [*notes, *refused]
  for note in notes:
    print(f'note: {note}', file=sys.stderr)
  claim(data.target)
  script.send_logs_to(workdir / 'advise.log')
  jobs = plan(cases, forecast.Size.of(data.target), _TRIALS.value)
  console.print(forecast.announced(jobs, data.target), highlight=False)
  left = None
  if _MINUTES.value is not None:
    left = lambda: 60 * _MINUTES.value - (time.monotonic() - start)  # noqa: E731
  features = features_lib.read(
    [data.target], _ENCODER.value, cache_folder=_CACHE_DIR.value,
    num_features=128,
  )  # fmt: skip
  settings = cells_lib.Settings(num_heldout, trials=_TRIALS.value)
  runner = cells_lib.Runner(data, features, settings)
  with folder_lock.held(workdir):
    rows, unfinished = run(runner, jobs, workdir / 'cells.jsonl', left)
  write(workdir, about, cases, rows, [*data.target.notes, *notes, *unfinished])
  for note in unfinished:
    print(f'note: {note}', file=sys.stderr)
  for found in advised(cases, rows):
    for sentence in advice_lib.sentences(found):
      console.print(sentence, markup=False, highlight=False)
  console.print(f'page: {workdir / "advice.html"}', soft_wrap=True)


def chosen_cases(
  about: description_lib.Description,
) -> tuple[list[cases_lib.Case], list[str]]:
  """The cases and methods that flags and data allow, and what is left out."""
  cases, notes = cases_lib.possible(about)
  if _CASES.value is not None:
    known = {case.regime: case for case in cases}
    for name in _CASES.value:
      if name not in known:
        raise app.UsageError(
          f'--cases={name}: it is unknown or the data cannot have it; they '
          f'have {", ".join(known)}'
        )
    cases, notes = [known[name] for name in dict.fromkeys(_CASES.value)], []
  if _METHODS.value is None:
    return cases, notes
  for name in _METHODS.value:
    if name not in catalogue.BY_NAME:
      raise app.UsageError(
        f'--methods={name} is unknown; use some of {list(cases_lib.WORDS)}'
      )
  names = tuple(dict.fromkeys(_METHODS.value))
  own = [
    case._replace(
      methods=tuple(
        n for n in names if case.regime in catalogue.BY_NAME[n].arms
      )
    )
    for case in cases
  ]
  return [case for case in own if case.methods], notes


def feasible(
  data: cells_lib.Data, cases: Iterable[cases_lib.Case], num_heldout: int
) -> tuple[list[cases_lib.Case], list[str]]:
  """Leaves out the budgets and cases whose task cannot be made of the data.

  Raises:
    DataError: no case is left.
  """
  kept, notes = [], []
  for case in cases:
    budgets = []
    for budget in case.budgets:
      try:
        cells_lib.make_task(data, case.regime, budget, 0, num_heldout)
        budgets.append(budget)
      except interactions_lib.DataError as error:
        notes.append(f'{case.title}: {budget} {case.unit} not tried: {error}')
    if budgets:
      kept.append(case._replace(budgets=tuple(budgets)))
  if not kept:
    raise interactions_lib.DataError(
      f'{data.target.name}: none of the cases can be tried: {"; ".join(notes)}'
    )
  return kept, notes


def claim(data: regimes.Interactions) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value,
    'experiments.recommend.advise',
    {'data': data},
    keeps=_KEEPS,
    free=_FREE,
    settings={'text encoder in use': item_features.in_use(_ENCODER.value)},
  )


def plan(
  cases: Iterable[cases_lib.Case], size: forecast.Size, trials: int
) -> list[Job]:
  """All methods in all cases, the quickest first."""
  jobs = [
    Job(case, name, forecast.seconds(case, name, size, trials))
    for case in cases
    for name in case.methods
  ]
  return sorted(jobs, key=lambda job: job.seconds or 0.0)


def run(
  runner: cells_lib.Runner,
  jobs: list[Job],
  path: pathlib.Path,
  left: Callable[[], float] | None,
) -> tuple[list[dict[str, Any]], list[str]]:
  """Runs the jobs while there is time.

  Args:
    runner: runs a cell.
    jobs: the quickest first.
    path: file of the rows; those it holds are not run again.
    left: seconds that are left; None has no limit.

  Returns:
    The rows, and a sentence if some jobs did not run.
  """
  done = {cells_lib.cell_of(row): row for row in results.read_json_lines(path)}
  head = {'flags': script.script_flags(), **script.provenance()}
  rows, skipped, pace = [], [], 1.0
  with _progress() as progress:
    bar = progress.add_task('', total=sum(job.seconds or 1.0 for job in jobs))
    try:
      for job in jobs:
        progress.update(bar, description=f'{job.case.title}: {job.method}')
        is_new = any(cell not in done for cell in job.cells())
        foretold = pace * (job.seconds or 0.0)
        if is_new and left is not None and foretold > left():
          skipped.append(job)
          continue
        start = time.perf_counter()
        for cell in job.cells():
          if cell not in done:
            done[cell], is_kept = runner.run(cell, head)
            if is_kept:
              results.append_json_line(done[cell], path)
          rows.append(done[cell])
        if is_new:
          taken = time.perf_counter() - start
          pace = forecast.next_pace(job.seconds, taken, pace)
        progress.advance(bar, job.seconds or 1.0)
    except KeyboardInterrupt:
      return rows, ['stopped early; the same command goes on from here']
  if not skipped:
    return rows, []
  names = ', '.join(
    dict.fromkeys(f'{job.method} ({job.case.title})' for job in skipped)
  )
  return rows, [f'not tried for lack of time (--minutes): {names}']


def _progress() -> progress_lib.Progress:
  return progress_lib.Progress(
    progress_lib.TextColumn('{task.description}'),
    progress_lib.BarColumn(),
    progress_lib.TimeElapsedColumn(),
    progress_lib.TextColumn('left:'),
    progress_lib.TimeRemainingColumn(),
    disable=not sys.stderr.isatty(),
    console=console_lib.Console(stderr=True),
  )


def advised(
  cases: Iterable[cases_lib.Case], rows: list[dict[str, Any]]
) -> list[advice_lib.Advice]:
  """The recommendation for each case."""
  by_regime = {
    task.regime: cells for task, cells in results.by_task(rows).items()
  }
  return [
    advice_lib.advise(case, by_regime.get(case.regime, ())) for case in cases
  ]


def write(
  workdir: pathlib.Path,
  about: description_lib.Description,
  cases: list[cases_lib.Case],
  rows: list[dict[str, Any]],
  notes: list[str],
) -> None:
  """Writes both pages and the advice as JSON."""
  found = advised(cases, rows)
  page.write(workdir / 'advice.html', about, found, notes)
  if rows:
    report.write_report(rows, workdir / 'research.html', notes)
  script.write_document(
    {
      'data': about._asdict(),
      'flags': script.script_flags(),
      'cases': [page.document(one, rows) for one in found],
      'notes': notes,
    },
    workdir / 'advice.json',
  )


if __name__ == '__main__':
  script.run(main)
