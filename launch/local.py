"""Runs a sweep on this machine: one command per flag file, a few at a time.

  python -m launch.local --module=experiments.ease.run \
    --flagfiles=experiments/ease/ml20m.flags,experiments/ease/gowalla.flags \
    -- --data_dir=DIR

What follows `--` goes to every run. `--dry_run` prints the commands.
"""

import concurrent.futures
import shlex
import subprocess
import sys

from absl import app, flags

_MODULE = flags.DEFINE_string('module', None, 'What to run.', required=True)
_FLAGFILES = flags.DEFINE_list(
  'flagfiles', None, 'One run for each.', required=True
)
_PROCESSES = flags.DEFINE_integer('processes', 1, 'Runs at a time.')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print the commands only.')


def commands(
  module: str, flagfiles: list[str], extra: list[str]
) -> list[list[str]]:
  """The command line of each run of a sweep."""
  return [
    [sys.executable, '-m', module, f'--flagfile={flagfile}', *extra]
    for flagfile in flagfiles
  ]


def main(argv):
  """Runs the sweep; exits with the number of failed runs."""
  sweep = commands(_MODULE.value, _FLAGFILES.value, argv[1:])
  for command in sweep:
    print(shlex.join(['python', *command[1:]]))
  if _DRY_RUN.value:
    return 0
  with concurrent.futures.ThreadPoolExecutor(_PROCESSES.value) as pool:
    codes = list(
      pool.map(lambda c: subprocess.run(c, check=False).returncode, sweep)
    )
  for command, code in zip(sweep, codes, strict=True):
    if code:
      print(f'exit {code}: {shlex.join(command[3:])}', file=sys.stderr)
  return sum(code != 0 for code in codes)


if __name__ == '__main__':
  app.run(main)
