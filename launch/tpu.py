"""Runs a sweep on Cloud TPU: one queued resource for each run.

  python -m launch.tpu --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=gs://BUCKET/runs --project=P --zone=Z \
    --accelerator=v5litepod-16 --runtime=v2-alpha-tpuv5-lite --spot --dry_run \
    -- --data_dir=DIR

Each run: request the slice and wait for it, install the package on all its
hosts, start the same command on all of them with `--multihost`, release the
slice. A slice that is taken away (spot) is requested anew, and the run resumes
from its workdir, which therefore is a bucket. `--dry_run` prints the commands
of a run that is not disturbed. Needs the gcloud command, signed in.
"""

import concurrent.futures
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

_PROJECT = flags.DEFINE_string('project', None, 'That pays.', required=True)
_ZONE = flags.DEFINE_string('zone', None, 'Of the slices.', required=True)
_ACCELERATOR = flags.DEFINE_string(
  'accelerator', 'v5litepod-8', 'Type and number of chips.'
)
_RUNTIME = flags.DEFINE_string(
  'runtime', 'v2-alpha-tpuv5-lite', 'Software of the hosts.'
)
_SPOT = flags.DEFINE_bool('spot', False, 'Cheaper, and may be taken away.')
_PACKAGE = flags.DEFINE_string(
  'package', 'hyperrec[tpu]', 'What pip installs: a name, wheel, or git+https.'
)
_PARALLEL = flags.DEFINE_integer(
  'parallel', 4, 'Runs at a time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries', 10, 'How often a slice is requested anew.', lower_bound=0
)

_LOST = ('SUSPENDING', 'SUSPENDED', 'FAILED')
_POLL_SECONDS = 30.0


class Slice(NamedTuple):
  """What is requested of Cloud TPU."""

  project: str
  zone: str
  accelerator: str
  runtime: str
  spot: bool
  package: str


class Done(NamedTuple):
  """How a command ended, and what it printed."""

  code: int
  out: str = ''


def main(argv):
  """Runs the sweep; exits with the number of failed runs."""
  runs = sweep_flags.runs(argv[1:])
  wanted = Slice(
    _PROJECT.value,
    _ZONE.value,
    _ACCELERATOR.value,
    _RUNTIME.value,
    _SPOT.value,
    _PACKAGE.value,
  )
  if sweep_flags.DRY_RUN.value:
    for run in runs:
      print(f'# {run.name}')
      for command in commands(run, wanted).values():
        print(shlex.join(command))
    return 0
  with concurrent.futures.ThreadPoolExecutor(_PARALLEL.value) as pool:
    codes = list(
      pool.map(lambda run: serve(run, wanted, _RETRIES.value, execute), runs)
    )
  for run, code in zip(runs, codes, strict=True):
    if code:
      print(f'exit {code}: {run.name}', file=sys.stderr)
  return min(125, sum(code != 0 for code in codes))


def commands(run: sweep_lib.Run, wanted: Slice) -> dict[str, list[str]]:
  """The commands of a run, by what they do, in their order."""
  name = 'hyperrec-' + run.name.lower().replace('.', '-').replace('_', '-')
  where = [f'--project={wanted.project}', f'--zone={wanted.zone}']
  resource = ['gcloud', 'compute', 'tpus', 'queued-resources']
  on_hosts = ['gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', name, *where,
              '--worker=all']  # fmt: skip
  install = f'python3 -m pip install --quiet {shlex.quote(wanted.package)}'
  return {
    'request': [
      *resource, 'create', name, f'--node-id={name}', *where,
      f'--accelerator-type={wanted.accelerator}',
      f'--runtime-version={wanted.runtime}',
      *(['--spot'] if wanted.spot else []),
    ],
    'state': [
      *resource, 'describe', name, *where, '--format=value(state.state)'
    ],
    'install': [*on_hosts, f'--command={install}'],
    'run': [*on_hosts, f'--command={run.shell("python3")} --multihost'],
    'release': [*resource, 'delete', name, *where, '--force', '--quiet'],
  }  # fmt: skip


def serve(
  run: sweep_lib.Run,
  wanted: Slice,
  retries: int,
  execute: Callable[[list[str]], Done],
  sleep: Callable[[float], None] = time.sleep,
) -> int:
  """Requests a slice, runs on it, releases it; anew where it is taken away.

  Args:
    run: what to run.
    wanted: the slice.
    retries: how often a lost slice is requested anew.
    execute: runs a command.
    sleep: waits that many seconds.

  Returns:
    The exit code; of the run itself where it was not disturbed.
  """
  own = commands(run, wanted)
  for _ in range(1 + retries):
    requested = execute(own['request'])
    if requested.code:
      return requested.code
    state = _wait(own, execute, sleep)
    done = Done(1)
    if state == 'ACTIVE':
      done = execute(own['install'])
      if done.code == 0:
        done = execute(own['run'])
      state = 'ACTIVE' if done.code == 0 else execute(own['state']).out.strip()
    execute(own['release'])
    if state not in _LOST:
      return done.code
    print(f'slice lost ({state}), requested anew: {run.name}', file=sys.stderr)
  return 1


def _wait(own, execute, sleep) -> str:
  """The state once it is ACTIVE or will not be."""
  while True:
    found = execute(own['state'])
    state = found.out.strip()
    if found.code or state == 'ACTIVE' or state in _LOST:
      return state
    sleep(_POLL_SECONDS)


def execute(command: list[str]) -> Done:
  """Runs a command; what it says besides goes to this terminal."""
  done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
  return Done(done.returncode, done.stdout)


if __name__ == '__main__':
  app.run(main)
