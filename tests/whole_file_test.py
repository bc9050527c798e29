"""A file is there whole, or as it was."""

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
