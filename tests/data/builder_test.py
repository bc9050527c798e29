"""Tests that sources stored by TFDS are read back unchanged."""

import os

import numpy as np
import pytest

from hyperrec.data import interactions, sources
from hyperrec.data.sources import builder

DataError = interactions.DataError
SMALL = {'num_users': 30, 'num_items': 20, 'mean_length': 6}


@pytest.fixture(autouse=True)
def quiet(capfd):
  """Hides the progress that TFDS prints."""


def check_equal(found, expected):
  assert repr(found) == repr(expected)
  assert found.notes == expected.notes
  assert found.is_order_only == expected.is_order_only
  for field in (
    'users', 'items', 'ratings', 'timestamps', 'user_ids', 'item_ids',
    'item_text',
  ):  # fmt: skip
    values = [getattr(data, field) for data in (found, expected)]
    assert (values[0] is None) == (values[1] is None), field
    if values[0] is not None:
      np.testing.assert_array_equal(*values, err_msg=field)
      assert values[0].dtype == values[1].dtype, field


def test_a_set_with_everything_comes_back(tmp_path):
  builder.prepare('synthetic', tmp_path, **SMALL)
  found = builder.load_prepared('synthetic', tmp_path, **SMALL)
  check_equal(found, sources.load('synthetic', **SMALL).by_user_and_time())


def test_text_ids_repeats_and_absent_columns_come_back(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('user,item\n007,é\n7,b\n007,a\n007,é\n')
  options = {'path': path, 'duplicates': 'keep'}
  builder.prepare('table', tmp_path / 'cache', **options)
  found = builder.load_prepared('table', tmp_path / 'cache', **options)
  check_equal(found, sources.load('table', **options).by_user_and_time())
  assert found.user_ids.tolist() == ['007', '7']


def test_notes_and_the_kind_of_order_come_back(tmp_path):
  path = tmp_path / 't.txt'
  path.write_text('1 3 4 5\n2 4 5\n3 6\n')
  options = {'path': path, 'sequences': True, 'min_user_interactions': 2}
  builder.prepare('table', tmp_path / 'cache', **options)
  found = builder.load_prepared('table', tmp_path / 'cache', **options)
  assert found.is_order_only
  assert found.notes
  check_equal(found, sources.load('table', **options).by_user_and_time())


def test_other_options_and_changed_files_are_other_sets(tmp_path):
  builder.prepare('synthetic', tmp_path, **SMALL)
  with pytest.raises(DataError, match='not prepared with these options'):
    builder.load_prepared('synthetic', tmp_path, **SMALL, seed=1)
  path = tmp_path / 't.csv'
  path.write_text('user,item\n1,2\n2,3\n')
  builder.prepare('table', tmp_path, path=path)
  before = path.stat()
  path.write_text('user,item\n1,2\n2,4\n')
  os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
  with pytest.raises(DataError, match='not prepared with these options'):
    builder.load_prepared('table', tmp_path, path=path)
  builder.prepare('table', tmp_path, path=path)
  found = builder.load_prepared('table', tmp_path, path=path)
  assert found.item_ids.tolist() == [2, 4]


def test_a_changed_file_in_the_data_directory_is_another_set(tmp_path):
  folder, cache = tmp_path / 'data', tmp_path / 'cache'
  file = folder / 'deep' / 'ratings.csv'
  file.parent.mkdir(parents=True)
  file.write_text('one')
  first = builder._folder('some', cache, {'data_dir': folder})
  assert builder._folder('some', cache, {'data_dir': folder}) == first
  file.write_text('two, and more')
  assert builder._folder('some', cache, {'data_dir': folder}) != first


def test_what_is_stored_is_not_made_again(tmp_path, monkeypatch):
  folder = builder.prepare('synthetic', tmp_path, **SMALL)
  monkeypatch.setattr(sources, 'load', None)
  assert builder.prepare('synthetic', tmp_path, **SMALL) == folder


@pytest.mark.parametrize('step', ['_user_examples', '_item_examples'])
def test_an_unfinished_set_is_not_taken_for_a_whole_one(
  tmp_path, monkeypatch, step
):
  make = getattr(builder, step)

  def killed(data):
    yield next(iter(make(data)))
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(builder, step, killed)
    with pytest.raises(KeyboardInterrupt):
      builder.prepare('synthetic', tmp_path, **SMALL)
  with pytest.raises(DataError, match='does not exist'):
    builder.load_prepared('synthetic', tmp_path, **SMALL)
  assert not [path for path in tmp_path.rglob('*') if path.is_file()]
  builder.prepare('synthetic', tmp_path, **SMALL)
  assert len(builder.load_prepared('synthetic', tmp_path, **SMALL)) > 0
