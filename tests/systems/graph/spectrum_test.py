"""Singular vectors and normalisations, against dense NumPy."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.graph import spectrum


def sparse(num_users, num_items, density=0.1, seed=0):
  x = np.random.default_rng(seed).random((num_users, num_items)) < density
  return scipy.sparse.csr_matrix(x.astype(np.float32))


def test_normalising_divides_by_roots_of_degrees_and_keeps_what_is_empty():
  x_UxV = sparse(12, 9, 0.3)
  x_UxV = scipy.sparse.csr_matrix(
    x_UxV.toarray() * (np.arange(12) != 3)[:, None] * (np.arange(9) != 5)
  )
  dense = x_UxV.toarray().astype(np.float64)
  users_U, items_V = dense.sum(1), dense.sum(0)
  expected = dense / np.sqrt(np.maximum(users_U, 1)[:, None])
  expected /= np.sqrt(np.maximum(items_V, 1))
  found = spectrum.normalise(x_UxV)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
  assert spectrum.power(np.array([0, 4]), -0.5).tolist() == [0.0, 0.5]


@pytest.mark.parametrize('shape', [(40, 30), (30, 40), (700, 300), (300, 700)])
def test_the_projection_is_that_of_a_dense_decomposition(shape):
  """Small matrices and large ones, whose ways to the vectors differ."""
  normalised = spectrum.normalise(sparse(*shape))
  found = spectrum.low_frequencies(normalised, 8)
  _, _, vectors = np.linalg.svd(normalised.toarray().astype(np.float64))
  expected = vectors[:8].T @ vectors[:8]
  np.testing.assert_allclose(
    found.vectors @ found.vectors.T, expected, atol=2e-5
  )
  assert found.vectors.dtype == np.float32
  assert found.operations > 0


def test_the_vectors_are_the_same_each_time():
  normalised = spectrum.normalise(sparse(700, 300))
  first = spectrum.low_frequencies(normalised, 8)
  again = spectrum.low_frequencies(normalised, 8)
  np.testing.assert_array_equal(first.vectors, again.vectors)
  assert first.operations == again.operations


def test_no_more_vectors_than_the_matrix_has_ranks():
  x_UxV = sparse(4, 30, 0.5)
  twice = scipy.sparse.vstack([x_UxV, x_UxV]).tocsr()
  assert spectrum.low_frequencies(twice, 100).vectors.shape == (30, 4)
  nothing = scipy.sparse.csr_matrix((3, 5), dtype=np.float32)
  assert spectrum.low_frequencies(nothing, 2).vectors.shape == (5, 0)
