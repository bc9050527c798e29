"""A log of interactions that is too large to be made at once."""

import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

# Rows that are made and written together.
CHUNK = 1_000_000
_START = 1_600_000_000  # seconds
_SPAN = 63_072_000  # two years
COLUMNS = pa.schema(
  {'user': pa.int64(), 'item': pa.string(), 'time': pa.int64()}
)


def write(
  path: pathlib.Path,
  num_rows: int,
  *,
  num_users: int,
  num_items: int,
  seed: int = 0,
) -> None:
  """Writes a log in order of time, chunk by chunk.

  Activity of users is log-normal and popularity of items Zipf-like, as in
  `inputs.skewed`. Users are whole numbers, items are texts such as i0012345,
  times are seconds. A user may meet an item again, as in a real log.

  Args:
    path: the file, .csv or .parquet.
    num_rows: number of rows.
    num_users: U, the number of users who may occur.
    num_items: V, the number of items that may occur.
    seed: seed of all draws.
  """
  make = {
    '.csv': pyarrow.csv.CSVWriter,
    '.parquet': pyarrow.parquet.ParquetWriter,
  }
  with make[path.suffix](path, COLUMNS) as writer:
    for chunk in _chunks(num_rows, num_users, num_items, seed):
      writer.write(chunk)


def _chunks(
  num_rows: int, num_users: int, num_items: int, seed: int
) -> Iterator[pa.Table]:
  """Yields the rows of `write`."""
  random = np.random.default_rng(seed)
  active_U = np.cumsum(random.lognormal(0.0, 1.0, num_users))
  popular_V = np.cumsum((np.arange(num_items) + 10.0) ** -0.8)
  user_ids = 10**6 + random.permutation(num_users)
  names = [f'i{item:07}' for item in random.permutation(num_items)]
  for start in range(0, num_rows, CHUNK):
    size = min(CHUNK, num_rows - start)
    user, item = (
      np.searchsorted(edges, random.random(size) * edges[-1], side='right')
      for edges in (active_U, popular_V)
    )
    ends = _START + _SPAN * np.array([start, start + size]) // num_rows
    time = np.sort(random.integers(*ends, size, endpoint=True))
    columns = {
      'user': user_ids[user.clip(max=num_users - 1)],
      'item': pa.array(names).take(pa.array(item.clip(max=num_items - 1))),
      'time': time,
    }
    yield pa.table(columns, COLUMNS)
