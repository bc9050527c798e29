"""Fuzz tests: any file is either read or refused with a clear message.

A longer run: HYPERREC_FUZZ=20000 python -m pytest tests/data/fuzz_test.py
--hypothesis-seed=1
"""

import datetime
import decimal
import gzip
import json
import os

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import strategies as st

from hyperrec.data import interactions, sources

EXAMPLES = int(os.environ.get('HYPERREC_FUZZ', '60'))
fuzzed = hypothesis.settings(
  max_examples=EXAMPLES,
  deadline=None,
  suppress_health_check=list(hypothesis.HealthCheck),
  database=None,
)

CELLS = st.one_of(
  st.sampled_from(
    [
      '', ' ', '7', '7.0', '007', '-4', '7.5', '3,5', '1,234.50', '1e400',
      'nan', 'NaN', 'None', 'null', 'inf', '-inf', 'true', '0x1F', '1_000',
      '2024-12-31', '2024-02-31', '31.12.2024', '12/31/2024 11:59 PM',
      '2024-12-31T23:59:59.999999999+05:30', '2024-12-31 10:00 PST', '24:00',
      '9223372036854775808', '1' * 40, '="007"', '"', '""', 'a"b', "it's",
      'a,b', 'a;b', 'a\tb', 'a\nb', 'a\rb', '\x00', '\ufeff', '\u00a0',
      'é', '日本', '😀', '\ud7ff', '%', '$$', '--', '/*', 'user', 'item',
    ]
  ),
  st.text(max_size=6),
  st.integers().map(str),
  st.floats().map(str),
)  # fmt: skip
OPTIONS = st.fixed_dictionaries(
  {},
  optional={
    'user_column': st.sampled_from(['user', 'USER', 'item', '0', 'é', '']),
    'item_column': st.sampled_from(['item', 'x"y', 'user', 't']),
    'rating_column': st.sampled_from(['r', 't', 'item', 'nothing']),
    'timestamp_column': st.sampled_from(['t', 'r', 'user', 'nothing']),
    'timestamp_format': st.sampled_from(
      ['%Y-%m-%d', '%d.%m.%Y', '%q', '%', '', '%Z', "'", '%Y-%m-%d %H:%M %Z']
    ),
    'text_columns': st.lists(
      st.sampled_from(['title', 'r', 't', 'item']), max_size=2
    ),
    'drop_incomplete': st.booleans(),
    'decimal_comma': st.booleans(),
    'separator': st.sampled_from(
      [',', ';', 'tab', 'space', '::', '', '"', '\n', "'", '12345', 'é', '\x00']
    ),
    'column_names': st.lists(
      st.sampled_from(['user', 'item', 'r', 't', 'User', '', 'x"y']),
      max_size=5,
    ),
    'encoding': st.sampled_from(
      ['utf-8', 'latin-1', 'utf-16', 'utf-16-le', 'klingon', 'hex', '', 'idna']
    ),
    'fill_down': st.lists(
      st.sampled_from(['user', 'r', 'nothing', 'x"y']), max_size=2
    ),
    'where': st.one_of(
      st.sampled_from(
        ["r = '7'", 'r > 1', 'user is not null', ')', '1;', '--', "'", '1=0',
         'true', 'null', 'nothing = 1', 'sum(r) > 1', 'select 1', '"', '?',
         '$1']
      ),
      st.text(max_size=8),
    ),
    'sequences': st.booleans(),
    'min_rating': st.sampled_from([-1.0, 0.0, 3.5, float('nan')]),
    'min_user_interactions': st.sampled_from([-1, 0, 1, 3]),
    'duplicates': st.sampled_from(interactions.DUPLICATE_POLICIES),
  },
)  # fmt: skip


def check(path, options):
  """Loads a file; the result must be Interactions or a DataError."""
  try:
    data = sources.load('table', path=path, **options)
  except interactions.DataError as error:
    message = str(error)
    assert message.strip()
    assert 'Traceback' not in message
    return
  assert len(data) > 0
  assert data.item_counts().sum() == data.user_counts().sum() == len(data)
  assert len(np.unique(data.user_ids)) == data.num_users
  assert len(np.unique(data.item_ids)) == data.num_items


@fuzzed
@hypothesis.given(
  content=st.one_of(
    st.binary(max_size=80),
    st.binary(max_size=60).map(lambda b: b'user,item\n1,2\n' + b),
    st.binary(max_size=60).map(gzip.compress),
  ),
  suffix=st.sampled_from(
    ['.csv', '.tsv', '.txt', '.dat', '.inter', '.parquet', '.json', '.jsonl',
     '.csv.gz', '.json.gz', '.log', '', '.CSV']
  ),
  options=OPTIONS,
)  # fmt: skip
def test_any_bytes(tmp_path_factory, content, suffix, options):
  path = tmp_path_factory.getbasetemp() / f'bytes{suffix}'
  path.write_bytes(content)
  check(path, options)


