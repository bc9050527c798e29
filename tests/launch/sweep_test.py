"""Sweeps, and what every launcher would run: word for word."""

import pathlib
import subprocess
import sys

import pytest

from launch import sweep, tpu

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).parent / 'golden'
SWEEP = (
  '--module=experiments.sasrec.run',
  '--flagfiles=experiments/sasrec/beauty.flags,experiments/sasrec/toys.flags',
  '--sweep=seed=0,1',
  '--sweep=lr=1e-3',
  '--dry_run',
)
BUCKET = '--workdirs=gs://bucket/runs'
CLOUD = ('--project=my-project', '--zone=us-west4-a', BUCKET)
LAUNCHERS = {
  'local': ('--workdirs=runs', '--processes=2'),
  'slurm': (
    '--workdirs=/shared/runs', '--time=08:00:00', '--gres=gpu:1',
    '--partition=main', '--parallel=2', '--nodes=2',
  ),
  'tpu': (*CLOUD, '--accelerator=v5litepod-16', '--spot'),
  'gke': (*CLOUD, '--cluster=c', '--image=gcr.io/my-project/hyperrec'),
}  # fmt: skip


def launch(name, *flags):
  return subprocess.run(
    [sys.executable, '-m', f'launch.{name}', *flags],
    capture_output=True, text=True, check=False, cwd=ROOT,
  )  # fmt: skip


@pytest.mark.parametrize('name', list(LAUNCHERS))
def test_a_dry_run_prints_exactly_what_would_run(name):
  done = launch(name, *SWEEP, *LAUNCHERS[name], '--', '--data_dir=my data')
  assert done.returncode == 0, done.stderr
  assert done.stdout == (GOLDEN / f'{name}.txt').read_text()


def test_runs_are_flag_files_times_values():
  runs = sweep.runs(
    'm', ['a/x.flags', 'y.flags'], ['s=0,1', 't=u'], ['--v'], 'w'
  )
  assert [run.name for run in runs] == [
    'x-s-0-t-u', 'x-s-1-t-u', 'y-s-0-t-u', 'y-s-1-t-u',
  ]  # fmt: skip
  assert runs[1].arguments == (
    '-m', 'm', '--flagfile=a/x.flags', '--s=1', '--t=u',
    '--workdir=w/x-s-1-t-u', '--v',
  )  # fmt: skip


@pytest.mark.parametrize(
  ('flagfiles', 'sweeps', 'message'),
  [
    ([], [], 'names no file'),
    (['x'], ['seed'], 'write flag=value,value'),
    (['x'], ['seed='], 'write flag=value,value'),
    (['x'], ['s=1', 's=2'], 'swept twice'),
    (['a/x.flags', 'b/x.flags'], [], "called 'x'"),
    (['x'], ['s=1,1'], 'each value once'),
  ],
)
def test_what_is_no_sweep_is_said(flagfiles, sweeps, message):
  with pytest.raises(sweep.SweepError, match=message):
    sweep.runs('m', flagfiles, sweeps)


def test_a_mistake_stops_the_launcher():
  done = launch('local', '--module=m', '--flagfiles=x', '--sweep=seed')
  assert done.returncode != 0
  assert 'write flag=value,value' in done.stdout + done.stderr


WANTED = tpu.Slice('p', 'z', 'v5litepod-8', 'r', True, 'hyperrec[tpu]')


class Cloud:
  """Answers commands; `states` of the slice and `codes` of the run in turn."""

  def __init__(self, states, codes):
    self.states, self.codes, self.asked = list(states), list(codes), []

  def __call__(self, command):
    own = tpu.commands(RUN, WANTED)
    what = next(name for name, line in own.items() if line == command)
    self.asked.append(what)
    if what == 'state':
      return tpu.Done(0, self.states.pop(0) + '\n')
    return tpu.Done(self.codes.pop(0) if what == 'run' else 0)


(RUN,) = sweep.runs('m', ['x.flags'])


def test_a_slice_that_is_taken_away_is_requested_anew():
  cloud = Cloud(
    ['WAITING_FOR_RESOURCES', 'ACTIVE', 'SUSPENDED', 'ACTIVE'], [255, 0]
  )
  waits = []
  assert tpu.serve(RUN, WANTED, 3, cloud, waits.append) == 0
  once = ['request', 'state', 'install', 'run']
  assert cloud.asked == [
    'request', 'state', 'state', 'install', 'run', 'state', 'release',
    *once, 'release',
  ]  # fmt: skip
  assert len(waits) == 1


def test_a_run_that_fails_by_itself_is_not_run_again():
  cloud = Cloud(['ACTIVE', 'ACTIVE'], [7])
  assert tpu.serve(RUN, WANTED, 3, cloud, print) == 7
  assert cloud.asked[-1] == 'release'


def test_a_slice_that_is_always_lost_ends():
  cloud = Cloud(['FAILED'] * 3, [])
  assert tpu.serve(RUN, WANTED, 2, cloud, print) == 1
  assert cloud.asked.count('release') == 3


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
