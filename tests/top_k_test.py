"""The largest numbers of each row, against a full stable sort."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec import top_k


@pytest.mark.parametrize('levels', [1, 2, 5, 1000])
@pytest.mark.parametrize('k', [0, 1, 7, 39, 40])
def test_ties_are_taken_in_order(levels, k):
  random = np.random.default_rng(levels)
  values = random.integers(0, levels, (300, 40)).astype(np.float32)
  want = np.argsort(-values, axis=1, kind='stable')[:, :k]
  np.testing.assert_array_equal(top_k.places(values, k), want)


def test_infinities_are_numbers_and_nan_comes_last():
  values = np.array([[0.0, np.inf, -np.inf, np.nan, 0.0]])
  np.testing.assert_array_equal(top_k.places(values, 4), [[1, 0, 4, 2]])
  with pytest.raises(ValueError, match='fewer than k=5'):
    top_k.places(values, 5)
  with pytest.raises(ValueError, match=r'within 0\.\.5'):
    top_k.places(values, 6)


def test_no_rows_are_no_places():
  assert top_k.places(np.zeros((0, 3)), 2).shape == (0, 2)


@pytest.mark.parametrize('k', [1, 3, 7, 12])
def test_equal_values_are_taken_in_a_given_order(k):
  random = np.random.default_rng(k)
  values = random.integers(0, 4, (40, 12)).astype(np.float32)
  values[0] = -np.inf
  order = random.permutation(12)
  expected = order[np.argsort(-values[:, order], axis=1, kind='stable')]
  np.testing.assert_array_equal(top_k.places(values, k, order), expected[:, :k])


@pytest.mark.parametrize('k', [1, 5, 40])
def test_the_largest_stored_numbers_of_sparse_rows(k):
  random = np.random.default_rng(0)
  values = random.integers(1, 5, (60, 40)).astype(np.float32)
  is_stored = random.random((60, 40)) < np.linspace(0, 1, 60)[:, None]
  rows = scipy.sparse.csr_matrix(np.where(is_stored, values, 0))
  columns, numbers = top_k.of_sparse(rows, k)
  assert columns.shape == numbers.shape == (60, k)
  for row, stored, found, best in zip(
    values, is_stored, columns, numbers, strict=True
  ):
    own = np.flatnonzero(stored)
    want = own[np.argsort(-row[own], kind='stable')][:k]
    np.testing.assert_array_equal(found[: len(want)], want)
    np.testing.assert_array_equal(best[: len(want)], row[want])
    assert (found[len(want) :] == -1).all()
    assert np.isneginf(best[len(want) :]).all()


def test_padded_rows_are_selected_in_parts(monkeypatch):
  random = np.random.default_rng(1)
  rows = scipy.sparse.random(90, 50, 0.4, 'csr', np.float32, random)
  whole = top_k.of_sparse(rows, 7)
  monkeypatch.setattr(top_k, '_PADDED', 100)
  for one, other in zip(whole, top_k.of_sparse(rows, 7), strict=True):
    np.testing.assert_array_equal(one, other)
