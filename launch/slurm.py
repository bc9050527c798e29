"""Runs a sweep on a Slurm cluster, as one job array.

  python -m launch.slurm --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1,2 \
    --workdirs=/shared/runs --time=08:00:00 --gres=gpu:1 -- --data_dir=DIR

Each array index is one run. Before the time limit, the run receives SIGTERM: it
saves, and the job returns to the queue, from which the same command resumes it.
A failed run is queued again up to `--retries` times. A run that is cancelled
with `scancel` is not queued again. `--dry_run` prints the script.
"""

import pathlib
import shlex
import subprocess
import sys
from collections.abc import Sequence

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

flags.adopt_module_key_flags(sweep_flags)  # --help shows them, too

_NAME = flags.DEFINE_string('name', 'hyperrec', 'Name of the Slurm job.')
_SCRIPT = flags.DEFINE_string(
  'script', 'sweep.sbatch', 'File that the batch script is written to.'
)
_LOGS = flags.DEFINE_string(
  'logs', 'logs', 'Folder for the output of the runs.'
)
_PARALLEL = flags.DEFINE_integer(
  'parallel',
  None,
  'Maximum number of runs at the same time. By default Slurm decides.',
  lower_bound=1,
)
_RETRIES = flags.DEFINE_integer(
  'retries',
  2,
  'Number of times that a failed run is queued again.',
  lower_bound=0,
)
_GRACE = flags.DEFINE_integer(
  'grace',
  120,
  'Time before the time limit at which a run is told to save and stop, in '
  'seconds.',
)
_NODES = flags.DEFINE_integer(
  'nodes',
  1,
  'Number of nodes for each run; each node runs one process of the run.',
  lower_bound=1,
)
_RESOURCES = {
  name: flags.DEFINE_string(name.replace('-', '_'), None, about)
  for name, about in (
    ('partition', 'Slurm partition to run in.'),
    ('account', 'Slurm account to bill.'),
    ('time', 'Time limit of a job until it is queued again, as 08:00:00.'),
    ('cpus-per-task', 'Number of CPU cores for each process.'),
    ('mem', 'Memory of each node, such as 16G.'),
    ('gres', 'Accelerators of each node, such as gpu:1.'),
  )
}

# Slurm sends USR1 before the time limit. It sends TERM on scancel and on a
# preemption; after a preemption Slurm itself queues the job again.
_BODY = """
set -u
runs=(
{runs}
)
failures={logs}/$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID.failures
stopped=0
ended=0
[ -z "${{SLURM_CPUS_PER_TASK:-}}" ] ||
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
bash -c "exec ${{runs[$SLURM_ARRAY_TASK_ID]}}" &
run=$!
trap 'stopped=1; {stop}' USR1
trap 'ended=1; kill -TERM "$run" 2>/dev/null' TERM
wait "$run"
code=$?
# A signal ends `wait` early: the run may still be saving.
while kill -0 "$run" 2>/dev/null; do
  wait "$run"
  code=$?
done
again=$stopped
if (( code != 0 && ! stopped && ! ended )); then
  echo "exit $code" >> "$failures"
  (( $(wc -l < "$failures") <= {retries} )) && again=1
fi
if (( again && ! ended )); then
  echo "exit $code; queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
# With srun, SIGTERM must go to the tasks: srun itself would kill them at once.
_STOP = 'kill -TERM "$run" 2>/dev/null'
_STOP_ALL = 'scancel --signal=TERM "$SLURM_JOB_ID"'


def main(argv):
  """Writes the batch script and submits it; `--dry_run` only prints it."""
  runs = sweep_flags.runs(argv[1:])
  options = {
    'job-name': _NAME.value,
    'output': f'{_LOGS.value}/%x-%a.log',
    **{name: flag.value for name, flag in _RESOURCES.items()},
  }
  text = script(
    runs,
    {name: value for name, value in options.items() if value is not None},
    logs=_LOGS.value,
    parallel=_PARALLEL.value,
    retries=_RETRIES.value,
    grace=_GRACE.value,
    nodes=_NODES.value,
  )
  if sweep_flags.DRY_RUN.value:
    print(text, end='')
    return 0
  pathlib.Path(_LOGS.value).mkdir(parents=True, exist_ok=True)
  path = pathlib.Path(_SCRIPT.value)
  path.write_text(text)
  try:
    return subprocess.run(['sbatch', str(path)], check=False).returncode
  except FileNotFoundError:
    print(
      f'error: there is no sbatch on this machine; {path} is written: submit '
      'it on the cluster',
      file=sys.stderr,
    )
    return 2


def script(
  runs: Sequence[sweep_lib.Run],
  options: dict[str, str],
  *,
  logs: str,
  parallel: int | None,
  retries: int,
  grace: int,
  nodes: int = 1,
) -> str:
  """Returns the batch script of a sweep.

  Args:
    runs: the runs; each one is an index of the job array.
    options: name -> value of further lines `#SBATCH --NAME=VALUE`.
    logs: folder of the logs and of the files that count failures.
    parallel: maximum number of runs at the same time; None sets no limit.
    retries: how often a failed run is queued again.
    grace: seconds before the time limit at which a run is told to stop.
    nodes: number of nodes for each run.
  """
  array = f'0-{len(runs) - 1}' + (f'%{parallel}' if parallel else '')
  head = {
    **options,
    'array': array,
    'nodes': str(nodes),
    'ntasks-per-node': '1',
    'open-mode': 'append',
    'signal': f'B:USR1@{grace}',
  }
  lines = ['#!/usr/bin/env bash', '#SBATCH --requeue']
  lines += [f'#SBATCH --{name}={value}' for name, value in head.items()]
  prefix = 'srun --kill-on-bad-exit=1 ' if nodes > 1 else ''
  suffix = ' --multihost' if nodes > 1 else ''
  commands = ['  ' + shlex.quote(prefix + run.shell() + suffix) for run in runs]
  body = _BODY.format(
    runs='\n'.join(commands),
    logs=shlex.quote(logs),
    stop=_STOP_ALL if nodes > 1 else _STOP,
    retries=retries,
  )
  return '\n'.join(lines) + '\n' + body


if __name__ == '__main__':
  app.run(main)
