"""Tests of a user's own table: file formats, and errors that name the line."""

import datetime
import gzip
import json
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from hyperrec.data import interactions, sources, splits
from hyperrec.data.sources import table

DataError = interactions.DataError


def write(tmp_path, content, name='t.csv'):
  path = tmp_path / name
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return path


def load(path, **options):
  return sources.load('table', path=path, duplicates='keep', **options)


def test_csv_with_byte_order_mark_crlf_and_quoted_commas(tmp_path):
  path = write(tmp_path, '\ufeffuser,item,stars\r\nann,"a, b",5\r\nbob,c,4\r\n')
  data = load(path, rating_column='stars')
  assert data.user_ids.tolist() == ['ann', 'bob']
  assert data.item_ids.tolist() == ['a, b', 'c']
  assert data.ratings.tolist() == [5, 4]
  assert data.name == 't'


def test_recbole_types_are_cut_off(tmp_path):
  text = (
    'user_id:token\titem_id:token\trating:float\ttimestamp:float\n'
    '7\t3\t1\t1.5e3\n8\t"4\t2.5\t2000\n'
  )
  data = load(
    write(tmp_path, text, 't.inter'),
    rating_column='rating',
    timestamp_column='timestamp',
  )
  assert data.timestamps.tolist() == [1500, 2000]
  assert data.ratings.tolist() == [1, 2.5]
  assert data.user_ids.tolist() == [7, 8]
  assert data.item_ids.tolist() == ['"4', '3']


def test_tab_separated_file_needs_no_quotes(tmp_path):
  data = load(write(tmp_path, 'user\titem\n1\ta, "b"\n2\tc\n', 't.tsv'))
  assert data.item_ids.tolist() == ['a, "b"', 'c']


def test_parquet_of_numbers_text_and_times(tmp_path):
  table = pa.table(
    {
      'who': np.array([7, 8, 8], np.uint32),
      'what': ['x', 'y', 'x'],
      'stars': np.array([1, 2, 3], np.float32),
      'when': pa.array([3, 1, 2], pa.timestamp('us')),
    }
  )
  pyarrow.parquet.write_table(table, tmp_path / 't.parquet')
  data = load(
    tmp_path / 't.parquet',
    user_column='who',
    item_column='what',
    rating_column='stars',
    timestamp_column='when',
  )
  assert data.user_ids.tolist() == [7, 8]
  assert data.item_ids[data.items].tolist() == ['x', 'y', 'x']
  assert data.ratings.tolist() == [1, 2, 3]
  assert data.timestamps.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
  'kind',
  [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_parquet_of_text_as_other_programs_write_it(tmp_path, kind):
  text = {
    'user': ['a', 'b', 'nan'],
    'item': ['x', 'y', 'y'],
    'day': ['2024-01-02', '2024-01-01', '2024-01-03'],
  }
  columns = {k: pa.array(v).cast(kind) for k, v in text.items()}
  pyarrow.parquet.write_table(pa.table(columns), tmp_path / 't.parquet')
  options = {'timestamp_column': 'day', 'drop_incomplete': True}
  data = load(tmp_path / 't.parquet', **options)
  assert data.user_ids.tolist() == ['a', 'b']
  assert np.diff(data.timestamps).tolist() == [-24 * 3600 * 1_000_000]


def test_leading_zeros_and_words_like_na_are_text(tmp_path):
  data = load(write(tmp_path, 'user,item\n007,NA\n7,N/A\n'))
  assert data.user_ids.tolist() == ['007', '7']
  assert data.item_ids.tolist() == ['N/A', 'NA']


def test_nanoseconds_stay_exact(tmp_path):
  times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_000]
  text = f'user,item,t\n1,2,{times[0]}\n2,3,{times[1]}\n'
  data = load(write(tmp_path, text), timestamp_column='t')
  assert data.timestamps.tolist() == times


def test_item_text_is_joined_by_id(tmp_path):
  path = write(tmp_path, 'user,item\n1,10\n2,20\n')
  items = write(
    tmp_path,
    'item,title,kind\nx,"Ink\n,",\n10,"Tea ",hot\n30,Cola,c\n',
    'i.csv',
  )
  data = load(path, item_path=items, text_columns=('title', 'kind'))
  assert data.item_text.tolist() == ['Tea. hot', '']
  with pytest.raises(
    DataError, match='name its columns of text by --text_columns'
  ):
    load(path, item_path=items)
  others = write(tmp_path, 'item,title\nx,Tea\n', 'o.csv')
  with pytest.raises(DataError, match=r'ids are like x, .* like 10'):
    load(path, item_path=others, text_columns=('title',))


