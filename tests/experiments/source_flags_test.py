"""Own tables as domains: a small file says what they are."""

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import source_flags
from hyperrec.data import interactions

DataError = interactions.DataError


@pytest.fixture(autouse=True)
def parsed():
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


def describe(tmp_path, *lines):
  rows = ''.join(f'{u};{i};{3 + i % 3}\n' for u in range(9) for i in range(9))
  (tmp_path / 'orders.csv').write_text(f'kunde;item;stars\n{rows}')
  titles = ''.join(f'{i},thing number {i}\n' for i in range(9))
  (tmp_path / 'items.csv').write_text(f'sku,title\n{titles}')
  file = tmp_path / 'shop.toml'
  file.write_text('\n'.join(lines))
  return str(file)


WHOLE = (
  'path = "orders.csv"',
  'user_column = "kunde"',
  'rating_column = "stars"',
  'item_path = "items.csv"',
  'item_id_column = "sku"',
  'text_columns = ["title"]',
  'min_rating = 4',
)


def test_a_file_describes_a_domain(tmp_path):
  (data,) = source_flags.load_domains([describe(tmp_path, *WHOLE)])
  assert data.name == 'shop'
  assert (data.num_users, data.num_items) == (9, 6)
  assert data.ratings.min() == 4
  assert data.item_text[0] == 'thing number 1'
  assert data.notes == (
    'shop: kept 9 of 9 users, 6 of 9 items and 54 of 81 rows (min_rating=4, '
    'min_user_interactions=5, min_item_interactions=5)',
    'shop: half of the users have touched all but at most 0 of the 6 items, so '
    'there is hardly anything to rank',
  )


@pytest.mark.parametrize(
  ('lines', 'message'),
  [
    ((), 'path is missing; it may hold'),
    (('path = ',), 'is not TOML'),
    (('path = 3',), r'path = 3 is not a text or a list of texts'),
    ((WHOLE[0], 'colour = "red"'), "'colour' is unknown; it may hold"),
    ((*WHOLE, 'drop_incomplete = "yes"'), 'is not true or false'),
    ((*WHOLE, 'min_interactions = "5"'), 'is not a whole number'),
    ((*WHOLE[:5], 'text_columns = [1]'), 'is not a list of texts'),
    (WHOLE[:3], 'has no item text'),
    (('path = "none.csv"',), 'none.csv does not exist'),
  ],
)
def test_a_file_that_does_not_describe_one_is_refused(tmp_path, lines, message):
  with pytest.raises(DataError, match=message):
    source_flags.load_domains([describe(tmp_path, *lines)])


def test_unknown_domains_are_refused(tmp_path):
  with pytest.raises(DataError, match='--domains=shop is unknown'):
    source_flags.load_domains(['shop'])
  with pytest.raises(DataError, match='No such file'):
    source_flags.load_domains([str(tmp_path / 'none.toml')])


def test_options_of_own_files_are_refused_for_other_sources():
  with (
    flagsaver.flagsaver(source='synthetic', where='user > 3'),
    pytest.raises(DataError, match='--where is for --source=table only'),
  ):
    source_flags.load()
  with flagsaver.flagsaver(source='synthetic', user_column='user'):
    assert source_flags.load().name == 'synthetic'
