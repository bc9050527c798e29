"""Says before a large file is read how much memory that will need.

The first rows show what the columns hold, and the size of the file how many
rows there are. How many distinct texts the other rows hold is not known: the
forecast has a lower end, at which no other text follows, and an upper one.
"""

import itertools
import math
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from absl import logging

from hyperrec.cost import memory
from hyperrec.data.sources import packing, reading, text_files

Layout = text_files.Layout

# Smaller files are read without a forecast.
LARGE_FILE = 2**26
_SAMPLE_BYTES = 2**20
_SAMPLE_ROWS = 2**14
# Bytes of each row beside its columns: its ids as numbers, before and after
# they are sorted, its time and its rating.
_ROW_BYTES = 28
# Bytes of each distinct text beside its characters: as an id it is held by
# Arrow, by Python and by NumPy.
_TEXT_BYTES = 200
# Bytes of each row that DuckDB sorts to fill cells; it uses the disk as well.
_FILLED_BYTES = 200
# Bytes for the libraries, DuckDB's buffers and the rows that are being packed.
_FIXED_BYTES = 3 * 2**28


class Forecast(NamedTuple):
  """What reading files is expected to need.

  Attributes:
    rows: estimated number of rows in the files.
    file_bytes: size of the files on disk.
    least_bytes: peak memory if all distinct texts are among the first rows.
    most_bytes: peak memory if distinct texts grow as among the first rows.
  """

  rows: int
  file_bytes: int
  least_bytes: int
  most_bytes: int


def check(files: reading.Files, columns: Iterable[str]) -> None:
  """Refuses to read files for which the memory cannot suffice.

  If only the lower end of the forecast fits into memory, a warning is logged.
  Files below `LARGE_FILE` bytes are not looked at.

  Args:
    files: see `reading.open_files`.
    columns: names of the columns that are to be read.

  Raises:
    InsufficientMemoryError: even the lower end exceeds the free memory.
  """
  if sum(path.stat().st_size for path in files.paths) < LARGE_FILE:
    return
  expected = forecast(files, columns)
  if expected is None:
    return
  what = (
    f'{files}: reading {expected.file_bytes / 2**30:.2f} GiB with about '
    f'{expected.rows:,} rows'
  )
  remedy = (
    'split the file by users and read a part, leave out columns that are not '
    'needed (--timestamp_column, --rating_column), or use Parquet with whole '
    'numbers as ids'
  )
  # A condition may leave few of the rows.
  if not files.form.where:
    memory.check_memory(expected.least_bytes, what, remedy)
  available = memory.available_bytes()
  if available is not None and expected.most_bytes > available:
    logging.warning(
      '%s may need up to %.1f GiB of memory, and %.1f GiB are free. If the '
      'process is killed: %s',
      what, expected.most_bytes / 2**30, available / 2**30, remedy,
    )  # fmt: skip


def forecast(files: reading.Files, columns: Iterable[str]) -> Forecast | None:
  """Estimates rows and memory; None if the first rows do not tell.

  Args:
    files: see `reading.open_files`. Lines of a user and items and JSON in one
      line are not looked at.
    columns: names of the columns that are to be read.
  """
  columns = tuple(dict.fromkeys(columns))
  rows = least = most = 0
  for path, layout in zip(files.paths, files.layouts, strict=True):
    number = _num_rows(path, layout)
    sample = _sample(path, layout, columns) if number else None
    if sample is None:
      return None
    rows += number
    for column in sample.columns:
      low, high = _column_bytes(column, number)
      least, most = least + low, most + high
  beside = _FIXED_BYTES + rows * _ROW_BYTES
  if files.form.fill_down:
    most += rows * _FILLED_BYTES
  size = sum(path.stat().st_size for path in files.paths)
  return Forecast(rows, size, int(beside + least), int(beside + most))


def _num_rows(path: pathlib.Path, layout: Layout | None) -> int | None:
  """The number of rows in a file; of text, by the length of the first lines."""
  if layout is None and text_files.kind_of(path) == text_files.PARQUET:
    from pyarrow import parquet  # imports file systems of clouds

    return parquet.read_metadata(path).num_rows
  start = text_files.start(path, _SAMPLE_BYTES)
  lines = start.count(b'\n')
  if lines < 2 or (layout is not None and layout.is_of_sequences):
    return None
  used = start.rindex(b'\n') + 1
  return math.ceil(text_files.unpacked_size(path) * lines / used)


def _sample(
  path: pathlib.Path, layout: Layout | None, columns: tuple[str, ...]
) -> pa.Table | None:
  """The first rows of some columns, packed as all rows will be."""
  if layout is None:
    return reading.first_rows(path, columns, _SAMPLE_ROWS)
  start = layout.skipped + layout.has_header
  lines = itertools.islice(
    text_files.read_lines(path, layout.encoding), start, start + _SAMPLE_ROWS
  )
  rows = list(text_files.rows_of(lines, layout.separator))
  width = len(layout.names)
  cells = [
    [row[place] or None for row in rows if len(row) >= width]
    for place in map(layout.names.index, columns)
  ]
  arrays = [pa.array(column, pa.string()) for column in cells]
  batch = pa.record_batch(arrays, names=list(columns))
  return packing.packed([batch], batch.schema) if batch.num_rows else None


def _column_bytes(column: pa.ChunkedArray, rows: int) -> tuple[float, float]:
  """The least and most bytes of a column of so many rows, from a sample."""
  if not pa.types.is_dictionary(column.type):
    size = column.nbytes / len(column) * rows
    return size, size
  codes = column.chunk(0)
  distinct = len(codes.dictionary)
  if not distinct:
    return 4 * rows, 4 * rows
  each = _TEXT_BYTES + 3 * codes.dictionary.nbytes / distinct
  early = len(codes.indices.slice(0, (len(codes) + 1) // 2).unique())
  # Heaps' law: the number of distinct texts is a power of the number of rows.
  power = min(1.0, math.log2(distinct / early))
  grown = min(rows, distinct * max(1.0, rows / len(codes)) ** power)
  return 4 * rows + each * distinct, 4 * rows + each * grown