@pytest.mark.parametrize('separator', [';', '|'])
def test_a_csv_is_cut_by_what_its_header_holds(tmp_path, separator):
  text = 'user;item;note\nann;"a ""b"";c";1,5\nbob;d;2,5\n'
  data = load(write(tmp_path, text.replace(';', separator)))
  assert data.user_ids.tolist() == ['ann', 'bob']
  assert data.num_items == 2


def test_a_csv_with_tabs(tmp_path):
  assert load(write(tmp_path, 'user\titem\n1\ta, b\n2\tc\n')).num_items == 2


def test_dates_are_times(tmp_path):
  path = write(
    tmp_path,
    'user,item,t,d\n1,2,2024-01-02 00:00:01,31.12.2023\n'
    '2,3,2024-01-02T00:00:00.000000999Z,1.1.2024\n',
  )
  data = load(path, timestamp_column='t')
  assert np.diff(data.timestamps).tolist() == [-1_000_000]
  data = load(path, timestamp_column='d', timestamp_format='%d.%m.%Y')
  assert np.diff(data.timestamps).tolist() == [24 * 3600 * 1_000_000]
  with pytest.raises(
    DataError, match=r"line 2, .*'31\.12\.2023' is not a date"
  ):
    load(path, timestamp_column='d', timestamp_format='%m.%d.%Y')


def test_incomplete_rows_are_left_out_where_asked(tmp_path):
  path = write(
    tmp_path,
    'user,item,r,title\n,1,3,\n7,nan,3,\n7,x,3,\n8,x,, Tea \n8,y,4,Ink\n'
    '9,y,k,\n',
  )
  with pytest.raises(DataError, match=r'line 3, .* is missing .*--drop_inc'):
    load(path)
  some = {'drop_incomplete': True}
  data = load(path, text_columns=('title',), **some)
  assert data.user_ids.tolist() == [7, 8, 9]
  assert data.item_text.tolist() == ['Tea', 'Ink']
  with pytest.raises(DataError, match="line 7, column 'r': 'k' is not a num"):
    load(path, rating_column='r', **some)
  with pytest.raises(DataError, match='no row has a value in all of'):
    load(write(tmp_path, 'user,item\n1,\n,2\n'), **some)


