"""What a data set holds is counted and said."""

import numpy as np
import pytest

from hyperrec.data import description, interactions


def data(**more):
  return interactions.from_columns(
    ['a', 'a', 'a', 'b', 'c', 'c'],
    ['x', 'y', 'x', 'x', 'x', 'z'],
    duplicates='keep',
    name='made',
    **more,
  )


def test_rows_are_counted_and_repeats_apart():
  found = description.describe(data())
  assert (found.num_users, found.num_items) == (3, 3)
  assert (found.num_interactions, found.num_repeats) == (5, 1)
  assert found.density == pytest.approx(5 / 9)
  assert found.median_user == 2
  assert found.users_by_count == (1, 2, 0, 0, 0, 0, 0)
  assert found.items_by_count == (2, 1, 0, 0, 0, 0, 0)
  assert (found.few_users, found.few_items) == (1.0, 1.0)
  assert (found.order, found.span, found.with_text) == ('none', None, None)


@pytest.mark.parametrize('unit', [1, 1000, 10**6])
def test_times_in_any_usual_unit_have_days(unit):
  times = np.array([0, 1, 2, 3, 4, 86_400]) + 1_700_000_000
  found = description.describe(data(timestamp=times * unit))
  assert found.span == ('2023-11-14', '2023-11-15')
  assert found.order == 'times'


def test_numbers_that_only_order_have_no_days():
  found = description.describe(data(timestamp=np.arange(6)))
  assert (found.order, found.span) == ('times', None)
  only_order = data(timestamp=np.arange(6), is_order_only=True)
  assert description.describe(only_order).order == 'order'


def test_items_with_text_are_counted():
  found = description.describe(data(item_text={'x': 'a lamp', 'y': ' '}))
  assert found.with_text == pytest.approx(1 / 3)


def test_items_that_nobody_touched_are_not_counted():
  kept = data().rows(np.array([0, 1]))
  found = description.describe(kept)
  assert (found.num_users, found.num_items) == (1, 2)
