"""A user's own table of interactions, in whatever form it was exported."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import original_ids
from hyperrec.data.sources import columns as columns_lib
from hyperrec.data.sources import files, forecast, reading

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Path = str | os.PathLike

# The column that holds the order of items where each line is a sequence.
_ORDER = 'timestamp'

ABOUT = files.About('', 'your own file', 'yours')


def table(
  data_dir: Path | None = None,
  *,
  path: Path | Sequence[Path] | None = None,
  user_column: str = 'user',
  item_column: str = 'item',
  rating_column: str | None = None,
  timestamp_column: str | None = None,
  timestamp_format: str | None = None,
  item_path: Path | None = None,
  item_id_column: str | None = None,
  item_column_names: Sequence[str] = (),
  text_columns: Sequence[str] = (),
  drop_incomplete: bool = False,
  decimal_comma: bool = False,
  separator: str | None = None,
  column_names: Sequence[str] = (),
  encoding: str | None = None,
  fill_down: Sequence[str] = (),
  fill_within: str | None = None,
  where: str | None = None,
  sequences: bool = False,
  name: str = '',
) -> Interactions:
  """Reads a user's own files.

  Args:
    data_dir: not used.
    path: one file or several with the same columns; see `reading.open_files`.
    user_column: column of user ids, text or whole numbers. Capitals do not
      count, and user_id is taken where there is no user.
    item_column: column of item ids, found in the same way.
    rating_column: column of numbers, or None.
    timestamp_column: column of numbers or dates; see `columns.times`.
    timestamp_format: of dates that are not like 2024-12-31: '%d.%m.%Y'.
    item_path: a second file with the items' ids and the text columns; None
      where the text columns are in `path`.
    item_id_column: column of item ids in `item_path`; None is `item_column`.
    item_column_names: of an `item_path` without a header.
    text_columns: joined to the items' text; of several rows of an item the
      first that has text counts.
    drop_incomplete: leave out rows that lack a user, an item, or a value of
      another column that is used; they are an error otherwise.
    decimal_comma: whether ratings are written like 3,5.
    separator: see `reading.Form`, as for the next six.
    column_names: of a file without a header.
    encoding: of text files.
    fill_down: columns whose empty cells repeat the row above.
    fill_within: a column that must be equal for that.
    where: a condition in SQL that rows must meet.
    sequences: whether each line is a user and the user's items.
    name: of the data set; by default the first file's.

  Raises:
    DataError: names the file, the line, the column and the value.
    InsufficientMemoryError: the file is too large; see `forecast.check`.
  """
  del data_dir
  if not path:
    raise DataError(
      'source table needs a file: give --path=FILE (.csv, .parquet, .jsonl)'
    )
  form = reading.Form(
    separator,
    tuple(column_names),
    encoding,
    tuple(fill_down),
    fill_within,
    where,
    sequences,
  )
  opened = reading.open_files(path, form)
  columns = _find_columns(
    opened, user_column, item_column, rating_column, timestamp_column
  )
  used = [name for name in columns if name is not None]
  own_text = [] if item_path else _found_text(opened, text_columns)
  forecast.check(opened, [*used, *own_text])
  rows = reading.read(
    opened, [*used, *own_text], used if drop_incomplete else ()
  )
  if rows.table.num_rows == 0:
    raise DataError(
      f'{opened}: no row has a value in all of {used}; are they the right '
      'columns?'
    )
  item = columns_lib.coded_ids(rows, columns.item)
  text, notes = None, ()
  if item_path is not None:
    item_form = reading.Form(
      column_names=tuple(item_column_names), encoding=encoding
    )
    id_column = item_id_column or item_column
    text, notes = _text_of_file(
      item_path, item_form, id_column, text_columns, item
    )
  elif own_text:
    text, notes = _item_text(rows, columns.item, own_text, item)
  user = columns_lib.coded_ids(rows, columns.user)
  rating = _ratings(rows, columns.rating, decimal_comma)
  time = _times(rows, columns.timestamp, timestamp_format)
  notes = (*_notes(rows, used), *notes)
  del rows  # of a large file, they need as much memory as what is made of them
  reading.release_memory()
  data = interactions_lib.from_columns(
    user,
    item,
    rating=rating,
    timestamp=time,
    item_text=text,
    duplicates='keep',
    name=name or _stem(opened.paths[0]),
    notes=notes,
    is_order_only=sequences,
  )
  if data.num_users < 2:
    raise DataError(
      f'{opened}: only one user in column {columns.user!r}; a recommender '
      'learns from several. Is it the right column (--user_column)?'
    )
  return data


class _Columns(NamedTuple):
  """Names of columns as the files have them; None where one is not used."""

  user: str
  item: str
  rating: str | None
  timestamp: str | None


def _find_columns(
  opened: reading.Files,
  user: str,
  item: str,
  rating: str | None,
  timestamp: str | None,
) -> _Columns:
  """Finds the columns that the user named.

  Raises:
    DataError: the files lack one of them.
  """
  if opened.form.sequences and timestamp is None:
    timestamp = _ORDER
  names = _Columns(user, item, rating, timestamp)
  return _Columns(
    *(
      name and reading.find_column(opened, name, f'{flag}_column')
      for flag, name in names._asdict().items()
    )
  )


def _ratings(
  rows: reading.Rows, column: str | None, decimal_comma: bool
) -> np.ndarray | None:
  if column is None:
    return None
  return columns_lib.numbers(rows, column, ',' if decimal_comma else '.')


def _times(
  rows: reading.Rows, column: str | None, form: str | None
) -> np.ndarray | None:
  if column is None:
    return None
  if rows.files.form.sequences and column == _ORDER:
    # The order of all rows, since a user may have several lines.
    return np.arange(rows.table.num_rows)
  return columns_lib.times(rows, column, form)


def _stem(path: pathlib.Path) -> str:
  """The file's name without its suffixes: shop of shop.csv.gz."""
  return path.name.split('.')[0] or path.name


