"""Data sources, one function for each published format, and filters.

Data sets are read from local files. Each source documents where its files come
from and their licence, and checks that the files are complete.
"""

import dataclasses
import inspect
from typing import Any

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import domains, files, movielens, sequences
from hyperrec.data.sources import table as table_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = files.DataDir

SOURCES = {
  'movielens_small': movielens.movielens_small,
  'movielens': movielens.movielens,
  'online_retail': domains.online_retail,
  'text_domain': domains.text_domain,
  'amazon_2014': sequences.amazon_2014,
  'scientific': sequences.scientific,
  'gowalla': sequences.gowalla,
  'diginetica': sequences.diginetica,
  'table': table_lib.table,
  'synthetic': domains.synthetic,
}

TRAIN_TEST = {'gowalla': sequences.gowalla_train_test}

# With fewer items left to rank, every method finds the targets.
_FEW_LEFT = 5

# Origin and licence of each source, keyed by domain if it has several.
ABOUT = {
  'movielens_small': {'': movielens.SMALL},
  'movielens': {'': movielens.FOLDER},
  'online_retail': {'': domains.ONLINE_RETAIL},
  'text_domain': domains.TEXT_DOMAINS,
  'amazon_2014': sequences.AMAZON,
  'scientific': {'': sequences.SCIENTIFIC},
  'gowalla': {'': sequences.GOWALLA},
  'diginetica': {'': sequences.DIGINETICA},
  'table': {'': table_lib.ABOUT},
  'synthetic': {'': domains.SYNTHETIC},
}


def load(
  source: str,
  data_dir: DataDir = None,
  *,
  min_rating: float | None = None,
  min_user_interactions: int = 1,
  min_item_interactions: int = 1,
  duplicates: str = 'first',
  **options: Any,
) -> Interactions:
  """Reads a source and filters it.

  Args:
    source: a key of `SOURCES`.
    data_dir: folder with the files; None takes it from the environment
      variable HYPERREC_DATA_DIR.
    min_rating: smallest rating that is kept (4 for the rule of Liang et al.,
      who keep ratings above 3.5).
    min_user_interactions: smallest number of interactions of a user; users are
      filtered after items.
    min_item_interactions: smallest number of interactions of an item. Items and
      users are filtered once, in this order, as Liang et al. do for MSD.
    duplicates: policy for repeated (user, item) pairs, applied before all
      filters; see `interactions.drop_duplicates`. The `notes` of the result
      say what was left out.
    **options: further arguments of the source's function.

  Raises:
    DataError: the source or an option is unknown, a file is missing or damaged,
      `min_rating` is given for data without ratings, or nothing is left after
      filtering.
  """
  _check_known(source, SOURCES)
  function = SOURCES[source]
  known = set(inspect.signature(function).parameters) - {'data_dir'}
  unknown = set(options) - known
  if unknown:
    raise DataError(
      f'source {source} has no option {sorted(unknown)}; it has {sorted(known)}'
    )
  return cleaned(
    function(data_dir, **options),
    duplicates=duplicates,
    min_rating=min_rating,
    min_user_interactions=min_user_interactions,
    min_item_interactions=min_item_interactions,
  )


def cleaned(
  read: Interactions,
  *,
  duplicates: str = 'first',
  min_rating: float | None = None,
  min_user_interactions: int = 1,
  min_item_interactions: int = 1,
) -> Interactions:
  """Leaves out repeats, low ratings, rare items and users; see `load`."""
  data = interactions_lib.drop_duplicates(read, duplicates)
  if len(data) < len(read):
    repeats = len(read) - len(data)
    data = _noted(
      data,
      f'{read.name}: {repeats:,} of {len(read):,} rows repeat a user and an '
      f'item and are left out (duplicates={duplicates})',
    )
  del read  # a large file's rows are not held twice
  return filtered(
    data, min_rating, min_user_interactions, min_item_interactions
  )


