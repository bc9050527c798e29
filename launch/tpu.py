"""Runs a sweep on Cloud TPU: one queued resource for each run.

  python -m launch.tpu --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=/mnt/runs --project=P --zone=Z \
    --accelerator=v5litepod-16 --runtime=v2-alpha-tpuv5-lite --spot --dry_run \
    --setup="sudo mount IP:/share /mnt" -- --data_dir=/mnt/data

Each run: request the slice and wait for it, copy the committed code to all its
hosts and install it there, start the same command on all of them, release the
slice. A slice that is taken away (spot) is requested anew, and the run resumes
from its workdir, which therefore is on a disk that all hosts mount (`--setup`).
`--dry_run` prints the commands of a run that is not disturbed. Needs gcloud,
signed in, and a clone of the repository.
"""

import concurrent.futures
import shlex
import sys

from absl import app, flags

from launch import sweep_flags, tpu_slice

_PROJECT = flags.DEFINE_string('project', None, 'That pays.', required=True)
_ZONE = flags.DEFINE_string('zone', None, 'Of the slices.', required=True)
_ACCELERATOR = flags.DEFINE_string(
  'accelerator', 'v5litepod-8', 'Type and number of chips.'
)
_RUNTIME = flags.DEFINE_string(
  'runtime', 'v2-alpha-tpuv5-lite', 'Software of the hosts.'
)
_SPOT = flags.DEFINE_bool('spot', False, 'Cheaper, and may be taken away.')
_SETUP = flags.DEFINE_string(
  'setup', None, 'What every host does first, such as to mount a disk.'
)
_MULTIHOST = flags.DEFINE_bool(
  'multihost', True, 'The hosts are processes of one run; off for one host.'
)
_PARALLEL = flags.DEFINE_integer(
  'parallel', 4, 'Runs at a time.', lower_bound=1
)
_RETRIES = flags.DEFINE_integer(
  'retries', 10, 'How often a slice is requested anew.', lower_bound=0
)


def main(argv):
  """Runs the sweep; exits with the number of failed runs."""
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
