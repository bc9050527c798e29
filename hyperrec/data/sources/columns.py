"""Converts columns to ids, numbers, times and texts; errors name the row."""

import contextlib
from typing import Any, NoReturn

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import original_ids
from hyperrec.data.sources import packing, reading, sql

DataError = interactions_lib.DataError
Rows = reading.Rows

_OR_DROP = (
  ' (--drop_incomplete leaves such rows out, --fill_down repeats the row above)'
)
# Beyond it, neighbouring whole numbers are the same floating-point number.
_LARGEST_FLOAT_ID = 2**53
_WHOLE = r'^(0|-?[1-9]\d*)(\.0+)?$'
_DECIMAL = r'^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$'
_DATE = (
  r'^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d\d(:\d\d([.,]\d+)?)?'
  r'( ?(Z|UTC|GMT|[-+]\d\d(:?\d\d)?|[A-Z]\w+/\w+(/\w+)?))?)?$'
)
# Names of time zones with one meaning; PST, IST and CET have several.
# A value that is missing, as `sql.MISSING` has them.
_MISSING = f'(?i)^({"|".join(sql.MISSING)})$'
_ZONE = r'(^|[^A-Za-z])(Z|UTC|GMT|[A-Z]\w+/\w+)([^A-Za-z]|$)'
_COMMON_FORMATS = (
  '%d.%m.%Y', '%m/%d/%Y', '%d/%m/%Y', '%d-%m-%Y', '%d.%m.%y', '%m/%d/%y',
  '%d.%m.%Y %H:%M', '%m/%d/%Y %H:%M', '%d/%m/%Y %H:%M', '%d.%m.%Y %H:%M:%S',
  '%m/%d/%Y %H:%M:%S', '%d/%m/%Y %H:%M:%S', '%m/%d/%Y %I:%M:%S %p',
  '%d %b %Y', '%d %B %Y', '%b %d, %Y', '%B %d, %Y',
  '%a %b %d %H:%M:%S %z %Y', '%Y-%m-%d %H:%M:%S %Z', '%Y.%m.%d',
)  # fmt: skip


def ids(rows: Rows, name: str) -> np.ndarray:
  """Ids [n], as `coded_ids` describes them."""
  coded = coded_ids(rows, name)
  return coded.ids[coded.codes]


def coded_ids(rows: Rows, name: str) -> original_ids.Coded:
  """Ids of n rows: int64 if all of them are whole numbers, otherwise text.

  Blanks around an id are ignored. 7.0 is read as 7 if all ids of the column are
  whole numbers. An id with leading zeros makes the whole column text, since 007
  is not 7. Spreadsheets write the text 007 as ="007". An id is missing if the
  field is empty or holds one of the words nan, null and none.

  Raises:
    DataError: an id is missing or is a fraction, or the column has a type that
      ids cannot have.
  """
  column = _column(rows, name)
  kind = column.type
  if pa.types.is_nested(kind):
    raise DataError(
      f'{rows.files}: column {name!r} holds lists or records; ids are text or '
      'whole numbers: write one id in each row'
    )
  if _is_int64(column):
    return _whole_ids(column)
  if pa.types.is_floating(kind):
    column = pa.chunked_array([_float_ids(rows, name, column)])
    whole, codes = _encoded(column)
    return original_ids.Coded(_values(whole), codes)
  text, codes = _distinct(rows, name, column)
  _check_present(rows, name, text, codes)
  broken = pc.match_substring(text, '\n')
  what = 'holds a line break: is a quote not closed?'
  _check(rows, name, broken, codes, what)
  _check(rows, name, pc.match_substring(text, '\0'), codes, 'holds a zero byte')
  if _all_match(text, _WHOLE):
    whole = pc.replace_substring_regex(text, r'\.0+$', '')
    with contextlib.suppress(pa.ArrowInvalid):  # longer numbers stay text
      return original_ids.Coded(_values(whole.cast(pa.int64())), codes)
  distinct = text.to_pylist()
  # NumPy's own text type needs memory for the longest text in every row.
  is_short = max(map(len, distinct)) <= original_ids.LONGEST_SHORT
  distinct = np.asarray(distinct, str if is_short else object)
  return original_ids.Coded(distinct, codes)