@pytest.mark.parametrize(
  ('text', 'options', 'message'),
  [
    ('', {}, r't\.csv is empty'),
    ('\n\n', {}, 'no line that names its columns'),
    ('user,item\n', {}, 'no rows'),
    ('user,user\n1,2\n', {}, 'occurs twice'),
    ('user,thing\n1,2\n2,3\n', {}, "no column 'item'; it has"),
    (
      'user,item,r\n1,2,5\n\n2,3,high\n',
      {'rating_column': 'r'},
      r"t\.csv, line 4, column 'r': 'high' is not a number",
    ),
    (
      'user,item,note,r\n1,2,"a\nb",5\n2,3,c,high\n',
      {'rating_column': 'r'},
      r"t\.csv, line 4, column 'r': 'high' is not a number",
    ),
    (
      'user,item,r\r\n1,2,5\r\n2,3,NaN\r\n',
      {'rating_column': 'r'},
      "line 3, column 'r': 'NaN' is missing",
    ),
    (
      'user,item,r\n1,2,5\n2,3,1e999\n',
      {'rating_column': 'r'},
      "line 3, column 'r': '1e999' is not a finite number",
    ),
    (
      'user,item,r\n1,2,5\n2,3,\n',
      {'rating_column': 'r'},
      "line 3, column 'r': an empty field is missing",
    ),
    (
      'user,item,t\n1,2,noon\n2,3,4\n',
      {'timestamp_column': 't'},
      "line 2, column 't': 'noon' is not a number",
    ),
    (
      'user,item,t\n1,2,3\n2,3,1e30\n',
      {'timestamp_column': 't'},
      "line 3, column 't': '1e30' is too large for a time",
    ),
    (
      'user,item,t\n1,2,2024-01-31\n2,3,2024-02-31\n',
      {'timestamp_column': 't'},
      "line 3, column 't': '2024-02-31' is not a date of the calendar",
    ),
    (
      'user,item,t\n1,2,31.12.2024\n2,3,1.1.2025\n',
      {'timestamp_column': 't'},
      r"'31\.12\.2024' is not a date .* --timestamp_format=%d\.%m\.%Y, as",
    ),
    (
      'user,item,t\n1,2,2024-01-31\n2,3,soon\n',
      {'timestamp_column': 't'},
      "line 3, column 't': 'soon' is not a date that can be read without a",
    ),
    (
      'user,item,t\n1,2,31.12.2024\n',
      {'timestamp_column': 't', 'timestamp_format': '%q'},
      'timestamp_format=%q: .*%q',
    ),
    (
      'user,item,t\n1,2,2024-03-05 09:00 CET\n2,3,2024-03-05 08:30 UTC\n',
      {'timestamp_column': 't', 'timestamp_format': '%Y-%m-%d %H:%M %Z'},
      "line 2, column 't': .*09:00 CET' has a time zone other than UTC, GMT",
    ),
    (
      'user,item,r\n1,2,+5\n2,3,0x1F\n',
      {'rating_column': 'r'},
      "line 3, .*'0x1F' is not a number",
    ),
    (
      'user,item,r\n1,2,"3,5"\n2,3,4\n',
      {'rating_column': 'r'},
      "line 2, .*'3,5' is not a number .* give --decimal_comma",
    ),
    (
      'user,item\n1,2\n2,\n',
      {},
      "line 3, column 'item': an empty field is mis",
    ),
    ('user,item\n1,2\nNaN,3\n', {}, "line 3, column 'user': 'NaN' is missing"),
    ('user,item\n1,2\n1,3\n', {}, 'only one user'),
    ('user,item\n1,2\n\n2,3,4\n', {}, "line 4: 3 fields, expected 2: '2,3,4'"),
    (
      'user,item\n1,2\n2,"3\n3,4\n',
      {},
      'line 3: a quotation mark is opened and not',
    ),
    (b'user,item\n1,2\n1,\xff\xfe\n2,b\n', {}, 'line 3: byte 16 is not UTF-8'),
    (b'us\xe9r,item\n1,2\n2,3\n', {}, 'line 1: byte 2 is not UTF-8'),
  ],
)
def test_bad_text_is_explained(tmp_path, text, options, message):
  with pytest.raises(DataError, match=message):
    load(write(tmp_path, text), **options)


@pytest.mark.parametrize(
  ('columns', 'options', 'message'),
  [
    (
      {'user': [1, None], 'item': [1, 2]},
      {},
      r"t\.parquet, row 2, column 'user': an empty field is missing",
    ),
    ({'user': [1.0, 2.5], 'item': [1, 2]}, {}, 'row 2, .*2.5 is a fraction'),
    ({'user': [1, 2], 'item': [1.0, 1e18]}, {}, r'row 2, .*1e\+18 .*too large'),
    ({'user': [1, 2], 'item': [1.0, float('nan')]}, {}, 'row 2, .*nan is miss'),
    ({'user': [1, 2], 'item': [['a'], ['b', 'c']]}, {}, "'item' holds lists"),
    ({'user': [1, 2], 'item': [b'\xff', b'b']}, {}, "'item' cannot be read as"),
    (
      {'user': [1, 2], 'item': [1, 2], 'r': [[1], [2]]},
      {'rating_column': 'r'},
      "column 'r' holds list.* values, which are not numbers",
    ),
    (
      {'user': [1, 2], 'item': [1, 2], 't': [datetime.time(1)] * 2},
      {'timestamp_column': 't'},
      "column 't' holds time.* values, which are not times of a calendar",
    ),
    (
      {'user': [1, 2], 'item': [1, 2], 'r': [1.0, float('nan')]},
      {'rating_column': 'r'},
      "row 2, column 'r': nan is not a finite number",
    ),
    (
      {'user': [1, 2], 'item': [1, 2], 'r': [1, None]},
      {'rating_column': 'r'},
      "row 2, column 'r': an empty field is missing",
    ),
  ],
)
def test_bad_parquet_is_explained(tmp_path, columns, options, message):
  pyarrow.parquet.write_table(pa.table(columns), tmp_path / 't.parquet')
  with pytest.raises(DataError, match=message):
    load(tmp_path / 't.parquet', **options)


