"""Runs a sweep on Google Kubernetes Engine: one xpk workload for each run.

  python -m launch.gke --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=/disk/runs --project=P --zone=Z --cluster=C \
    --tpu_type=v5litepod-16 --image=IMAGE --storage=DISK --dry_run \
    -- --data_dir=/disk/data

The cluster stands already (`xpk cluster create`, with spot nodes where that is
wanted), and the image is that of launch/Dockerfile. A run that is preempted is
started again, `--max_restarts` times, and resumes from its workdir, which
therefore is on a disk attached to the cluster (`xpk storage attach`). A run
that fails by itself (exit code 1) is not. `--dry_run` prints the commands.
"""

import shlex
import subprocess
import sys
from typing import NamedTuple

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

_PROJECT = flags.DEFINE_string('project', None, 'That pays.', required=True)
_ZONE = flags.DEFINE_string('zone', None, 'Of the cluster.', required=True)
_CLUSTER = flags.DEFINE_string('cluster', None, 'Its name.', required=True)
_TPU_TYPE = flags.DEFINE_string('tpu_type', 'v5litepod-16', 'Of a slice.')
_SLICES = flags.DEFINE_integer('slices', 1, 'Of a run.', lower_bound=1)
_IMAGE = flags.DEFINE_string('image', None, 'With the package.', required=True)
_STORAGE = flags.DEFINE_list(
  'storage', [], 'Names of disks that `xpk storage` knows.'
)
_RESTARTS = flags.DEFINE_integer(
  'max_restarts', 10, 'How often a run may be started again.', lower_bound=0
)
_GRACE = flags.DEFINE_integer(
  'grace', 120, 'Seconds that a run has to save when it is told to stop.'
)
_MULTIHOST = flags.DEFINE_bool(
  'multihost', True, 'The hosts are processes of one run; off for one host.'
)


class Place(NamedTuple):
  """Where runs go, and what they get there."""

  project: str
  zone: str
  cluster: str
  tpu_type: str
  slices: int
  image: str
  storage: tuple[str, ...]
  max_restarts: int
  grace: int
  multihost: bool


def main(argv):
  """Submits every run; exits with the number of refused ones."""
  place = Place(
    _PROJECT.value,
    _ZONE.value,
    _CLUSTER.value,
    _TPU_TYPE.value,
    _SLICES.value,
    _IMAGE.value,
    tuple(_STORAGE.value),
    _RESTARTS.value,
    _GRACE.value,
    _MULTIHOST.value,
  )
  failed = 0
  for run in sweep_flags.runs(argv[1:]):
    line = command(run, place)
    print(shlex.join(line), flush=True)
    if not sweep_flags.DRY_RUN.value:
      failed += subprocess.run(line, check=False).returncode != 0
  if failed:
    print(f'{failed} workloads were refused', file=sys.stderr)
  return min(125, failed)


def command(run: sweep_lib.Run, place: Place) -> list[str]:
  """The xpk command that submits a run."""
  started = f'exec python -m launch.preemptible {run.shell()}'
  return [
    'xpk', 'workload', 'create',
    f'--project={place.project}', f'--zone={place.zone}',
    f'--cluster={place.cluster}',
    f'--workload={sweep_lib.cloud_name(run.name, 40)}',
    f'--tpu-type={place.tpu_type}', f'--num-slices={place.slices}',
    f'--docker-image={place.image}',
    *(f'--storage={name}' for name in place.storage),
    f'--max-restarts={place.max_restarts}',
    f'--termination-grace-period-seconds={place.grace}',
    f'--command={started}{" --multihost" if place.multihost else ""}',
  ]  # fmt: skip


if __name__ == '__main__':
  app.run(main)