def load_train_test(
  source: str, data_dir: DataDir = None
) -> tuple[Interactions, Interactions]:
  """The published train and test part of a source.

  Raises:
    DataError: the source has no such parts, or a file is missing or damaged.
  """
  _check_known(source, TRAIN_TEST)
  return TRAIN_TEST[source](data_dir)


def describe(source: str) -> str:
  """Text that gives the origin, terms, folder and counts of a source."""
  _check_known(source, ABOUT)
  lines = []
  for domain, about in ABOUT[source].items():
    parts = [f'from {about.origin}', f'terms: {about.licence}']
    if about.folder:
      parts.append(f'folder {about.folder}')
    if about.counts:
      users, items, rows = about.counts
      parts.append(f'{users:,} users, {items:,} items, {rows:,} interactions')
    lines.append(f'{source} {domain}'.strip() + ': ' + '; '.join(parts))
  return '\n'.join(lines)


def filtered(
  data: Interactions,
  min_rating: float | None,
  min_user_interactions: int,
  min_item_interactions: int,
) -> Interactions:
  """Drops low ratings, then rare items, then users with few rows; see `load`.

  Raises:
    DataError: there are no ratings to filter, or nothing is left.
  """
  users_before, items_before, rows_before = (
    data.num_users,
    data.num_items,
    len(data),
  )
  if min_rating is not None:
    if data.ratings is None:
      raise DataError(
        f'{data.name} has no ratings, so --min_rating={min_rating} cannot be '
        'applied; leave it out, or name the column of ratings of your own '
        'file by --rating_column'
      )
    data = data.rows(data.ratings >= min_rating)
  items = np.flatnonzero(data.item_counts() >= max(1, min_item_interactions))
  data = _taken_items(data, items) if len(items) else data.rows([])
  users = np.flatnonzero(data.user_counts() >= max(1, min_user_interactions))
  if len(users) < data.num_users:
    data = data.take_users(users)
  items = np.flatnonzero(data.item_counts())
  asked = [
    f'{name}={value}'
    for name, value, least in (
      ('min_rating', min_rating, None),
      ('min_user_interactions', min_user_interactions, 1),
      ('min_item_interactions', min_item_interactions, 1),
    )
    if value != least
  ]
  if len(items) == 0:
    raise DataError(
      f'{data.name}: nothing is left of {rows_before} rows with '
      f'{", ".join(asked)}; lower them'
    )
  data = _taken_items(data, items)
  if len(data) < rows_before and asked:
    data = _noted(
      data,
      f'{data.name}: kept {data.num_users:,} of {users_before:,} users, '
      f'{data.num_items:,} of {items_before:,} items and {len(data):,} of '
      f'{rows_before:,} rows ({", ".join(asked)})',
    )
  return _warned(data)


def _taken_items(data: Interactions, items: np.ndarray) -> Interactions:
  """`data.take_items` of sorted items; no copy is made if all are taken."""
  return data if len(items) == data.num_items else data.take_items(items)


def _warned(data: Interactions) -> Interactions:
  """Adds notes on properties of the data that make results less meaningful."""
  if data.ratings is not None and (data.ratings < 0).any():
    number = int((data.ratings < 0).sum())
    data = _noted(
      data,
      f'{data.name}: {number:,} of {len(data):,} ratings are below 0 and count '
      'as likes; leave them out by --min_rating',
    )
  # The fewest items that may be left, since a user may have repeats.
  left = data.num_items - data.user_counts()
  if np.median(left) < _FEW_LEFT:
    left = data.num_items - np.diff(data.csr().indptr)
  if np.median(left) < _FEW_LEFT:
    data = _noted(
      data,
      f'{data.name}: half of the users have touched all but at most '
      f'{int(np.median(left))} of the {data.num_items} items, so there is '
      'hardly anything to rank',
    )
  return data


def _noted(data: Interactions, note: str) -> Interactions:
  """The same data with one more note."""
  return dataclasses.replace(data, notes=(*data.notes, note))


def _check_known(source: str, known: dict) -> None:
  """Raises DataError unless `source` is a key of `known`."""
  if source not in known:
    raise DataError(f'source={source!r} is unknown; use one of {list(known)}')
