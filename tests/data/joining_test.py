"""Tables that are joined: users, catalogues, items."""

import numpy as np
import pytest

from hyperrec.data import interactions, joining
from tests.makers import make_data, pairs

DataError = interactions.DataError


def test_stacking_needs_one_catalogue():
  data = make_data()
  first, second = data.take_users([0, 1]), data.take_users([2])
  both = joining.join_users(first, second)
  assert pairs(both) == pairs(first) | pairs(second)
  with pytest.raises(DataError, match='catalogues differ'):
    joining.join_users(first, second.take_items([0, 1]))


def test_items_that_nobody_touched_join_the_catalogue():
  data = interactions.from_columns(
    [1, 2], [7, 8], item_text={7: 'a lamp', 8: 'a rug'}
  )
  grown = joining.with_items(data, {'8': 'other', '9': 'a vase'})
  assert [str(name) for name in grown.item_ids] == ['7', '8', '9']
  assert grown.item_text.tolist() == ['a lamp', 'a rug', 'a vase']
  np.testing.assert_array_equal(grown.items, data.items)
  bare = interactions.from_columns([1, 2], [7, 8])
  with pytest.raises(interactions.DataError, match='no text'):
    joining.with_items(bare, {'9': 'a vase'})