def test_cut_parquet_is_explained(tmp_path):
  table = pa.table({'user': list(range(1000)), 'item': list(range(1000))})
  pyarrow.parquet.write_table(table, tmp_path / 'w.parquet')
  whole = (tmp_path / 'w.parquet').read_bytes()
  cut = write(tmp_path, whole[:-100], 'cut.parquet')
  with pytest.raises(
    DataError, match=r'cut\.parquet cannot be read.*is it cut'
  ):
    load(cut)
  with pytest.raises(DataError, match='cannot be read as Parquet'):
    load(write(tmp_path, 'user,item\n1,2\n', 'text.parquet'))


def test_bad_paths_are_explained(tmp_path):
  with pytest.raises(DataError, match='does not exist'):
    load(tmp_path / 'nothing.csv')
  with pytest.raises(DataError, match='is a folder'):
    load(tmp_path)
  with pytest.raises(DataError, match='cannot be unpacked'):
    load(write(tmp_path, b'x', 'a.csv.gz'))
  whole = gzip.compress(b'user,item\n' + bytes(f'{10**9},{7**9}\n', 'ascii'))
  with pytest.raises(DataError, match='cannot be unpacked'):
    load(write(tmp_path, whole[:-12], 'b.csv.gz'))
  with pytest.raises(DataError, match=r'unknown kind of file.*--separator'):
    load(write(tmp_path, 'user,item\n1,2\n', 'a.log'))
  with pytest.raises(DataError, match='needs a file: give --path='):
    sources.load('table')


def test_repeats_follow_the_policy(tmp_path):
  path = write(tmp_path, 'user,item,r\n1,2,5\n2,3,4\n1,2,3\n')
  for policy, ratings in (('first', [5, 4]), ('last', [4, 3])):
    data = sources.load(
      'table', path=path, rating_column='r', duplicates=policy
    )
    assert data.ratings.tolist() == ratings
  with pytest.raises(DataError, match='occurs more than once, again in inter'):
    sources.load('table', path=path, duplicates='error')


SHOP = 'user,item,t\n20,7,{}\n10,54,{}\n30,54,{}\n'


@pytest.mark.parametrize(
  ('times', 'form', 'seconds'),
  [
    (
      ('2023-11-14T15:02:41-08:00', '2023-11-15T01:07:34+0000',
       '2023-11-15T10:52:29 +09'), None, (1700002961, 1700010454, 1700013149),
    ),
    (
      ('2023-11-14 23:02:41 UTC', '2023-11-15 01:07:34Z',
       '2023-11-15 01:52:29,0 GMT'),
      None, (1700002961, 1700010454, 1700013149),
    ),
    (
      ('2023-11-15 02:07:34 Europe/Berlin', '2023-11-15', '2023/11/15 00:01'),
      None, (1700010454, 1700006400, 1700006460),
    ),
    (
      ('14.11.2023 23:02 UTC', '15.11.2023 02:07 Europe/Berlin',
       '15.11.2023 01:52 GMT'),
      '%d.%m.%Y %H:%M %Z', (1700002920, 1700010420, 1700013120),
    ),
    (
      ('14 Nov 2023 -0800', '14 Nov 2023 +0000', '14 Nov 2023 +0100'),
      '%d %b %Y %z', (1699948800, 1699920000, 1699916400),
    ),
  ],
)  # fmt: skip
def test_dates_are_instants(tmp_path, times, form, seconds):
  text = SHOP.format(*(f'"{t}"' for t in times))
  data = load(
    write(tmp_path, text), timestamp_column='t', timestamp_format=form
  )
  assert data.timestamps.tolist() == [s * 1_000_000 for s in seconds]


def test_seconds_may_have_fractions_and_dates_may_be_days(tmp_path):
  text = SHOP.format('1700002961.000', '1700010454.001', '1.7e9')
  data = load(write(tmp_path, text), timestamp_column='t')
  assert data.timestamps.tolist() == [
    1700002961000000, 1700010454001000, 1700000000000000,
  ]  # fmt: skip
  days = [datetime.date(2024, 1, 2), datetime.date(2024, 1, 1)]
  times = pd.to_datetime(['2024-01-02', '2024-01-01'], utc=True)
  frame = pd.DataFrame({'user': [1, 2], 'item': [1, 2], 'day': days})
  frame['berlin'] = times.tz_convert('Europe/Berlin')
  frame['seconds'] = times.tz_localize(None).astype('datetime64[s]')
  frame.to_parquet(tmp_path / 't.parquet')
  for column in ('day', 'berlin', 'seconds'):
    data = load(tmp_path / 't.parquet', timestamp_column=column)
    assert data.timestamps.tolist() == [1704153600000000, 1704067200000000]


