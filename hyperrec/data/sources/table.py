"""A user's own table of interactions: CSV, TSV, Parquet or RecBole's .inter."""

import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
from absl import logging

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import columns as columns_lib
from hyperrec.data.sources import files

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Path = str | os.PathLike

ABOUT = files.About('', 'your own file', 'yours')


def table(
  data_dir: Path | None = None,
  *,
  path: Path | None = None,
  user_column: str = 'user',
  item_column: str = 'item',
  rating_column: str | None = None,
  timestamp_column: str | None = None,
  timestamp_format: str | None = None,
  item_path: Path | None = None,
  text_columns: tuple[str, ...] = (),
  drop_incomplete: bool = False,
  name: str = '',
) -> Interactions:
  """Reads a user's own file.

  Args:
    data_dir: not used.
    path: .csv, .tsv, .parquet or .inter; text is UTF-8 with a header. A .csv
      may be cut by commas, semicolons, tabs or bars. RecBole's types are cut
      off the header: `user_id:token` is named `user_id`.
    user_column: column of user ids, text or whole numbers. Where there is no
      `user`, `user_id` is taken.
    item_column: column of item ids; likewise `item` or `item_id`.
    rating_column: numbers, or None.
    timestamp_column: whole numbers in the order of time or dates, or None.
    timestamp_format: of dates that are not like 2024-12-31: '%d.%m.%Y'.
    item_path: a second table with `item_column` and the text columns; None
      where they are in `path`.
    text_columns: joined to the items' text; of several rows of an item the
      first that has text counts.
    drop_incomplete: leave out rows that lack a user, an item, or a value of
      another column that is used; they are an error else.
    name: of the data set; default the file's.

  Raises:
    DataError: names the file, the line, the column and the value.
  """
  del data_dir
  if not path:
    raise DataError('source table needs path=FILE (.csv, .parquet, .inter)')
  content = columns_lib.read(path)
  user_column = _alias(content, user_column)
  own_item = _alias(content, item_column)
  if drop_incomplete:
    used = (user_column, own_item, rating_column, timestamp_column)
    content = _complete(content, [column for column in used if column])
  item = columns_lib.ids(content, own_item)
  text = None
  if item_path is not None:
    table = columns_lib.read(item_path)
    text = _item_text(table, item_column, text_columns, item)
  elif text_columns:
    text = _item_text(content, item_column, text_columns, item)
  time = None
  if timestamp_column is not None:
    time = columns_lib.times(content, timestamp_column, timestamp_format)
  data = interactions_lib.from_columns(
    columns_lib.ids(content, user_column),
    item,
    rating=_optional(columns_lib.numbers, content, rating_column),
    timestamp=time,
    item_text=text,
    duplicates='keep',
    name=name or pathlib.Path(path).stem,
  )
  if data.num_users < 2:
    raise DataError(
      f'{path}: only one user in column {user_column!r}; a recommender learns '
      'from several. Is it the right column?'
    )
  return data


def _optional(read: Any, content: columns_lib.Columns, name: str | None):
  return None if name is None else read(content, name)


def _alias(content: columns_lib.Columns, name: str) -> str:
  """`user_id` for `user` and `item_id` for `item`, where only that exists."""
  names = content.table.column_names
  alias = f'{name}_id'
  if name in ('user', 'item') and name not in names and alias in names:
    return alias
  return name


def _complete(
  content: columns_lib.Columns, names: list[str]
) -> columns_lib.Columns:
  kept = columns_lib.complete(content, names)
  before, after = content.table.num_rows, kept.table.num_rows
  if after == 0:
    raise DataError(f'{content.path}: no row has a value in all of {names}')
  if after < before:
    logging.warning(
      '%s: %d of %d rows lack a value in %s and are left out',
      content.path, before - after, before, names,
    )  # fmt: skip
  return kept


def _item_text(
  content: columns_lib.Columns,
  item_column: str,
  text_columns: tuple[str, ...],
  item: np.ndarray,
) -> dict[Any, str]:
  """Item id -> its text columns, joined by ". ", for the ids in `item`."""
  path = content.path
  if not text_columns:
    raise DataError(f'{path}: name its text_columns')
  keys = columns_lib.ids(content, _alias(content, item_column))
  parts = [columns_lib.texts(content, name) for name in text_columns]
  text: dict[str, str] = {}
  for key, *part in zip(keys.tolist(), *parts, strict=True):
    if not text.get(str(key)):
      text[str(key)] = '. '.join(filter(None, part))
  wanted = pa.array(item).unique().to_pylist()
  found = {key: text[str(key)] for key in wanted if str(key) in text}
  if not found:
    raise DataError(
      f'{path}: none of its items has an interaction; its ids are like '
      f'{keys[0]!s}, those of the interactions like {item[0]!s}'
    )
  if len(found) < len(wanted):
    lacking = len(wanted) - len(found)
    logging.warning('%s lacks %d of %d items', path, lacking, len(wanted))
  return found
