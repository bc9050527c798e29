"""Tests of published counts, terms, filters, and missing or damaged files."""

import shutil

import numpy as np
import pytest

from hyperrec.data import interactions, item_features, sources
from hyperrec.data.sources import checksums, domains, files, sequences

DataError = interactions.DataError


@pytest.mark.parametrize(
  ('source', 'options', 'counts', 'num_pairs'),
  [
    ('movielens', {}, (610, 9_724, 100_836), 100_836),
    ('online_retail', {}, (4_338, 3_665, 397_884), 266_792),
    ('text_domain', {'domain': 'anime'}, (5_000, 7_390, 520_609), 520_609),
    ('text_domain', {'domain': 'office'}, (3_231, 3_317, 21_188), 21_188),
    ('text_domain', {'domain': 'steam'}, (12_393, 5_155, 128_804), 128_804),
    ('text_domain', {'domain': 'lastfm'}, (1_892, 17_632, 92_834), 92_834),
    ('text_domain', {'domain': 'games'}, (50_546, 16_859, 440_264), 440_264),
    (
      'text_domain',
      {'domain': 'citeulike_a'},
      (5_551, 16_980, 204_986),
      204_986,
    ),
    ('text_domain', {'domain': 'recipes'}, (39_692, 2_119, 411_441), 411_441),
    ('text_domain', {'domain': 'restaurants'}, (2_060, 2_876, 27_149), 13_472),
    ('text_domain', {'domain': 'msweb'}, (32_711, 285, 98_654), 98_654),
    ('amazon_2014', {'domain': 'Beauty'}, (22_363, 12_101, 198_502), 198_502),
    (
      'amazon_2014',
      {'domain': 'Sports_and_Outdoors'},
      (35_598, 18_357, 296_337),
      296_337,
    ),
    (
      'amazon_2014',
      {'domain': 'Toys_and_Games'},
      (19_412, 11_924, 167_597),
      167_597,
    ),
    ('scientific', {}, (8_442, 4_385, 59_384), 59_095),
    ('gowalla', {}, (29_858, 40_981, 1_027_370), 1_027_370),
    ('diginetica', {}, (186_670, 43_097, 906_140), 762_120),
  ],
)
def test_published_counts(data_dir, source, options, counts, num_pairs):
  data = sources.load(source, data_dir, duplicates='keep', **options)
  assert (data.num_users, data.num_items, len(data)) == counts
  assert data.csr().nnz == num_pairs
  # Of two sets many items have no tags.
  least = {'citeulike_a': 0.79, 'restaurants': 0.81}
  if data.item_text is not None:
    assert np.mean(data.item_text != '') > least.get(data.name, 0.99)


def test_the_cold_split_of_citeulike(data_dir):
  split = domains.citeulike_cold_split(data_dir)
  assert [len(part) for part in split] == [
    132_073,
    16_471,
    16_482,
    19_802,
    20_158,
  ]
  items = [set(np.unique(part.items).tolist()) for part in split]
  assert [len(items[i]) for i in (0, 3, 4)] == [13_584, 1_698, 1_698]
  assert items[1] | items[2] <= items[0]
  assert not (items[0] & items[3] or items[0] & items[4] or items[3] & items[4])
  pairs = [interactions.pair_codes(part) for part in split]
  assert len(np.unique(np.concatenate(pairs))) == 204_986


def test_sports_and_toys_have_words(data_dir):
  for domain in ('Sports_and_Outdoors', 'Toys_and_Games'):
    data = sources.load('amazon_2014', data_dir, domain=domain)
    assert data.item_text[0].split()
    assert not data.item_text[0].startswith('a0')


def test_time_is_the_order_of_the_line(data_dir):
  data = sources.load('amazon_2014', data_dir, domain='Beauty')
  line = (data_dir / 'amazon-2014' / 'Beauty.txt').read_text().split('\n')[1]
  user, *items = map(int, line.split())
  first = data.take_users([user - 1]).by_user_and_time()
  assert data.item_ids[first.items].tolist() == items
  assert data.item_text[0].startswith('OPI Nail Lacquer')