@pytest.mark.parametrize(
  ('users', 'expected'),
  [
    ((' 1', '1', '2 '), [1, 2]),
    (('ann ', 'ann', 'bob'), ['ann', 'bob']),
    (('1.0', '7', '7.00'), [1, 7]),
    (('1.0', '7', '7.5'), ['1.0', '7', '7.5']),
    (('-4', '9148955329465708066', '9148955329465708065'),
     [-4, 9148955329465708065, 9148955329465708066]),
    (('1', '2', str(10**30)), ['1', str(10**30), '2']),
    (('"=""0007"""', '"=""007"""', '7'), ['0007', '007', '7']),
    (('\u00a07', '7', '8'), [7, 8]),
  ],
)  # fmt: skip
def test_ids_are_what_they_mean(tmp_path, users, expected):
  rows = ''.join(f'{user},{i}\n' for i, user in enumerate(users))
  data = load(write(tmp_path, f'user,item\n{rows}'))
  assert data.user_ids.tolist() == expected


@pytest.mark.parametrize(
  'users',
  [
    np.array([127, -128, 0, 127], np.int8),
    np.array([2**63 - 1, -(2**63), 5, 5]),
    np.array([2**40 + 3, 2**40, 2**40 + 1, 2**40]),
    np.array([9, 2, 2, 10**9], np.uint32),
  ],
)
def test_whole_ids_are_numbered_in_their_order(tmp_path, users):
  """Close together or far apart, and in several parts."""
  table = pa.table({'user': users, 'item': np.array([3, 1, 2, 1])})
  path = tmp_path / 't.parquet'
  pyarrow.parquet.write_table(table, path, row_group_size=1)
  data = load(path)
  assert data.user_ids.tolist() == sorted(set(users.tolist()))
  assert data.user_ids[data.users].tolist() == users.tolist()
  assert data.item_ids[data.items].tolist() == [3, 1, 2, 1]


def test_whole_floats_join_whole_numbers(tmp_path):
  path = write(tmp_path, 'user,item\n1,7.0\n2,8.0\n')
  items = write(tmp_path, 'code,title\n7,Tea\n8,Ink\n', 'i.csv')
  pd.read_csv(path).to_parquet(tmp_path / 't.parquet')
  for kind in (path, tmp_path / 't.parquet'):
    data = load(
      kind, item_path=items, item_id_column='code', text_columns=('title',)
    )
    assert data.item_ids.tolist() == [7, 8]
    assert data.item_text.tolist() == ['Tea', 'Ink']


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('a.CSV', 'user,item,r\n1,2,3\n2,3,4\n'),
    ('a.csv.gz', gzip.compress(b'user,item,r\n1,2,3\n2,3,4\n', mtime=0)),
    ('a.txt', 'item\tr\tuser\n2\t3\t1\n3\t4\t2\n'),
    ('a.csv', 'user,item,r\n1,2,3\n2,3,4\n'.encode('utf-16')),
    ('a.csv', 'user,item,r\n1,2,3\n2,3,4\n'.encode('utf-16-be')),
    ('a.csv', 'user,item,r\r1,2,3\r2,3,4\r'),
    ('a.csv', 'user,item,r\r\n1,2,3\n2,3,4\r\n'),
    ('a.csv', b'\xef\xbb\xbfuser,item,r\n1,2,3\n2,3,4\n'),
    ('a.csv', 'sep=;\nuser;item;r\n1;2;3\n2;3;4\n'),
    ('a.csv', ' User , ITEM_ID,r,"a, b"\n1,2,3,x\n2,3,4,y\n'),
    ('a.csv', 'user;item;r;price, EUR, net, of tax\n1;2;3;4\n2;3;4;5\n'),
    ('a.dat', 'user::item::r\n1::2::3\n2::3::4\n'),
    ('a.jsonl', '{"user": 1, "item": 2, "r": 3}\n'
     '{"user": 2, "item": 3, "r": 4}\n'),
    ('a.json', '[{"user": 1, "item": 2, "r": 3}, '
     '{"user": 2, "item": 3, "r": 4}]'),
  ],
)  # fmt: skip
def test_files_are_read_as_they_come(tmp_path, name, content):
  data = load(write(tmp_path, content, name), rating_column='r')
  assert data.user_ids.tolist() == [1, 2]
  assert data.item_ids.tolist() == [2, 3]
  assert data.ratings.tolist() == [3, 4]
  assert data.name == 'a'


