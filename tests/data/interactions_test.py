"""Tests of `Interactions`: validation, immutability and selections."""

import datetime

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from hyperrec.data import interactions
from tests.makers import make_data

DataError = interactions.DataError

ROWS = st.lists(
  st.tuples(st.integers(0, 9), st.sampled_from('abcdefg'), st.integers(-5, 5)),
  min_size=1,
  max_size=40,
)


def from_rows(rows, **options):
  users, items, times = zip(*rows, strict=True)
  return interactions.from_columns(
    users, items, rating=times, timestamp=times, **options
  )


def as_rows(data):
  """The rows with their original ids, in order."""
  users = data.user_ids[data.users].tolist()
  items = data.item_ids[data.items].tolist()
  return list(zip(users, items, data.timestamps.tolist(), strict=True))


@hypothesis.given(ROWS)
def test_columns_come_back(rows):
  data = from_rows(rows, duplicates='keep')
  assert as_rows(data) == rows
  assert data.ratings.tolist() == [time for _, _, time in rows]
  assert data.csr().sum() == len({row[:2] for row in rows})
  assert data.csr().max() == 1
  assert data.user_counts().sum() == data.item_counts().sum() == len(rows)
  for ids in (data.user_ids, data.item_ids):
    assert ids.tolist() == sorted(set(ids.tolist()))


@hypothesis.given(ROWS, st.sampled_from(['first', 'last']))
def test_duplicates_keep_one_row_of_each_pair_in_the_order_given(rows, policy):
  kept = {}
  for place, row in enumerate(rows):
    if policy == 'last' or row[:2] not in kept:
      kept[row[:2]] = place
  expected = [rows[place] for place in sorted(kept.values())]
  assert as_rows(from_rows(rows, duplicates=policy)) == expected


def test_duplicates_can_be_an_error():
  rows = [(1, 'a', 0), (2, 'a', 0), (1, 'a', 3)]
  with pytest.raises(DataError, match=r"user 1, item 'a'\) .*interaction 3"):
    from_rows(rows, duplicates='error')
  with pytest.raises(DataError, match="'some' is unknown; use one of"):
    from_rows(rows, duplicates='some')


@hypothesis.given(ROWS, st.permutations(range(10)), st.integers(0, 6))
def test_selections_keep_original_ids(rows, order, item):
  data = from_rows(rows, duplicates='keep')
  users = [user for user in order[:5] if user < data.num_users]
  items = [item % data.num_items]
  chosen = data.take_users(users).take_items(items)
  names = set(data.user_ids[users].tolist())
  item = data.item_ids[items[0]]
  assert as_rows(chosen) == [r for r in rows if r[0] in names and r[1] == item]
  assert chosen.user_ids.tolist() == data.user_ids[users].tolist()
  assert (chosen.num_users, chosen.num_items) == (len(users), 1)


@hypothesis.given(ROWS)
def test_rows_sort_by_user_then_time_then_place(rows):
  data = from_rows(rows, duplicates='keep').by_user_and_time()
  assert as_rows(data) == sorted(rows, key=lambda row: (row[0], row[2]))


def test_arrays_are_read_only_copies():
  users = np.array([0, 1])
  data = interactions.Interactions(users, np.array([0, 1]), 2, 2)
  users[0] = 1
  assert data.users.tolist() == [0, 1]
  for array in (data.users, data.items, data.user_ids, data.item_ids):
    with pytest.raises(ValueError, match='read-only'):
      array[0] = 1
  with pytest.raises(AttributeError):
    data.num_items = 3
  data.csr().data[:] = 7
  assert data.csr().max() == 1


