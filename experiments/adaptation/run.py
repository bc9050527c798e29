"""Measures which way of adapting ranks best per unit of cost.

  python -m experiments.adaptation.run \
    --flagfile=experiments/adaptation/quick.flags
  python -m experiments.adaptation.run --source=office --data_dir=DATA \
    --regimes=new_items --methods=marec,hyperease_item --workdir=DIR

Prints a table, and writes DIR/results.json and DIR/report.html. The same
command resumes: cells whose rows are in DIR/cells.jsonl are not run again.
"""

import itertools
import pathlib
import sys
from collections.abc import Iterable, Iterator

import numpy as np
from absl import app, flags
from rich import console as console_lib
from rich import progress as progress_lib

from experiments import catalogue, needs, script, source_flags
from experiments.adaptation import cells as cells_lib
from experiments.adaptation import report
from hyperrec import features as features_lib
from hyperrec import folder_lock, regimes
from hyperrec.data import item_features
from hyperrec.evaluation import results
from hyperrec.systems.linear import linear_autoencoder

_REGIMES = flags.DEFINE_list(
  'regimes',
  ['new_users', 'new_catalogue'],
  f'Regimes to run, some of {",".join(r.name for r in regimes.ALL)}.',
)
_METHODS = flags.DEFINE_list(
  'methods',
  None,
  'Methods to run, such as ease,hyperease. '
  'By default, all but ablations, controls and optional variants.',
)
_BUDGETS = {
  regime.name: script.define_whole_numbers(
    regime.flag, [str(budget) for budget in regime.budgets], regime.flag_help
  )
  for regime in regimes.WITH_EVIDENCE
}
_DOMAINS = flags.DEFINE_list(
  'domains',
  [],
  'Source domains of the regime new_domain, whose target is --source. Some of '
  f'{", ".join(source_flags.DOMAINS)}.',
)
_REHEARSAL_DOMAINS = flags.DEFINE_integer(
  'rehearsal_domains',
  3,
  'Number of source domains on which hyperparameters are chosen, in the order '
  'of --domains.',
  lower_bound=1,
)
_EVIDENCE_FOLDS = flags.DEFINE_integer(
  'evidence_folds',
  0,
  'Number of folds of the evidence of a new catalogue or domain for choosing '
  'hyperparameters by cross-validation, beside rehearsals on the source, such '
  'as 3; 0 uses rehearsals only.',
  lower_bound=0,
)
_SEEDS = flags.DEFINE_integer(
  'seeds', 1, 'Number of random splits, one for each seed.', lower_bound=1
)
_FIRST_SEED = flags.DEFINE_integer(
  'first_seed',
  0,
  'The first seed; --first_seed=3 --seeds=2 runs seeds 3 and 4.',
  lower_bound=0,
)
_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout',
  130,
  'Number of validation users, and of test users.',
  lower_bound=1,
)
_TRIALS = flags.DEFINE_integer(
  'trials',
  3,
  'Number of hyperparameter trials of every tuned arm.',
  lower_bound=1,
)
_VALIDATE = flags.DEFINE_bool(
  'validate',
  False,
  'Also judge each method, with its chosen hyperparameters, on validation '
  'users, by whom methods may be chosen; what adapts to users adapts twice.',
)
_ORACLE = flags.DEFINE_bool(
  'oracle', True, 'Also run the oracle arms, tuned on the target.'
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'tfidf', item_features.ENCODERS, 'Encoder of item text.'
)
_FEATURES = flags.DEFINE_integer(
  'features',
  128,
  'Number of TF-IDF features of an item.',
  lower_bound=1,
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)
_REPEATS = flags.DEFINE_integer(
  'repeats',
  20,
  'Maximum number of times that an adaptation is timed.',
  lower_bound=1,
)
_MAX_SECONDS = flags.DEFINE_float(
  'max_seconds',
  1.0,
  'Time limit for the repeats of one timing, in seconds.',
  lower_bound=0.0,
)
_WORKDIR = flags.DEFINE_string(
  'workdir', 'results/adaptation', 'Folder of the results and the report.'
)

