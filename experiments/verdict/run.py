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
from collections.abc import Sequence

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
  'seeds', matrix.SEEDS, 'The most seeds: 0, 1, ...', lower_bound=1
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
    commands = [
      (f'{regime}:{data}', command(regime, data, names, seeds))
      for regime, data in matrix.asked(_ONLY.value)
      for names, seeds in matrix.runs(regime, _METHODS.value, _SEEDS.value)
    ]
  except ValueError as error:
    raise app.UsageError(str(error)) from error
  failed = []
  for name, arguments in commands:
    print(' '.join(arguments[1:]), flush=True)
    if subprocess.run(arguments, check=False).returncode:
      failed.append(name)
  if failed:
    raise app.UsageError(f'these runs failed, see above: {", ".join(failed)}')


def command(
  regime: str, data: str, methods: Sequence[str], seeds: int
) -> list[str]:
  """The command of one run."""
  more = {'data_dir': _DATA_DIR.value, 'cache_dir': _CACHE_DIR.value}
  return [
    sys.executable,
    '-m',
    'experiments.adaptation.run',
    *matrix.flags_of(regime, data, methods),
    f'--seeds={seeds}',
    f'--workdir={pathlib.Path(_WORKDIRS.value) / regime / data}',
    *(f'--{name}={value}' for name, value in more.items() if value),
  ]


if __name__ == '__main__':
  script.run(main)