def test_what_a_file_does_not_say_can_be_told(tmp_path):
  words = write(tmp_path, 'user item\n1 2\n', 'words.txt')
  with pytest.raises(DataError, match=r'another character\? Give it by --sep'):
    load(words)
  bare = write(tmp_path, '1 2 3,5\n2 3 4,0\n', 'bare.txt')
  with pytest.raises(
    DataError, match=r'first line looks like values.*column_n'
  ):
    load(bare, separator='space')
  told = {
    'separator': ' ',
    'column_names': ('user', 'item', 'stars'),
    'rating_column': 'stars',
    'decimal_comma': True,
  }
  assert load(bare, **told).ratings.tolist() == [3.5, 4]
  latin = write(tmp_path, 'user,item\n1,caf\xe9\n2,€\n'.encode('cp1252'))
  with pytest.raises(DataError, match=r'line 2: .*--encoding=windows-1252'):
    load(latin)
  assert load(latin, encoding='cp1252').item_ids.tolist() == ['caf\xe9', '€']
  with pytest.raises(DataError, match='encoding=klingon is unknown'):
    load(latin, encoding='klingon')
  marked = write(tmp_path, b'\xef\xbb\xbfsep=,\nuser\titem\n1\t2\n2\t3\n')
  assert load(marked, encoding='UTF8', separator='tab').num_items == 2
  log = write(tmp_path, 'user|item\n1|2\n2|3\n', 'events.log')
  assert load(log, separator='|').num_items == 2


def test_several_files_are_one_table(tmp_path):
  a = write(tmp_path, 'user,item\n1,2\n2,3\n', 'a.csv')
  b = write(tmp_path, 'item,user\n9,1\nx y,2\n\n,3\n', 'b.csv')
  data = load([a, b], drop_incomplete=True)
  assert data.item_ids[data.items].tolist() == ['2', '3', '9', 'x y']
  assert data.notes[0] == (
    f"{a}, {b}: 1 of 5 rows lack a value in one of ['user', 'item'] and are "
    'left out (drop_incomplete); if empty cells repeat the row above, give '
    '--fill_down'
  )
  with pytest.raises(
    DataError, match=r"b\.csv, line 5, column 'item': an empty"
  ):
    load([a, b])
  with pytest.raises(DataError, match='must have the same columns'):
    load([a, write(tmp_path, 'user,thing\n1,2\n', 'c.csv')])


def test_rows_are_chosen_by_a_condition(tmp_path):
  path = write(
    tmp_path,
    'user,item,event,price\n1,2,view,\n1,3,purchase,2.5\n2,4,purchase,x\n',
  )
  data = load(path, where="event = 'purchase'")
  assert data.item_ids.tolist() == [3, 4]
  assert data.notes[0] == f"{path}: 2 of 3 rows meet where=event = 'purchase'"
  with pytest.raises(
    DataError, match="line 4, column 'price': 'x' is not a nu"
  ):
    load(path, where="event = 'purchase'", rating_column='price')
  for bad in ('event = purchase', 'price > 1', 'event =', '1=1); drop table x'):
    with pytest.raises(
      DataError, match=r'--where=.*; write a condition of SQL'
    ):
      load(path, where=bad)
  with pytest.raises(DataError, match='none of 3 rows meets --where=event'):
    load(path, where="event = 'return'")


def test_empty_cells_of_an_export_repeat_the_row_above(tmp_path):
  path = write(
    tmp_path,
    'order,user,item\n#1,ann,a\n#1,,b\n#2,bob,c\n#2,"",d\n#2,,\n#3,,e\n',
  )
  data = load(
    path,
    fill_down=('user',),
    fill_within='order',
    where='item is not null',
    drop_incomplete=True,
  )
  names = data.user_ids[data.users].tolist()
  assert names == ['ann', 'ann', 'bob', 'bob']
  assert data.item_ids[data.items].tolist() == ['a', 'b', 'c', 'd']
  data = load(path, fill_down=('user',), where='item is not null')
  assert data.user_ids[data.users].tolist() == [*names, 'bob']
  with pytest.raises(DataError, match=r"no column 'who'.*--fill_down"):
    load(path, fill_down=('who',))
  with pytest.raises(DataError, match=r"no column 'who'.*--fill_within"):
    load(path, fill_down=('user',), fill_within='who')
  with pytest.raises(DataError, match=r"line 7, column 'user': an empty field"):
    load(
      path,
      fill_down=('user',),
      fill_within='order',
      where='item is not null',
    )