# What a resumed run finds in its workdir, with the version of its format.
_KEEPS = {'cells.jsonl': 1}
Cell = cells_lib.Cell
Data = cells_lib.Data

# Catalogues with at least this many items get a note on memory and time.
_MANY_ITEMS = 20_000
_CHOICE = 'it chooses which cells are run'
_FREE = dict.fromkeys(
  (
    'regimes', 'methods', 'seeds', 'first_seed', 'oracle',
    *(regime.flag for regime in regimes.WITH_EVIDENCE),
  ),
  _CHOICE,
)  # fmt: skip


def main(argv):
  """Runs all cells without a row, prints the table and writes the report."""
  del argv
  workdir = pathlib.Path(_WORKDIR.value)
  cells = list(plan())
  for name in (*_KEEPS, 'results.json', 'report.html'):
    script.check_place('workdir', workdir / name)
  data = load()
  held_out = hold_out(data.target)
  cells, notes = possible(data, cells)
  notes = [*held_out, *notes, *large(data.target)]
  for note in notes:
    print(f'note: {note}', file=sys.stderr)
  claim(data)
  with folder_lock.held(workdir):
    rows = run(data, cells, workdir / 'cells.jsonl')
  results.write_json(rows, workdir / 'results.json')
  notes = [*(n for d in (data.target, *data.domains) for n in d.notes), *notes]
  advice = report.write_report(rows, workdir / 'report.html', notes)
  console = console_lib.Console()
  console.print(report.terminal_table(rows))
  for sentence in advice:
    console.print(f'use: {sentence}', markup=False, highlight=False)
  console.print(f'report: {workdir / "report.html"}', soft_wrap=True)


def claim(data: Data) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value,
    'experiments.adaptation.run',
    {
      'data': data.target,
      **{f'domain {domain.name}': domain for domain in data.domains},
    },
    keeps=_KEEPS,
    free=_FREE,
    settings={'text encoder in use': item_features.in_use(_ENCODER.value)},
  )


def load() -> Data:
  """Reads the data that the flags name; domains only if a regime uses them."""
  asking = [r.name for r in regimes.ALL if r.has_domains]
  asking = [name for name in asking if name in _REGIMES.value]
  if not asking:
    return Data(source_flags.load())
  fewest = 1 if _TRIALS.value == 1 else 2
  if len(_DOMAINS.value) < fewest:
    raise app.UsageError(
      f'--regimes={asking[0]} needs at least {fewest} source domains, to learn '
      'from and to choose hyperparameters on: name more in --domains '
      f'(of {list(source_flags.DOMAINS)}), or give --trials=1'
    )
  return Data(source_flags.load(), source_flags.load_domains(_DOMAINS.value))


