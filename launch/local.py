"""Runs a sweep on this machine, a few runs at a time.

  python -m launch.local --module=experiments.ease.run \
    --flagfiles=experiments/ease/ml20m.flags,experiments/ease/gowalla.flags \
    --processes=2 --logs=logs -- --data_dir=DIR '--output=rows/{name}.json'

What follows `--` goes to every run. `--dry_run` prints the commands. Ctrl-C or
SIGTERM is passed on to the runs, which save; the same command goes on.
"""

import concurrent.futures
import pathlib
import signal
import subprocess
import sys
import threading
from typing import IO

from absl import app, flags

from launch import preemptible, sweep_flags
from launch import sweep as sweep_lib

_PROCESSES = flags.DEFINE_integer(
  'processes', 1, 'Runs at a time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries', 0, 'How often a failed run is started again.', lower_bound=0
)
_LOGS = flags.DEFINE_string(
  'logs', None, 'A folder: NAME.log of each run; none prints all of them.'
)
_POLL_SECONDS = 0.2


def main(argv):
  """Runs the sweep; exits with the number of runs that are not done."""
  runs = sweep_flags.runs(argv[1:])
  for run in runs:
    print(run.shell(), flush=True)
  if sweep_flags.DRY_RUN.value:
    return 0
  told = threading.Event()
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *unused: told.set())
  with concurrent.futures.ThreadPoolExecutor(_PROCESSES.value) as pool:
    codes = list(
      pool.map(lambda run: start(run, _RETRIES.value, _LOGS.value, told), runs)
    )
  for run, code in zip(runs, codes, strict=True):
    if code:
      print(f'exit {code}: {run.name}: {run.shell()}', file=sys.stderr)
  return min(125, sum(code != 0 for code in codes))


def start(
  run: sweep_lib.Run, retries: int, logs: str | None, told: threading.Event
) -> int:
  """Runs it, again where it fails; gives the last exit code.

  Args:
    run: what to run.
    retries: further tries.
    logs: the folder of its log, which all tries add to.
    told: to stop; nothing is started after that.
  """
  code = preemptible.STOPPED
  for attempt in range(1 + retries):
    if told.is_set():
      break
    if attempt:
      print(f'again ({attempt} of {retries}): {run.name}', file=sys.stderr)
    command = [sys.executable, *run.arguments]
    if logs is None:
      code = _wait(command, None, told)
    else:
      folder = pathlib.Path(logs)
      folder.mkdir(parents=True, exist_ok=True)
      with (folder / f'{run.name}.log').open('ab') as log:
        code = _wait(command, log, told)
    if code == 0:
      break
  return code


def _wait(command: list[str], log: IO | None, told: threading.Event) -> int:
  # A session of its own: Ctrl-C comes to us alone, and runs get SIGTERM.
  child = subprocess.Popen(
    command,
    stdout=log,
    stderr=subprocess.STDOUT if log else None,
    start_new_session=True,
  )
  while True:
    try:
      return child.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
      if told.is_set():
        child.terminate()
        child.wait()
        return preemptible.STOPPED


if __name__ == '__main__':
  app.run(main)
