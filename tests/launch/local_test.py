"""The local launcher: what it would run, and how it reports a failure."""

import subprocess
import sys

import pytest


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
  )
  assert done.returncode == 0
  assert done.stdout.splitlines() == [
    f"python -m experiments.ease.run --flagfile={name}.flags '--data_dir=D E'"
    for name in 'ab'
  ]


@pytest.mark.parametrize('flagfile', ['missing.flags'])
def test_a_failed_run_is_named(tmp_path, flagfile):
  path = tmp_path / flagfile
  done = launch('--module=json.tool', f'--flagfiles={path}')
  assert done.returncode == 1
  assert str(path) in done.stderr