def test_lines_of_a_user_and_items(tmp_path):
  path = write(tmp_path, 'ann tea ink\nbob  ink\t cola\n\ncarl\n', 's.txt')
  data = load(path, sequences=True)
  assert data.user_ids.tolist() == ['ann', 'bob']
  assert data.item_ids[data.items].tolist() == ['tea', 'ink', 'ink', 'cola']
  assert data.timestamps.tolist() == [0, 1, 2, 3]
  again = write(tmp_path, 'ann,tea\nbob,ink\nann,cola,ink\n', 'again.txt')
  ordered = load(again, sequences=True, separator=',').by_user_and_time()
  names = ordered.item_ids[ordered.items].tolist()
  assert names == ['tea', 'cola', 'ink', 'ink']
  with pytest.raises(DataError, match='only the order of each user'):
    splits.chronological_slices(data, 2)
  with pytest.raises(DataError, match='exclude each other'):
    load(path, sequences=True, column_names=('user', 'item'))


def test_lines_of_a_user_and_items_are_chosen_by_a_condition(tmp_path):
  path = write(tmp_path, '1,10,20\n2,9,30\n')
  for condition in ('item > 15', 'item > 15 and "user" < 10'):
    data = load(path, sequences=True, separator=',', where=condition)
    assert data.item_ids[data.items].tolist() == [20, 30]
    assert data.user_ids[data.users].tolist() == [1, 2]


def test_a_leading_tilde_is_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  write(tmp_path, 'user,item\n1,2\n2,3\n', 'mine.csv')
  assert load('~/mine.csv').num_users == 2
  with pytest.raises(DataError, match='~0 does not exist'):
    load('~0')
  assert load(pathlib.Path('~') / 'mine.csv').num_users == 2


def test_truth_values_and_decimals_are_ratings(tmp_path):
  frame = pd.DataFrame({'user': [1, 2], 'item': [1, 2], 'b': [True, False]})
  frame['t'] = [['Cold', 'drinks'], None]
  frame.to_parquet(tmp_path / 't.parquet')
  data = load(tmp_path / 't.parquet', rating_column='b', text_columns=('t',))
  assert data.ratings.tolist() == [1, 0]
  assert data.item_text.tolist() == ['Cold drinks', '']


def test_what_is_of_little_worth_is_noted(tmp_path):
  rows = ''.join(f'{u},{i},{-1 if i == 3 else 1}\n'
                 for u in range(4) for i in range(3 + u % 2))  # fmt: skip
  path = write(tmp_path, f'user,item,thumb\n{rows}5,0,1\n')
  data = sources.load(
    'table', path=path, rating_column='thumb', min_user_interactions=2
  )
  assert data.notes == (
    't: kept 4 of 5 users, 4 of 4 items and 14 of 15 rows '
    '(min_user_interactions=2)',
    't: 2 of 14 ratings are below 0 and count as likes; leave them out by '
    '--min_rating',
    't: half of the users have touched all but at most 0 of the 4 items, so '
    'there is hardly anything to rank',
  )


def test_a_name_is_no_pattern_and_a_folder_no_column(tmp_path):
  write(tmp_path, 'user,item\n1,wrong\n2,wrong\n', 'o1.csv')
  for name in ('o[1].csv', 'o*.csv', 'o?.csv'):
    path = write(tmp_path, f'user,item\n1,{name}\n2,{name}\n', name)
    assert load(path).item_ids.tolist() == [name]
  folder = tmp_path / 'user=9' / "it's"
  folder.mkdir(parents=True)
  rows = {'user': [1, 2], 'item': ['a', 'b']}
  pd.DataFrame(rows).to_csv(folder / 'a.csv')
  pd.DataFrame(rows).to_parquet(folder / 'a.parquet')
  pd.DataFrame(rows).to_json(folder / 'a.jsonl', orient='records', lines=True)
  for name in ('a.csv', 'a.parquet', 'a.jsonl'):
    assert load(folder / name).user_ids.tolist() == [1, 2]