def _whole_ids(column: pa.ChunkedArray) -> original_ids.Coded:
  """Ids of a column of whole numbers.

  Ids that are close together are looked up in a table of all numbers between
  them, which is faster than to look for each of them among those before it.
  """
  edges = pc.min_max(column).as_py()
  least = edges['min'] if len(column) else 0
  width = edges['max'] - least + 1 if len(column) else 1
  if width > 4 * len(column):
    whole, codes = _encoded(column)
    return original_ids.Coded(_values(whole).astype(np.int64), codes)
  occurs = np.zeros(width, bool)
  for chunk in column.chunks:
    occurs[np.subtract(_values(chunk), least, dtype=np.int64)] = True
  code_of = np.cumsum(occurs, dtype=np.int32) - 1
  codes = np.empty(len(column), np.int32)
  start = 0
  for chunk in column.chunks:
    places = np.subtract(_values(chunk), least, dtype=np.int64)
    codes[start : start + len(chunk)] = code_of[places]
    start += len(chunk)
  return original_ids.Coded(np.flatnonzero(occurs) + least, codes)


def _float_ids(rows: Rows, name: str, column) -> np.ndarray:
  """Ids [n] of a column of floats, which must be whole numbers."""
  values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
  missing = np.isnan(values)
  if missing.any():
    _fail(rows, name, missing, f'is missing{_OR_DROP}')
  fraction = values != np.floor(values)
  if fraction.any():
    _fail(rows, name, fraction, 'is a fraction; ids are text or whole numbers')
  large = np.abs(values) > _LARGEST_FLOAT_ID
  if large.any():
    what = 'is a floating-point number too large to be an exact id; write ids'
    _fail(rows, name, large, f'{what} as whole numbers or text')
  return values.astype(np.int64)


def numbers(rows: Rows, name: str, decimal: str = '.') -> np.ndarray:
  """Finite numbers [n]: int64 if all are whole numbers, otherwise float64.

  Args:
    rows: see `reading.read`.
    name: name of the column; true and false are read as 1 and 0.
    decimal: the decimal separator of numbers that are text, '.' or ','.

  Raises:
    DataError: a value is missing or is not a finite number.
  """
  column = _column(rows, name)
  kind = column.type
  if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
    raise DataError(
      f'{rows.files}: column {name!r} holds {kind} values, which are not '
      'numbers; name another column'
    )
  if pa.types.is_boolean(kind):
    column = column.cast(pa.int8())
  if _is_int64(column):
    return _values(column).astype(np.int64, copy=False)
  if not pa.types.is_floating(kind):
    found = _cast(column)
    if found is not None:
      return found
    text, codes = _distinct(rows, name, column)
    _check_present(rows, name, text, codes)
    if decimal == ',':
      text = pc.replace_substring(text, ',', '.')
    is_number = pc.match_substring_regex(text, _DECIMAL)
    what = 'is not a number'
    if decimal != ',' and _any_match(text, r'^[-+]?\d+,\d{1,2}$'):
      what += ' (with decimal commas give --decimal_comma)'
    _check(rows, name, pc.invert(is_number), codes, what)
    found = _cast(text)
    if found is not None:
      return found[codes]
    column = text.take(pa.array(codes))
  found = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
  if not np.isfinite(found).all():
    _fail(rows, name, ~np.isfinite(found), 'is not a finite number')
  return found


def _cast(text: pa.ChunkedArray | pa.Array) -> np.ndarray | None:
  """The column as finite numbers; None if a value is missing or not one."""
  if pa.types.is_dictionary(text.type):
    distinct, codes = _parts(text)
    found = None if codes.null_count else _cast(distinct)
    return None if found is None else found[_values(codes)]
  # Arrow would read 0x1F as a number.
  if packing.is_text(text.type) and _any_match(text, 'x'):
    return None
  for kind in (pa.int64(), pa.float64()):
    with contextlib.suppress(pa.ArrowInvalid):
      found = text.cast(kind)
      if found.null_count:
        return None
      found = found.to_numpy()
      return found if np.isfinite(found).all() else None
  return None


