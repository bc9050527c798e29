"""Holds columns of text in little memory while a file is read in batches.

A text that is a plain whole number is held as an int64; 7 and -4 are plain, 07
and 7.0 are not. As soon as a column has another text, each distinct text is
held once, with an int32 for each row. Both forms give the texts back exactly.
"""

import concurrent.futures
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

# Rows that are packed together. More rows at a time mean fewer passes over the
# distinct texts, and more memory for the rows that are not packed yet.
_GROUP_ROWS = 2**20
_GROUP_BYTES = 2**27
_MINUS, _ZERO, _NINE = b'-09'


def packed(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
  """The rows of all batches, with the columns of text packed.

  Args:
    batches: rows; each batch is released once it is packed.
    schema: of the batches.

  Returns:
    The same columns; those of text are int64 or dictionary<int32, text>.
  """
  columns = [
    _Texts() if is_text(field.type) else _Others(field.type) for field in schema
  ]
  with concurrent.futures.ThreadPoolExecutor() as pool:
    appended = []
    for group in _groups(batches):  # while the last one is packed
      for done in appended:
        done.result()
      appended = [
        pool.submit(column.append, values)
        for column, values in zip(columns, group.columns, strict=True)
      ]
    for done in appended:
      done.result()
  return pa.table([column.finish() for column in columns], names=schema.names)


def is_text(kind: pa.DataType) -> bool:
  """Whether `packed` packs columns of this type."""
  return any(
    test(kind)
    for test in (
      pa.types.is_string,
      pa.types.is_large_string,
      pa.types.is_string_view,
    )
  )


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
  """Joins batches until they have enough rows or bytes."""
  group, rows, size = [], 0, 0
  for batch in batches:
    group.append(batch)
    rows += batch.num_rows
    size += batch.nbytes
    if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
      yield pa.Table.from_batches(group)
      group, rows, size = [], 0, 0
  if group:
    yield pa.Table.from_batches(group)


class _Others:
  """A column that is not text and is held as it is."""

  def __init__(self, kind: pa.DataType):
    self._kind = kind
    self._chunks: list[pa.Array] = []

  def append(self, values: pa.ChunkedArray) -> None:
    self._chunks.extend(values.chunks)

  def finish(self) -> pa.ChunkedArray:
    return pa.chunked_array(self._chunks, self._kind)


class _Texts:
  """A column of text: whole numbers as long as all are plain, then codes."""

  def __init__(self):
    self._are_numbers = True
    self._numbers: list[pa.Array] = []
    # `pa.array` would import pandas where it is installed.
    self._distinct = pa.nulls(0, pa.large_string())
    self._codes: list[pa.Array] = []

  def append(self, values: pa.ChunkedArray) -> None:
    text = pa.concat_arrays(
      [chunk.cast(pa.large_string()) for chunk in values.chunks]
    )
    if self._are_numbers:
      numbers = _plain_numbers(text)
      if numbers is not None:
        self._numbers.append(numbers)
        return
      self._are_numbers = False
      while self._numbers:
        self._encode(self._numbers.pop(0).cast(pa.large_string()))
    self._encode(text)

  def finish(self) -> pa.ChunkedArray:
    if self._are_numbers:
      return pa.chunked_array(self._numbers, pa.int64())
    codes = pa.concat_arrays(self._codes)
    coded = pa.DictionaryArray.from_arrays(codes, self._distinct)
    return pa.chunked_array([coded])

  def _encode(self, text: pa.Array) -> None:
    """Appends the index of each text among the distinct ones."""
    coded = text.dictionary_encode()
    both = pa.concat_arrays([self._distinct, coded.dictionary])
    # Texts are numbered as they appear, so the earlier ones keep their number.
    both = both.dictionary_encode()
    new = both.indices.slice(len(self._distinct))
    self._distinct = both.dictionary
    self._codes.append(new.take(coded.indices))


def _plain_numbers(text: pa.Array) -> pa.Array | None:
  """The texts as int64; None if one is not written like an int64 of Python.

  The bytes are checked first, since Arrow takes long to say that it cannot read
  a column of other texts, and reads 07 and 0x1F as numbers.
  """
  if not _look_plain(text):
    return None
  try:
    return text.cast(pa.int64())
  except pa.ArrowInvalid:
    return None


def _look_plain(text: pa.Array) -> bool:
  """Whether all texts consist of digits, without leading zeros, and of minus.

  Missing texts do not count.

  Args:
    text: large_string, without an offset.
  """
  _, ends, content = text.buffers()
  ends = np.frombuffer(ends, np.int64)[: len(text) + 1]
  if content is None or not ends[-1]:
    return True
  content = np.frombuffer(content, np.uint8)[: ends[-1]]
  if content.max() > _NINE:
    return False
  starts, least = ends[:-1], 1
  if content.min() < _ZERO:
    if not ((content >= _ZERO) | (content == _MINUS)).all():
      return False
    is_signed = np.zeros(len(text), bool)
    some = np.flatnonzero(np.diff(ends))
    is_signed[some] = content[starts[some]] == _MINUS
    # Where the digits begin. Arrow refuses a minus at another place.
    starts, least = starts + is_signed, 1 - is_signed
  several = starts[ends[1:] - starts > least]
  return not (content[several] == _ZERO).any()