def test_json_is_taken_as_it_is_written(tmp_path):
  rows = [
    {'user': 1, 'item': '10-11-12', 't': '03-02-24', 'liked': True},
    {'user': 2, 'item': '2010-11-12', 't': '04-02-24', 'liked': False},
    {'user': '3', 'item': 'A"1', 't': '05-02-24', 'tags': ['x', 'y z']},
    {'user': 9148955329465708066, 'item': 7, 't': '06-02-24', 'liked': True},
  ]
  path = write(tmp_path, '\n'.join(map(json.dumps, rows)), 'a.jsonl')
  data = load(
    path,
    timestamp_column='t',
    timestamp_format='%d-%m-%y',
    text_columns=('tags',),
  )
  assert data.user_ids.tolist() == [1, 2, 3, 9148955329465708066]
  assert data.item_ids[data.items].tolist() == [
    '10-11-12', '2010-11-12', 'A"1', '7',
  ]  # fmt: skip
  assert np.diff(data.timestamps).tolist() == [24 * 3600 * 1_000_000] * 3
  assert sorted(data.item_text.tolist()) == ['', '', '', 'x y z']
  liked = load(path, rating_column='liked', drop_incomplete=True)
  assert liked.ratings.tolist() == [1, 0, 1]


def test_a_condition_compares_numbers_as_numbers(tmp_path):
  path = write(
    tmp_path,
    'user,item,r,zip\n1,a,3.5,007\n2,b,4,7\n3,c,10,8\n4,d,,007\n',
  )
  items = lambda where: load(path, where=where).item_ids.tolist()  # noqa: E731
  assert items('r >= 4') == ['b', 'c']
  assert items('r = 4 or r is null') == ['b', 'd']
  assert items("zip = '007'") == ['a', 'd']
  large = 9148955329465708066
  text = f'user,item\n{large},a\n{large + 1},b\n5,c\n6,d\n'
  ids = write(tmp_path, text, 'ids.csv')
  assert load(ids, where=f'user != {large}').num_users == 3
  lines = [
    {'user': u, 'item': u, 'price': p} for u, p in enumerate((3, 10, 4.5))
  ]
  log = write(tmp_path, '\n'.join(map(json.dumps, lines)), 'log.jsonl')
  assert load(log, where='price > 4').user_ids.tolist() == [1, 2]
  data = load(path, where='user >= 2 and r > 3', rating_column='r')
  assert data.user_ids.tolist() == [2, 3]
  assert data.ratings.tolist() == [4, 10]


def test_files_of_items_may_be_written_otherwise(tmp_path):
  path = write(tmp_path, 'user,item,n\n1,2,\xe9\n2,3,\xe9\n'.encode('cp1252'))
  movies = write(tmp_path, '2::Caf\xe9\n::none\n3::Tea\n', 'movies.dat')
  data = load(
    path,
    encoding='cp1252',
    item_path=movies,
    item_column_names=('item', 'title'),
    text_columns=('title',),
  )
  assert data.item_text.tolist() == ['Caf\xe9', 'Tea']


@pytest.mark.parametrize(
  ('content', 'name', 'message'),
  [
    (b'PK\x03\x04rest', 'a.csv', r'is a spreadsheet \(\.xlsx\)'),
    (b'PAR1rest', 'a.csv', 'is Parquet, not text'),
    (b'user,item\n1,a\x00\n2,a\n', 'a.csv', 'holds a zero byte'),
  ],
)
def test_other_kinds_of_files_are_recognised(tmp_path, content, name, message):
  with pytest.raises(DataError, match=message):
    load(write(tmp_path, content, name))
  with pytest.raises(DataError, match='is not a regular file'):
    load('/dev/null')
  packed = write(tmp_path, gzip.compress(b'user,item\n1,2\n2,3\n'), 'b.csv')
  assert load(packed).num_users == 2


def test_long_ids_take_memory_for_each_once(tmp_path):
  long = 'x' * 100_000
  rows = ''.join(f'u{i % 50},i{i}\n' for i in range(20_000))
  data = load(write(tmp_path, f'user,item\n{rows}{long},i1\n'))
  assert data.num_users == 51
  assert data.user_ids.dtype == object
  assert long in data.user_ids.tolist()
  assert data.take_users([0, 50]).num_users == 2


def test_the_text_of_all_items_is_read_also_of_those_nobody_touched(tmp_path):
  path = tmp_path / 'items.csv'
  path.write_text('id,title,kind\n7,a lamp,light\n007,a rug,\n7,other,x\n')
  found = table.item_texts(path, 'id', ['title', 'kind'])
  assert found == {'7': 'a lamp. light', '007': 'a rug'}
  with pytest.raises(DataError, match='text_columns'):
    table.item_texts(path, 'id', [])
  with pytest.raises(DataError, match='code'):
    table.item_texts(path, 'code', ['title'])
