"""Files of rows, read by DuckDB: separated text, Parquet and JSON.

`open_files` detects the format and the column names of files. `read` reads the
needed columns in batches, and `packing.py` holds them in little memory. `place`
gives the file and line of a row for error messages. `columns.py` converts the
columns to ids, numbers, times and texts.
"""

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import packing, sql, text_files

DataError = interactions_lib.DataError
Form = text_files.Form
Layout = text_files.Layout
Files = text_files.Files
Path = str | os.PathLike

_BATCH_ROWS = 2**17


class Rows(NamedTuple):
  """Columns of files; the columns of text files are text.

  Attributes:
    table: The columns of the rows that were kept; text is held as `packing`
      does.
    texts: Names of the columns of text.
    files: The files from which they come.
    complete: Columns in which every kept row has a value.
    num_read: Number of rows in the files.
    num_selected: Number of rows that meet `Form.where`.
  """

  table: pa.Table
  texts: tuple[str, ...]
  files: Files
  complete: tuple[str, ...]
  num_read: int
  num_selected: int


def open_files(paths: Path | Sequence[Path], form: Form | None = None) -> Files:
  """Detects the format and the column names of files.

  Args:
    paths: one file, or several files with the same columns: .csv, .tsv, .txt,
      .dat, RecBole's .inter and .item, .parquet, .json, .jsonl; text and JSON
      may be compressed (.gz). A leading ~ is the home folder.
    form: options that the names and first lines of the files do not tell.

  Raises:
    DataError: a file is missing, empty or of an unknown kind, is not valid in
      its encoding or has no column names, or the files differ in their columns.
  """
  form = form or Form()
  if isinstance(paths, str | os.PathLike):
    paths = (paths,)
  if not paths:
    raise DataError('no file is given; name one by --path')
  text_files.check_form(form)
  found = tuple(pathlib.Path(os.path.expanduser(path)) for path in paths)
  layouts = tuple(text_files.layout(path, form) for path in found)
  names = [
    _own_names(path) if layout is None else layout.names
    for path, layout in zip(found, layouts, strict=True)
  ]
  for path, other in zip(found, names, strict=True):
    if set(other) != set(names[0]):
      raise DataError(
        f'{path} has the columns {list(other)}, but {found[0]} has '
        f'{list(names[0])}; read together, files must have the same columns'
      )
  files = Files(found, layouts, tuple(names[0]), form)
  filled = tuple(find_column(files, n, 'fill_down') for n in form.fill_down)
  within = form.fill_within and find_column(
    files, form.fill_within, 'fill_within'
  )
  return files._replace(
    form=form._replace(fill_down=filled, fill_within=within)
  )


def read(
  files: Files, columns: Iterable[str], complete: Iterable[str] = ()
) -> Rows:
  """Reads some columns of the selected rows, in the order of the files.

  Args:
    files: see `open_files`.
    columns: the names of the columns; each is one of `files.names`.
    complete: columns in which a row must have a value to be kept.

  Raises:
    DataError: a file cannot be parsed, there are no rows, or `Form.where` is
      not a condition on the columns.
  """
  columns = tuple(dict.fromkeys(columns))
  complete = tuple(complete)
  with contextlib.ExitStack() as stack:
    try:
      return _read(files, _copies(stack, files), columns, complete)
    except duckdb.Error as error:
      if not any(files.layouts):
        _fail(files, files.paths, error)
    # DuckDB needs the same line end everywhere, which a copy has.
    copies = _copies(stack, files, all_text=True)
    try:
      return _read(files, copies, columns, complete)
    except duckdb.Error as error:
      _fail(files, copies, error)


def first_rows(
  path: pathlib.Path, columns: Iterable[str], number: int
) -> pa.Table | None:
  """The first rows of a Parquet or JSON file; None if it cannot be read."""
  chosen = ', '.join(map(sql.column, columns))
  query = f'select {chosen} from {sql.described(path)} limit {number}'
  try:
    return _packed(sql.connect().sql(query))[0]
  except duckdb.Error:
    return None


def _copies(
  stack: contextlib.ExitStack, files: Files, *, all_text: bool = False
) -> list[pathlib.Path]:
  """The files, with copies in UTF-8 of those that DuckDB cannot read."""
  return [
    text_files.utf8_copy(stack, path, layout.encoding)
    if layout and (all_text or layout.encoding != 'utf-8')
    else path
    for path, layout in zip(files.paths, files.layouts, strict=True)
  ]


def place(rows: Rows, row: int) -> str:
  """The file of a kept row, and its line (in a text file) or row number."""
  files = rows.files
  with contextlib.ExitStack() as stack:
    copies = _copies(stack, files, all_text=True)
    connection = sql.connect()
    numeric = sql.numeric_columns(connection, files, copies)
    query = sql.query(files, copies, (sql.ROW,), rows.complete, numeric=numeric)
    number = _number(connection, f'{query} limit 1 offset {row}') - 1
    for path, layout, copy in zip(
      files.paths, files.layouts, copies, strict=True
    ):
      found = path, layout
      scan = sql.scan(copy, layout, files)
      size = _number(connection, f'select count(*) from ({scan})')
      if number < size:
        break
      number -= size
  path, layout = found
  has_lines = layout is not None and not layout.is_of_sequences
  line = text_files.line_of(path, layout, number) if has_lines else None
  return f'{path}, row {number + 1}' if line is None else f'{path}, line {line}'


