"""What is said of the memory before a large file is read."""

import gzip
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hyperrec.cost import memory
from hyperrec.data import sources
from hyperrec.data.sources import forecast, reading

ROWS = 40_000
COLUMNS = ('user', 'item', 'time')


@pytest.fixture(scope='module')
def log(tmp_path_factory):
  """A log as CSV, packed CSV, Parquet and JSON; every item is another text."""
  folder = tmp_path_factory.mktemp('log')
  random = np.random.default_rng(0)
  table = pa.table(
    {
      'user': random.integers(0, 500, ROWS),
      'item': [f'i{item}' for item in range(ROWS)],
      'time': random.integers(10**9, 2 * 10**9, ROWS),
      'note': ['x' * 50] * ROWS,
    }
  )
  pyarrow.parquet.write_table(table, folder / 'log.parquet')
  frame = table.to_pandas()
  frame.to_csv(folder / 'log.csv', index=False)
  frame.to_json(folder / 'log.jsonl', orient='records', lines=True)
  frame.head(9).to_json(folder / 'log.json', orient='records')
  text = (folder / 'log.csv').read_bytes()
  (folder / 'log.csv.gz').write_bytes(gzip.compress(text))
  return folder


def expected(path, columns=COLUMNS, **form):
  return forecast.forecast(
    reading.open_files(path, reading.Form(**form)), columns
  )


@pytest.mark.parametrize('kind', ['csv', 'csv.gz', 'parquet', 'jsonl'])
def test_rows_are_estimated_by_the_size_of_the_file(log, kind):
  path = log / f'log.{kind}'
  found = expected(path)
  assert found.rows == pytest.approx(ROWS, rel=0.02)
  assert found.file_bytes == path.stat().st_size
  # Whole numbers need 8 bytes; texts a code, and more if others follow.
  numbers = expected(path, ('user', 'time'))
  beside = forecast._FIXED_BYTES + numbers.rows * forecast._ROW_BYTES
  assert numbers.least_bytes == numbers.most_bytes
  assert numbers.least_bytes - beside == pytest.approx(16 * ROWS, rel=0.05)
  assert found.least_bytes > numbers.least_bytes + 4 * ROWS
  assert found.most_bytes - numbers.most_bytes == pytest.approx(
    ROWS * (4 + forecast._TEXT_BYTES + 40), rel=0.15
  )


def test_texts_that_recur_need_little_more_in_a_longer_file(log):
  found = expected(log / 'log.csv', ('note',))
  assert found.most_bytes - found.least_bytes < 1000


def test_several_files_are_added(log):
  one, two = log / 'log.csv', log / 'log.parquet'
  assert expected([one, two]).rows == expected(one).rows + expected(two).rows


def test_what_the_first_rows_do_not_tell_is_not_guessed(log, tmp_path):
  assert expected(log / 'log.json') is None
  path = tmp_path / 's.txt'
  path.write_text('ann tea ink\nbob ink\n' * 9)
  assert expected(path, ('user', 'item'), sequences=True) is None
  path.write_text('user\titem\n')
  assert expected(path, ('user', 'item')) is None


@pytest.fixture
def free(monkeypatch):
  """Sets the free memory, and looks at files of any size."""
  monkeypatch.setattr(forecast, 'LARGE_FILE', 1)

  def put(size):
    monkeypatch.setattr(memory, 'available_bytes', lambda: size)

  return put


def load(path, **options):
  return sources.load('table', path=path, timestamp_column='time', **options)


def test_a_file_that_cannot_fit_is_refused_before_it_is_read(
  log, free, monkeypatch
):
  monkeypatch.setattr(reading, 'read', None)
  free(2**28)
  told = (
    r'log\.csv: reading 0\.00 GiB with about (39|40),\d\d\d rows needs 0\.76 '
    r'GiB and 0\.2 GiB are free; split the file by users'
  )
  with pytest.raises(memory.InsufficientMemoryError, match=told):
    load(log / 'log.csv')


def test_a_file_that_may_not_fit_is_read_with_a_warning(log, free, caplog):
  found = expected(log / 'log.csv')
  free((found.least_bytes + found.most_bytes) // 2)
  with caplog.at_level(logging.WARNING):
    assert len(load(log / 'log.csv')) == ROWS
  assert 'may need up to 0.8 GiB of memory, and 0.8 GiB are free' in caplog.text


def test_a_condition_may_leave_few_rows_so_nothing_is_refused(log, free):
  free(2**28)
  assert load(log / 'log.csv', where='user < 9').num_users == 9


def test_small_files_and_unknown_machines_are_not_looked_at(
  log, free, monkeypatch
):
  free(None)
  assert len(load(log / 'log.csv')) == ROWS
  free(1)
  monkeypatch.setattr(forecast, 'LARGE_FILE', 2**26)
  assert len(load(log / 'log.csv')) == ROWS
