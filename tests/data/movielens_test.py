"""Tests of GroupLens' formats, each recognised by its files."""

import shutil

import pytest
from absl import logging

from hyperrec.data import interactions, sources

DataError = interactions.DataError


def test_default_set_needs_no_file():
  data = sources.load('movielens_small')
  assert repr(data) == (
    "Interactions('movielens_small', users=671, items=9066, "
    'interactions=100004)'
  )
  toy_story = data.item_text[list(data.item_ids).index(1)]
  assert toy_story.startswith('Toy Story (1995). Adventure')
  assert not any('nan (0)' in text for text in data.item_text)


def test_100k_has_bars_and_latin_1(tmp_path):
  (tmp_path / 'u.data').write_text('1\t2\t5\t10\n3\t2\t4\t20\n')
  genres = '|'.join('0' * 18) + '|1'
  (tmp_path / 'u.item').write_bytes(
    f'2|Caf\xe9 (1990)|1990||url|{genres}\n'.encode('latin-1')
  )
  data = sources.load('movielens', tmp_path)
  assert data.user_ids.tolist() == [1, 3]
  assert data.ratings.tolist() == [5, 4]
  assert data.item_text.tolist() == ['Café (1990). Western']


@pytest.mark.parametrize('encoding', ['utf-8', 'latin-1'])
def test_1m_and_10m_have_double_colons(tmp_path, encoding):
  (tmp_path / 'ratings.dat').write_text('1::2::4.5::10\n3::7::4::20\n')
  (tmp_path / 'movies.dat').write_text(
    '2::Café: X (1990)::Drama|War\n7::B::Comedy\n', encoding=encoding
  )
  data = sources.load('movielens', tmp_path)
  assert data.item_text.tolist() == ['Café: X (1990). Drama War', 'B. Comedy']
  assert data.ratings.tolist() == [4.5, 4]
  assert data.timestamps.tolist() == [10, 20]


def test_csv_with_and_without_films_and_tags(tmp_path):
  (tmp_path / 'ratings.csv').write_text(
    'userId,movieId,rating,timestamp\n1,2,4.0,7\n3,2,0.5,8\n3,9,1,9\n'
  )
  assert sources.load('movielens', tmp_path).item_text is None
  (tmp_path / 'movies.csv').write_text(
    'movieId,title,genres\n2,"A, The (1990)",Drama|War\n9,B,\n'
  )
  (tmp_path / 'tags.csv').write_text(
    'userId,movieId,tag,timestamp\n1,2,slow,7\n3,2,slow,8\n3,2,epic,9\n'
  )
  data = sources.load('movielens', tmp_path)
  assert data.item_text.tolist() == ['A, The (1990). Drama War', 'B']
  data = sources.load('movielens', tmp_path, tags=True)
  assert data.item_text[0] == 'A, The (1990). Drama War epic slow'


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (
      {'ratings.dat': '1::2::4.5::10\n\n3::7::4\n'},
      r'ratings\.dat, line 3: 3 fields, expected 4',
    ),
    (
      {'u.data': '1\t2\t5\t10\n3\t2\tx\t20\n'},
      r"u\.data, line 2, column 'rating': 'x' is not a number",
    ),
    (
      {'u.data': '1\t2\t5\t10\n', 'u.item': '2|A (1990)|1990\n'},
      r"u\.item, line 1: expected a film's number and 23 more",
    ),
    (
      {'ratings.csv': 'userId,movieId,timestamp\n1,2,3\n2,2,3\n'},
      r"ratings\.csv: no column 'rating'; it has",
    ),
    ({'u.data': '1\t2\t5\t1\n1\t2\t5\t2\n'}, 'occurs more than once'),
    ({'u.data': ''}, r'u\.data is empty'),
    ({}, r'ratings\.csv is missing.*grouplens\.org'),
  ],
)
def test_bad_files_are_explained(tmp_path, files, message):
  for name, text in files.items():
    (tmp_path / name).write_text(text)
  with pytest.raises(DataError, match=message):
    sources.load('movielens', tmp_path)


def test_an_unknown_edition_is_said(tmp_path, monkeypatch):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda *args: said.append(args[0]))
  (tmp_path / 'u.data').write_text('1\t2\t5\t10\n3\t2\t4\t20\n')
  sources.load('movielens', tmp_path)
  assert any('unknown edition' in text for text in said)


def test_a_known_edition_must_be_whole(data_dir, tmp_path):
  folder = tmp_path / 'ml'
  shutil.copytree(data_dir / 'movielens-latest-small', folder)
  folder.chmod(0o755)
  path = folder / 'ratings.csv'
  text = path.read_text()
  path.unlink()
  path.write_text(text.replace('1,1,4.0,', '1,1,3.0,', 1))
  with pytest.raises(DataError, match=r'ratings\.csv: sha256 is'):
    sources.load('movielens', folder)
