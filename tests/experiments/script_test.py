"""Scripts tell a user's mistakes in one line, and only those."""

import errno
import functools

import pytest
from absl import flags

from experiments import script
from hyperrec import method
from hyperrec.cost import memory
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


def test_a_leading_tilde_of_a_place_is_the_home_folder(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  values = flags.FlagValues()
  for name in ('workdir', 'output', 'method'):
    flags.DEFINE_string(name, None, 'A place.', flag_values=values)
  values(['script', '--workdir=~/results', '--method=~/ease'])
  script.expand_homes(values)
  assert values.workdir == str(tmp_path / 'results')
  assert values.output is None
  assert values.method == '~/ease'


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
  file = tmp_path / 'file'
  file.touch()
  for flag, place, is_folder, told in (
    ('output', tmp_path, False, f'{tmp_path} is a folder; name another file'),
    ('output', file / 'x.json', False, f'{file} is a file; name another file'),
    ('output', file / 'a' / 'b', True, f'{file} is a file'),
    ('workdir', file, True, f'{file} is a file; name another folder'),
    ('workdir', tmp_path / ('x' * 300), True, 'File name too long'),
    ('output', tmp_path / ('x' * 300), False, 'File name too long'),
  ):
    with pytest.raises(results.ResultError) as error:
      script.check_place(flag, place, is_folder=is_folder)
    assert str(error.value).startswith(f'--{flag}: ')
    assert told in str(error.value)
  for place, is_folder in (
    (file, False),
    (tmp_path, True),
    (tmp_path / 'new' / 'row.json', False),
    ('new/row.json', False),
    (tmp_path / ('x' * 250), False),
  ):
    script.check_place('output', place, is_folder=is_folder)
  assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_places_are_looked_at_before_the_work(tmp_path):
  values = flags.FlagValues()
  for name in ('workdir', 'output'):
    flags.DEFINE_string(name, None, 'A place.', flag_values=values)
  values(['script', f'--output={tmp_path}'])
  script.check_places(values, output_is_folder=True)
  with pytest.raises(results.ResultError, match=r'--output: .* is a folder'):
    script.check_places(values, output_is_folder=False)
  (tmp_path / 'file').touch()
  values.output, values.workdir = None, str(tmp_path / 'file' / 'work')
  with pytest.raises(results.ResultError, match=r'--workdir: .* is a file'):
    script.check_places(values, output_is_folder=False)
  script.check_places(flags.FlagValues(), output_is_folder=False)


@pytest.mark.parametrize('number', [errno.EISDIR, errno.EEXIST])
def test_a_place_of_the_other_kind_is_named(monkeypatch, capsys, number):
  error = OSError(number, 'Is in the way', 'made.tmp', None, 'wanted.json')
  assert run(monkeypatch, error) == 2
  assert capsys.readouterr().err.startswith('error: wanted.json: Is in the way')


@pytest.mark.parametrize(
  ('value', 'is_right'),
  [
    ('0, 5,2147483647', True),
    ('2147483648', False),
    ('5000000000', False),
    ('9' * 5000, False),
    ('-1', False),
    ('', False),
  ],
)
def test_whole_numbers_are_below_a_bound(monkeypatch, value, is_right):
  values = flags.FlagValues()
  for function in ('DEFINE_list', 'register_validator'):
    monkeypatch.setattr(
      flags,
      function,
      functools.partial(getattr(flags, function), flag_values=values),
    )
  script.define_whole_numbers('budgets', ['0'], 'Some numbers.')
  if is_right:
    values(['script', f'--budgets={value}'])
    assert list(map(int, values.budgets)) == [0, 5, 2147483647]
    return
  with pytest.raises(flags.IllegalFlagValueError, match='below 2147483648'):
    values(['script', f'--budgets={value}'])


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