@fuzzed
@hypothesis.given(
  rows=st.lists(st.lists(CELLS, min_size=3, max_size=5), max_size=8),
  quotes=st.booleans(),
  separator=st.sampled_from([',', ';', '\t', '|', '::', ' ']),
  ends=st.sampled_from(['\n', '\r\n', '\r', '\n\n', '\r\r\n']),
  encoding=st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16', 'cp1252']),
  header=st.sampled_from(
    [['user', 'item', 'r', 't', 'title'], ['User', 'ITEM', 'R', 'T', 'x"y'],
     ['user', 'user', 'item', '', ''], ['1', '2', '3', '4', '5'], []]
  ),
  options=OPTIONS,
)  # fmt: skip
def test_any_table(  # noqa: PLR0917
  tmp_path_factory, rows, quotes, separator, ends, encoding, header, options
):
  def written(cell):
    return '"' + cell.replace('"', '""') + '"' if quotes else cell

  lines = [header, *rows] if header else rows
  text = ends.join(separator.join(map(written, line)) for line in lines)
  path = tmp_path_factory.getbasetemp() / 'table.csv'
  path.write_bytes(text.encode(encoding, errors='replace'))
  check(path, options)


VALUES = (
  (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
  (pa.uint64(), st.integers(0, 2**64 - 1)),
  (pa.int8(), st.integers(-3, 3)),
  (pa.float32(), st.floats(width=32)),
  (pa.float64(), st.sampled_from([1.0, 2.0, 2.5, float('nan'), 1e300, -0.0])),
  (pa.bool_(), st.booleans()),
  (pa.string(), CELLS.filter(lambda c: c.isprintable())),
  (pa.binary(), st.binary(max_size=3)),
  (pa.date32(), st.dates()),
  (pa.timestamp('ns'), st.integers(-(2**62), 2**62)),
  (pa.timestamp('s', 'Europe/Berlin'), st.integers(-(2**33), 2**33)),
  (pa.time64('us'), st.integers(0, 10**9)),
  (pa.duration('ms'), st.integers(0, 10**9)),
  (pa.decimal128(10, 2), st.decimals(-99, 99, places=2)),
  (pa.list_(pa.string()), st.lists(st.sampled_from(['a', 'b']), max_size=2)),
  (pa.struct({'a': pa.int8()}), st.just({'a': 1})),
  (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(['a', 'b'])),
  (pa.null(), st.none()),
)


@fuzzed
@hypothesis.given(data=st.data(), options=OPTIONS)
def test_any_parquet(tmp_path_factory, data, options):
  size = data.draw(st.integers(0, 6))
  table = {}
  for name in ('user', 'item', 'r', 't', 'title'):
    kind, values = data.draw(st.sampled_from(VALUES))
    column = data.draw(
      st.lists(st.one_of(values, st.none()), min_size=size, max_size=size)
    )
    table[name] = pa.array(column, kind)
  path = tmp_path_factory.getbasetemp() / 'table.parquet'
  pyarrow.parquet.write_table(pa.table(table), path)
  check(path, options)


@fuzzed
@hypothesis.given(
  rows=st.lists(
    st.dictionaries(
      st.sampled_from(['user', 'item', 'r', 't', 'title']),
      st.recursive(
        st.one_of(CELLS, st.integers(), st.floats(), st.booleans(), st.none()),
        lambda x: st.lists(x, max_size=2),
        max_leaves=3,
      ),
    ),
    max_size=6,
  ),
  is_lines=st.booleans(),
  options=OPTIONS,
)
def test_any_json(tmp_path_factory, rows, is_lines, options):
  path = tmp_path_factory.getbasetemp() / 'table.json'
  text = '\n'.join(map(json.dumps, rows)) if is_lines else json.dumps(rows)
  path.write_text(text)
  check(path, options)


@fuzzed
@hypothesis.given(
  users=st.lists(
    st.one_of(
      CELLS, st.integers(), st.floats(), st.none(), st.booleans(),
      st.dates(), st.decimals(), st.lists(st.integers(), max_size=2),
      st.just(np.datetime64('NaT', 'ns')), st.just(np.int64(3)),
    ),
    max_size=5,
  ),
)  # fmt: skip
def test_any_columns(users):
  try:
    data = interactions.from_columns(users, list(range(len(users))))
  except interactions.DataError as error:
    assert str(error).strip()
    return
  kinds = {type(user) for user in users}
  assert type(None) not in kinds
  assert len(data) == len(users)


@pytest.mark.parametrize(
  'missing',
  [None, float('nan'), np.nan, '', ' ', decimal.Decimal('nan')],
  ids=repr,
)
def test_missing_ids_are_missing_in_columns_too(missing):
  with pytest.raises(interactions.DataError, match='interaction 2 is missing'):
    interactions.from_columns(['a', missing], [1, 2])
  with pytest.raises(interactions.DataError, match='interaction 1 is missing'):
    interactions.from_columns([1, 2], np.array([missing, 'b'], object))


def test_whole_floats_are_integers_in_columns_too():
  data = interactions.from_columns([7.0, 8.0], np.array([1.0, 2.5]))
  assert data.user_ids.tolist() == [7, 8]
  assert data.item_ids.tolist() == [1.0, 2.5]
  large = 9148955329465708066
  ids = interactions.from_columns([large, large + 1, -4], [1, 2, 3]).user_ids
  assert ids.tolist() == [-4, large, large + 1]
  days = [datetime.date(2024, 1, 2), datetime.date(2024, 1, 1)]
  assert interactions.from_columns([1, 2], days).item_ids[0] == days[1]
