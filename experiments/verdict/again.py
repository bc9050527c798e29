"""Runs random cells of the verdict again, and compares them with their rows.

  python -m experiments.verdict.again --data_dir=DIR

Run it in the root of a fresh clone. It writes
experiments/verdict/results/again.json; a run that was cut short goes on.
"""

import json
import pathlib
import shlex
import subprocess
import sys
from typing import Any

import numpy as np
from absl import flags

from experiments import pooled, script
from experiments.adaptation import stored_rows
from experiments.adaptation.report import commands
from experiments.verdict import cells as cells_lib
from experiments.verdict import stored
from hyperrec.evaluation import results

_NUM_CELLS = flags.DEFINE_integer(
  'num_cells', 40, 'Number of cells that are run again.', lower_bound=1
)
_CELLS_SEED = flags.DEFINE_integer('cells_seed', 0, 'Seed of their choice.')
_WORKDIRS = flags.DEFINE_string(
  'workdirs', 'results/again', 'Folder of the workdirs of all runs.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'Folder that holds the files of the data sets.'
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)

OUTPUT = stored.FOLDER / 'again.json'
# What a row says besides seconds and bytes of memory.
_SAME = ('metrics', 'per_user', 'people', 'hyperparameters', 'validation')


def main(argv):
  """Runs the cells and writes the file."""
  del argv
  sets = cells_lib.complete(cells_lib.by_set(stored.every_row()))
  rows = pooled.ran(cells_lib.rows_of(sets))
  random = np.random.default_rng(_CELLS_SEED.value)
  number = min(_NUM_CELLS.value, len(rows))
  found = []
  for index in random.choice(len(rows), number, replace=False):
    row = rows[index]
    found.append(compared(row, run(row, f'cell_{index}')))
    print(json.dumps(found[-1]), flush=True)
  script.write_document({'cells': found, **script.provenance()}, OUTPUT)


def run(row: results.Row, name: str) -> results.Row:
  """The row of the same cell, from the command that the report prints.

  Raises:
    CalledProcessError: the command failed.
  """
  (line,) = commands.commands([row])
  workdir = pathlib.Path(_WORKDIRS.value) / name
  more = {'data_dir': _DATA_DIR.value, 'cache_dir': _CACHE_DIR.value}
  arguments = [
    part
    for part in shlex.split(line)[1:]
    if not part.startswith(('--data_dir=', '--workdir='))
  ]
  arguments += [f'--{n}={value}' for n, value in more.items() if value]
  subprocess.run(
    [sys.executable, *arguments, f'--workdir={workdir}'],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  (found,) = stored_rows.read(workdir)
  return found


def compared(row: results.Row, again: results.Row) -> dict[str, Any]:
  """A cell with both values, and whether the rows say the same."""
  names = ('regime', 'dataset', 'method', 'budget', 'seed')
  value = again['metrics'][results.PRIMARY]
  low, high = row['interval'][results.PRIMARY]
  flops = [[r[part]['flops'] for part in ('prepare', 'adapt')]
           for r in (row, again)]  # fmt: skip
  return {
    **{name: row[name] for name in names},
    'committed': row['metrics'][results.PRIMARY],
    'again': value,
    'is_same': flops[0] == flops[1]
    and all(row.get(name) == again.get(name) for name in _SAME),
    'is_within': bool(low <= value <= high),
  }


if __name__ == '__main__':
  script.run(main)
