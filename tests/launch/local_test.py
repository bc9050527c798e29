"""The local launcher: what it would run, and how it reports a failure."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from launch import preemptible

ROOT = pathlib.Path(__file__).parents[2]

# Saves when it is told to stop, and goes on from there.
JOB = """
import pathlib, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *unused: told.append(True))
saved = pathlib.Path('saved')
if saved.exists():
  print('resumed')
  sys.exit(0)
pathlib.Path('started').touch()
while not told:
  time.sleep(0.05)
saved.touch()
"""


def launch(*arguments):
  command = [sys.executable, '-m', 'launch.local', *arguments]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def test_dry_run_prints_every_command():
  done = launch(
    '--module=experiments.ease.run',
    '--flagfiles=a.flags,b.flags',
    '--dry_run',
    '--',
    '--data_dir=D E',
    '--output={name}.json',
  )
  assert done.returncode == 0
  assert done.stdout.splitlines() == [
    f"python -m experiments.ease.run --flagfile={name}.flags '--data_dir=D E' "
    f'--output={name}.json'
    for name in 'ab'
  ]


@pytest.mark.parametrize('flagfile', ['missing.flags'])
def test_a_failed_run_is_named(tmp_path, flagfile):
  path = tmp_path / flagfile
  done = launch('--module=json.tool', f'--flagfiles={path}')
  assert done.returncode == 1
  assert str(path) in done.stderr


def test_local_runs_are_tried_again_and_logged(tmp_path):
  (tmp_path / 'job.py').write_text(
    'import pathlib, sys\n'
    'mark = pathlib.Path("mark")\n'
    'print("started")\n'
    'if not mark.exists():\n'
    '  mark.touch()\n'
    '  sys.exit(3)\n'
  )
  done = subprocess.run(
    [sys.executable, '-m', 'launch.local', '--module=job', '--flagfiles=x',
     '--retries=1', '--logs=logs'],
    capture_output=True, text=True, check=False, cwd=tmp_path,
    env={'PYTHONPATH': f'{tmp_path}:{ROOT}', 'PATH': '/usr/bin:/bin'},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'again (1 of 1): x' in done.stderr
  log = (tmp_path / 'logs' / 'x.log').read_text()
  assert log.count('started') == 2


@pytest.fixture
def job(tmp_path):
  (tmp_path / 'job.py').write_text(JOB)

  def start(*command):
    return subprocess.Popen(
      [sys.executable, '-m', *command], cwd=tmp_path, text=True,
      env={'PYTHONPATH': f'{tmp_path}:{ROOT}', 'PATH': '/usr/bin:/bin'},
      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

  return start


def wait_for(path):
  end = time.monotonic() + 20
  while not path.exists():
    assert time.monotonic() < end, f'{path} did not appear'
    time.sleep(0.02)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_saves_and_the_same_command_goes_on(
  tmp_path, job, number
):
  command = (
    'launch.local', '--module=job', '--flagfiles=x,y', '--workdirs=runs',
    '--retries=3',
  )  # fmt: skip
  sweep = job(*command)
  wait_for(tmp_path / 'started')
  sweep.send_signal(number)
  _, told = sweep.communicate(timeout=20)
  assert sweep.returncode == 2
  assert (tmp_path / 'saved').exists()
  assert 'again' not in told
  assert told.count('exit 143') == 2
  sweep = job(*command)
  printed, _ = sweep.communicate(timeout=20)
  assert sweep.returncode == 0
  assert printed.count('resumed') == 2


def test_a_stopped_run_is_not_taken_for_a_finished_one(tmp_path, job):
  command = ('launch.preemptible', sys.executable, '-m', 'job')
  run = job(*command)
  wait_for(tmp_path / 'started')
  run.terminate()
  run.communicate(timeout=20)
  assert (tmp_path / 'saved').exists()
  assert run.returncode == preemptible.STOPPED == 143
  run = job(*command)
  assert run.communicate(timeout=20)[0] == 'resumed\n'
  assert run.returncode == 0


def test_other_exit_codes_are_passed_on(job):
  run = job('launch.preemptible', sys.executable, '-c', 'raise SystemExit(7)')
  run.communicate(timeout=20)
  assert run.returncode == 7
