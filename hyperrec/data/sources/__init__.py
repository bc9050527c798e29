"""Data sources: one function for each maker's format, and the way to filter.

Data sets are read from files that the user has; each source says where its
files come from, on what terms, and checks that they are whole.
"""

import inspect
import os
from typing import Any

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import domains, movielens, sequences
from hyperrec.data.sources import table as table_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


def table(data_dir: str | os.PathLike | None = None, **options: Any):
  """A user's own file: `table.table` with its `path` option."""
  del data_dir
  if not options.get('path'):
    raise DataError('source table needs path=FILE (.csv, .parquet, .inter)')
  return table_lib.table(**options)


SOURCES = {
  'movielens_small': movielens.movielens_small,
  'movielens': movielens.movielens,
  'online_retail': domains.online_retail,
  'text_domain': domains.text_domain,
  'amazon_2014': sequences.amazon_2014,
  'scientific': sequences.scientific,
  'gowalla': sequences.gowalla,
  'diginetica': sequences.diginetica,
  'table': table,
  'synthetic': domains.synthetic,
}

TRAIN_TEST = {'gowalla': sequences.gowalla_train_test}


def load(
  source: str,
  data_dir: str | os.PathLike | None = None,
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
      see `interactions.drop_duplicates`.
    **options: of the source's own function.

  Raises:
    DataError: unknown source or option, missing or damaged files, ratings
      asked for where there are none, or nothing left after filtering.
  """
  _check_known(source, SOURCES)
  function = SOURCES[source]
  known = set(inspect.signature(function).parameters) - {'data_dir'}
  unknown = set(options) - known
  if unknown and source != 'table':
    raise DataError(
      f'source {source} has no option {sorted(unknown)}; it has {sorted(known)}'
    )
  data = interactions_lib.drop_duplicates(
    function(data_dir, **options), duplicates
  )
  return filtered(
    data, min_rating, min_user_interactions, min_item_interactions
  )


def load_train_test(
  source: str, data_dir: str | os.PathLike | None = None
) -> tuple[Interactions, Interactions]:
  """The published train and test part of a source that has them."""
  _check_known(source, TRAIN_TEST)
  return TRAIN_TEST[source](data_dir)


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
