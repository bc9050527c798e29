"""Sweeps, and what every launcher would run: word for word."""

import pathlib
import subprocess
import sys

import pytest

from launch import sweep

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).parent / 'golden'
SWEEP = (
  '--module=experiments.sasrec.run',
  '--flagfiles=experiments/sasrec/beauty.flags,experiments/sasrec/toys.flags',
  '--sweep=seed=0,1',
  '--sweep=lr=1e-3',
  '--dry_run',
)
CLOUD = ('--project=my-project', '--zone=us-west4-a', '--workdirs=/disk/runs')
LAUNCHERS = {
  'local': ('--workdirs=runs', '--processes=2'),
  'slurm': (
    '--workdirs=/shared/runs', '--time=08:00:00', '--gres=gpu:1',
    '--partition=main', '--parallel=2', '--nodes=2',
  ),
  'tpu': (
    *CLOUD, '--accelerator=v5litepod-16', '--spot',
    '--setup=sudo mount 10.0.0.2:/share /disk',
  ),
  'gke': (*CLOUD, '--cluster=c', '--image=gcr.io/my-project/hyperrec',
          '--storage=disk'),
}  # fmt: skip


def launch(name, *flags):
  return subprocess.run(
    [sys.executable, '-m', f'launch.{name}', *flags],
    capture_output=True, text=True, check=False, cwd=ROOT,
  )  # fmt: skip


@pytest.mark.parametrize('name', list(LAUNCHERS))
def test_a_dry_run_prints_exactly_what_would_run(name):
  done = launch(name, *SWEEP, *LAUNCHERS[name], '--', '--data_dir=my data',
                '--output=out/{name}.json')  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert done.stdout == (GOLDEN / f'{name}.txt').read_text()


@pytest.mark.parametrize('name', LAUNCHERS)
def test_help_shows_the_flags_of_the_sweep(name):
  shown = launch(name, '--help').stdout
  for flag in ('module', 'flagfiles', 'sweep', 'workdirs', '[no]dry_run'):
    assert f'--{flag}:' in shown


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
    ([], [], 'nothing to run'),
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
  assert done.returncode == 2
  assert done.stderr == 'error: --sweep=seed: write flag=value,value\n'


def test_a_bucket_is_no_folder():
  with pytest.raises(sweep.SweepError, match='mount the bucket'):
    sweep.runs('m', ['x'], workdirs='gs://bucket/runs')


def test_extra_flags_may_hold_the_name():
  runs = sweep.runs('m', ['x', 'y'], ['s=1'], ['--output={name}.json'])
  assert [run.arguments[-1] for run in runs] == [
    '--output=x-s-1.json', '--output=y-s-1.json'
  ]  # fmt: skip


def test_names_of_clouds():
  assert sweep.cloud_name('Beauty_a-lr-0.1', 40) == 'beauty-a-lr-0-1'
  assert sweep.cloud_name('128-seed-0', 40) == 'run-128-seed-0'
  long = [sweep.cloud_name('scientific_paper_size-seed-0-lr-0.00' + end, 40)
          for end in ('10000', '20000')]  # fmt: skip
  assert [len(name) for name in long] == [40, 40]
  assert long[0] != long[1]


def test_a_sweep_needs_no_flag_file():
  runs = sweep.runs('m', [], ['lr=0.1,1e-3', 's=0'], ['--v'], 'w')
  assert [run.name for run in runs] == ['lr-0.1-s-0', 'lr-1e-3-s-0']
  assert runs[1].arguments == (
    '-m', 'm', '--lr=1e-3', '--s=0', '--workdir=w/lr-1e-3-s-0', '--v',
  )  # fmt: skip
  done = launch('local', '--module=m', '--sweep=output=a,b', '--dry_run')
  assert done.stdout == 'python -m m --output=a\npython -m m --output=b\n'


@pytest.mark.parametrize('flag', ['output', 'workdir', 'results_dir'])
def test_two_runs_never_write_to_one_place(flag, tmp_path):
  told = f's-0 and s-1 would both write --{flag}='
  for extra in (
    [f'--{flag}=a'],
    [f'-{flag}', 'a'],
    [f'--{flag}=a/{{name}}/..'],
  ):
    with pytest.raises(sweep.SweepError, match=told):
      sweep.runs('m', [], ['s=0,1'], extra)
  assert len(sweep.runs('m', [], ['s=0,1'], [f'--{flag}=a/{{name}}'])) == 2
  assert len(sweep.runs('m', [], [f'{flag}=a,b'])) == 2
  files = [str(tmp_path / name) for name in ('x.flags', 'y.flags')]
  for file in files:
    pathlib.Path(file).write_text(f'--v=1\n--{flag}=a\n')
  with pytest.raises(sweep.SweepError, match=f'x and y would .* --{flag}=a'):
    sweep.runs('m', files)
  pathlib.Path(files[0]).write_text(f'--{flag}=b\n')
  assert len(sweep.runs('m', files)) == 2


def test_each_of_several_runs_is_given_a_place_of_its_own(tmp_path):
  told = 'the run s-0 has no place of its own to write to; give --workdirs'
  with pytest.raises(sweep.SweepError, match=told):
    sweep.runs('m', [], ['s=0,1'])
  with pytest.raises(sweep.SweepError, match='the run x has no place'):
    sweep.runs('m', [str(tmp_path / name) for name in ('x.flags', 'y.flags')])
  assert len(sweep.runs('m', [], ['s=0,1'], workdirs='w')) == 2
  assert len(sweep.runs('m', [], ['s=0'])) == 1
