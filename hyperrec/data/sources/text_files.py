"""The layout of text files: separators, headers, encodings and lines.

`layout` detects it, `utf8_copy` converts a file to UTF-8 with plain line ends,
and `line_of` gives the line of a row.
"""

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import math
import pathlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError

# Separator by suffix; None detects it from the first lines.
_TEXT = {
  '.csv': None,
  '.txt': None,
  '.dat': None,
  '.tsv': '\t',
  '.inter': '\t',
  '.item': '\t',
}
_RECBOLE = ('.inter', '.item')
JSON = ('.json', '.jsonl', '.ndjson')
PARQUET = '.parquet'
_SEPARATORS = (',', ';', '\t', '|', '::')
_NAMED_SEPARATORS = {'tab': '\t', r'\t': '\t', 'space': ' '}
# A separator that does not occur in text, so that a line is one column.
_NEVER = '\x1f'
_SEQUENCE_COLUMNS = ('user', 'item', 'timestamp')
# Tab-separated files are written without quotes.
_QUOTED = (',', ';', '|')
_SAMPLE_LINES = 50
_NUMBER = re.compile(r'[-+]?[\d.,]*\d')


class Form(NamedTuple):
  """Options of files that their names and first lines do not tell.

  Attributes:
    separator: Separator of the columns in text files; 'tab' and 'space' are
      allowed. None detects it.
    column_names: Names of the columns in text files without a header.
    encoding: Encoding of text files that are not UTF-8, as Python names it
      ('windows-1252'); UTF-16 is detected.
    fill_down: Columns whose empty cells repeat the value of the row above.
    fill_within: Column, such as an order number; values are repeated only
      between rows that are equal in it.
    where: Condition in SQL; rows that do not meet it are left out.
    sequences: Whether each line holds a user's id and the ids of the user's
      items, oldest first, separated by blanks. The columns are then called
      user, item and timestamp (the place in the line).
  """

  separator: str | None = None
  column_names: tuple[str, ...] = ()
  encoding: str | None = None
  fill_down: tuple[str, ...] = ()
  fill_within: str | None = None
  where: str | None = None
  sequences: bool = False


class Layout(NamedTuple):
  """How one text file is laid out.

  Attributes:
    separator: Separator of its columns.
    encoding: Encoding of its characters.
    skipped: Number of lines before the header, or before the first row if there
      is no header.
    has_header: Whether a line names the columns.
    names: Names of the columns.
  """

  separator: str
  encoding: str
  skipped: int
  has_header: bool
  names: tuple[str, ...]

  @property
  def is_of_sequences(self) -> bool:
    """Whether each line holds a user and the user's items, not columns."""
    return self.separator == _NEVER

  @property
  def header_looks_like_data(self) -> bool:
    """Whether a name in the header is a number, so that it may be a row."""
    return self.has_header and any(map(_NUMBER.fullmatch, self.names))

  @property
  def quote(self) -> str:
    """The quotation mark, or '' if quotes are ordinary characters."""
    return '"' if self.separator in _QUOTED else ''


class Files(NamedTuple):
  """Opened files that have the same columns.

  Attributes:
    paths: The files, in the order in which their rows are read.
    layouts: Layout of each file; None for a file that is not text.
    names: Names of the columns.
    form: The options, with the columns' names as the files spell them.
  """

  paths: tuple[pathlib.Path, ...]
  layouts: tuple[Layout | None, ...]
  names: tuple[str, ...]
  form: Form

  def __str__(self) -> str:
    return ', '.join(map(str, self.paths))


def kind_of(path: pathlib.Path) -> str:
  """The suffix of a file's name in lower case, without .gz."""
  suffixes = [suffix.lower() for suffix in path.suffixes]
  if suffixes and suffixes[-1] == '.gz':
    suffixes.pop()
  return suffixes[-1] if suffixes else ''


def check_form(form: Form) -> None:
  """Raises DataError if the options are invalid for any file."""
  try:
    ''.encode(form.encoding or 'utf-8')
  except (LookupError, ValueError) as error:
    raise DataError(
      f'--encoding={form.encoding} is unknown; use a name such as utf-8, '
      'utf-16 or windows-1252'
    ) from error
  if form.sequences and form.column_names:
    raise DataError(
      '--sequences and --column_names exclude each other: lines of a user and '
      'items have no columns; leave one out'
    )
  separator = form.separator
  if separator is None or separator in _NAMED_SEPARATORS:
    return
  if not re.fullmatch(r'[^\w"\n\r\0]{1,4}', separator):
    raise DataError(
      f'--separator={separator!r}: give one to four characters that are no '
      'letters, digits, quotation marks or line ends, such as ; or "tab"'
    )


