"""Columns of ids and numbers from text and Parquet; errors name the line."""

import csv
import io
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError

# None: whichever of `_CSV` the header holds most often.
_SEPARATORS = {'.csv': None, '.tsv': '\t', '.inter': '\t', '.item': '\t'}
_CSV = (',', ';', '\t', '|')
_QUOTED = (',', ';', '|')
_RECBOLE = ('.inter', '.item')
_LARGEST_ID = 2**53
_NO_ID = ('nan', 'null', 'none')
_OR_DROP = ' (of your own table, --drop_incomplete leaves such rows out)'
_WHOLE = r'^-?\d+$'
_CANONICAL = r'^-?(0|[1-9]\d*)$'
_ISO = r'^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?Z?$'
_DECIMAL = r'^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$'


class Columns(NamedTuple):
  """The columns of one file; of a text file each is text.

  Attributes:
    table: the columns.
    path: the file.
    separator: of a text file; None of Parquet.
    has_header: whether a text file's first line names the columns.
    rows: the rows of the file that these are; None is all of them.
  """

  table: pa.Table
  path: pathlib.Path
  separator: str | None = None
  has_header: bool = True
  rows: np.ndarray | None = None


def read(path: Any) -> Columns:
  """Reads .csv, .tsv, .parquet or RecBole's .inter and .item, by the name.

  Raises:
    DataError: no file of a known kind, no rows, or not to be parsed.
  """
  path = pathlib.Path(path)
  if path.suffix == '.parquet':
    _check_file(path)
    try:
      found = Columns(_plain_text(pa.parquet.read_table(path)), path)
    except (pa.ArrowException, OSError) as error:
      raise DataError(
        f'{path} cannot be read as Parquet: {_brief(error)}; is it cut?'
      ) from error
  elif path.suffix in _SEPARATORS:
    found = read_text(path, _SEPARATORS[path.suffix])
  else:
    _check_file(path)
    raise DataError(
      f'{path}: unknown kind of file; use .parquet or one of '
      f'{sorted(_SEPARATORS)} (unpack compressed files first)'
    )
  names = found.table.column_names
  if path.suffix in _RECBOLE:
    names = [name.partition(':')[0] for name in names]
  if len(set(names)) < len(names):
    raise DataError(f'{path}: a column name occurs twice in {names}')
  if found.table.num_rows == 0:
    raise DataError(f'{path} has a header and no rows')
  return found._replace(table=found.table.rename_columns(names))


def _plain_text(table: pa.Table) -> pa.Table:
  """Columns of text as strings, whatever other programs keep them as."""
  for place, field in enumerate(table.schema):
    kind = field.type
    if pa.types.is_dictionary(kind):
      kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
      kind = pa.string()
    if kind != field.type:
      column = table.column(place).cast(kind)
      table = table.set_column(place, field.name, column)
  return table


def read_text(
  path: pathlib.Path, separator: str | None, names: tuple[str, ...] = ()
) -> Columns:
  """Reads separated UTF-8 text, every column as text.

  Args:
    path: the file; LF or CRLF, with or without a byte order mark.
    separator: of columns; quotes count where it is a comma, a semicolon or a
      bar. One longer than a character must not be mixed with tabs. None: what
      the header is cut by.
    names: of the columns of a file that has no header.
  """
  _check_file(path)
  content = path.read_bytes()
  separator, header = _header(content, separator)
  if '\ufffd' in ''.join(header):  # Arrow checks all rows but this one
    _check_utf8(path, content)
  if len(separator) > 1:
    content = content.replace(separator.encode(), b'\t')
  bad_rows = []

  def stop(row: Any) -> str:
    bad_rows.append(row)
    return 'error'

  is_quoted = separator in _QUOTED
  found = Columns(pa.table({}), path, separator, not names)
  try:
    table = pa.csv.read_csv(
      pa.BufferReader(content),
      read_options=pa.csv.ReadOptions(
        column_names=names or None, use_threads=False
      ),
      parse_options=pa.csv.ParseOptions(
        delimiter=separator if len(separator) == 1 else '\t',
        quote_char='"' if is_quoted else False,
        newlines_in_values=is_quoted,
        invalid_row_handler=stop,
      ),
      convert_options=pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names or header, pa.string()),
        null_values=[''],
        strings_can_be_null=True,
      ),
    )
  except pa.ArrowException as error:
    _check_utf8(path, content)
    _fail_text(found, bad_rows, error)
  return found._replace(table=table)


def _check_utf8(path: pathlib.Path, content: bytes) -> None:
  try:
    content.decode('utf-8-sig')
  except UnicodeDecodeError as bad:
    line = content.count(b'\n', 0, bad.start) + 1
    raise DataError(
      f'{path}, line {line}: byte {bad.start} is not UTF-8; save the file as '
      f'UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv)'
    ) from bad


