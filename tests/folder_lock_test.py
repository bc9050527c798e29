"""One process at a time writes in a folder."""

import pathlib
import subprocess
import sys

import pytest

from hyperrec import folder_lock

ROOT = pathlib.Path(__file__).parents[1]
HOLD = (
  'import sys, time\n'
  'from hyperrec import folder_lock\n'
  'with folder_lock.held(sys.argv[1]):\n'
  '  print("held", flush=True)\n'
  '  time.sleep(60)\n'
)


def test_the_lock_of_a_killed_process_is_free(tmp_path):
  folder = tmp_path / 'new' / 'folder'
  process = subprocess.Popen(
    [sys.executable, '-c', HOLD, folder],
    stdout=subprocess.PIPE, text=True, cwd=ROOT,
  )  # fmt: skip
  assert process.stdout.readline() == 'held\n'
  with pytest.raises(folder_lock.FolderInUse, match='another folder'):
    folder_lock.held(folder).__enter__()
  process.kill()
  process.communicate()
  with folder_lock.held(folder):
    assert list(folder.iterdir()) == []


def test_where_there_are_no_locks_nothing_is_refused(tmp_path, monkeypatch):
  def refuse(*unused):
    raise OSError('no locks here')

  monkeypatch.setattr(folder_lock.fcntl, 'flock', refuse)
  with folder_lock.held(tmp_path), folder_lock.held(tmp_path):
    pass
  monkeypatch.setattr(folder_lock, 'fcntl', None)
  with folder_lock.held(tmp_path), folder_lock.held(tmp_path):
    pass
