"""Every maker's format, its published counts, and bad files."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from hyperrec.data import interactions, sources
from hyperrec.data.sources import builder, files

DataError = interactions.DataError


@pytest.mark.parametrize(
  ('source', 'options', 'counts'),
  [
    ('movielens', {}, (610, 9_724, 100_836)),
    ('online_retail', {}, (4_338, 3_665, 266_792)),
    ('online_retail', {'duplicates': 'keep'}, (4_338, 3_665, 397_884)),
    ('text_domain', {'domain': 'office'}, (3_231, 3_317, 21_188)),
    ('text_domain', {'domain': 'steam'}, (12_393, 5_155, 128_804)),
    ('text_domain', {'domain': 'lastfm'}, (1_892, 17_632, 92_834)),
    ('amazon_2014', {'domain': 'Beauty'}, (22_363, 12_101, 198_502)),
    ('amazon_2014', {'domain': 'Toys_and_Games'}, (19_412, 11_924, 167_597)),
    ('scientific', {'duplicates': 'keep'}, (8_442, 4_385, 59_384)),
    ('gowalla', {}, (29_858, 40_981, 1_027_370)),
    ('diginetica', {'duplicates': 'keep'}, (186_670, 43_097, 906_140)),
  ],
)
def test_published_counts(data_dir, source, options, counts):
  data = sources.load(source, data_dir, **options)
  assert (data.num_users, data.num_items, len(data)) == counts


def test_gowalla_train_and_test(data_dir):
  train, test = sources.load_train_test('gowalla', data_dir)
  assert (len(train), len(test)) == (810_128, 217_242)
  assert train.csr().multiply(test.csr()).nnz == 0


def test_default_set_needs_no_file():
  data = sources.load('movielens_small')
  assert repr(data) == (
    "Interactions('movielens_small', users=671, items=9066, "
    'interactions=100004)'
  )
  toy_story = data.item_text[list(data.item_ids).index(1)]
  assert toy_story.startswith('Toy Story (1995). Adventure')


def test_filters_apply_in_their_order():
  data = sources.load(
    'movielens_small',
    min_rating=4,
    min_user_interactions=5,
    min_item_interactions=5,
  )
  assert data.ratings.min() >= 4
  assert data.user_counts().min() >= 5
  assert data.item_counts().min() >= 1


def test_100k_and_1m_formats(tmp_path):
  old = tmp_path / 'old'
  old.mkdir()
  (old / 'u.data').write_text('1\t2\t5\t10\n3\t2\t4\t20\n')
  genres = '|'.join('0' * 1 for _ in range(18)) + '|1'
  (old / 'u.item').write_bytes(
    f'2|Caf\xe9 (1990)|1990||url|{genres}\n'.encode('latin-1')
  )
  data = sources.load('movielens', old)
  assert len(data) == 2
  assert data.item_text[0] == 'Café (1990). Western'
  new = tmp_path / 'new'
  new.mkdir()
  (new / 'ratings.dat').write_text('1::2::4.5::10\n3::7::4::20\n')
  (new / 'movies.dat').write_text('2::A (1990)::Drama|War\n7::B::Comedy\n')
  data = sources.load('movielens', new)
  assert data.item_text.tolist() == ['A (1990). Drama War', 'B. Comedy']
  (new / 'ratings.dat').write_text('1::2::4.5::10\n3::7::4\n')
  with pytest.raises(DataError, match=r'ratings.dat, line 2: 3 fields'):
    sources.load('movielens', new)


def test_missing_files_say_which_from_where_and_where_to(tmp_path, monkeypatch):
  monkeypatch.delenv(files.DATA_DIR_VARIABLE, raising=False)
  with pytest.raises(DataError, match='HYPERREC_DATA_DIR'):
    sources.load('gowalla')
  with pytest.raises(DataError, match=r'train\.txt is missing.*github.com'):
    sources.load('gowalla', tmp_path)


def test_cut_files_are_noticed(data_dir, tmp_path):
  for name in ('train.txt', 'valid.txt', 'test.txt'):
    shutil.copy(data_dir / 'gowalla' / name, tmp_path)
  path = tmp_path / 'test.txt'
  path.chmod(0o644)
  lines = path.read_text().splitlines()
  path.write_text('\n'.join(lines[:-5]))
  with pytest.raises(DataError, match='published'):
    sources.load('gowalla', tmp_path)


def test_unknown_names_are_answered_with_the_known():
  with pytest.raises(DataError, match='movielens_small'):
    sources.load('movielenz')
  with pytest.raises(DataError, match='no option'):
    sources.load('text_domain', 'x', domian='steam')
  with pytest.raises(DataError, match='steam'):
    sources.load('text_domain', 'x', domain='stream')
  with pytest.raises(DataError, match='no ratings'):
    data = sources.load('synthetic').rows(np.arange(50))
    sources.filtered(
      interactions.Interactions(
        data.users, data.items, data.num_users, data.num_items
      ),
      4.0,
      1,
      1,
    )


def write(tmp_path, text, name='t.csv'):
  path = tmp_path / name
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return path


def load_table(path, **options):
  return sources.load('table', path=path, **options)


def test_table_csv(tmp_path):
  path = write(tmp_path, '\ufeffuser,item,stars\r\nann,"a, b",5\r\nbob,c,4\r\n')
  data = load_table(path, rating_column='stars')
  assert data.user_ids.tolist() == ['ann', 'bob']
  assert data.item_ids.tolist() == ['a, b', 'c']
  assert data.ratings.tolist() == [5, 4]


def test_table_recbole_and_parquet(tmp_path):
  path = write(
    tmp_path,
    'user_id:token\titem_id:token\ttimestamp:float\n7\t3\t1.5e3\n8\t4\t2000\n',
    't.inter',
  )
  columns = {
    'user_column': 'user_id',
    'item_column': 'item_id',
    'timestamp_column': 'timestamp',
  }
  data = load_table(path, **columns)
  assert data.timestamps.tolist() == [1500, 2000]
  assert data.user_ids.tolist() == [7, 8]
  table = pa.table({'user_id': [7, 8], 'item_id': ['x', 'y']})
  pyarrow.parquet.write_table(table, tmp_path / 't.parquet')
  data = load_table(
    tmp_path / 't.parquet', user_column='user_id', item_column='item_id'
  )
  assert data.item_ids.tolist() == ['x', 'y']


def test_table_item_text(tmp_path):
  path = write(tmp_path, 'user,item\n1,10\n2,20\n')
  items = write(
    tmp_path, 'item,title,kind\n10,Tea,hot\n30,Cola,cold\n', 'i.csv'
  )
  data = load_table(path, item_path=items, text_columns=('title', 'kind'))
  assert data.item_text.tolist() == ['Tea. hot', '']


@pytest.mark.parametrize(
  ('text', 'options', 'message'),
  [
    ('', {}, 'is empty'),
    ('user,item\n', {}, 'no rows'),
    ('user,thing\n1,2\n2,3\n', {}, "no column 'item'; it has"),
    (
      'user,item,r\n1,2,5\n2,3,high\n',
      {'rating_column': 'r'},
      "line 3, column 'r': 'high' is not a number",
    ),
    (
      'user,item,r\n1,2,5\n2,3,NaN\n',
      {'rating_column': 'r'},
      "line 3, column 'r': 'NaN' is not a number",
    ),
    (
      'user,item,t\n1,2,noon\n2,3,4\n',
      {'timestamp_column': 't'},
      "line 2, column 't': 'noon' is not a number",
    ),
    ('user,item\n1,2\n-4,3\n', {}, "line 3, column 'user': '-4' is not an id"),
    ('user,item\n1,2\n2,999999999999999999\n', {}, 'is not an id'),
    ('user,item\n1,2\n2,\n', {}, "line 3, column 'item': None is missing"),
    ('user,item\n1,2\n1,3\n', {}, 'only one user'),
    ('user,item\n1,2\n2,3,4\n', {}, 'cannot be read'),
    (b'user,item\n1,\xff\xfe\n2,b\n', {}, 'cannot be read'),
    (
      'user,item\n1,2\n2,3\n1,2\n',
      {'duplicates': 'error'},
      'occurs more than once, again in interaction 3',
    ),
    ('user,item\n1,2\n2,3\n', {'duplicates': 'any'}, "'any' is unknown"),
  ],
)
def test_bad_tables_are_explained(tmp_path, text, options, message):
  path = write(tmp_path, text)
  with pytest.raises(DataError, match=message):
    load_table(path, **options)


def test_bad_paths_are_explained(tmp_path):
  with pytest.raises(DataError, match=r'does not exist'):
    load_table(tmp_path / 'nothing.csv')
  with pytest.raises(DataError, match='is a folder'):
    load_table(tmp_path)
  with pytest.raises(DataError, match='unpack compressed files'):
    load_table(write(tmp_path, b'x', 'a.csv.gz'))
  table = pa.table({'user': list(range(1000)), 'item': list(range(1000))})
  whole = tmp_path / 'w.parquet'
  pyarrow.parquet.write_table(table, whole)
  cut = write(tmp_path, whole.read_bytes()[:-100], 'cut.parquet')
  with pytest.raises(DataError, match=r'cut\.parquet cannot be read'):
    load_table(cut)
  with pytest.raises(DataError, match='needs path='):
    sources.load('table')


def test_wrong_checksum(tmp_path):
  path = write(tmp_path, 'user,item\n')
  with pytest.raises(DataError, match='sha256'):
    files.check_sha256(path, '0' * 64)


@pytest.mark.parametrize(
  ('policy', 'ratings'), [('first', [1, 2]), ('last', [2, 3])]
)
def test_duplicate_policies(policy, ratings):
  data = interactions.from_columns(
    [1, 2, 1], [5, 6, 5], rating=[1, 2, 3], duplicates=policy
  )
  assert sorted(data.ratings.tolist()) == ratings


def test_prepared_data_sets_come_back_equal(tmp_path):
  data = sources.load('synthetic', num_users=30, num_items=20, mean_length=6)
  builder.prepare(data, tmp_path)
  found = builder.load_prepared('synthetic', tmp_path)
  expected = data.by_user_and_time()
  for field in (
    'users', 'items', 'ratings', 'timestamps', 'user_ids', 'item_ids',
    'item_text',
  ):  # fmt: skip
    np.testing.assert_array_equal(
      getattr(found, field), getattr(expected, field), err_msg=field
    )


def test_an_unfinished_data_set_is_not_taken_for_a_whole_one(
  tmp_path, monkeypatch
):
  data = sources.load('synthetic', num_users=30, num_items=20, mean_length=6)

  def killed(self):
    raise KeyboardInterrupt

  monkeypatch.setattr(builder.InteractionsBuilder, '_items', killed)
  with pytest.raises(KeyboardInterrupt):
    builder.prepare(data, tmp_path)
  with pytest.raises(DataError, match='does not exist'):
    builder.load_prepared('synthetic', tmp_path)