def find_column(files: Files, name: str, flag: str) -> str:
  """The column with this name.

  Upper and lower case are the same, and user_id and item_id count as user and
  item.

  Raises:
    DataError: there is no such column; the message says which flag names it, or
      that the file may lack a header or have another separator.
  """
  wanted = (name, f'{name}_id') if name in ('user', 'item') else (name,)
  for one in wanted:
    for found in files.names:
      if found.lower() == one.lower():
        return found
  advice = f'name yours by --{flag}'
  if any(one and one.header_looks_like_data for one in files.layouts):
    advice = (
      'its first line looks like values, not like names: if it has no header, '
      'give the names by --column_names, as --column_names=user,item,rating'
    )
  elif len(files.names) == 1 and all(files.layouts):
    advice = (
      'are the columns separated by another character? Give it by --separator, '
      "as --separator=' '"
    )
  raise DataError(
    f'{files}: no column {name!r}; it has {list(files.names)}; {advice}'
  )


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
  """The single number that a query returns."""
  return connection.execute(query).fetchall()[0][0]


def compute(column: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
  """The value of an SQL expression for each value x of a column.

  Raises:
    duckdb.Error: the expression cannot be computed.
  """
  values = sql.connect().from_arrow(pa.table({'x': column}))
  return values.project(f'{expression} as y').to_arrow_table().column('y')


def _read(files, places, columns, complete) -> Rows:
  """`read` from `places`: the files or copies of them."""
  connection = sql.connect()
  numeric = sql.numeric_columns(connection, files, places)
  query = sql.query(files, places, columns, complete, numeric=numeric)
  table, texts = _packed(connection.sql(query))
  num_read = num_selected = table.num_rows
  if files.form.where or complete:
    num_read, num_selected = connection.execute(
      sql.query(files, places, (), numeric=numeric, counted=True)
    ).fetchall()[0]
  if num_read == 0:
    raise DataError(f'{files}: there are no rows; give a file with some')
  if num_selected == 0:
    raise DataError(
      f'{files}: none of {num_read} rows meets --where={files.form.where}'
    )
  return Rows(table, texts, files, complete, num_read, num_selected)


def release_memory() -> None:
  """Gives back the memory that Arrow would keep for its next columns."""
  pa.default_memory_pool().release_unused()


def _packed(
  rows: duckdb.DuckDBPyRelation,
) -> tuple[pa.Table, tuple[str, ...]]:
  """All rows of a query, packed batch by batch, and which columns are text."""
  try:
    with rows.to_arrow_reader(_BATCH_ROWS) as reader:
      schema = reader.schema
      table = packing.packed(reader, schema)
  except OSError as error:
    # Arrow gives what DuckDB reports between two batches as an OSError.
    is_conversion = str(error).startswith('Conversion Error')
    kind = duckdb.ConversionException if is_conversion else duckdb.Error
    raise kind(str(error)) from error
  release_memory()
  texts = [field.name for field in schema if packing.is_text(field.type)]
  return table, tuple(texts)


def _own_names(path: pathlib.Path) -> tuple[str, ...]:
  """The column names in a Parquet or JSON file."""
  try:
    return tuple(
      sql.connect().sql(f'select * from {sql.described(path)}').columns
    )
  except duckdb.Error as error:
    is_parquet = text_files.kind_of(path) == text_files.PARQUET
    kind = 'Parquet' if is_parquet else 'JSON'
    raise DataError(
      f'{path} cannot be read as {kind}: {_brief(error)}; is it cut?'
    ) from error


def _fail(files: Files, places, error: duckdb.Error):
  """Raises a DataError that explains why DuckDB could not read the files."""
  text = str(error)
  is_condition = isinstance(
    error,
    duckdb.ParserException
    | duckdb.BinderException
    | duckdb.ConversionException,
  )
  if files.form.where and is_condition:
    raise DataError(
      f'--where={files.form.where}: {_brief(error)}; write a condition of SQL '
      f'over the columns {list(files.names)}, names in double quotes and text '
      'in single quotes'
    ) from error
  path = files.paths[0]
  for own, copy in zip(files.paths, places, strict=True):
    if str(copy) in text:
      path = own
  told = re.search(r'CSV Error on Line: (\d+)', text)
  if told and 'unterminated quote' in text:
    raise DataError(
      f'{path}, line {told[1]}: a quotation mark is opened and not closed, or '
      'stands inside quotes without being written twice'
    ) from error
  for own, layout in zip(files.paths, files.layouts, strict=True):
    if layout is not None and not layout.is_of_sequences:
      _check_widths(own, layout, error)
  raise DataError(f'{path} cannot be read: {_brief(error)}') from error


def _check_widths(path: pathlib.Path, layout: Layout, error) -> None:
  """Raises DataError for the first row with too few or too many fields."""
  width = len(layout.names)
  lines = itertools.islice(
    text_files.read_lines(path, layout.encoding), layout.skipped, None
  )
  for number, row in enumerate(text_files.rows_of(lines, layout.separator)):
    surplus = [field for field in row[width:] if field]
    if len(row) < width or surplus:
      line = text_files.line_of(path, layout, number - layout.has_header)
      shown = layout.separator.join(row)[:80]
      raise DataError(
        f'{path}, line {line}: {len(row)} fields, expected {width}: {shown!r}'
      ) from error


def _brief(error: Exception) -> str:
  """The first two lines of an error, without the line that it quotes."""
  lines = [line for line in str(error).splitlines() if line.strip()]
  told = [line for line in lines if not line.startswith('Original Line')]
  return ' '.join(' '.join(told[:2]).split())[:300]
