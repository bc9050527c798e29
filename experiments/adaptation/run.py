"""The experiment: which way of adapting ranks best per unit of cost.

  python -m experiments.adaptation.run                      (the quick run)
  python -m experiments.adaptation.run \
    --flagfile=experiments/adaptation/full.flags --workdir=DIR

Prints a table, and writes DIR/results.json and DIR/report.html. The same
command resumes: cells that DIR/cells.jsonl holds are not run again.
"""

import functools
import pathlib
import sys
import time

import jax
import numpy as np
from absl import app, flags, logging
from rich import console as console_lib
from rich import progress as progress_lib

from experiments import script, source_flags
from experiments.adaptation import arms as arms_lib
from experiments.adaptation import laboratory
from hyperrec import method as method_lib
from hyperrec.data import item_features, regimes
from hyperrec.evaluation import report, results
from hyperrec.training import run_log

_REGIMES = flags.DEFINE_list(
  'regimes', ['new_users', 'new_catalogue'], 'The adaptation regimes.'
)
_METHODS = flags.DEFINE_list('methods', None, 'The arms to run; default all.')
_USER_BUDGETS = flags.DEFINE_list(
  'user_budgets', ['0', '1', '5', '20'], 'Interactions a new user shows.'
)
_CATALOGUE_BUDGETS = flags.DEFINE_list(
  'catalogue_budgets', ['0', '5', '20', '100'], 'Users of a new catalogue.'
)
_SEEDS = flags.DEFINE_integer('seeds', 1, 'Splits drawn.')
_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout', 130, 'Users of validation, and of test.'
)
_TRIALS = flags.DEFINE_integer('trials', 3, 'Trials of every tuned arm.')
_ORACLE = flags.DEFINE_bool('oracle', True, 'Also run the oracle arms.')
_FEATURES = flags.DEFINE_integer('features', 128, 'Width of item features.')
_REPEATS = flags.DEFINE_integer('repeats', 20, 'Times an adaptation is timed.')
_MAX_SECONDS = flags.DEFINE_float(
  'max_seconds', 1.0, 'How long the repeats of one timing may take.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', 'results/adaptation', 'Where results are written.'
)


def main(argv):
  """Runs every cell that is not yet there, then the table and the report."""
  del argv
  workdir = pathlib.Path(_WORKDIR.value)
  data = source_flags.load()
  cells = list(plan())
  workdir.mkdir(parents=True, exist_ok=True)
  run_log.write_manifest(
    workdir, run_log.manifest(script.script_flags(), {'data': data})
  )
  rows = run(data, cells, workdir / 'cells.jsonl')
  results.write_json(rows, workdir / 'results.json')
  report.write_report(rows, workdir / 'report.html')
  console = console_lib.Console()
  console.print(report.terminal_table(rows))
  console.print(f'report: {workdir / "report.html"}', soft_wrap=True)


def plan():
  """Yields (regime, seed, budget, arm name, is oracle) of every cell."""
  budgets = {
    'new_users': [int(b) for b in _USER_BUDGETS.value],
    'new_catalogue': [int(b) for b in _CATALOGUE_BUDGETS.value],
  }
  for regime in _REGIMES.value:
    if regime not in arms_lib.ARMS:
      raise app.UsageError(
        f'--regimes={regime} is unknown; use {list(arms_lib.ARMS)}'
      )
    arms = arms_lib.ARMS[regime](None)
    names = _METHODS.value or list(arms)
    for unknown in set(names) - set(arms):
      raise app.UsageError(
        f'--methods={unknown} is unknown in {regime}; use {list(arms)}'
      )
    for seed in range(_SEEDS.value):
      for budget in budgets[regime]:
        for name in names:
          yield regime, seed, budget, name, False
          if _ORACLE.value and len(arms[name].trials) > 1:
            yield regime, seed, budget, name, True


def run(data, cells, path: pathlib.Path) -> list[dict]:
  """Rows of all cells; those in `path` are read, the others run and added."""
  features = feature_lookup(data)
  done = {_cell_of(row): row for row in results.read_json_lines(path)}
  rows = []
  with progress_lib.Progress(
    *progress_lib.Progress.get_default_columns(),
    progress_lib.TimeElapsedColumn(),
    disable=not sys.stderr.isatty(),
    console=console_lib.Console(stderr=True),
  ) as progress:
    for cell in progress.track(cells, description='cells'):
      if cell not in done:
        done[cell] = run_one(data, features, cell)
        results.append_json_line(done[cell], path)
      rows.append(done[cell])
  return rows


def run_one(data, features, cell) -> dict:
  """Tunes, runs and judges one cell."""
  regime, seed, budget, name, oracle = cell
  task = _task(data, regime, budget, seed)
  arm = arms_lib.ARMS[regime](features)[name]
  key = jax.random.fold_in(jax.random.key(seed), budget)
  tune_key, run_key = jax.random.split(key)
  start = time.perf_counter()
  row = {
    'dataset': data.name,
    'regime': regime,
    'budget': budget,
    'method': f'{name}:oracle' if oracle else name,
    'seed': seed,
    'flags': script.script_flags(),
    **script.provenance(),
  }
  trials = arm.trials[: _TRIALS.value]
  try:
    tuned = laboratory.tune(
      arm, trials, *_tuning_set(task, seed, oracle), tune_key
    )
    outcome = laboratory.run_cell(
      arm.build(**tuned.trial),
      task,
      run_key,
      repeats=_REPEATS.value,
      max_seconds=_MAX_SECONDS.value,
    )
  except method_lib.CannotServe as refusal:
    return {**row, 'cannot': str(refusal)}
  logging.info(
    '%s %s budget %d seed %d: %s %.4f in %.1f s',
    regime, row['method'], budget, seed, laboratory.PRIMARY,
    outcome['metrics'][laboratory.PRIMARY], time.perf_counter() - start,
  )  # fmt: skip
  return {
    **row,
    **outcome,
    'hyperparameters': tuned.trial,
    'tuning': {'trials': tuned.trials, 'seconds': tuned.seconds},
  }


def feature_lookup(data):
  """Interactions -> features of their catalogue, made once for all items.

  Item text is known of an item without any interaction, so the features of
  the whole catalogue are no leak.
  """
  if data.item_text is None:
    return _no_features
  table = item_features.tfidf_svd(
    data.item_text, num_features=_FEATURES.value, seed=0
  )
  order = np.argsort(data.item_ids)

  def lookup(part):
    place = np.searchsorted(data.item_ids, part.item_ids, sorter=order)
    return table[order[place]]

  return lookup


def _no_features(part):
  raise method_lib.CannotServe(f'{part.name} has no item text')


@functools.lru_cache(maxsize=4)
def _task(data, regime, budget, seed):
  return regimes.make_task(data, regime, budget, seed, _NUM_HELDOUT.value)


def _tuning_set(task, seed, oracle):
  """Source and judged users that hyper-parameters are chosen on."""
  if oracle:
    return task.source, task.validation
  rehearsal = regimes.rehearsal(task, seed)
  return rehearsal.source, rehearsal.test


def _cell_of(row: dict) -> tuple:
  name, _, suffix = row['method'].rpartition(':')
  oracle = suffix == 'oracle'
  method = name if oracle else row['method']
  return row['regime'], row['seed'], row['budget'], method, oracle


if __name__ == '__main__':
  script.run(main)
