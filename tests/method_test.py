"""Tests histories, padded in the order of time and as a matrix."""

import numpy as np

from hyperrec import method
from hyperrec.data import interactions


def make():
  return interactions.from_columns(
    [1, 0, 1, 1, 3], [4, 2, 0, 3, 1], timestamp=[30, 5, 10, 20, 1]
  ).by_user_and_time()


def test_histories_are_in_the_order_of_time():
  data = make()
  histories = method.Histories.of(data, np.array([1, 0]))
  assert histories.mask.tolist() == [[True] * 3, [True, False, False]]
  ids = data.item_ids[histories.items]
  assert ids[0].tolist() == [0, 3, 4]
  assert ids[1, 0] == 2


def test_histories_as_a_matrix():
  data = make()
  histories = method.Histories.of(data, np.array([2, 0, 1]))
  expected = data.csr().toarray()[[2, 0, 1]]
  np.testing.assert_array_equal(histories.csr().toarray(), expected)
  np.testing.assert_array_equal(histories.multi_hot(), expected)


def test_a_user_who_showed_nothing():
  data = make().rows(np.array([], int))
  histories = method.Histories.of(data, np.array([0, 2]))
  assert not histories.mask.any()
  assert histories.csr().nnz == 0
