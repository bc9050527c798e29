"""The SQL by which DuckDB reads files of rows.

`reading` runs it. A name or a text from outside is always quoted.
"""

import pathlib
import re
from collections.abc import Mapping

import duckdb

from hyperrec.data.sources import text_files

Files = text_files.Files
Layout = text_files.Layout

_LONGEST_LINE = 2**24
# Words that stand for a missing value, in upper or lower case.
MISSING = ('', 'nan', 'null', 'none')
# Column that numbers the rows of all files, if that is needed.
ROW = 'hyperrec_row'
_FILE = 'hyperrec_file'
# Begins the names of texts that `Form.where` reads as numbers.
_TEXT = 'hyperrec_text_'


def connect() -> duckdb.DuckDBPyConnection:
  """A DuckDB connection in UTC that never downloads extensions."""
  connection = duckdb.connect(
    config={
      'autoinstall_known_extensions': False,
      'autoload_known_extensions': False,
    }
  )
  connection.execute("set timezone = 'UTC'")
  return connection


def query(
  files: Files, places, columns, complete=(), *, numeric=None, counted=False
) -> str:
  """SQL that selects `columns`, or that counts all rows and the selected ones.

  Args:
    files: see `reading.open_files`.
    places: paths that are read: the files or copies of them.
    columns: names of the columns.
    complete: see `reading.read`.
    numeric: see `numeric_columns`; `Form.where` reads these as numbers.
    counted: whether to count all rows and those that meet `Form.where`.
  """
  form = files.form
  rows = ' union all '.join(
    f'select *, {number} as {_FILE} from ({scan(path, layout, files)})'
    for number, (path, layout) in enumerate(
      zip(places, files.layouts, strict=True)
    )
  )
  is_numbered = bool(form.fill_down) or ROW in columns
  if is_numbered:
    rows = f'select row_number() over () as {ROW}, * from ({rows})'
  if form.fill_down:
    within = [_FILE, *([form.fill_within] if form.fill_within else [])]
    part = ', '.join(map(column, within))
    filled = ', '.join(
      f"last_value(nullif(trim({column(name)}::varchar), '') ignore nulls) "
      f'over (partition by {part} order by {ROW} rows unbounded preceding) as '
      f'{column(name)}'
      for name in form.fill_down
    )
    rows = f'select * replace ({filled}) from ({rows})'
  if counted:
    kept = f' filter (where ({form.where}\n))' if form.where else ''
    rows = f'select * {_numeric(numeric or {})} from ({rows})'
    return f'select count(*), count(*){kept} from ({rows})'
  text_of = {}
  if form.where:
    # The condition compares numbers; the columns that are read stay text.
    text_of = {name: _TEXT + name for name in numeric or {}}
    texts = ''.join(
      f', {column(name)} as {column(text)}' for name, text in text_of.items()
    )
    rows = f'select * {_numeric(numeric or {})}{texts} from ({rows})'
    rows = f'select * from ({rows}) where ({form.where}\n)'
  words = ', '.join(map(literal, MISSING))
  conditions = [
    f"lower(trim(coalesce({column(text_of.get(name, name))}::varchar, '')))"
    f' not in ({words})'
    for name in complete
  ]
  chosen = ', '.join(
    f'{column(text_of.get(name, name))} as {column(name)}' for name in columns
  )
  kept = f' where {" and ".join(conditions)}' if conditions else ''
  order = f' order by {ROW}' if is_numbered else ''
  return f'select {chosen} from ({rows}){kept}{order}'


def _numeric(kinds: Mapping[str, str]) -> str:
  """SQL that converts columns of text to numbers of the given types."""
  casts = ', '.join(
    f'try_cast(trim({column(name)}) as {kind}) as {column(name)}'
    for name, kind in kinds.items()
  )
  return f'replace ({casts})' if casts else ''