def test_prefixes_number_items_as_the_sessions_do(data_dir):
  data = sources.load('diginetica', data_dir, min_user_interactions=1)
  held = sequences.diginetica_prefixes(data, data_dir)
  assert held.histories.num_users == len(held.targets) == 60_858
  with np.load(data_dir / 'diginetica' / 'test_prefixes.npz') as arrays:
    items, target = arrays['items'], arrays['target']
  np.testing.assert_array_equal(data.item_ids[held.histories.items], items)
  np.testing.assert_array_equal(data.item_ids[held.targets.items], target)
  with pytest.raises(DataError, match='drop no items'):
    sequences.diginetica_prefixes(data.take_items(np.arange(9)), data_dir)


def test_text_of_scientific_needs_the_link_file(
  data_dir, tmp_path, monkeypatch
):
  folder = tmp_path / 'scientific'
  shutil.copytree(data_dir / 'scientific', folder)
  links = folder / 'Scientific.item2index'
  links.unlink(missing_ok=True)
  assert sources.load('scientific', tmp_path).item_text is None
  lines = (folder / 'Scientific.text').read_bytes().rstrip(b'\n').split(b'\n')
  rows = [line.decode().split('\t') for line in lines[1:]]
  numbered = [f'{row[0]}\t{i}\n' for i, row in enumerate(reversed(rows))]
  links.write_text(''.join(numbered))
  with pytest.raises(DataError, match='sha256 is'):
    sources.load('scientific', tmp_path)
  monkeypatch.delitem(checksums.SHA256, 'scientific/Scientific.item2index')
  data = sources.load('scientific', tmp_path)
  # Some titles hold Unicode's other line separators.
  assert data.item_text.tolist() == [row[1].strip() for row in reversed(rows)]
  links.write_text('B0NOWHERE0\t0\n')
  with pytest.raises(DataError, match='no text of item B0NOWHERE0'):
    sources.load('scientific', tmp_path)


def test_neighbours_in_scientific_have_like_texts(data_dir):
  """With wrong links, they would be as different as any two items."""
  if not (data_dir / 'scientific' / 'Scientific.item2index').exists():
    pytest.skip('Scientific.item2index is not there')
  data = sources.load('scientific', data_dir)
  table = item_features.tfidf_svd(data.item_text, num_features=32, seed=0)
  table /= np.linalg.norm(table, axis=1, keepdims=True) + 1e-9
  rows = data.by_user_and_time()
  same = rows.users[1:] == rows.users[:-1]
  first, second = rows.items[:-1][same], rows.items[1:][same]
  anyone = np.random.default_rng(0).permutation(second)
  alike, chance = (
    (table[first] * table[items]).sum(axis=1).mean()
    for items in (second, anyone)
  )
  assert alike > 2 * chance


def test_gowalla_train_and_test(data_dir):
  train, test = sources.load_train_test('gowalla', data_dir)
  assert (len(train), len(test)) == (810_128, 217_242)
  assert train.csr().multiply(test.csr()).nnz == 0


def test_gowalla_of_lightgcn_has_no_valid_file(data_dir, tmp_path):
  texts = [
    (data_dir / 'gowalla' / name).read_text()
    for name in ('train.txt', 'valid.txt')
  ]
  (tmp_path / 'train.txt').write_text(''.join(texts))
  shutil.copy(data_dir / 'gowalla' / 'test.txt', tmp_path)
  train, _ = sources.load_train_test('gowalla', tmp_path)
  expected, _ = sources.load_train_test('gowalla', data_dir)
  assert (train.csr() != expected.csr()).nnz == 0


def test_synthetic_set_is_seeded_and_its_text_tells_taste():
  data = sources.load('synthetic', min_item_interactions=3)
  again = sources.load('synthetic', min_item_interactions=3)
  other = sources.load('synthetic', min_item_interactions=3, seed=1)
  np.testing.assert_array_equal(data.items, again.items)
  assert data.csr().shape != other.csr().shape or (
    (data.csr() != other.csr()).nnz > 0
  )
  counts = np.sort(data.item_counts())[::-1]
  assert counts[:20].sum() > 0.25 * counts.sum()
  table = item_features.tfidf_svd(data.item_text, num_features=8, seed=0)
  together = (data.csr().T @ data.csr()).toarray()
  np.fill_diagonal(together, 0)
  lift = together / np.outer(data.item_counts(), data.item_counts())
  alike = table @ table.T
  np.fill_diagonal(alike, np.nan)
  assert lift[alike > 0.9].mean() > 1.5 * lift[alike < 0.1].mean()


