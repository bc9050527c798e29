"""Compares reading a CSV file with pandas and with DuckDB.

  python -m experiments.benchmarks.csv_reading

Each side turns a file of users, items and times into the same arrays: users and
items as numbers from 0, in the order of their sorted ids, and the times. The
script fails if they differ. hyperrec reads the file as a user's own
(`sources.load('table')`), which also finds out the form of the file, checks
every cell and counts repeated interactions. pandas reads whole columns and
factorizes them. DuckDB reads the file and gives every user and item the number
of its id by two joins, in one query.
"""

import pathlib
import tempfile
from typing import NamedTuple

import numpy as np

from experiments import script
from experiments.benchmarks import logs, measure, peers
from hyperrec.data import sources

Comparison = measure.Comparison
NUM_ROWS, NUM_USERS, NUM_ITEMS = 5_000_000, 200_000, 20_000


class Encoded(NamedTuple):
  """What all sides make of the file."""

  users: np.ndarray
  items: np.ndarray
  times: np.ndarray


def main(argv):
  """Measures every side and writes the results."""
  del argv
  measure.record('csv_reading', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons on one file."""
  if not peers.has('pandas'):
    skipped.append(measure.skip('pandas'))
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'log.csv'
    logs.write(path, NUM_ROWS, num_users=NUM_USERS, num_items=NUM_ITEMS)
    return compare(path, min(3, measure.repeats()))


def compare(path: pathlib.Path, repeats: int) -> list[Comparison]:
  """Compares the time from the file to the arrays.

  Raises:
    AssertionError: the arrays differ.
  """
  sides = {'hyperrec': lambda: by_hyperrec(path)}
  if peers.has('pandas'):
    sides['pandas'] = lambda: by_pandas(path)
  sides['DuckDB'] = lambda: by_duckdb(path)
  ours = by_hyperrec(path)
  for name, read in sides.items():
    for field, own, other in zip(Encoded._fields, ours, read(), strict=True):
      np.testing.assert_array_equal(own, other, f'{name}: {field}')
  num_rows = len(ours.users)
  del ours
  seconds = measure.interleave(sides, repeats)
  size = path.stat().st_size / 2**20
  case = f'log: {num_rows:,} rows, {size:,.0f} MiB'
  return [
    Comparison(
      case, 'file to arrays', name, 's', seconds['hyperrec'], found, '>= 1'
    )
    for name, found in seconds.items()
    if name != 'hyperrec'
  ]


def by_hyperrec(path: pathlib.Path) -> Encoded:
  """Reads the file as a user's own."""
  data = sources.load(
    'table', path=path, timestamp_column='time', duplicates='keep'
  )
  return Encoded(data.users, data.items, data.timestamps)


def by_pandas(path: pathlib.Path) -> Encoded:
  """Reads the file by pandas' fastest reader that needs no other package."""
  import pandas as pd

  table = pd.read_csv(path)
  users, _ = pd.factorize(table['user'], sort=True)
  items, _ = pd.factorize(table['item'], sort=True)
  return Encoded(users, items, table['time'].to_numpy())


def by_duckdb(path: pathlib.Path) -> Encoded:
  """Reads the file by one query."""
  import duckdb

  numbered = (
    'select {0}, (row_number() over (order by {0}) - 1)::int as n '
    'from (select distinct {0} from log)'
  )
  with duckdb.connect() as connection:
    connection.execute(
      'create table log as select *, row_number() over () as place '
      f"from read_csv('{path}')"
    )
    found = connection.execute(
      f'with u as ({numbered.format("user")}), '
      f'i as ({numbered.format("item")}) '
      'select u.n as users, i.n as items, time '
      'from log join u using (user) join i using (item) order by place'
    ).fetchnumpy()
  return Encoded(found['users'], found['items'], found['time'])


if __name__ == '__main__':
  script.run(main)
