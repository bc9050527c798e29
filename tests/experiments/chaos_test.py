"""The benchmark that kills commands notices what a kill must not do."""

import hashlib
import sys

import pytest

from experiments.benchmarks import chaos_kills, chaos_subjects

# Adds lines to a file up to 60, and goes on where it was killed.
COUNTS = """
import pathlib, sys, time
path = pathlib.Path(sys.argv[1]) / 'lines'
if 'forget' in sys.argv:
  path.unlink(missing_ok=True)
done = path.read_text().count('\\n') if path.exists() else 0
for number in range(done, 60):
  with path.open('a') as file:
    file.write(f'{number if "wrong" not in sys.argv else done}\\n')
  time.sleep(0.01)
"""


def lines(folder):
  path = folder / 'lines'
  try:
    return path.read_text().splitlines()
  except FileNotFoundError:  # a command may remove it at any moment
    return []


def subject(*arguments, **changed):
  made = chaos_kills.Subject(
    name='count',
    what='counts',
    command=lambda folder: [
      sys.executable, '-c', COUNTS, str(folder), *arguments
    ],
    prepare=lambda folder: None,
    kept=lambda folder: len(lines(folder)),
    unfinished=lambda folder: frozenset(),
    problem=lambda folder: None,
    digest=lambda folder, output: hashlib.sha256(
      ' '.join(lines(folder)).encode()
    ).hexdigest(),
  )  # fmt: skip
  return made._replace(**changed)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
  monkeypatch.setattr(chaos_kills, '_JITTER', 0.02)


def test_a_command_that_goes_on_ends_the_same(tmp_path):
  found = chaos_kills.torment(subject(), tmp_path, 4, seed=0)
  assert found['kills'] == 4
  assert found['is_identical']
  assert found['problems'] == []
  assert found['kept_after_each_kill'] == sorted(found['kept_after_each_kill'])
  assert found['kept_at_the_end'] == 60


def test_what_is_lost_is_told(tmp_path):
  found = chaos_kills.torment(subject('forget'), tmp_path, 3, seed=0)
  assert any('are lost' in problem for problem in found['problems'])


def test_another_end_is_told(tmp_path):
  found = chaos_kills.torment(subject('wrong'), tmp_path, 3, seed=0)
  assert not found['is_identical']


def test_what_is_half_written_is_told(tmp_path):
  changed = {'problem': lambda folder: 'it is cut'}
  found = chaos_kills.torment(subject(**changed), tmp_path, 2, seed=0)
  assert found['problems'] == ['kill 1: it is cut', 'kill 2: it is cut']


def test_what_an_earlier_kill_left_is_no_write_of_this_run(tmp_path):
  (tmp_path / 'left').touch()
  left = chaos_kills.stamps([tmp_path / 'left', tmp_path / 'absent'])
  assert len(left) == 1
  changed = {'unfinished': lambda folder: left}
  found = chaos_kills.torment(subject(**changed), tmp_path, 3, seed=0)
  assert found['in_a_write'] == 0


def test_a_command_that_starts_anew_is_killed_over_its_time(tmp_path):
  changed = {'kept': None}
  found = chaos_kills.torment(subject(**changed), tmp_path, 3, seed=0)
  assert found['kills'] == 3
  assert found['kept_after_each_kill'] == []
  assert found['is_identical']


def test_a_command_that_fails_is_an_error(tmp_path):
  failing = subject(
    command=lambda folder: [sys.executable, '-c', 'raise ValueError("no")']
  )
  with pytest.raises(RuntimeError, match='no'):
    chaos_kills.torment(failing, tmp_path, 3, seed=0)


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_children_are_killed_with_their_command():
  code = (
    'import subprocess, sys\n'
    'child = subprocess.Popen(["sleep", "60"], start_new_session=True)\n'
    'print(child.pid, flush=True)\n'
    'child.wait()\n'
  )
  started = chaos_kills.start([sys.executable, '-c', code])
  while not chaos_kills._children(started.process.pid):
    assert started.process.poll() is None
  (child,) = chaos_kills._children(started.process.pid)
  chaos_kills.kill(started)
  assert not chaos_kills._is_alive(child)


def test_the_tables_of_the_update_have_old_items_only(tmp_path):
  chaos_subjects.write_tables(tmp_path)
  old, new = (
    {tuple(line.split(',')) for line in text.splitlines()[1:]}
    for text in (
      (tmp_path / name).read_text() for name in ('old.csv', 'new.csv')
    )
  )
  assert not old & new
  assert {item for _, item in new} <= {item for _, item in old}
  assert {user for user, _ in new} - {user for user, _ in old}


def test_measured_entries_are_left_out_of_the_comparison():
  row = {'metrics': {'ndcg': 0.5}, 'adapt': {'seconds_iqr': 1, 'flops': 2}}
  assert chaos_subjects._without_measured(row) == {
    'metrics': {'ndcg': 0.5}, 'adapt': {'flops': 2},
  }  # fmt: skip
