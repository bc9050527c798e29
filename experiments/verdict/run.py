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
  failed = []
  for regime, data in asked(_ONLY.value):
    command = command_of(regime, data)
    print(' '.join(command[1:]), flush=True)
    if subprocess.run(command, check=False).returncode:
      failed.append(f'{regime}:{data}')
  if failed:
    raise app.UsageError(f'these runs failed, see above: {", ".join(failed)}')


def asked(names: list[str]) -> list[tuple[str, str]]:
  """Pairs of regime and data set; all of the matrix if none is named."""
  every = [(r, s) for r, part in matrix.PARTS.items() for s in part.sets]
  if not names:
    return every
  known = {f'{regime}:{data}': (regime, data) for regime, data in every}
  for name in names:
    if name not in known:
      raise app.UsageError(f'--only={name} is unknown; use {list(known)}')
  return [known[name] for name in names]


def command_of(regime: str, data: str) -> list[str]:
  """The command of one run."""
  methods = [
    method
    for method in matrix.PARTS[regime].methods
    if not _METHODS.value or method in _METHODS.value
  ]
  if not methods:
    raise app.UsageError(
      f'--methods={",".join(_METHODS.value)}: none of them is in {regime}; '
      f'use {list(matrix.PARTS[regime].methods)}'
    )
  folder = pathlib.Path(_WORKDIRS.value) / regime / data
  more = {'data_dir': _DATA_DIR.value, 'cache_dir': _CACHE_DIR.value}
  return [
    sys.executable,
    '-m',
    'experiments.adaptation.run',
    *matrix.flags_of(regime, data),
    f'--methods={",".join(methods)}',
    f'--seeds={_SEEDS.value}',
    f'--workdir={folder}',
    *(f'--{name}={value}' for name, value in more.items() if value),
  ]


if __name__ == '__main__':
  script.run(main)
