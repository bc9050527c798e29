"""A user's own table: kinds of file, and errors that name line and field."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hyperrec.data import interactions, sources

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
  with pytest.raises(DataError, match='name its text_columns'):
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
    ('\n\n', {}, 'cannot be read: CSV'),
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
      "line 3, column 'r': 'NaN' is not a number",
    ),
    (
      'user,item,r\n1,2,5\n2,3,1e999\n',
      {'rating_column': 'r'},
      "line 3, column 'r': '1e999' is not a finite number",
    ),
    (
      'user,item,r\n1,2,5\n2,3,\n',
      {'rating_column': 'r'},
      "line 3, column 'r': an empty field is not a number",
    ),
    (
      'user,item,t\n1,2,noon\n2,3,4\n',
      {'timestamp_column': 't'},
      "line 2, column 't': 'noon' is not a number",
    ),
    (
      'user,item,t\n1,2,3\n2,3,4.5\n',
      {'timestamp_column': 't'},
      "line 3, column 't': '4.5' is not a whole number",
    ),
    (
      'user,item,t\n1,2,3\n2,3,1e30\n',
      {'timestamp_column': 't'},
      "line 3, column 't': '1e30' is not a whole number",
    ),
    (
      'user,item,t\n1,2,2024-01-31\n2,3,2024-02-31\n',
      {'timestamp_column': 't'},
      "line 3, column 't': '2024-02-31' is no date of the calendar",
    ),
    ('user,item\n1,2\n-4,3\n', {}, "line 3, column 'user': '-4' is not an id"),
    ('user,item\n1,2\n2,999999999999999999\n', {}, 'line 3, .* is not an id'),
    (f'user,item\n1,2\n2,{10**30}\n', {}, 'line 3, .* is not an id'),
    (
      'user,item\n1,2\n2,\n',
      {},
      "line 3, column 'item': an empty field is mis",
    ),
    ('user,item\n1,2\nNaN,3\n', {}, "line 3, column 'user': 'NaN' is missing"),
    ('user,item\n1,2\n1,3\n', {}, 'only one user'),
    ('user,item\n1,2\n\n2,3,4\n', {}, "line 4: 3 fields, expected 2: '2,3,4'"),
    ('user,item\n1,2\n2,"3\n3,4\n', {}, 'line 3, .* is a quote not closed'),
    (b'user,item\n1,2\n1,\xff\xfe\n2,b\n', {}, 'line 3: byte 16 is not UTF-8'),
    ('user,item\n1,2\n'.encode('utf-16'), {}, 'line 1: byte 0 is not UTF-8'),
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
    ({'user': [1.0, 2.0], 'item': [1, 2]}, {}, 'holds fractions or NaN'),
    ({'user': [1, -2], 'item': [1, 2]}, {}, 'row 2, .*-2 is not an id'),
    (
      {'user': [1, 2], 'item': [1, 2], 'r': [1.0, float('nan')]},
      {'rating_column': 'r'},
      "row 2, column 'r': nan is not a finite number",
    ),
    (
      {'user': [1, 2], 'item': [1, 2], 'r': [1, None]},
      {'rating_column': 'r'},
      "row 2, column 'r': an empty field is not a number",
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
  with pytest.raises(DataError, match='unpack compressed files'):
    load(write(tmp_path, b'x', 'a.csv.gz'))
  with pytest.raises(DataError, match='needs path='):
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