def times(rows: Rows, name: str, form: str | None = None) -> np.ndarray:
  """Times as whole numbers that grow with time, int64 [n].

  Whole numbers are kept unchanged, in seconds, milliseconds or any other unit.
  If some have fractions, all are multiplied by a million. Dates become
  microseconds; a date without a time zone is in UTC.

  Args:
    rows: see `reading.read`.
    name: name of the column. It holds numbers, or dates in the order year,
      month, day, with or without a time and an offset (2024-12-31,
      2024-12-31T23:59:59.5+01:00).
    form: strptime format of other dates, such as '%d.%m.%Y'.

  Raises:
    DataError: a value is missing, or is neither a number nor such a date.
  """
  column = _column(rows, name)
  kind = column.type
  if pa.types.is_nested(kind) or pa.types.is_time(kind):
    raise DataError(
      f'{rows.files}: column {name!r} holds {kind} values, which are not times '
      'of a calendar; name another column'
    )
  if pa.types.is_temporal(kind):
    if column.null_count:
      _fail(rows, name, pc.is_null(column), f'is missing{_OR_DROP}')
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    try:
      if not pa.types.is_duration(kind):
        column = column.cast(pa.timestamp('us', tz=zone), safe=False)
    except pa.ArrowInvalid as error:
      raise DataError(
        f'{rows.files}: column {name!r} holds times that are too far away '
        f'({error}); mend or drop those rows'
      ) from error
    return _values(column.cast(pa.int64()))
  is_text = pa.types.is_dictionary(kind)
  found = _cast(column) if is_text and form is None else None
  if found is None and (is_text or form is not None):
    text, codes = _distinct(rows, name, column)
    _check_present(rows, name, text, codes)
    if form is not None:
      return _formatted(rows, name, text, codes, form)
    is_number = pc.match_substring_regex(text, _DECIMAL)
    if pc.sum(is_number).as_py() < len(text) / 2:
      return _dates(rows, name, text, codes)
  if found is None:
    found = numbers(rows, name)
  if found.dtype == np.int64:
    return found
  if (found != np.floor(found)).any():
    found = np.round(found * 1e6)
  large = np.abs(found) >= 2.0**63
  if large.any():
    _fail(rows, name, large, 'is too large for a time')
  return found.astype(np.int64)


def _dates(rows: Rows, name: str, text, codes) -> np.ndarray:
  """Microseconds of dates that need no format; nanoseconds are dropped."""
  is_date = pc.match_substring_regex(text, _DATE)
  fits = ()
  if not pc.all(is_date).as_py():
    fits = [f for f in _COMMON_FORMATS if not _parsed(text, f).null_count]
  advice = (
    f'give --timestamp_format={" or ".join(fits)}, as is meant'
    if fits
    else 'dates are written like 2024-12-31 or 2024-12-31T23:59:59+01:00; for '
    'others give a --timestamp_format such as %d.%m.%Y'
  )
  what = f'is not a date that can be read without a format: {advice}'
  _check(rows, name, pc.invert(is_date), codes, what)
  plain = pc.replace_substring_regex(text, r' ?(Z|UTC|GMT)$', '+00')
  plain = pc.replace_substring_regex(plain, r' ([-+])', r'\1')
  plain = pc.replace_substring(plain, ',', '.')
  found = reading.compute(plain, 'epoch_us(try_cast(x as timestamptz))')
  what = 'is not a date of the calendar, or of no known time zone'
  _check(rows, name, pc.is_null(found), codes, what)
  return found.to_numpy()[codes]


def _formatted(rows: Rows, name: str, text, codes, form: str) -> np.ndarray:
  """Microseconds of dates of a given format."""
  if '%Z' in form:
    unknown = pc.invert(pc.match_substring_regex(text, _ZONE))
    what = (
      'has a time zone other than UTC, GMT or a place such as Europe/Berlin, '
      'and other names of zones have several meanings: write offsets such as '
      '+01:00 and read them by %z'
    )
    _check(rows, name, unknown, codes, what)
  try:
    found = _parsed(text, form)
  except duckdb.Error as error:
    raise DataError(
      f'--timestamp_format={form}: {str(error).splitlines()[0]}; write one '
      'such as %d.%m.%Y'
    ) from error
  _check(rows, name, pc.is_null(found), codes, f'is not a date like {form}')
  return found.to_numpy()[codes]


