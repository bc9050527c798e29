"""From a file to written recommendations, by the commands of a user."""

import csv
import json

import numpy as np
import pyarrow.parquet
import pytest

from tests import makers
from tests.experiments import commands

SMALL = ('--trials=1', '--num_heldout=20')


def call(name, *flags):
  return commands.run(None, *flags, module=f'experiments.recommend.{name}')


def good(name, *flags):
  done = call(name, *flags)
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stdout


def write(path, data, rows):
  """A table of some rows, with the text of their items."""
  with path.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['who', 'what', 'when', 'title'])
    for row in rows:
      item = data.items[row]
      writer.writerow(
        [f'u{data.users[row]}', f'i{item}', row, data.item_text[item]]
      )


@pytest.fixture(scope='module')
def shop(tmp_path_factory):
  """Flags that read a table, and those of one that arrives later."""
  folder = tmp_path_factory.mktemp('shop')
  data = makers.made_domain('shop', 3, num_users=90, num_items=40)
  is_new = data.items >= 36
  write(folder / 'old.csv', data, np.flatnonzero(~is_new))
  write(folder / 'new.csv', data, np.flatnonzero(is_new))
  columns = (
    '--source=table', '--user_column=who', '--item_column=what',
    '--timestamp_column=when', '--text_columns=title',
  )  # fmt: skip
  return folder, *(
    (*columns, f'--path={folder / name}') for name in ('old.csv', 'new.csv')
  )


@pytest.mark.slow
def test_a_file_becomes_advice_a_recommender_and_lists(shop):
  folder, old, _ = shop
  methods = '--methods=popularity,ease,ease_dynamic,hyperease_item'
  told = good('advise', *old, *SMALL, methods, f'--workdir={folder / "advice"}')
  for title in ('Users who come back', 'New users', 'New items', 'As time'):
    assert f'{title}' in told
  assert 'With 0 interactions that a new user has shown, only pop' in told
  document = json.loads((folder / 'advice' / 'advice.json').read_text())
  assert [one['case'] for one in document['cases']] == [
    'returning_users', 'new_users', 'new_items', 'drift',
  ]  # fmt: skip
  page = (folder / 'advice' / 'advice.html').read_text()
  assert page.count('<section>') == 4
  assert 'http' not in page.replace('http://www.w3.org', '')
  assert (folder / 'advice' / 'research.html').exists()
  log = (folder / 'advice' / 'advise.log').read_text()
  assert 'ndcg@100' in log
  good(
    'fit', *old, f'--advice={folder / "advice"}', '--case=new_items',
    f'--output={folder / "model"}',
  )  # fmt: skip
  told = good(
    'recommend', f'--model={folder / "model"}', '--users=u3', '--k=3', '--why'
  )
  assert 'user u3' in told
  assert '% for i' in told
  for name in ('all.csv', 'all.parquet'):
    good(
      'recommend', f'--model={folder / "model"}', '--all', '--k=3',
      f'--output={folder / name}',
    )  # fmt: skip
  text = (folder / 'all.csv').read_text()
  rows = list(csv.DictReader(text.splitlines()))
  table = pyarrow.parquet.read_table(folder / 'all.parquet').to_pylist()
  assert len(rows) == len(table) == 270
  assert [r['item'] for r in rows] == [r['item'] for r in table]
  assert {r['rank'] for r in rows} == {'1', '2', '3'}


@pytest.mark.slow
def test_new_items_are_taken_in_and_a_refit_is_compared(shop):
  folder, old, new = shop
  good(
    'fit', *old, '--method=hyperease_item', '--case=new_items',
    f'--output={folder / "items"}',
  )  # fmt: skip
  told = good(
    'update', f'--model={folder / "items"}', *new,
    f'--output={folder / "items2"}',
  )  # fmt: skip
  assert '0 new users and 4 new items' in told
  assert 'a refit takes' in told
  # Items without any interaction have a file of their own.
  (folder / 'items.csv').write_text('what,title\ni77,taste1 taste2\ni78,taste3')
  told = good(
    'update', f'--model={folder / "items2"}', *new, '--nocompare',
    f'--new_items={folder / "items.csv"}', f'--output={folder / "items3"}',
  )  # fmt: skip
  assert '0 new users and 2 new items' in told
  told = good('recommend', f'--model={folder / "items3"}', '--history=i78')
  assert 'has  i78\ttaste3' in told
  told = good(
    'recommend', f'--model={folder / "items2"}', '--users=u3', '--k=40',
    '--seen',
  )  # fmt: skip
  assert all(f'i{item}\t' in told for item in range(36, 40))
  good('fit', *old, '--method=ease', f'--output={folder / "ease"}')
  told = good('update', f'--model={folder / "ease"}', *new, '--nocompare')
  assert '4 new items are not recommended' in told


def test_mistakes_are_one_line(shop, tmp_path):
  _, old, _ = shop
  for name, flags, message in (
    ('fit', (*old, f'--output={tmp_path / "m"}'), 'either --advice'),
    (
      'fit',
      (*old, '--method=eaze', f'--output={tmp_path / "m"}'),
      '--method=eaze is unknown',
    ),
    (
      'fit',
      (*old, f'--advice={tmp_path}', f'--output={tmp_path / "m"}'),
      'holds no advice',
    ),
    ('recommend', (f'--model={tmp_path}', '--users=3'), 'holds no'),
    ('recommend', (f'--model={tmp_path}',), 'give one of'),
    ('recommend', (f'--model={tmp_path}', '--all'), 'needs --output'),
  ):
    done = call(name, *flags)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'm').exists()
