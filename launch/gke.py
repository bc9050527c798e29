"""Runs a sweep on Google Kubernetes Engine: one xpk workload for each run.

  python -m launch.gke --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=/disk/runs --project=P --zone=Z --cluster=C \
    --tpu_type=v5litepod-16 --image=IMAGE --storage=DISK --dry_run \
    -- --data_dir=/disk/data

The cluster must exist already (`xpk cluster create`; spot nodes are possible),
and the image is built from launch/Dockerfile. A preempted run is restarted up
to `--max_restarts` times and resumes from its workdir. The workdir must
therefore be on a disk that is attached to the cluster (`xpk storage attach`).
A run that fails by itself (exit code 1) is not restarted. `--dry_run` prints
the commands.
"""

import shlex
import subprocess
import sys
from typing import NamedTuple

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

flags.adopt_module_key_flags(sweep_flags)  # --help shows them, too

_PROJECT = flags.DEFINE_string(
  'project', None, 'Google Cloud project to bill.', required=True
)
_ZONE = flags.DEFINE_string(
  'zone', None, 'Zone of the cluster, such as us-west4-a.', required=True
)
_CLUSTER = flags.DEFINE_string(
  'cluster', None, 'Name of the GKE cluster.', required=True
)
_TPU_TYPE = flags.DEFINE_string(
  'tpu_type', 'v5litepod-16', 'TPU type of each slice, such as v5litepod-16.'
)
_SLICES = flags.DEFINE_integer(
  'slices', 1, 'Number of TPU slices for each run.', lower_bound=1
)
_IMAGE = flags.DEFINE_string(
  'image',
  None,
  'Docker image that contains hyperrec (see launch/Dockerfile).',
  required=True,
)
_STORAGE = flags.DEFINE_list(
  'storage',
  [],
  'Comma-separated names of the disks to mount, as attached to the cluster by '
  '`xpk storage attach`.',
)
_RESTARTS = flags.DEFINE_integer(
  'max_restarts',
  10,
  'Maximum number of restarts of a preempted run.',
  lower_bound=0,
)
_GRACE = flags.DEFINE_integer(
  'grace', 120, 'Time that a run has to save after SIGTERM, in seconds.'
)
_MULTIHOST = flags.DEFINE_bool(
  'multihost',
  True,
  'Whether all hosts of a slice work on one run; use --nomultihost for slices '
  'of one host.',
)


class Place(NamedTuple):
  """The cluster that runs are submitted to, and the resources of each run."""

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
  """Submits every run; the exit code is the number of rejected workloads."""
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
    print(f'xpk rejected {failed} workloads', file=sys.stderr)
  return min(125, failed)


def command(run: sweep_lib.Run, place: Place) -> list[str]:
  """Returns the xpk command that submits a run."""
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