def _parsed(text: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
  """Microseconds of dates of a given format; null where it does not fit."""
  escaped = form.replace("'", "''")
  return reading.compute(text, f"epoch_us(try_strptime(x, '{escaped}'))")


def texts(rows: Rows, name: str) -> list[str]:
  """A column as text without outer blanks; a missing value is ''.

  The elements of a list are joined by blanks.
  """
  column = _column(rows, name)
  if pa.types.is_nested(column.type):
    is_list = pa.types.is_list(column.type)
    text = "array_to_string(x, ' ')" if is_list else 'x::varchar'
    column = reading.compute(column, text)
  if pa.types.is_floating(column.type):
    column = pc.if_else(pc.is_nan(column), None, column)
  text, codes = _distinct(rows, name, column)
  return np.asarray(text.to_pylist(), object)[codes].tolist()


def _is_int64(column: pa.ChunkedArray) -> bool:
  """Whether all values of a column are present whole numbers within int64."""
  is_whole = pa.types.is_integer(column.type) and column.type != pa.uint64()
  return is_whole and not column.null_count


def _column(rows: Rows, name: str) -> pa.ChunkedArray:
  return rows.table.column(name)


def _distinct(
  rows: Rows, name: str, column: pa.ChunkedArray
) -> tuple[pa.Array, np.ndarray]:
  """The distinct texts of a column, and each row's index among them, [n].

  Texts lose their outer blanks, so a few may be equal. A missing value becomes
  ''. Spreadsheets write the text 007 as ="007", which becomes 007.
  """
  if not pa.types.is_dictionary(column.type):
    try:
      column = column.cast(pa.string()).dictionary_encode()
    except pa.ArrowException as error:
      raise DataError(
        f'{rows.files}: column {name!r} cannot be read as text ({error}); name '
        'another column, or write it as text'
      ) from error
  distinct, codes = _parts(column)
  if codes.null_count:
    codes = codes.fill_null(len(distinct))
    distinct = pa.concat_arrays([distinct, pa.array([''], distinct.type)])
  distinct = pc.utf8_trim_whitespace(distinct)
  distinct = pc.replace_substring_regex(distinct, r'^="(.*)"$', r'\1')
  return distinct, _values(codes)


def _values(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
  """Numbers, none of which is missing.

  `to_numpy` would import pandas where it is installed.
  """
  if isinstance(column, pa.ChunkedArray):
    column = column.combine_chunks()
  return np.from_dlpack(column)


def _encoded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
  """The distinct values of a column without nulls, and each row's index."""
  # In parts, each part would hold the distinct values once more.
  whole = pa.chunked_array([column.combine_chunks()], column.type)
  distinct, codes = _parts(whole.dictionary_encode())
  return distinct, _values(codes)


def _parts(coded: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
  """The distinct values of an encoded column, and their indices, int32 [n]."""
  if coded.num_chunks > 1:
    coded = coded.unify_dictionaries()
  combined = coded.combine_chunks()
  if isinstance(combined, pa.ChunkedArray):
    combined = combined.chunk(0)
  return combined.dictionary, combined.indices


def _all_match(text: pa.Array, pattern: str) -> bool:
  return pc.all(pc.match_substring_regex(text, pattern)).as_py()


def _any_match(text: pa.Array, pattern: str) -> bool:
  return pc.any(pc.match_substring_regex(text, pattern)).as_py()


def _check_present(rows: Rows, name: str, text, codes: np.ndarray) -> None:
  """Raises DataError if a value is missing."""
  missing = pc.match_substring_regex(text, _MISSING)
  _check(rows, name, missing, codes, f'is missing{_OR_DROP}')


def _check(rows: Rows, name: str, bad: Any, codes: np.ndarray, what: str):
  """Raises DataError for the first row whose text is bad, if there is one."""
  if pc.any(bad).as_py():
    _fail(rows, name, np.asarray(bad)[codes], what)


def _fail(rows: Rows, name: str, bad: Any, what: str) -> NoReturn:
  """Raises DataError for the first row where `bad` is true."""
  row = int(np.flatnonzero(np.asarray(bad))[0])
  value = rows.table.column(name)[row].as_py()
  if name in rows.texts and value is not None:
    value = str(value)
  shown = 'an empty field' if value is None else repr(value)[:200]
  raise DataError(
    f'{reading.place(rows, row)}, column {name!r}: {shown} {what}; mend or '
    'drop that row'
  )
