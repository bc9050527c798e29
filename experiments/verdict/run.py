"""Runs the matrix of the verdict, or some of it.

  python -m experiments.verdict.run --workdirs=DIR
  python -m experiments.verdict.run --workdirs=DIR --only=new_items:office \
    --methods=marec --seeds=1

Each regime and data set is a run of `experiments.adaptation.run`, in a folder
of its own, and is resumed by the same command. The data are those of
--data_dir.
"""

import pathlib
import subprocess
import sys

from absl import app, flags

from experiments import script
from experiments.verdict import matrix

_WORKDIRS = flags.DEFINE_string(
  'workdirs', 'results/verdict', 'Folder of the workdirs of all runs.'
)
_ONLY = flags.DEFINE_list(
  'only',
  [],
  'Regimes and data sets to run, such as new_items:office,new_users:office; '
  'by default the whole matrix.',
)
_METHODS = flags.DEFINE_list(
  'methods', [], 'Methods to run, such as marec; by default all.'
)
_SEEDS = flags.DEFINE_integer(
  'seeds', matrix.SEEDS, 'Number of seeds: 0, 1, ...', lower_bound=1
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir',
  None,
  'Folder that holds the files of the data sets; by default the '
  "environment's HYPERREC_DATA_DIR.",
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)


def main(argv):
  """Runs one regime and data set after another."""
  del argv
  try:
    chosen = matrix.asked(_ONLY.value)
    commands = [
      [sys.executable, '-m', 'experiments.adaptation.run', *run_flags(*one)]
      for one in chosen
    ]
  except ValueError as error:
    raise app.UsageError(str(error)) from error
  failed = []
  for (regime, data), command in zip(chosen, commands, strict=True):
    print(' '.join(command[1:]), flush=True)
    if subprocess.run(command, check=False).returncode:
      failed.append(f'{regime}:{data}')
  if failed:
    raise app.UsageError(f'these runs failed, see above: {", ".join(failed)}')


def run_flags(regime: str, data: str) -> list[str]:
  """The flags of one run."""
  more = {
    'seeds': _SEEDS.value,
    'data_dir': _DATA_DIR.value,
    'cache_dir': _CACHE_DIR.value,
  }
  return [
    *matrix.flags_of(regime, data, _METHODS.value),
    f'--workdir={pathlib.Path(_WORKDIRS.value) / regime / data}',
    *(f'--{name}={value}' for name, value in more.items() if value),
  ]


if __name__ == '__main__':
  script.run(main)
