"""Runs a sweep on Google Kubernetes Engine: one xpk workload for each run.

  python -m launch.gke --module=experiments.sasrec.run \
    --flagfiles=experiments/sasrec/beauty.flags --sweep=seed=0,1 \
    --workdirs=gs://BUCKET/runs --project=P --zone=Z --cluster=C \
    --tpu_type=v5litepod-16 --image=IMAGE --dry_run -- --data_dir=DIR

The cluster stands already (`xpk cluster create`, with spot nodes where that is
wanted), and the image has the package. Kubernetes starts a workload again that
was preempted or failed, `--max_restarts` times; the run resumes from its
workdir, which therefore is a bucket. `--dry_run` prints the commands.
"""

import shlex
import subprocess
import sys

from absl import app, flags

from launch import sweep as sweep_lib
from launch import sweep_flags

_PROJECT = flags.DEFINE_string('project', None, 'That pays.', required=True)
_ZONE = flags.DEFINE_string('zone', None, 'Of the cluster.', required=True)
_CLUSTER = flags.DEFINE_string('cluster', None, 'Its name.', required=True)
_TPU_TYPE = flags.DEFINE_string('tpu_type', 'v5litepod-16', 'Of a slice.')
_SLICES = flags.DEFINE_integer('slices', 1, 'Of a run.', lower_bound=1)
_IMAGE = flags.DEFINE_string('image', None, 'With the package.', required=True)
_RESTARTS = flags.DEFINE_integer(
  'max_restarts', 10, 'How often a run may be started again.', lower_bound=0
)


def main(argv):
  """Submits every run; exits with the number of refused ones."""
  failed = 0
  for run in sweep_flags.runs(argv[1:]):
    line = command(
      run,
      project=_PROJECT.value,
      zone=_ZONE.value,
      cluster=_CLUSTER.value,
      tpu_type=_TPU_TYPE.value,
      slices=_SLICES.value,
      image=_IMAGE.value,
      max_restarts=_RESTARTS.value,
    )
    print(shlex.join(line), flush=True)
    if not sweep_flags.DRY_RUN.value:
      failed += subprocess.run(line, check=False).returncode != 0
  if failed:
    print(f'{failed} workloads were refused', file=sys.stderr)
  return min(125, failed)


def command(
  run: sweep_lib.Run,
  *,
  project: str,
  zone: str,
  cluster: str,
  tpu_type: str,
  slices: int,
  image: str,
  max_restarts: int,
) -> list[str]:
  """The xpk command that submits a run."""
  name = run.name.lower().replace('.', '-').replace('_', '-')
  return [
    'xpk', 'workload', 'create',
    f'--project={project}', f'--zone={zone}', f'--cluster={cluster}',
    f'--workload={name}', f'--tpu-type={tpu_type}', f'--num-slices={slices}',
    f'--docker-image={image}', f'--max-restarts={max_restarts}',
    f'--command={run.shell()} --multihost',
  ]  # fmt: skip


if __name__ == '__main__':
  app.run(main)