def _header(content: bytes, separator: str | None) -> tuple[str, list[str]]:
  """The separator, and the names in the first line that is not blank."""
  if separator is None:
    first = next((line for line in _lines(content) if line.strip()), '')
    separator = max(_CSV, key=first.count)
  rows = _reader(_lines(content), separator)
  return separator, next((row for row in rows if row), [])


def _lines(content: bytes) -> Iterator[str]:
  """Line by line, so that a large file is not decoded as a whole."""
  return io.TextIOWrapper(
    io.BytesIO(content), encoding='utf-8-sig', errors='replace', newline=''
  )


def _reader(lines: Iterable[str], separator: str):
  """Rows as the parser sees them."""
  if len(separator) > 1:
    lines = (line.replace(separator, '\t') for line in lines)
    separator = '\t'
  quoting = csv.QUOTE_MINIMAL if separator in _QUOTED else csv.QUOTE_NONE
  return csv.reader(lines, delimiter=separator, quoting=quoting)


def complete(columns: Columns, names: Iterable[str]) -> Columns:
  """The rows that have a value in all of the columns named."""
  keep = np.ones(columns.table.num_rows, bool)
  for name in names:
    keep &= ~np.asarray(_is_missing(_column(columns, name)))
  rows = np.flatnonzero(keep)
  return columns._replace(table=columns.table.filter(pa.array(keep)), rows=rows)


def _is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
  if pa.types.is_floating(column.type):
    return pc.fill_null(pc.is_nan(column), True)
  if not pa.types.is_string(column.type):
    return pc.is_null(column)
  text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
  return pc.is_in(pc.fill_null(text, ''), pa.array([*_NO_ID, '']))


def ids(columns: Columns, name: str) -> np.ndarray:
  """Ids [n]: text, or int64 where every one is a whole number.

  Numbers with leading zeros make the column text, for 007 is not 7.
  """
  column = _column(columns, name)
  if column.null_count:
    _fail(columns, name, pc.is_null(column), f'is missing{_OR_DROP}')
  if pa.types.is_floating(column.type):
    raise DataError(
      f'{columns.path}: column {name!r} holds fractions or NaN; ids are text '
      'or whole numbers'
    )
  if pa.types.is_integer(column.type):
    numbers = column.to_numpy()
  else:
    text = column.cast(pa.string())
    _check_text_ids(columns, name, text)
    if not _all_match(text, _WHOLE):
      return _as_strings(text)
    numbers = text.cast(pa.float64()).to_numpy()
  bad = (numbers < 0) | (numbers > _LARGEST_ID)
  if bad.any():
    what = 'is not an id in 0..2^53; put a letter before ids that are text'
    _fail(columns, name, bad, what)
  if pa.types.is_integer(column.type):
    return numbers.astype(np.int64)
  if not _all_match(text, _CANONICAL):
    return _as_strings(text)
  return text.cast(pa.int64()).to_numpy()


def numbers(columns: Columns, name: str) -> np.ndarray:
  """Finite numbers [n]: int64 where all are whole, float64 otherwise."""
  column = _column(columns, name)
  if pa.types.is_temporal(column.type) and not column.null_count:
    return column.cast(pa.int64()).to_numpy()
  if pa.types.is_integer(column.type) and not column.null_count:
    return column.to_numpy().astype(np.int64)
  if not pa.types.is_floating(column.type):
    column = pc.utf8_trim_whitespace(column.cast(pa.string()))
    is_number = pc.fill_null(pc.match_substring_regex(column, _DECIMAL), False)
    if not pc.all(is_number).as_py():
      _fail(columns, name, pc.invert(is_number), 'is not a number')
    if _all_match(column, _WHOLE):
      try:
        return column.cast(pa.int64()).to_numpy()
      except pa.ArrowInvalid:
        pass  # beyond 64 bits
  found = column.cast(pa.float64()).to_numpy()
  if not np.isfinite(found).all():
    _fail(columns, name, ~np.isfinite(found), 'is not a finite number')
  return found


def times(columns: Columns, name: str, form: str | None = None) -> np.ndarray:
  """Whole numbers int64 [n], in the order of time.

  Args:
    columns: the file.
    name: of the column: whole numbers, or dates such as 2024-12-31 and
      2024-12-31 23:59:59, in microseconds then.
    form: of other dates, as of strptime: '%d.%m.%Y'.
  """
  column = _column(columns, name)
  if pa.types.is_string(column.type):
    column = pc.utf8_trim_whitespace(column)
    if form is not None:
      return _dates(columns, name, column, form)
    if _all_match(column, _ISO):
      return _iso_dates(columns, name, column)
  try:
    found = numbers(columns, name)
  except DataError as error:
    raise DataError(
      f'{error} (dates that are not like 2024-12-31 need a timestamp_format '
      'such as %d.%m.%Y)'
    ) from error
  if found.dtype == np.int64:
    return found
  bad = (found != np.floor(found)) | (np.abs(found) > _LARGEST_ID)
  if bad.any():
    _fail(
      columns, name, bad, 'is not a whole number; give seconds or milliseconds'
    )
  return found.astype(np.int64)


