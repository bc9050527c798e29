"""Requests a slice of Cloud TPU, uses it for one run, and releases it."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from launch import preemptible
from launch import sweep as sweep_lib

_LOST = ('SUSPENDING', 'SUSPENDED', 'FAILED')
_ON_HOSTS = ('copy', 'setup', 'install', 'run')
_POLL_SECONDS = 30.0
_MAX_MISSES = 10

# The package is installed with Python 3.12, since the Python of the hosts may
# be too old.
PACK = ['git', 'archive', '--format=tar.gz', '--output=hyperrec.tar.gz',
         'HEAD']  # fmt: skip
_INSTALL = (
  'mkdir -p hyperrec && tar -xzf hyperrec.tar.gz -C hyperrec && cd hyperrec'
  ' && python3 -m pip install --quiet --user uv'
  ' && python3 -m uv venv --quiet --python 3.12 .venv'
  " && python3 -m uv pip install --quiet --python .venv/bin/python -e '.[tpu]'"
)
_PYTHON = '.venv/bin/python'


class Slice(NamedTuple):
  """The slice to request from Cloud TPU, and how its hosts are used."""

  project: str
  zone: str
  accelerator: str
  runtime: str
  spot: bool
  setup: str | None
  multihost: bool


class Done(NamedTuple):
  """Exit code and standard output of a command."""

  code: int
  out: str = ''


def commands(run: sweep_lib.Run, wanted: Slice) -> dict[str, list[str]]:
  """Returns the commands of a run in order: step name -> command."""
  name = sweep_lib.cloud_name(f'hyperrec-{run.name}', 63)
  where = [f'--project={wanted.project}', f'--zone={wanted.zone}']
  resource = ['gcloud', 'compute', 'tpus', 'queued-resources']
  vm = ['gcloud', 'compute', 'tpus', 'tpu-vm']
  on_hosts = [*vm, 'ssh', name, *where, '--worker=all']
  started = (
    f'cd hyperrec && exec {_PYTHON} -m launch.preemptible {run.shell(_PYTHON)}'
  )
  lines = {
    'request': [
      *resource, 'create', name, f'--node-id={name}', *where,
      f'--accelerator-type={wanted.accelerator}',
      f'--runtime-version={wanted.runtime}',
      *(['--spot'] if wanted.spot else []),
    ],
    'state': [
      *resource, 'describe', name, *where, '--format=value(state.state)'
    ],
    'copy': [
      *vm, 'scp', 'hyperrec.tar.gz', f'{name}:', *where, '--worker=all'
    ],
    'setup': [*on_hosts, f'--command={wanted.setup}'],
    'install': [*on_hosts, f'--command={_INSTALL}'],
    'run': [
      *on_hosts,
      f'--command={started}{" --multihost" if wanted.multihost else ""}',
    ],
    'release': [*resource, 'delete', name, *where, '--force', '--quiet'],
  }  # fmt: skip
  if not wanted.setup:
    del lines['setup']
  return lines


def serve(
  run: sweep_lib.Run,
  wanted: Slice,
  retries: int,
  execute: Callable[[list[str]], Done],
  sleep: Callable[[float], None] = time.sleep,
) -> int:
  """Requests a slice, runs on it, and releases it; repeats after a preemption.

  Args:
    run: the run to start.
    wanted: the slice to request.
    retries: how often a new slice is requested after a preemption.
    execute: runs a command.
    sleep: waits for a number of seconds.

  Returns:
    The exit code of the run, or of the command before it that failed.
  """
  own = commands(run, wanted)
  code = 1
  for _ in range(1 + retries):
    requested = execute(own['request'])
    if requested.code:
      return requested.code
    try:
      code, is_lost = _use(own, execute, sleep)
    finally:  # a slice that is not released continues to cost money
      execute(own['release'])
    if not is_lost:
      return code
    print(f'slice lost, requesting a new one: {run.name}', file=sys.stderr)
  return code


def _use(own, execute, sleep) -> tuple[int, bool]:
  """Returns the exit code on one slice, and whether it was preempted."""
  state = _wait(own, execute, sleep)
  if state != 'ACTIVE':
    return 1, state in _LOST
  done = Done(0)
  for step in _ON_HOSTS:
    if step in own and done.code == 0:
      done = execute(own[step])
  if done.code in (0, preemptible.STOPPED):
    return done.code, done.code != 0
  sleep(_POLL_SECONDS)  # the connection breaks before the state is updated
  return done.code, execute(own['state']).out.strip() in _LOST


def _wait(own, execute, sleep) -> str:
  """Waits until the slice is active or lost; returns its state.

  The state is '' if it cannot be read `_MAX_MISSES` times in a row.
  """
  misses = 0
  while misses < _MAX_MISSES:
    found = execute(own['state'])
    state = found.out.strip()
    misses = misses + 1 if found.code else 0
    if not found.code and (state == 'ACTIVE' or state in _LOST):
      return state
    sleep(_POLL_SECONDS)
  return ''


def execute(command: list[str]) -> Done:
  """Runs a command; its standard error goes to this terminal."""
  done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
  return Done(done.returncode, done.stdout)