def hold_out(target: regimes.Interactions) -> list[str]:
  """Reduces the default --num_heldout for small data; returns notes on it."""
  flag = flags.FLAGS['num_heldout']
  fifth = max(1, target.num_users // 5)
  if flag.present or flag.value <= fifth:
    return []
  note = (
    f'--num_heldout: {fifth} users are held out for validation and as many for '
    f'test, a fifth each of {target.num_users}, instead of {flag.value}'
  )
  flag.value = fifth
  return [note]


def large(target: regimes.Interactions) -> list[str]:
  """Returns notes on the memory and time of dense weights of many items."""
  if target.num_items < _MANY_ITEMS:
    return []
  needed = linear_autoencoder.solve_peak_bytes(
    target.num_users, target.num_items
  )
  operations = linear_autoencoder.solve_flops(
    target.user_counts(), target.num_items
  )
  seconds = operations / needs.flops_per_second()
  return [
    f'{target.num_items:,} items: a method that weighs all pairs of items '
    f'(ease, l3ae, hyperease) needs {needed / 2**30:,.1f} GiB at least, and '
    f'{needs.duration(seconds)} for each fit; '
    '--methods=popularity,itemknn,ease_sparse need a fraction of that'
  ]


def possible(data: Data, cells: list[Cell]) -> tuple[list[Cell], list[str]]:
  """Returns the cells whose task can be made, and notes on the tasks.

  Impossible cells are reported before hours are spent on the others.

  Raises:
    DataError: a task cannot be made, or no budget of a regime is possible.
  """
  notes, refused = {}, {}
  for regime, seed, budget in dict.fromkeys(cell[:3] for cell in cells):
    try:
      task = cells_lib.make_task(data, regime, budget, seed, _NUM_HELDOUT.value)
    except regimes.BudgetError as error:
      refused.setdefault((regime, budget), error)
      flag = _BUDGETS[regime].name
      notes[regime, budget] = f'--{flag}: {budget} is left out: {error}'
      continue
    targets = task.test.targets
    users = len(np.unique(targets.users))
    if users < targets.num_users:
      notes.setdefault(
        regime,
        f'{regime}: {users} of {targets.num_users} test users are '
        'evaluated; the others have no targets, since they have fewer than 5 '
        'interactions there, or none with a new item',
      )
  kept = [cell for cell in cells if (cell.regime, cell.budget) not in refused]
  for (regime, _), error in refused.items():
    if not any(cell.regime == regime for cell in kept):
      raise regimes.BudgetError(f'--{_BUDGETS[regime].name}: {error}')
  return kept, list(notes.values())


def plan() -> Iterator[Cell]:
  """Yields every cell once; budgets vary fastest and share prepared states."""
  budgets = {regime.name: list(regime.budgets) for regime in regimes.ALL} | {
    regime: list(dict.fromkeys(map(int, flag.value)))
    for regime, flag in _BUDGETS.items()
  }
  asked = dict.fromkeys(_REGIMES.value)
  _check_known('regimes', asked, budgets)
  names = _METHODS.value or [
    system.name for system in catalogue.SYSTEMS if system.is_run_by_default
  ]
  _check_known('methods', names, catalogue.BY_NAME)
  # Fair arms run first, since the verdict uses them only.
  first = _FIRST_SEED.value
  seeds = range(first, first + _SEEDS.value)
  for oracle in (False, True)[: 1 + _ORACLE.value]:
    for regime, seed in itertools.product(asked, seeds):
      for name in dict.fromkeys(names):
        arm = catalogue.BY_NAME[name].arms.get(regime)
        if arm is None or (oracle and not _has_oracle(regime, arm)):
          continue
        for budget in budgets[regime]:
          yield Cell(regime, seed, budget, name, oracle)


def _has_oracle(regime: str, arm: catalogue.Arm) -> bool:
  return regimes.find(regime).has_oracle and len(arm.trials) > 1


def _check_known(flag: str, given: Iterable[str], known: Iterable[str]) -> None:
  for value in given:
    if value not in known:
      raise app.UsageError(f'--{flag}={value} is unknown; use {list(known)}')


def run(data: Data, cells: list[Cell], path: pathlib.Path) -> list[dict]:
  """Returns the rows of all cells; runs those that `path` does not hold."""
  features = features_lib.read(
    [data.target, *data.domains],
    _ENCODER.value,
    cache_folder=_CACHE_DIR.value,
    num_features=_FEATURES.value,
  )
  done = {cells_lib.cell_of(row): row for row in results.read_json_lines(path)}
  rows = []
  runner = cells_lib.Runner(
    data,
    features,
    cells_lib.Settings(
      num_heldout=_NUM_HELDOUT.value,
      trials=_TRIALS.value,
      rehearsal_domains=_REHEARSAL_DOMAINS.value,
      evidence_folds=_EVIDENCE_FOLDS.value,
      repeats=_REPEATS.value,
      max_seconds=_MAX_SECONDS.value,
      validates=_VALIDATE.value,
    ),
  )
  head = {'flags': script.script_flags(), **script.provenance()}
  with progress_lib.Progress(
    *progress_lib.Progress.get_default_columns(),
    progress_lib.TimeElapsedColumn(),
    disable=not sys.stderr.isatty(),
    console=console_lib.Console(stderr=True),
  ) as progress:
    for cell in progress.track(cells, description='cells'):
      if cell not in done:
        done[cell], is_kept = runner.run(cell, head)
        if is_kept:
          results.append_json_line(done[cell], path)
      rows.append(done[cell])
  return rows


if __name__ == '__main__':
  script.run(main)
