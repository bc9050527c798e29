"""Columns of text that are held as numbers or codes, and read in batches."""

import itertools

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from hyperrec.data import interactions, sources
from hyperrec.data.sources import packing, reading

TEXTS = st.lists(
  st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(['', ' 7', '7.0', '007', '-0', '+1', '1e3', '0x1F', 'é']),
    st.text(max_size=4),
  ),
  max_size=12,
)


def packed(*batches):
  schema = pa.schema({'x': pa.string()})
  made = [
    pa.record_batch([pa.array(texts, pa.string())], schema=schema)
    for texts in batches
  ]
  return packing.packed(made, schema).column('x')


@hypothesis.settings(deadline=None)
@hypothesis.given(st.lists(TEXTS, min_size=1, max_size=5))
def test_texts_come_back_as_they_were(batches):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(packing, '_GROUP_ROWS', 5)
    column = packed(*batches)
  assert column.cast(pa.large_string()).to_pylist() == list(
    itertools.chain(*batches)
  )


@pytest.mark.parametrize('rows', [1, 100])
def test_plain_numbers_are_held_as_numbers_until_another_text(
  rows, monkeypatch
):
  monkeypatch.setattr(packing, '_GROUP_ROWS', rows)
  column = packed(['1', '-20', None], ['9223372036854775807'])
  assert column.type == pa.int64()
  assert column.to_pylist() == [1, -20, None, 2**63 - 1]
  for other in (
    '07', '7.0', '-0', '-07', '-', '0xFFFFFFFF', '9223372036854775808', 'x',
  ):  # fmt: skip
    column = packed(['1', '2'], ['2', other], ['1'])
    assert pa.types.is_dictionary(column.type)
    (chunk,) = column.chunks
    assert chunk.dictionary.to_pylist() == ['1', '2', other]
    assert chunk.indices.to_pylist() == [0, 1, 1, 2, 0]


def test_other_columns_stay_as_they_are():
  values = pa.array([1.5, None])
  batch = pa.record_batch([values], names=['x'])
  found = packing.packed([batch, batch], batch.schema)
  assert found.column('x').to_pylist() == [1.5, None, 1.5, None]


@pytest.fixture
def small_batches(monkeypatch):
  monkeypatch.setattr(reading, '_BATCH_ROWS', 2048)
  monkeypatch.setattr(packing, '_GROUP_ROWS', 2048)


def write(path, rows):
  lines = ['user,item,t', *(','.join(map(str, row)) for row in rows)]
  path.write_text('\n'.join(lines))
  return path


def load(path, **options):
  return sources.load('table', path=path, timestamp_column='t', **options)


@pytest.mark.usefixtures('small_batches')
@pytest.mark.parametrize('late', ['7', '007', 'ann', '7.5'])
def test_an_id_far_down_decides_what_all_ids_are(tmp_path, late):
  random = np.random.default_rng(0)
  users, items = random.integers(0, 50, (2, 9000)).astype(str)
  users[8000] = late
  time = random.integers(0, 10**6, 9000)
  path = write(tmp_path / 't.csv', zip(users, items, time, strict=True))
  data = load(path, duplicates='keep')
  are_whole = late == '7'
  assert data.user_ids.dtype.kind == ('i' if are_whole else 'U')
  expected = users.astype(int) if are_whole else users
  assert (data.user_ids[data.users] == expected).all()
  assert (data.item_ids[data.items] == items.astype(int)).all()
  assert (data.timestamps == time).all()


@pytest.mark.usefixtures('small_batches')
def test_errors_name_a_row_far_down(tmp_path):
  rows = [(i % 7, i % 11, 20240101) for i in range(9000)]
  path = write(tmp_path / 't.csv', [*rows, (1, '', 3)])
  with pytest.raises(
    interactions.DataError, match="line 9002, column 'item': an empty field is"
  ):
    load(path)
  path = write(tmp_path / 't.csv', [*rows, (1, 2, 20240231)])
  with pytest.raises(
    interactions.DataError, match="line 9002, column 't': '20240231' is not a"
  ):
    load(path, timestamp_format='%Y%m%d')
  path = write(tmp_path / 't.csv', [*rows, (1, 2, 3, 4)])
  with pytest.raises(
    interactions.DataError, match='line 9002: 4 fields, expected 3'
  ):
    load(path)
  path = write(tmp_path / 't.csv', [*rows, ('x', 2, 3)])
  with pytest.raises(interactions.DataError, match='write a condition of SQL'):
    load(path, where='user::integer > 3')


@pytest.mark.usefixtures('small_batches')
@pytest.mark.parametrize('policy', ['first', 'last'])
def test_repeats_are_found_by_blocks_of_users(tmp_path, policy, monkeypatch):
  random = np.random.default_rng(1)
  pairs = random.integers(0, 40, (9000, 2))
  rows = [(*pair, row) for row, pair in enumerate(pairs.tolist())]
  path = write(tmp_path / 't.csv', rows)
  monkeypatch.setattr(interactions, '_PAIR_ROWS', 500)
  data = load(path, duplicates=policy)
  row_of = {}
  for *pair, row in rows:
    if policy == 'last' or tuple(pair) not in row_of:
      row_of[tuple(pair)] = row
  assert data.timestamps.tolist() == sorted(row_of.values())
  found = np.stack([data.users, data.items], 1)
  assert (found == pairs[data.timestamps]).all()
