"""A file is there whole, or as it was."""

import errno
import pathlib

import pytest

from hyperrec import whole_file


def test_a_file_and_its_folder_are_made_and_replaced(tmp_path):
  path = tmp_path / 'new' / 'file.json'
  for content in (b'first', b'second'):
    whole_file.write_whole(path, content)
    assert path.read_bytes() == content
  assert [p.name for p in path.parent.iterdir()] == ['file.json']


def test_what_fails_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'file.json'
  whole_file.write_whole(path, b'first')
  write = pathlib.Path.write_bytes

  def torn(self, content):
    write(self, content[:2])
    raise OSError('no space')

  monkeypatch.setattr(pathlib.Path, 'write_bytes', torn)
  with pytest.raises(OSError, match='no space'):
    whole_file.write_whole(path, b'second')
  assert path.read_bytes() == b'first'
  assert [p.name for p in tmp_path.iterdir()] == ['file.json']


def test_a_line_is_added_after_one_that_was_cut(tmp_path):
  path = tmp_path / 'new' / 'rows.jsonl'
  for line in ('first', 'second'):
    whole_file.append_line(path, line)
  with path.open('a') as file:
    file.write('cut in the mid')
  whole_file.append_line(path, 'third')
  assert path.read_text() == 'first\nsecond\nthird\n'


def test_older_lines_are_never_written_again(tmp_path, monkeypatch):
  """A kill between emptying a file and filling it would lose them all."""
  path = tmp_path / 'rows.jsonl'
  path.write_text('first\ncut')
  monkeypatch.setattr(pathlib.Path, 'write_bytes', None)
  monkeypatch.setattr(pathlib.Path, 'write_text', None)
  whole_file.append_line(path, 'second')
  assert path.read_text() == 'first\nsecond\n'


def test_an_error_of_the_system_names_its_file(tmp_path):
  with (
    pytest.raises(OSError, match='No space left') as error,
    whole_file.named(tmp_path / 'file'),
  ):
    raise OSError(errno.ENOSPC, 'No space left on device')
  assert error.value.filename == str(tmp_path / 'file')