def numeric_columns(connection, files: Files, places) -> dict[str, str]:
  """Text columns that hold only numbers and are named by `Form.where`.

  Returns:
    Name -> 'hugeint' if all are whole numbers, otherwise 'double'. A column in
    which a number has leading zeros stays text.
  """
  condition = (files.form.where or '').lower()
  names = [name for name in files.names if name.lower() in condition]
  if not names:
    return {}
  form = files.form._replace(where=None, fill_down=(), fill_within=None)
  rows = connection.sql(query(files._replace(form=form), places, names))
  texts = [
    name
    for name, kind in zip(names, rows.types, strict=True)
    if str(kind) == 'VARCHAR'
  ]
  found = {}
  for name in texts:
    text = f'trim({column(name)})'
    whole, number = rows.aggregate(
      f"bool_and({text} = '' or regexp_full_match({text}, "
      "'-?(0|[1-9][0-9]*)')), "
      f"bool_and({text} = '' or (not regexp_matches({text}, '^0[0-9]') and "
      f'try_cast({text} as double) is not null))'
    ).fetchall()[0]
    if number:
      found[name] = 'hugeint' if whole else 'double'
  return found


def scan(path: pathlib.Path, layout: Layout | None, files: Files) -> str:
  """SQL that reads one file, with columns in the order of the first file."""
  chosen = ', '.join(map(column, files.names))
  if layout is None:
    return f'select {chosen} from {described(path)}'
  names = ('line',) if layout.is_of_sequences else layout.names
  columns = ', '.join(f"{literal(name)}: 'varchar'" for name in names)
  packed = 'gzip' if text_files.is_packed(path) else 'none'
  scan = (
    f'read_csv({_only(path)}, auto_detect=false, '
    f'columns={{{columns}}}, header={layout.has_header}, '
    f'skip={layout.skipped}, delim={literal(layout.separator)}, '
    f'quote={literal(layout.quote)}, escape={literal(layout.quote)}, '
    f"compression='{packed}', max_line_size={_LONGEST_LINE})"
  )
  if layout.is_of_sequences:
    separator = files.form.separator
    blanks = r'\s+'
    if separator and separator not in ('tab', 'space', r'\t'):
      blanks = rf'\s*{re.escape(separator)}\s*'
    scan = (
      '(select parts[1] as user, unnest(parts[2:]) as item, '
      'unnest(range(len(parts) - 1)) as timestamp from '
      f'(select string_split_regex(trim(line), {literal(blanks)}) as parts '
      f'from {scan}))'
    )
  return f'select {chosen} from {scan}'


def described(path: pathlib.Path) -> str:
  """SQL that reads a Parquet or JSON file, which names its own columns."""
  if text_files.kind_of(path) == text_files.PARQUET:
    return f'read_parquet({_only(path)})'
  found = connect().sql(
    f"select * from read_json({_only(path)}, sample_size=-1, format='auto')"
  )
  kinds = zip(found.columns, map(_json_kind, found.types), strict=True)
  columns = ', '.join(f"{literal(name)}: '{kind}'" for name, kind in kinds)
  return f"read_json({_only(path)}, format='auto', columns={{{columns}}})"


def _json_kind(kind) -> str:
  """The SQL type of a JSON column; plain values are read as text.

  DuckDB would otherwise read ids such as 10-11-12 as dates.
  """
  if str(kind).endswith('[]'):
    return 'varchar[]'
  is_kept = str(kind) == 'BOOLEAN' or str(kind).startswith(('STRUCT', 'MAP'))
  return str(kind).replace("'", "''") if is_kept else 'varchar'


def _only(path: pathlib.Path) -> str:
  """Path and options with which DuckDB reads exactly one file.

  DuckDB would read [, * and ? as patterns, and folders such as user=9 as
  columns.
  """
  escaped = re.sub(r'([\[*?])', r'[\1]', str(path))
  return f'{literal(escaped)}, hive_partitioning=false'


def column(name: str) -> str:
  """A quoted name of a column in SQL."""
  return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
  """A quoted string in SQL."""
  return "'" + str(text).replace("'", "''") + "'"
