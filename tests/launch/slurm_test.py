"""A sweep of four through a real Slurm of this one machine."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CLUSTER = ROOT / 'launch' / 'testing' / 'slurm_single_node.sh'
NEEDED = ('sbatch', 'slurmctld', 'slurmd', 'munged')

# Run 2 fails the first time; every run tells how often it was started.
JOB = """
import pathlib, sys
flags = dict(a.lstrip('-').split('=', 1) for a in sys.argv[1:])
folder = pathlib.Path(flags['workdir'])
folder.mkdir(parents=True, exist_ok=True)
starts = folder / 'starts'
starts.write_text((starts.read_text() if starts.exists() else '') + 'x')
if flags['seed'] == '2' and starts.read_text() == 'x':
  sys.exit('the first start of run 2 fails')
(folder / 'done').write_text(flags['flagfile'])
"""


@pytest.fixture
def cluster(tmp_path):
  missing = [name for name in NEEDED if shutil.which(name) is None]
  if missing:
    pytest.skip(f'no Slurm here: {", ".join(missing)} not installed')
  if os.geteuid() != 0:
    pytest.skip('the test cluster of Slurm is started by root')
  folder = tmp_path / 'slurm'
  environment = {
    **os.environ,
    'SLURM_CONF': str(folder / 'slurm.conf'),
    'PATH': f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}',
    'PYTHONPATH': f'{tmp_path}:{ROOT}',
  }
  subprocess.run(['bash', CLUSTER, 'start', folder], check=True)
  yield environment
  subprocess.run(['bash', CLUSTER, 'stop', folder], check=True)


def test_a_sweep_of_four_and_one_that_fails_first(tmp_path, cluster):
  (tmp_path / 'job.py').write_text(JOB)
  command = [sys.executable, '-m', 'launch.slurm', '--module=job',
             '--flagfiles=some.flags', '--sweep=seed=0,1,2,3',
             f'--workdirs={tmp_path / "runs"}', '--retries=1']  # fmt: skip
  done = subprocess.run(
    command, cwd=tmp_path, env=cluster, capture_output=True, text=True,
    check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'Submitted batch job' in done.stdout
  folders = [tmp_path / 'runs' / f'some-seed-{seed}' for seed in range(4)]
  end = time.monotonic() + 60
  while time.monotonic() < end:
    if all((folder / 'done').exists() for folder in folders):
      break
    # A job that is queued again waits two minutes; tests do not.
    subprocess.run(
      ['bash', '-c', 'for job in $(squeue -h -t PD -o %A); do '
       'scontrol update JobId=$job StartTime=now; done'],
      env=cluster, check=False, capture_output=True,
    )  # fmt: skip
    time.sleep(0.5)
  logs = [path.read_text() for path in (tmp_path / 'logs').glob('*.log')]
  assert all((folder / 'done').exists() for folder in folders), logs
  starts = [len((folder / 'starts').read_text()) for folder in folders]
  assert starts == [1, 1, 2, 1]
