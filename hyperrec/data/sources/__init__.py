"""Data sources: one function for each maker's format, and the way to filter.

Data sets are read from files that the user has; each source says where its
files come from, on what terms, and checks that they are whole.
"""

import inspect
from typing import Any

import numpy as np
from absl import logging

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

# Where each source comes from and on what terms; by domain where it has some.
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
    data_dir: where the files are; default the environment's HYPERREC_DATA_DIR.
    min_rating: keep ratings of at least this (Liang et al. keep > 3.5, that is
      4 and more).
    min_user_interactions: then keep users with at least this many.
    min_item_interactions: before that, keep items with at least this many
      (one pass each, in this order: Liang et al.'s order for MSD).
    duplicates: what becomes of repeated (user, item) pairs, before all that;
      see `interactions.drop_duplicates`. How many were dropped is logged.
    **options: of the source's own function.

  Raises:
    DataError: unknown source or option, missing or damaged files, ratings
      asked for where there are none, or nothing left after filtering.
  """
  _check_known(source, SOURCES)
  function = SOURCES[source]
  known = set(inspect.signature(function).parameters) - {'data_dir'}
  unknown = set(options) - known
  if unknown:
    raise DataError(
      f'source {source} has no option {sorted(unknown)}; it has {sorted(known)}'
    )
  read = function(data_dir, **options)
  data = interactions_lib.drop_duplicates(read, duplicates)
  if len(data) < len(read):
    repeats = len(read) - len(data)
    logging.info(
      '%r: dropped %d repeated pairs (duplicates=%s)', read, repeats, duplicates
    )
  return filtered(
    data, min_rating, min_user_interactions, min_item_interactions
  )


def load_train_test(
  source: str, data_dir: DataDir = None
) -> tuple[Interactions, Interactions]:
  """The published train and test part of a source that has them."""
  _check_known(source, TRAIN_TEST)
  return TRAIN_TEST[source](data_dir)


def describe(source: str) -> str:
  """Where a source's files come from, their terms, folder and counts."""
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
  """Drops low ratings, then rare items, then short users; see `load`."""
  if min_rating is not None:
    if data.ratings is None:
      raise DataError(
        f'{data.name} has no ratings, so min_rating={min_rating} cannot be '
        'asked of it; leave it out'
      )
    data = data.rows(data.ratings >= min_rating)
  items = np.flatnonzero(data.item_counts() >= max(1, min_item_interactions))
  data = data.take_items(items) if len(items) else data.rows([])
  users = np.flatnonzero(data.user_counts() >= max(1, min_user_interactions))
  data = data.take_users(users)
  items = np.flatnonzero(data.item_counts())
  if len(items) == 0:
    raise DataError(
      f'{data.name}: nothing is left with min_rating={min_rating}, '
      f'min_user_interactions={min_user_interactions}, '
      f'min_item_interactions={min_item_interactions}; lower them'
    )
  return data.take_items(items)


def _check_known(source: str, known: dict) -> None:
  if source not in known:
    raise DataError(f'source={source!r} is unknown; use one of {list(known)}')