def test_filters_apply_in_their_order():
  data = sources.load('movielens_small', min_rating=4, min_user_interactions=5)
  assert data.ratings.min() == 4
  assert data.user_counts().min() >= 5
  assert data.item_counts().min() >= 1
  both = sources.load(
    'movielens_small',
    min_rating=4,
    min_user_interactions=5,
    min_item_interactions=5,
  )
  assert set(both.item_ids) < set(data.item_ids)
  assert both.user_counts().min() >= 5


def test_filters_that_leave_nothing_are_explained():
  with pytest.raises(
    DataError, match='nothing is left of 5997 rows with min_rating=6'
  ):
    sources.load('synthetic', min_rating=6)
  data = sources.load('synthetic')
  bare = interactions.Interactions(
    data.users, data.items, data.num_users, data.num_items, name='bare'
  )
  with pytest.raises(DataError, match='bare has no ratings, so --min_rating=4'):
    sources.filtered(bare, 4, 1, 1)


def test_unknown_names_are_answered_with_the_known():
  with pytest.raises(DataError, match='movielens_small'):
    sources.load('movielenz')
  with pytest.raises(DataError, match=r"no option \['domian'\]; .*'domain'"):
    sources.load('text_domain', 'x', domian='steam')
  with pytest.raises(DataError, match=r"no option \['colour'\]; .*'path'"):
    sources.load('table', path='x.csv', colour='red')
  with pytest.raises(DataError, match='steam'):
    sources.load('text_domain', 'x', domain='stream')
  with pytest.raises(DataError, match='Beauty'):
    sources.load('amazon_2014', 'x', domain='Books')
  with pytest.raises(DataError, match='gowalla'):
    sources.load_train_test('synthetic')


def test_every_source_names_its_terms():
  assert set(sources.ABOUT) == set(sources.SOURCES)
  for source in sources.SOURCES:
    assert 'terms: ' in sources.describe(source)
  assert '22,363 users, 12,101 items' in sources.describe('amazon_2014')


def test_missing_files_say_which_from_where_and_where_to(tmp_path, monkeypatch):
  monkeypatch.delenv(files.DATA_DIR_VARIABLE, raising=False)
  with pytest.raises(
    DataError, match=r'gowalla/test\.txt .* HYPERREC_DATA_DIR'
  ):
    sources.load('gowalla')
  monkeypatch.setenv(files.DATA_DIR_VARIABLE, str(tmp_path))
  with pytest.raises(DataError, match=r'test\.txt is missing.*github\.com'):
    sources.load('gowalla')


def test_damaged_files_are_noticed(data_dir, tmp_path):
  shutil.copytree(data_dir / 'diginetica', tmp_path / 'diginetica')
  path = tmp_path / 'diginetica' / 'train_sessions.npz'
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.unlink()
  path.write_bytes(content)
  with pytest.raises(DataError, match=r'train_sessions\.npz: sha256 is .* dam'):
    sources.load('diginetica', tmp_path)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('0 1 2\n1 2 x\n', r'test\.txt, line 2: .*x'),
    ('0 1 2\n1 -2\n', r'test\.txt, line 2: ids go from 0'),
    ('0 1 2\n\n1 99999999999\n', r'test\.txt, line 3: ids go from 0'),
    (f'0 {10**30}\n', r'test\.txt, line 1: '),
    ('0\n1\n', r'test\.txt: no line has a user and an item'),
    ('', r'test\.txt: no line has a user and an item'),
    ('0 1 2\n1 2\n', r'published are \(29858, 40981, 217242\)'),
  ],
)
def test_bad_lines_are_explained(tmp_path, monkeypatch, text, message):
  monkeypatch.setattr(checksums, 'SHA256', {})
  (tmp_path / 'train.txt').write_text('0 3\n1 4\n')
  (tmp_path / 'test.txt').write_text(text)
  with pytest.raises(DataError, match=message):
    sources.load('gowalla', tmp_path)


def test_checksum_is_of_every_byte(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'abc')
  good = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  files.check_sha256(path, good)
  with pytest.raises(DataError, match=f'a: sha256 is {good}, expected 0'):
    files.check_sha256(path, '0' * 64)