def layout(path: pathlib.Path, form: Form) -> Layout | None:
  """Detects the layout of a text file; None for Parquet and JSON.

  Raises:
    DataError: the file is missing, empty or of an unknown kind, or its columns
      have no distinct names.
  """
  if not path.is_file():
    what = 'does not exist'
    if path.exists():
      what = 'is a folder' if path.is_dir() else 'is not a regular file'
    raise DataError(f'{path} {what}; give the path of a file')
  if path.stat().st_size == 0:
    raise DataError(f'{path} is empty; give a file with rows')
  kind = kind_of(path)
  if form.sequences:
    encoding = _encoding(path, form)
    _check_is_text(path)
    return Layout(_NEVER, encoding, 0, False, _SEQUENCE_COLUMNS)
  if kind == PARQUET or kind in JSON:
    return None
  _check_is_text(path)
  if kind not in _TEXT and form.separator is None:
    raise DataError(
      f'{path}: unknown kind of file; use one of '
      f'{sorted([*_TEXT, *JSON, PARQUET])} (text and JSON also as .gz), or '
      'say by --separator=, that it is text'
    )
  encoding = _encoding(path, form)
  separator = form.separator or _TEXT.get(kind)
  separator = _NAMED_SEPARATORS.get(separator, separator)
  lines = list(itertools.islice(read_lines(path, encoding), _SAMPLE_LINES))
  is_cut = len(lines) == _SAMPLE_LINES
  skipped = next((i for i, line in enumerate(lines) if line.strip()), 0)
  told = re.fullmatch(r'"?sep=(.)"?\s*', lines[skipped]) if lines else None
  if told:  # spreadsheets write this line
    separator = told[1] if form.separator is None else separator
    skipped += 1
  lines = lines[skipped:]
  if separator is None:
    separator = _guessed_separator(lines, is_cut)
  names = form.column_names
  if not names:
    header = next(rows_of(lines, separator), [])
    names = tuple(
      _heading(name, place, kind) for place, name in enumerate(header)
    )
  if not names:
    raise DataError(f'{path} has no line that names its columns')
  if '\0' in ''.join(names):
    raise DataError(
      f'{path}: the names of its columns hold zero bytes, as UTF-16 has them '
      'that was taken for another encoding; export it again, as UTF-8'
    )
  if '' in names:
    raise DataError('--column_names: a name is empty; name every column')
  _check_names(path, names)
  return Layout(separator, encoding, skipped, not form.column_names, names)


def _heading(name: str, place: int, kind: str) -> str:
  """The name of a column, without a byte order mark or RecBole's type."""
  name = name.removeprefix('\ufeff')  # a byte order mark
  if kind in _RECBOLE:
    name = name.partition(':')[0]
  return name.strip() or f'column{place}'


def _check_names(path: pathlib.Path, names: Sequence[str]) -> None:
  """Raises DataError if two columns have the same name."""
  small = [name.lower() for name in names]
  for name in names:
    if small.count(name.lower()) > 1:
      raise DataError(
        f'{path}: the column name {name!r} occurs twice in {list(names)} '
        '(capitals do not count); give each column a name of its own'
      )


def _encoding(path: pathlib.Path, form: Form) -> str:
  """The encoding of a file, as Python names it."""
  with _readable(path, 'utf-8'), _open(path) as file:
    start = file.read(4)
  if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
    return 'utf-16'
  if 0 in start[:2] and len(start) > 1:  # UTF-16 without a mark
    return 'utf-16-le' if start[1] == 0 else 'utf-16-be'
  if form.encoding and not _is_utf8(path):
    return codecs.lookup(form.encoding).name
  return 'utf-8'


def _is_utf8(path: pathlib.Path) -> bool:
  """Whether the whole file is valid UTF-8."""
  with (
    _readable(path, 'utf-8'),
    _open(path) as file,
    io.TextIOWrapper(file, encoding='utf-8') as text,
  ):
    try:
      for _ in text:
        pass
    except UnicodeDecodeError:
      return False
  return True


def _check_is_text(path: pathlib.Path) -> None:
  """Raises DataError if the first bytes are those of a zip or Parquet file."""
  with _readable(path, 'utf-8'), _open(path) as file:
    start = file.read(4)
  if start.startswith(b'PK\x03\x04'):
    raise DataError(
      f'{path} is a spreadsheet (.xlsx) or another zip file, not text; save it '
      'as CSV'
    )
  if start.startswith(b'PAR1'):
    raise DataError(f'{path} is Parquet, not text; name it .parquet')


@contextlib.contextmanager
def _readable(path: pathlib.Path, encoding: str) -> Iterator[None]:
  """Turns errors of reading, unpacking and decoding into DataErrors."""
  try:
    yield
  except UnicodeError as error:
    _check_encoding(path, encoding)
    raise DataError(f'{path} is not {encoding.upper()}: {error}') from error
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise DataError(
      f'{path} cannot be unpacked: {error}; is it cut, or no .gz file?'
    ) from error
  except OSError as error:
    raise DataError(f'{path} cannot be read: {error}') from error


