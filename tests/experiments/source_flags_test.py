"""Own tables as domains: a small file says what they are."""

import csv
import io
import pathlib
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import source_flags
from hyperrec.data import interactions
from tests.experiments import commands

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


def export(name, rows, *, header=None, separator=',', encoding='utf-8'):
  """Writes an export as its program does, quotes where they are needed."""
  text = io.StringIO()
  writer = csv.writer(text, delimiter=separator, lineterminator='\r\n')
  writer.writerows([header, *rows] if header else rows)
  pathlib.Path(name).write_bytes(text.getvalue().encode(encoding))


def shopify():
  rows = []
  for order in range(60):
    paid = f'2024-05-{1 + order % 28:02} 16:47:39 -0500'
    mail = '' if order == 7 else f'ann{order % 6}@example.org'
    for line in range(2):
      first = (mail, paid) if line == 0 else ('', '')
      sku = f'00{(order * 7 + line) % 17}'
      rows.append([f'#{order}', *first, f'Birch "Lamp", {sku}', sku])
  header = ['Name', 'Email', 'Created at', 'Lineitem name', 'Lineitem sku']
  export('orders_export.csv', rows, header=header, encoding='utf-8-sig')
  return 6, 17, 113  # the order without a customer is left out


def analytics():
  rows = [
    [1700000000000000 + i, event, f'{1000000 + i % 9}.16900000',
     f'SKU_{i % 11}', f'Vase {i % 11}']
    for i in range(150)
    for event in ('view_item', 'purchase', 'session_start')
  ]  # fmt: skip
  rows.append([1800000000000000, 'view_item', '7.1', '', ''])
  header = ['event_timestamp', 'event_name', 'user_pseudo_id', 'item_id',
            'item_name']  # fmt: skip
  export('ga4_events.csv', rows, header=header)
  return 9, 11, 99


def library():
  rows = [
    [
      f'{i % 8:06}',
      f'B{i % 13:05}',
      'Über Mäuse',
      'Böll',
      f'{1 + i % 28}.11.2023',
    ]
    for i in range(104)
  ]
  header = ['Leser-Nr', 'Medien-Nr', 'Titel', 'Verfasser', 'Ausleihdatum']
  export('ausleihen.csv', rows, header=header, separator=';', encoding='cp1252')
  return 8, 13, 104


def movielens():
  lines = [
    f'{i % 7}::{i % 12}::{3 + i % 3}::{1700628378 + i}' for i in range(84)
  ]
  pathlib.Path('ratings.dat').write_text('\n'.join(lines))
  return 7, 8, 56


def parquet():
  number = range(120)
  frame = pd.DataFrame({
    'customer': pd.Categorical([f'c{i % 10}' for i in number]),
    'product': [float(i % 12) for i in number],
    'stars': pd.array([None if i == 5 else 5 for i in number], dtype='Int64'),
    'ts': pd.date_range('2024-01-01', periods=120, tz='Europe/Berlin'),
    'title': [f'Thing {i % 12}' for i in number],
    'category': [['a', 'b'] for _ in number],
  })  # fmt: skip
  frame.to_parquet('events.parquet')
  return 10, 12, 60


def goodreads():
  rows = [
    [f'member{i % 6}', i % 11, f'Lamp {i % 11} (Series, #2)', 'Hazel, Q.',
     4 + i % 2, f'2023/11/{1 + i % 30}', 'read' if i % 11 else 'to-read']
    for i in range(66)
  ]  # fmt: skip
  header = ['Member', 'Book Id', 'Title', 'Author', 'My Rating', 'Date Added',
            'Exclusive Shelf']  # fmt: skip
  export('goodreads_library_export.csv', rows, header=header)
  return 6, 10, 60


def sequences():
  lines = [
    f'ann{u} ' + ' '.join(f'i{u + k}' for k in range(6)) for u in range(5)
  ]
  pathlib.Path('sequences.txt').write_text('\n'.join(lines))
  return 5, 10, 30


def printed():
  """What the README prints for each kind of file, in its order."""
  readme = (commands.ROOT / 'README.md').read_text()
  return re.findall(r'^\| .* \| `(--path=.*)` \|$', readme, re.MULTILINE)


@pytest.mark.parametrize(
  ('place', 'make'),
  list(enumerate((shopify, analytics, library, movielens, parquet, goodreads,
                  sequences))),
)  # fmt: skip
def test_a_file_is_read_as_the_readme_prints(
  tmp_path, monkeypatch, place, make
):
  monkeypatch.chdir(tmp_path)
  sizes = make()
  assert len(printed()) == 7
  given = shlex.split(printed()[place])
  with flagsaver.flagsaver(source='table'):
    for argument in given:
      name, has_value, value = argument.removeprefix('--').partition('=')
      flags.FLAGS[name].parse(value if has_value else 'true')
    data = source_flags.load()
  assert (data.num_users, data.num_items) == sizes[:2]
  assert len(data) <= sizes[2]
  if '--text_columns' in printed()[place]:
    assert all(data.item_text)
  if '--timestamp_column' in printed()[place]:
    assert np.ptp(data.timestamps) > 0


def test_a_domain_is_stored_once_and_read_from_there(tmp_path):
  file = describe(tmp_path, *WHOLE)
  with flagsaver.flagsaver(tfds_dir=str(tmp_path / 'stored')):
    (made,) = source_flags.load_domains([file])
    stored = sorted((tmp_path / 'stored').rglob('*'))
    (read,) = source_flags.load_domains([file])
  assert sorted((tmp_path / 'stored').rglob('*')) == stored
  assert repr(made) == repr(read)
  (plain,) = source_flags.load_domains([file])
  np.testing.assert_array_equal(plain.by_user_and_time().items, read.items)