def _iso_dates(columns, name: str, column) -> np.ndarray:
  """Microseconds; what is finer is cut off."""
  plain = pc.replace_substring(column, 'Z', '')
  plain = pc.replace_substring_regex(plain, r'(\.\d{6})\d+', r'\1')
  try:
    found = plain.cast(pa.timestamp('us'))
  except pa.ArrowInvalid:
    bad = [not _is_date(text) for text in plain]
    _fail(columns, name, bad, 'is no date of the calendar')
  return found.cast(pa.int64()).to_numpy()


def _is_date(text: pa.Scalar) -> bool:
  try:
    text.cast(pa.timestamp('us'))
  except pa.ArrowInvalid:
    return False
  return True


def _dates(columns, name: str, column, form: str) -> np.ndarray:
  found = pc.strptime(column, format=form, unit='us', error_is_null=True)
  if found.null_count:
    _fail(columns, name, pc.is_null(found), f'is not a date like {form}')
  return found.cast(pa.int64()).to_numpy()


def texts(columns: Columns, name: str) -> list[str]:
  """A column as text without outer blanks; what is missing is empty."""
  text = _column(columns, name).cast(pa.string())
  return pc.utf8_trim_whitespace(text).fill_null('').to_pylist()


def _check_file(path: pathlib.Path) -> None:
  if not path.is_file():
    what = 'is a folder' if path.is_dir() else 'does not exist'
    raise DataError(f'{path} {what}; give the path of a file')
  if path.stat().st_size == 0:
    raise DataError(f'{path} is empty; give a file with rows')


def _check_text_ids(columns: Columns, name: str, text: pa.ChunkedArray) -> None:
  no_id = pc.is_in(pc.utf8_lower(text), pa.array(_NO_ID))
  if pc.any(no_id).as_py():
    _fail(columns, name, no_id, f'is missing{_OR_DROP}')
  broken = pc.match_substring(text, '\n')
  if pc.any(broken).as_py():
    _fail(columns, name, broken, 'holds a line break: is a quote not closed?')


def _column(columns: Columns, name: str) -> pa.ChunkedArray:
  if name not in columns.table.column_names:
    raise DataError(
      f'{columns.path}: no column {name!r}; it has '
      f'{columns.table.column_names}. Name yours by user_column, item_column '
      'and so on'
    )
  return columns.table.column(name)


def _all_match(text: pa.ChunkedArray, pattern: str) -> bool:
  matches = pc.match_substring_regex(text, pattern)
  return pc.all(pc.fill_null(matches, False)).as_py()


def _as_strings(text: pa.ChunkedArray) -> np.ndarray:
  return np.asarray(text.to_pylist(), str)


def _fail(columns: Columns, name: str, bad: Any, what: str) -> NoReturn:
  """Raises the error of the first row where `bad` is true."""
  row = int(np.flatnonzero(np.asarray(bad))[0])
  value = columns.table.column(name)[row].as_py()
  shown = 'an empty field' if value is None else repr(value)
  raise DataError(
    f'{columns.path}, {_place(columns, row)}, column {name!r}: {shown} {what}; '
    'mend or drop that row'
  )


def _fail_text(columns: Columns, bad_rows: list, error: Exception) -> NoReturn:
  """Raises what is wrong with a text file that Arrow could not parse."""
  path = columns.path
  if bad_rows:
    bad = bad_rows[0]
    row = bad.number - 1 - columns.has_header
    raise DataError(
      f'{path}, {_place(columns, row)}: {bad.actual_columns} fields, expected '
      f'{bad.expected_columns}: {bad.text[:80]!r}'
    ) from error
  raise DataError(f'{path} cannot be read: {_brief(error)}') from error


def _place(columns: Columns, row: int) -> str:
  """Where a row is: its line in a text file, whatever was quoted or blank."""
  if columns.rows is not None:
    row = int(columns.rows[row])
  if columns.separator is None:
    return f'row {row + 1}'
  reader = _reader(_lines(columns.path.read_bytes()), columns.separator)
  wanted, seen, line = row + columns.has_header, -1, 0
  while seen < wanted:
    line = reader.line_num + 1
    seen += bool(next(reader))
  return f'line {line}'


def _brief(error: Exception) -> str:
  return str(error).strip().splitlines()[0][:300]
