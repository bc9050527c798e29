"""A table of interactions: CSV, TSV, Parquet or RecBole's .inter."""

import os
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

_SEPARATORS = {'.csv': ',', '.tsv': '\t', '.inter': '\t', '.item': '\t'}
_LARGEST_ID = 2**53


def table(
  path: str | os.PathLike,
  *,
  user_column: str = 'user',
  item_column: str = 'item',
  rating_column: str | None = None,
  timestamp_column: str | None = None,
  item_path: str | os.PathLike | None = None,
  text_columns: tuple[str, ...] = (),
  name: str = '',
) -> Interactions:
  """Reads a user's own file.

  Args:
    path: .csv, .tsv, .parquet or .inter (RecBole: `user_id:token` may be named
      `user_id`); UTF-8, with a header.
    user_column: column of user ids, text or whole numbers.
    item_column: column of item ids.
    rating_column: numbers, or None.
    timestamp_column: numbers in the order of time, or None.
    item_path: a second table with `item_column` and the text columns.
    text_columns: columns of the item table, joined to the items' text.
    name: of the data set; default the file's.

  Raises:
    DataError: names the file, the line, the column and the value.
  """
  path = pathlib.Path(path)
  content = read_table(path)
  user = _ids(content, user_column, path)
  item = _ids(content, item_column, path)
  numbers = [
    None if column is None else _numbers(content, column, path)
    for column in (rating_column, timestamp_column)
  ]
  if numbers[1] is not None:
    numbers[1] = numbers[1].astype(np.int64)
  text = None
  if item_path is not None:
    text = item_text(item_path, item_column, text_columns)
    kind = user.dtype.type if len(item) == 0 else item.dtype.type
    text = {kind(key): value for key, value in text.items()}
  data = interactions_lib.from_columns(
    user,
    item,
    rating=numbers[0],
    timestamp=numbers[1],
    item_text=text,
    duplicates='keep',
    name=name or path.stem,
  )
  if data.num_users < 2:
    raise DataError(
      f'{path}: only one user in column {user_column!r}; a recommender learns '
      'from several. Is it the right column?'
    )
  return data


def read_table(path: str | os.PathLike) -> pa.Table:
  """The rows of a file; RecBole's types (`:token`) are cut off its header."""
  path = pathlib.Path(path)
  if not path.is_file():
    what = 'is a folder' if path.is_dir() else 'does not exist'
    raise DataError(f'{path} {what}; give the path of a file')
  if path.stat().st_size == 0:
    raise DataError(f'{path} is empty; give a file with a header and rows')
  try:
    if path.suffix == '.parquet':
      content = pa.parquet.read_table(path)
    elif path.suffix in _SEPARATORS:
      content = _read_csv(path, _SEPARATORS[path.suffix])
    else:
      raise DataError(
        f'{path}: unknown kind of file; use .parquet or one of '
        f'{sorted(_SEPARATORS)} (unpack compressed files first)'
      )
  except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
    raise DataError(f'{path} cannot be read: {_brief(error)}') from error
  names = [name.partition(':')[0] for name in content.column_names]
  content = content.rename_columns(names)
  if content.num_rows == 0:
    raise DataError(f'{path} has a header and no rows')
  return content


def _read_csv(path: pathlib.Path, separator: str) -> pa.Table:
  """All columns as text, so that errors can name what the file says."""
  with path.open('rb') as file:
    header = file.readline().decode('utf-8-sig', 'replace').strip('\r\n')
  names = [n.strip('"') for n in header.split(separator)]
  return pa.csv.read_csv(
    path,
    parse_options=pa.csv.ParseOptions(
      delimiter=separator, quote_char='"' if separator == ',' else False
    ),
    convert_options=pa.csv.ConvertOptions(
      column_types=dict.fromkeys(names, pa.string()),
      strings_can_be_null=True,
      null_values=[''],
    ),
  )


def item_text(
  path: str | os.PathLike, item_column: str, text_columns: tuple[str, ...]
) -> dict[str, str]:
  """Item id (as text) -> its text columns, joined by ". "."""
  content = read_table(path)
  items = _column(content, item_column, path).cast(pa.string()).to_pylist()
  columns = [
    _column(content, name, path).cast(pa.string()).fill_null('').to_pylist()
    for name in text_columns
  ]
  texts = ('. '.join(parts) for parts in zip(*columns, strict=True))
  return dict(zip(items, texts, strict=True))


def _column(content: pa.Table, name: str, path) -> pa.ChunkedArray:
  if name not in content.column_names:
    raise DataError(
      f'{path}: no column {name!r}; it has {content.column_names}. Name '
      'yours by user_column, item_column and so on'
    )
  return content.column(name)


def _ids(content: pa.Table, name: str, path) -> np.ndarray:
  """Ids as text, or as integers where every one is a whole number."""
  column = _column(content, name, path)
  if column.null_count:
    _fail(column, pc.is_null(column), name, path, 'is missing')
  if pa.types.is_floating(column.type):
    raise DataError(
      f'{path}: column {name!r} holds fractions or NaN; ids are text or whole '
      'numbers'
    )
  if pa.types.is_integer(column.type):
    numbers = column.to_numpy()
  else:
    text = column.cast(pa.string())
    is_number = pc.match_substring_regex(text, r'^-?\d{1,18}$')
    if not pc.all(is_number).as_py():
      return np.asarray(text.to_pylist(), object).astype(str)
    numbers = text.cast(pa.int64()).to_numpy()
  bad = (numbers < 0) | (numbers > _LARGEST_ID)
  if bad.any():
    _fail(column, bad, name, path, f'is not an id in 0..{_LARGEST_ID}')
  return numbers


def _numbers(content: pa.Table, name: str, path) -> np.ndarray:
  """A column of finite numbers, float64 (int64 where they are whole)."""
  column = _column(content, name, path)
  if pa.types.is_integer(column.type) and not column.null_count:
    return column.to_numpy()
  text = column.cast(pa.string())
  pattern = r'^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$'
  is_number = pc.fill_null(pc.match_substring_regex(text, pattern), False)
  if not pc.all(is_number).as_py():
    _fail(column, pc.invert(is_number), name, path, 'is not a number')
  return pc.utf8_trim_whitespace(text).cast(pa.float64()).to_numpy()


def _fail(column: pa.ChunkedArray, bad: Any, name: str, path, what: str):
  row = int(np.flatnonzero(np.asarray(bad))[0])
  line = f'row {row + 1}'
  if pathlib.Path(path).suffix != '.parquet':
    line = f'line {row + 2}'
  raise DataError(
    f'{path}, {line}, column {name!r}: {column[row].as_py()!r} {what}; mend '
    'or drop that row'
  )


def _brief(error: Exception) -> str:
  return str(error).strip().splitlines()[0][:300]