def test_text_follows_its_item():
  data = interactions.from_columns(
    [1, 2], ['b', 'a'], item_text={'a': 'tea', 'b': 'milk', 'c': 'ink'}
  )
  assert data.item_text.tolist() == ['tea', 'milk']
  assert data.take_items([1]).item_text.tolist() == ['milk']


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'users': np.array([0, 9])}, r'users\[1\] = 9 is outside 0\.\.1'),
    ({'items': np.array([-1, 0])}, r'items\[0\] = -1'),
    ({'items': np.array([0.5, 1])}, 'not integer'),
    ({'ratings': np.array([1, np.nan])}, r'ratings\[1\] = nan'),
    ({'ratings': np.array([1, 1e300])}, r'ratings\[1\] = 1e\+300'),
    ({'timestamps': np.array([1])}, 'timestamps has 1 rows, users has 2'),
    ({'timestamps': np.array([1, 2.5])}, r'timestamps\[1\] = 2\.5 is not a wh'),
    ({'timestamps': np.array([1, 1e30])}, r'timestamps\[1\] = 1e\+30'),
    ({'item_text': np.array(['a'])}, 'item_text has 1 entries, not 3'),
    ({'user_ids': np.array(['a'])}, 'user_ids has 1 entries, not 2'),
    ({'num_items': 0}, 'a catalogue is needed'),
    ({'num_users': 2**40}, 'more than 2147483647 users or items'),
  ],
)
def test_bad_values_are_named(change, message):
  good = {
    'users': np.array([0, 1]),
    'items': np.array([0, 2]),
    'num_users': 2,
    'num_items': 3,
  }
  with pytest.raises(DataError, match=message):
    interactions.Interactions(**{**good, **change})


@pytest.mark.parametrize(
  ('users', 'items', 'message'),
  [
    ([], [], 'no interactions'),
    ([1, 2], [1], 'items has 1 rows, users has 2'),
    ([1, np.nan], [1, 2], 'user id of interaction 2 is missing'),
    (
      [1, 2],
      np.array(['a', None], object),
      'item id of interaction 2 is missing',
    ),
    ([1, 2], np.array(['a', 3], object), 'mix kinds that cannot be sorted'),
  ],
)
def test_bad_columns_are_named(users, items, message):
  with pytest.raises(DataError, match=message):
    interactions.from_columns(users, items)


@pytest.mark.parametrize('take', ['take_users', 'take_items'])
@pytest.mark.parametrize(
  ('chosen', 'message'),
  [([1, 1], 'not distinct'), ([-1], 'not all in 0'), ([999], 'not all in 0')],
)
def test_bad_selections_are_named(take, chosen, message):
  with pytest.raises(DataError, match=message):
    getattr(make_data(), take)(chosen)


def test_no_users_are_a_selection_and_no_items_are_not():
  assert make_data().take_users([]).num_users == 0
  with pytest.raises(DataError, match='a catalogue is needed'):
    make_data().take_items([])


def test_datetimes_are_times():
  zone = datetime.timezone(datetime.timedelta(hours=2))
  times = [
    datetime.datetime(2024, 1, 2, 2, tzinfo=zone),
    datetime.datetime(2024, 1, 1),
  ]
  frame = pd.DataFrame({'t': pd.to_datetime(times, utc=True)})
  for given in (times, frame.t, frame.t.dt.tz_convert('Europe/Berlin')):
    data = interactions.from_columns([1, 2], [1, 2], timestamp=given)
    assert data.timestamps.tolist() == [1704153600000000, 1704067200000000]
  for bad in ([None, 1], [times[0], 'noon'], [times[0], pd.NaT]):
    with pytest.raises(interactions.DataError, match='neither a whole number'):
      interactions.from_columns([1, 2], [1, 2], timestamp=bad)
  with pytest.raises(interactions.DataError, match='user is a generator'):
    interactions.from_columns((i for i in range(2)), [1, 2])


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (
      {'rating': [1, 'good']},
      r"ratings\[1\] = 'good' is not a finite .*; corr",
    ),
    ({'rating': [1.0, None]}, r'ratings\[1\] = None'),
    ({'timestamp': ['5', '2020-01-01']}, r"timestamps\[1\] = '2020-01-01' is"),
    ({'timestamp': ['5', '1e3']}, r"timestamps\[1\] = '1e3' .*; give seconds"),
    ({'timestamp': [None, 5.0]}, r'timestamps\[0\] = None'),
  ],
)
def test_text_that_is_no_number_is_named(given, message):
  with pytest.raises(interactions.DataError, match=message):
    interactions.from_columns([1, 2], [1, 2], **given)
  numbers = interactions.from_columns(
    [1, 2], [1, 2], rating=['1', '2.5'], timestamp=['5', '7']
  )
  assert numbers.ratings.tolist() == [1, 2.5]
  assert numbers.timestamps.tolist() == [5, 7]