def _notes(rows: reading.Rows, used: list[str]) -> tuple[str, ...]:
  """What was left out while reading."""
  notes = []
  form = rows.files.form
  if form.where:
    notes.append(
      f'{rows.files}: {rows.num_selected:,} of {rows.num_read:,} rows meet '
      f'where={form.where}'
    )
  lacking = rows.num_selected - rows.table.num_rows
  if lacking:
    note = (
      f'{rows.files}: {lacking:,} of {rows.num_selected:,} rows lack a value '
      f'in one of {used} and are left out (drop_incomplete)'
    )
    if lacking > rows.num_selected / 10 and not form.fill_down:
      note += '; if empty cells repeat the row above, give --fill_down'
    notes.append(note)
  return tuple(notes)


def _found_text(opened: reading.Files, names: Sequence[str]) -> list[str]:
  return [reading.find_column(opened, name, 'text_columns') for name in names]


def item_texts(
  path: Path,
  id_column: str,
  text_columns: Sequence[str],
  *,
  column_names: Sequence[str] = (),
  encoding: str | None = None,
) -> dict[str, str]:
  """Reads the text of all items of a file, whether they have interactions.

  Args:
    path: the file; see `reading.open_files`.
    id_column: column of item ids.
    text_columns: see `table`.
    column_names: of a file without a header.
    encoding: of a text file.

  Returns:
    Id as text -> text.

  Raises:
    DataError: names the file, the column and the value.
  """
  form = reading.Form(column_names=tuple(column_names), encoding=encoding)
  return _text_by_id(*_open_items(path, form, id_column, text_columns))


def _text_of_file(
  path: Path,
  form: reading.Form,
  id_column: str,
  text_columns,
  item: original_ids.Coded,
):
  """What `_item_text` gives, from a file of items."""
  return _item_text(*_open_items(path, form, id_column, text_columns), item)


def _open_items(
  path: Path, form: reading.Form, id_column: str, text_columns
) -> tuple[reading.Rows, str, list[str]]:
  """The rows of a file of items, and its columns of ids and of text."""
  opened = reading.open_files(path, form)
  if not text_columns:
    raise DataError(
      f'{opened}: name its columns of text by --text_columns; it has '
      f'{list(opened.names)}'
    )
  id_column = reading.find_column(opened, id_column, 'item_id_column')
  text_columns = _found_text(opened, text_columns)
  # An item without an id is nobody's.
  rows = reading.read(opened, [id_column, *text_columns], [id_column])
  if rows.table.num_rows == 0:
    raise DataError(f'{opened}: no row has a value in column {id_column!r}')
  return rows, id_column, text_columns


def _text_by_id(
  rows: reading.Rows, id_column: str, text_columns
) -> dict[str, str]:
  """Text of all ids, the columns joined by ". "."""
  keys = columns_lib.ids(rows, id_column)
  parts = [columns_lib.texts(rows, name) for name in text_columns]
  text: dict[str, str] = {}
  for key, *part in zip(keys.tolist(), *parts, strict=True):
    if not text.get(str(key)):
      text[str(key)] = '. '.join(filter(None, part))
  return text


def _item_text(
  rows: reading.Rows, id_column: str, text_columns, item: original_ids.Coded
) -> tuple[dict[Any, str], tuple[str, ...]]:
  """Text of the ids in `item`, its columns joined by ". ", and what to note."""
  text = _text_by_id(rows, id_column, text_columns)
  wanted = list(dict.fromkeys(item.ids.tolist()))
  found = {key: text[str(key)] for key in wanted if str(key) in text}
  if not found:
    first = item.ids[item.codes[0]]
    raise DataError(
      f'{rows.files}: none of its items has an interaction; its ids are like '
      f'{next(iter(text))}, those of the interactions like {first!s}; name the '
      'column of ids by --item_id_column'
    )
  lacking = sum(not found.get(key) for key in wanted)
  if not lacking:
    return found, ()
  note = f'{rows.files}: {lacking:,} of {len(wanted):,} items have no text'
  return found, (note,)
