"""Tests of the sparse weights and of their predicted memory."""

import sys

import numpy as np
import pytest
import scipy.sparse

from hyperrec.cost import measure, memory
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.linear import sparse_autoencoder as lib


def make(num_users, num_items, seed=0, share=0.1):
  x = scipy.sparse.random(
    num_users, num_items, share, 'csr', np.float32, rng=seed
  )
  x.data[:] = 1
  return x


def test_all_neighbours_give_ease():
  x = make(200, 20, share=0.4)  # any two items share a user
  found = lib.solve_on_neighbours(x, 3.0, 19).toarray()
  expected = linear_autoencoder.solve_primal(x, np.full(20, 3.0), dtype=float)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_columns_are_the_minimum_on_their_neighbours():
  x, l2, neighbours = make(300, 80), 2.0, 7
  weights = lib.solve_on_neighbours(x, l2, neighbours).toarray()
  assert not weights.diagonal().any()
  assert ((weights != 0).sum(axis=0) <= neighbours).all()
  gram = (x.T @ x).toarray()
  gradient = gram @ weights - gram + l2 * weights
  np.testing.assert_allclose(gradient[weights != 0], 0, atol=1e-4)
  # The neighbours are the items with the largest cosine.
  counts = gram.diagonal()
  cosine = gram / np.sqrt(np.outer(counts, counts)) * (1 - np.eye(80))
  for column in range(80):
    is_near = weights[:, column] != 0
    assert cosine[is_near, column].min() >= cosine[~is_near, column].max()


def test_of_equally_near_items_the_first_are_neighbours():
  x = scipy.sparse.csr_matrix(np.ones((6, 9), np.float32))
  weights = lib.solve_on_neighbours(x, 1.0, 3).toarray()
  for column in range(9):
    others = [i for i in range(9) if i != column]
    assert np.flatnonzero(weights[:, column]).tolist() == others[:3]


def test_items_without_company_have_no_weights():
  x = scipy.sparse.csr_matrix(np.eye(5, dtype=np.float32)[:3])
  assert lib.solve_on_neighbours(x, 1.0, 3).nnz == 0


def test_memory_is_predicted_and_refused_before_it_is_taken(monkeypatch):
  x = make(2000, 1000, share=0.01)
  _, peak = measure.peak_bytes(lambda: lib.solve_on_neighbours(x, 5.0, 20))
  assert peak < lib.neighbour_peak_bytes(x, 20) + 2**22  # small objects
  monkeypatch.setattr(memory, 'available_bytes', lambda: 2**20)
  for solve in (
    lambda: lib.solve_on_neighbours(x, 5.0, 20),
    lambda: lib.solve_by_sansa(x, 5.0, 0.01),
  ):
    with pytest.raises(memory.InsufficientMemoryError, match='GiB'):
      solve()


def test_sansa_scores_as_what_it_approximates():
  pytest.importorskip('sansa', exc_type=ImportError)
  x = make(400, 30)
  found = lib.solve_by_sansa(x, 1.0, 1.0)
  assert scipy.sparse.issparse(found.left)
  # Lambda applies to X'X after its columns are scaled to norm 1.
  gram = (x.T @ x).toarray().astype(float)
  scale = np.linalg.norm(gram, axis=0) ** -0.5
  p = np.linalg.inv(gram * np.outer(scale, scale) + np.eye(30))
  expected = np.eye(30) - p / p.diagonal()
  np.testing.assert_allclose(found.dense(), expected, atol=0.02)
  np.testing.assert_allclose(found.sparse().toarray(), found.dense(), atol=1e-6)
  scores = linear_autoencoder.scores(x[:5], found)
  np.testing.assert_allclose(scores, x[:5] @ found.dense(), atol=1e-5)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sansa', None)
  with pytest.raises(ModuleNotFoundError, match=r'\.\[sansa\]'):
    lib.solve_by_sansa(make(10, 5), 1.0, 0.5)
