"""Interactions: validated, immutable, and the same through every selection."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from hyperrec.data import interactions
from tests.makers import make_data, pairs

DataError = interactions.DataError


@hypothesis.given(
  st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from('abcdefg')),
    min_size=1,
    max_size=40,
    unique=True,
  )
)
def test_columns_come_back(rows):
  users, items = zip(*rows, strict=True)
  data = interactions.from_columns(users, items)
  assert pairs(data) == set(rows)
  assert data.csr().sum() == len(rows)
  assert data.user_ids[data.users].tolist() == list(users)


def test_arrays_are_read_only():
  data = make_data()
  with pytest.raises(ValueError, match='read-only'):
    data.items[0] = 3
  with pytest.raises(AttributeError):
    data.num_items = 3


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'users': np.array([0, 9])}, r'users\[1\] = 9 is outside 0\.\.1'),
    ({'items': np.array([-1, 0])}, r'items\[0\] = -1'),
    ({'items': np.array([0.5, 1])}, 'not integer'),
    ({'ratings': np.array([1, np.nan])}, r'ratings\[1\] = nan'),
    ({'timestamps': np.array([1])}, 'timestamps has 1 rows, users has 2'),
    ({'item_text': np.array(['a'])}, 'item_text has 1 entries, not 3'),
    ({'num_items': 0}, 'a catalogue is needed'),
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


def test_selections_keep_original_ids():
  data = make_data()
  chosen = data.take_users([7, 3]).take_items([20, 4, 9])
  expected = {
    (u, i)
    for u, i in pairs(data)
    if u in data.user_ids[[7, 3]] and i in data.item_ids[[20, 4, 9]]
  }
  assert pairs(chosen) == expected
  assert chosen.user_ids.tolist() == data.user_ids[[7, 3]].tolist()
  assert chosen.num_items == 3


def test_empty_and_repeated_selections():
  data = make_data()
  assert data.take_users([]).num_users == 0
  with pytest.raises(DataError, match='not distinct'):
    data.take_users([1, 1])


def test_rows_sort_by_user_then_time():
  data = make_data().by_user_and_time()
  assert (np.diff(data.users) >= 0).all()
  for user in range(data.num_users):
    assert (np.diff(data.timestamps[data.users == user]) > 0).all()


def test_stacking_needs_one_catalogue():
  data = make_data()
  first, second = data.take_users([0, 1]), data.take_users([2])
  both = interactions.stack_users(first, second)
  assert pairs(both) == pairs(first) | pairs(second)
  with pytest.raises(DataError, match='catalogues differ'):
    interactions.stack_users(first, second.take_items([0, 1]))
