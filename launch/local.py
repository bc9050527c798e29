"""Runs a sweep on this machine, a few runs at a time.

  python -m launch.local --module=experiments.ease.run \
    --flagfiles=experiments/ease/ml20m.flags,experiments/ease/gowalla.flags \
    --processes=2 --logs=logs -- --data_dir=DIR '--output=rows/{name}.json'

Flags after `--` are passed to every run. `--dry_run` prints the commands.
Ctrl-C or SIGTERM is forwarded to the runs, which save their state. The same
command then resumes the sweep.
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

flags.adopt_module_key_flags(sweep_flags)  # --help shows them, too

_PROCESSES = flags.DEFINE_integer(
  'processes', 1, 'Number of runs at the same time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries', 0, 'Number of times that a failed run is restarted.', lower_bound=0
)
_LOGS = flags.DEFINE_string(
  'logs',
  None,
  'Folder where the output of run NAME is written to NAME.log. By default all '
  'output goes to the terminal.',
)
_POLL_SECONDS = 0.2


def main(argv):
  """Runs the sweep; the exit code is the number of runs that did not finish."""
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
  """Starts a run, restarts it when it fails, and returns the last exit code.

  Args:
    run: the run to start.
    retries: maximum number of restarts.
    logs: folder of the log file, to which all attempts append; None prints.
    told: set when the launcher must stop; nothing is started after that.
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
  # With a session of its own the run does not receive Ctrl-C from the terminal;
  # the launcher receives it and sends SIGTERM.
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
