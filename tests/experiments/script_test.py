"""Scripts tell a user's mistakes in one line, and only those."""

import errno

import pytest
from absl import flags

from experiments import script
from hyperrec import memory, method
from hyperrec.data import interactions
from hyperrec.evaluation import results
from hyperrec.training import checkpoints, loop, manifest
from tests.experiments import commands


def run(monkeypatch, error):
  """The exit code of a script whose main raises `error`."""

  def main(argv):
    del argv
    raise error

  codes = []
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  monkeypatch.setattr(
    script.app, 'run', lambda explained: codes.append(explained(['script']))
  )
  script.run(main)
  return codes[0]


@pytest.mark.parametrize(
  'error',
  [
    interactions.DataError('what is wrong'),
    results.ResultError('what is wrong'),
    memory.InsufficientMemoryError('what is wrong'),
    method.CannotServe('what is wrong'),
    loop.TrainingDiverged(7, 'what is wrong', 'nothing was saved'),
    checkpoints.CheckpointError('what is wrong'),
    manifest.OtherRunError('what is wrong'),
  ],
  ids=lambda error: type(error).__name__,
)
def test_a_users_mistake_is_told_in_one_line(monkeypatch, capsys, error):
  assert run(monkeypatch, error) == 2
  told = capsys.readouterr().err
  assert told.startswith('error: what is wrong')
  assert told.count('\n') == 1


def test_a_mistake_of_the_program_keeps_its_trace(monkeypatch):
  with pytest.raises(ZeroDivisionError):
    run(monkeypatch, ZeroDivisionError('division'))


def test_being_told_to_stop_is_no_failure(monkeypatch, capsys):
  assert run(monkeypatch, loop.Stopped(3, 10)) == 0
  assert 'stopped after step 3 of 10' in capsys.readouterr().err


def test_a_full_disk_names_the_file_and_what_to_do(monkeypatch, capsys):
  error = OSError(errno.ENOSPC, 'No space left on device', '/somewhere/file')
  assert run(monkeypatch, error) == 2
  told = capsys.readouterr().err
  assert told.startswith('error: /somewhere/file: No space left')
  assert '--workdir' in told
  with pytest.raises(FileNotFoundError):
    run(monkeypatch, FileNotFoundError(errno.ENOENT, 'no such file', 'x'))


def test_a_leading_tilde_of_a_place_is_the_home_folder(monkeypatch):
  monkeypatch.setenv('HOME', '/home/ann')
  values = flags.FlagValues()
  for name in ('workdir', 'output', 'method'):
    flags.DEFINE_string(name, None, 'A place.', flag_values=values)
  values(['script', '--workdir=~/results', '--method=~/ease'])
  script.expand_homes(values)
  assert values.workdir == '/home/ann/results'
  assert values.output is None
  assert values.method == '~/ease'


@pytest.mark.parametrize(
  ('output', 'workdir', 'found'),
  [
    ('a/b.json', 'w', 'a/b.json'),
    ('a/b.json', None, 'a/b.json'),
    (None, 'w', 'w/beauty.json'),
    (None, None, 'results/sasrec/beauty.json'),
  ],
)
def test_a_row_goes_to_the_workdir_unless_told(output, workdir, found):
  assert script.row_path(output, workdir, 'sasrec/beauty.json') == found


def test_flags_made_by_functions_are_in_the_help_of_the_script():
  done = commands.run(None, '--help', module='experiments.pref.run')
  assert '--questions: Numbers of questions' in done.stdout
  assert '--first_seed: Seed' in done.stdout