def is_packed(path: pathlib.Path) -> bool:
  """Whether a file is compressed by gzip, whatever its name is."""
  with path.open('rb') as file:
    return path.suffix.lower() == '.gz' or file.read(2) == b'\x1f\x8b'


def _open(path: pathlib.Path):
  """The bytes of a file, unpacked."""
  return (gzip.open if is_packed(path) else open)(path, 'rb')


def start(path: pathlib.Path, size: int) -> bytes:
  """The first bytes of a file, unpacked."""
  with _readable(path, 'utf-8'), _open(path) as file:
    return file.read(size)


def unpacked_size(path: pathlib.Path) -> int:
  """Size of a file in bytes, unpacked; the least possible one for gzip.

  A gzip file ends with its unpacked size modulo 2**32.
  """
  size = path.stat().st_size
  if not is_packed(path):
    return size
  with path.open('rb') as file:
    file.seek(-4, io.SEEK_END)
    told = int.from_bytes(file.read(4), 'little')
  return told + math.ceil(max(0, size - told) / 2**32) * 2**32


def read_lines(path: pathlib.Path, encoding: str) -> Iterator[str]:
  """Yields the lines one by one, so that a large file fits into memory.

  Raises:
    DataError: the file cannot be read, unpacked or decoded.
  """
  with (
    _readable(path, encoding),
    _open(path) as file,
    _decoded(file, encoding, newline='') as text,
  ):
    yield from text


def _decoded(file, encoding: str, **how) -> io.TextIOWrapper:
  """A file of bytes as text; a byte order mark of UTF-8 is skipped."""
  encoding = 'utf-8-sig' if encoding == 'utf-8' else encoding
  return io.TextIOWrapper(file, encoding=encoding, **how)


def _reader(lines: Iterable[str], separator: str):
  """Python's CSV reader, which counts lines; a blank line is an empty row."""
  if len(separator) > 1:
    lines = (line.replace(separator, '\t') for line in lines)
  return csv.reader(
    lines,
    delimiter=separator if len(separator) == 1 else '\t',
    quoting=csv.QUOTE_MINIMAL if separator in _QUOTED else csv.QUOTE_NONE,
  )


def rows_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
  """Yields the rows that are not blank; stops at a field over 128 KiB."""
  with contextlib.suppress(csv.Error):
    yield from filter(None, _reader(lines, separator))


def _guessed_separator(lines: list[str], is_cut: bool) -> str:
  """The separator that splits all lines into equally many, and most, fields."""

  def worth(separator):
    rows = list(rows_of(lines, separator))
    rows = rows[:-1] if is_cut and len(rows) > 1 else rows
    widths = [len(row) for row in rows]
    is_even = len(set(widths)) == 1 and widths[0] > 1
    return is_even, widths[0] if widths else 0

  return max(_SEPARATORS, key=worth)


def line_of(path: pathlib.Path, layout: Layout, number: int) -> int | None:
  """The line in which a row begins; quotes and blank lines are accounted for.

  None if Python's CSV reader cannot parse the file up to this row.
  """
  lines = itertools.islice(
    read_lines(path, layout.encoding), layout.skipped, None
  )
  reader = _reader(lines, layout.separator)
  line, seen, wanted = 0, -1, number + layout.has_header
  try:
    while seen < wanted:
      line = reader.line_num + 1
      seen += bool(next(reader))
  except (csv.Error, StopIteration):
    return None
  return layout.skipped + line


def utf8_copy(
  stack: contextlib.ExitStack, path: pathlib.Path, encoding: str
) -> pathlib.Path:
  """A temporary copy in UTF-8 with line feeds; the stack removes it."""
  folder = stack.enter_context(tempfile.TemporaryDirectory())
  copy = pathlib.Path(folder) / 'copy.csv'
  with (
    _readable(path, encoding),
    _open(path) as file,
    _decoded(file, encoding) as text,
    copy.open('w', encoding='utf-8', newline='\n') as out,
  ):
    shutil.copyfileobj(text, out)
  return copy


def _check_encoding(path: pathlib.Path, encoding: str) -> None:
  """Raises DataError, with the line, if a file has another encoding."""
  with _open(path) as file:
    content = file.read()
  try:
    content.decode('utf-8-sig' if encoding == 'utf-8' else encoding)
    return
  except UnicodeDecodeError as bad:
    line = content.count(b'\n', 0, bad.start) + 1
    where, cause = f', line {line}: byte {bad.start}', bad
  except UnicodeError as bad:
    where, cause = f' ({bad})', bad
  raise DataError(
    f'{path}{where} is not {encoding.upper()}; give the encoding of the file, '
    'such as --encoding=windows-1252, or save it as UTF-8'
  ) from cause
