"""Runs a sweep on Cloud TPU: one queued resource for each run.

  python -m launch.tpu --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=/mnt/runs --project=P --zone=Z \
    --accelerator=v5litepod-16 --runtime=v2-alpha-tpuv5-lite --spot --dry_run \
    --setup="sudo mount IP:/share /mnt" -- --data_dir=/mnt/data

For each run, the launcher requests a slice and waits for it, copies the
committed code to all hosts and installs it, starts the same command on all
hosts, and releases the slice. If a slice is preempted (spot), the launcher
requests a new one and the run resumes from its workdir. The workdir must
therefore be on a disk that all hosts mount (see `--setup`). `--dry_run` prints
the commands of a run without preemptions. The launcher needs gcloud, signed in,
and a clone of the repository.
"""

import concurrent.futures
import shlex
import sys

from absl import app, flags

from launch import sweep_flags, tpu_slice

flags.adopt_module_key_flags(sweep_flags)  # --help shows them, too

_PROJECT = flags.DEFINE_string(
  'project', None, 'Google Cloud project to bill.', required=True
)
_ZONE = flags.DEFINE_string(
  'zone', None, 'Zone of the TPU slices, such as us-west4-a.', required=True
)
_ACCELERATOR = flags.DEFINE_string(
  'accelerator',
  'v5litepod-8',
  'Type and number of TPU chips for each run, such as v5litepod-8.',
)
_RUNTIME = flags.DEFINE_string(
  'runtime', 'v2-alpha-tpuv5-lite', 'TPU software version of the hosts.'
)
_SPOT = flags.DEFINE_bool(
  'spot', False, 'Use spot slices, which are cheaper but can be preempted.'
)
_SETUP = flags.DEFINE_string(
  'setup',
  None,
  'Shell command that every host runs first, for example to mount a disk.',
)
_MULTIHOST = flags.DEFINE_bool(
  'multihost',
  True,
  'Whether all hosts of a slice work on one run; use --nomultihost for slices '
  'of one host.',
)
_PARALLEL = flags.DEFINE_integer(
  'parallel', 4, 'Number of runs at the same time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries',
  10,
  'Number of times that a new slice is requested after a preemption.',
  lower_bound=0,
)


def main(argv):
  """Runs the sweep; the exit code is the number of failed runs."""
  runs = sweep_flags.runs(argv[1:])
  wanted = tpu_slice.Slice(
    _PROJECT.value,
    _ZONE.value,
    _ACCELERATOR.value,
    _RUNTIME.value,
    _SPOT.value,
    _SETUP.value,
    _MULTIHOST.value,
  )
  if sweep_flags.DRY_RUN.value:
    print(shlex.join(tpu_slice.PACK))
    for run in runs:
      print(f'# {run.name}')
      for command in tpu_slice.commands(run, wanted).values():
        print(shlex.join(command))
    return 0
  packed = tpu_slice.execute(tpu_slice.PACK)
  if packed.code:
    return packed.code
  with concurrent.futures.ThreadPoolExecutor(_PARALLEL.value) as pool:
    codes = list(
      pool.map(
        lambda run: tpu_slice.serve(
          run, wanted, _RETRIES.value, tpu_slice.execute
        ),
        runs,
      )
    )
  for run, code in zip(runs, codes, strict=True):
    if code:
      print(f'exit {code}: {run.name}', file=sys.stderr)
  return min(125, sum(code != 0 for code in codes))


if __name__ == '__main__':
  app.run(main)
