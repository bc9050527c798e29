"""Files of recommended items: user, rank, item and score, one row for each."""

import os
import pathlib
import uuid
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from absl import app

from hyperrec import recommender as recommender_lib

_SCHEMA = pa.schema(
  [
    ('user', pa.string()),
    ('rank', pa.int32()),
    ('item', pa.string()),
    ('score', pa.float32()),
  ]
)
_WRITERS = {
  '.csv': pyarrow.csv.CSVWriter,
  '.parquet': pyarrow.parquet.ParquetWriter,
}


def check_name(flag: str, path: str | os.PathLike) -> None:
  """Raises UsageError unless the name ends as one of the formats."""
  if pathlib.Path(path).suffix not in _WRITERS:
    raise app.UsageError(
      f'--{flag}={path}: the name must end in .csv or .parquet'
    )


def write(
  path: str | os.PathLike,
  batches: Iterable[recommender_lib.Best],
  item_ids: Sequence[str],
) -> int:
  """Writes lists batch by batch, the whole file or nothing.

  Args:
    path: file to write; see `check_name`.
    batches: the lists.
    item_ids: ids of the catalogue.

  Returns:
    The number of users.
  """
  path = pathlib.Path(path).expanduser()
  path.parent.mkdir(parents=True, exist_ok=True)
  unfinished = path.with_name(f'.{uuid.uuid4().hex}.tmp')
  names = pa.array(item_ids, pa.string())
  num_users = 0
  try:
    with _WRITERS[path.suffix](unfinished, _SCHEMA) as writer:
      for batch in batches:
        writer.write_table(_table(batch, names))
        num_users += len(batch.users)
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)
  return num_users


def _table(batch: recommender_lib.Best, names: pa.Array) -> pa.Table:
  """The rows of a batch; places without an item are left out."""
  user, place = np.nonzero(batch.items >= 0)
  users = pa.array(batch.users.tolist(), pa.string())
  return pa.table(
    [
      users.take(pa.array(user)),
      pa.array(place + 1, pa.int32()),
      names.take(pa.array(batch.items[user, place])),
      pa.array(batch.scores[user, place], pa.float32()),
    ],
    schema=_SCHEMA,
  )
