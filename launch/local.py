"""Runs a sweep on this machine, a few runs at a time.

  python -m launch.local --module=experiments.ease.run \
    --flagfiles=experiments/ease/ml20m.flags,experiments/ease/gowalla.flags \
    --sweep=seed=0,1 --workdirs=runs -- --data_dir=DIR

What follows `--` goes to every run. `--dry_run` prints the commands.
"""

import concurrent.futures
import pathlib
import subprocess
import sys

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

_PROCESSES = flags.DEFINE_integer(
  'processes', 1, 'Runs at a time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries', 0, 'How often a failed run is started again.', lower_bound=0
)
_LOGS = flags.DEFINE_string(
  'logs', None, 'A folder: NAME.log of each run; none prints all of them.'
)


def main(argv):
  """Runs the sweep; exits with the number of failed runs."""
  runs = sweep_flags.runs(argv[1:])
  for run in runs:
    print(run.shell(), flush=True)
  if sweep_flags.DRY_RUN.value:
    return 0
  with concurrent.futures.ThreadPoolExecutor(_PROCESSES.value) as pool:
    codes = list(
      pool.map(lambda run: start(run, _RETRIES.value, _LOGS.value), runs)
    )
  for run, code in zip(runs, codes, strict=True):
    if code:
      print(f'exit {code}: {run.name}: {run.shell()}', file=sys.stderr)
  return min(125, sum(code != 0 for code in codes))


def start(run: sweep_lib.Run, retries: int, logs: str | None) -> int:
  """Runs it, again where it fails; gives the last exit code.

  Args:
    run: what to run.
    retries: further tries.
    logs: the folder of its log, which all tries add to.
  """
  command = [sys.executable, *run.arguments]
  code = 1
  for attempt in range(1 + retries):
    if attempt:
      print(f'again ({attempt} of {retries}): {run.name}', file=sys.stderr)
    if logs is None:
      code = subprocess.run(command, check=False).returncode
    else:
      folder = pathlib.Path(logs)
      folder.mkdir(parents=True, exist_ok=True)
      with (folder / f'{run.name}.log').open('ab') as log:
        done = subprocess.run(
          command, check=False, stdout=log, stderr=subprocess.STDOUT
        )
      code = done.returncode
    if code == 0:
      break
  return code


if __name__ == '__main__':
  app.run(main)
