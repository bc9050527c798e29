"""Sweeps through a real Slurm of this one machine."""

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

# Run 2 fails the first time; every run tells how often it was started. With
# --wait it goes on until it is told to stop, saves slowly, and then resumes.
JOB = """
import pathlib, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *unused: told.append(True))
flags = dict(a.lstrip('-').split('=', 1) for a in sys.argv[1:])
folder = pathlib.Path(flags['workdir'])
folder.mkdir(parents=True, exist_ok=True)
starts = folder / 'starts'
starts.write_text((starts.read_text() if starts.exists() else '') + 'x')
if flags['seed'] == '2' and starts.read_text() == 'x':
  sys.exit('the first start of run 2 fails')
if flags.get('wait') and not (folder / 'saved').exists():
  while not told:
    time.sleep(0.05)
  time.sleep(1)
  (folder / 'saved').touch()
  sys.exit(0)
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


def submit(folder, environment, *flags):
  """Launches the job; gives its number."""
  (folder / 'job.py').write_text(JOB)
  command = [sys.executable, '-m', 'launch.slurm', '--module=job',
             '--flagfiles=some.flags', f'--workdirs={folder / "runs"}',
             *flags]  # fmt: skip
  done = subprocess.run(
    command, cwd=folder, env=environment, capture_output=True, text=True,
    check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'Submitted batch job' in done.stdout
  return done.stdout.split()[-1]


def wait_for(paths, environment):
  end = time.monotonic() + 60
  moved = set()
  while not all(path.exists() for path in paths):
    if time.monotonic() > end:
      folder = paths[0].parents[2]
      logs = [path.read_text() for path in (folder / 'logs').glob('*.log')]
      pytest.fail(f'{paths} did not appear: {logs}')
    moved |= hasten(environment, moved)
    time.sleep(0.5)


def hasten(environment, moved):
  """A job that is queued again waits two minutes; tests do not."""
  waiting = subprocess.run(
    ['squeue', '--noheader', '--states=PD', '--format=%A %r'],
    env=environment, check=True, capture_output=True, text=True,
  ).stdout.splitlines()  # fmt: skip
  late = {line.split()[0] for line in waiting if 'BeginTime' in line} - moved
  for job in late:
    # In the very second of its end, a node refuses to start a job again.
    subprocess.run(
      ['scontrol', 'update', f'JobId={job}', 'StartTime=now+3seconds'],
      env=environment, check=True,
    )  # fmt: skip
  return late


def starts(folder):
  return len((folder / 'starts').read_text())


def test_a_sweep_of_four_and_one_that_fails_first(tmp_path, cluster):
  submit(tmp_path, cluster, '--sweep=seed=0,1,2,3', '--retries=1')
  folders = [tmp_path / 'runs' / f'some-seed-{seed}' for seed in range(4)]
  wait_for([folder / 'done' for folder in folders], cluster)
  assert [starts(folder) for folder in folders] == [1, 1, 2, 1]


def test_before_the_limit_runs_save_and_resume_and_cancelled_ones_stay_so(
  tmp_path, cluster
):
  number = submit(
    tmp_path, cluster, '--sweep=seed=0,1', '--retries=0', '--', '--wait=1'
  )
  stopped, cancelled = (tmp_path / 'runs' / f'some-seed-{i}' for i in (0, 1))
  wait_for([stopped / 'starts', cancelled / 'starts'], cluster)
  time.sleep(0.5)  # both listen to signals by now
  # As Slurm does it before the limit, but without a minute of waiting.
  for command in (
    ['scancel', '--batch', '--signal=USR1', f'{number}_0'],
    ['scancel', f'{number}_1'],
  ):
    subprocess.run(command, env=cluster, check=True)
  wait_for([cancelled / 'saved', stopped / 'done'], cluster)
  assert (stopped / 'saved').exists()
  assert starts(stopped) == 2
  left = subprocess.run(
    ['squeue', '--noheader'], env=cluster, capture_output=True, text=True,
    check=True,
  )  # fmt: skip
  assert f'{number}_1' not in left.stdout
  assert starts(cancelled) == 1
