"""A saved folder is the old one or the new one, whenever a kill comes."""

import contextlib
import errno
import pathlib
import shutil

import pytest

from hyperrec import folder_lock, saved_folder

HEAD, FILE = 'head.json', 'file.bin'


def save(folder, content, *, overwrite=True):
  folder = saved_folder.check(
    folder, {HEAD, FILE}, 'thing', overwrite=overwrite
  )
  saved_folder.write(folder, HEAD, {'what': 'thing'}, {FILE: content})


def content_of(folder):
  found, head = saved_folder.read_head(folder, HEAD, 'thing')
  return saved_folder.read_files(found, HEAD, head, {FILE})[FILE]


class Killed(BaseException):
  """Ends a save as a kill does: nothing is cleaned up after it."""


def kill_at(number, monkeypatch):
  """Lets a save move and delete folders `number` times, and then never."""
  done = []

  def limited(move):
    def count(*arguments, **options):
      if len(done) == number:
        raise Killed
      done.append(move)
      return move(*arguments, **options)

    return count

  monkeypatch.setattr(pathlib.Path, 'rename', limited(pathlib.Path.rename))
  monkeypatch.setattr(shutil, 'rmtree', limited(shutil.rmtree))


@pytest.mark.parametrize('exists', [False, True])
@pytest.mark.parametrize('number', range(5))
def test_a_kill_at_any_move_leaves_the_old_or_the_new_folder(
  tmp_path, exists, number
):
  folder = tmp_path / 'made'
  if exists:
    save(folder, b'old')
  with (
    pytest.MonkeyPatch.context() as monkeypatch,
    contextlib.suppress(Killed),
  ):
    kill_at(number, monkeypatch)
    save(folder, b'new')
  try:
    assert content_of(folder) in ([b'old', b'new'] if exists else [b'new'])
  except saved_folder.FolderError:
    assert not exists
  save(folder, b'again')
  assert content_of(folder) == b'again'
  assert [path.name for path in tmp_path.iterdir()] == ['made']


def test_a_folder_that_a_kill_moved_away_is_not_overwritten_unasked(tmp_path):
  save(tmp_path / 'made', b'old')
  (tmp_path / 'made').rename(tmp_path / '.made-old')
  with pytest.raises(saved_folder.FolderError, match='there already'):
    save(tmp_path / 'made', b'new', overwrite=False)
  assert content_of(tmp_path / 'made') == b'old'


def test_the_remains_of_a_kill_are_not_taken_over(tmp_path):
  (tmp_path / '.made-saving').mkdir()
  (tmp_path / '.made-saving' / 'half.bin').write_bytes(b'half')
  save(tmp_path / 'made', b'new')
  names = {path.name for path in (tmp_path / 'made').iterdir()}
  assert names == {HEAD, FILE}


def test_two_do_not_save_the_same_folder_at_once(tmp_path):
  with (
    folder_lock.held(tmp_path / '.made-saving'),
    pytest.raises(folder_lock.FolderInUse),
  ):
    save(tmp_path / 'made', b'new')


def test_a_full_disk_leaves_nothing_and_names_the_folder(tmp_path, monkeypatch):
  def full(*unused):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(saved_folder.os, 'fsync', full)
  with pytest.raises(OSError, match='No space left') as error:
    save(tmp_path / 'made', b'new')
  assert error.value.filename == str(tmp_path / 'made')
  assert list(tmp_path.iterdir()) == []
