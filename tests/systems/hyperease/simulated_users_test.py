"""Simulated users: left out exactly, and shown in part."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import simulated_users
from hyperrec.systems.linear import linear_autoencoder

U, V, L2 = 25, 12, 5.0


def made(seed=0):
  random = np.random.default_rng(seed)
  dense = (random.random((U, V)) < 0.4).astype(np.float32)
  return scipy.sparse.csr_matrix(dense)


def precision(x):
  ridge = np.full(V, L2)
  return linear_autoencoder.precision(x, ridge, np.float64)


def test_left_out_scores_are_those_of_a_fit_without_the_user():
  x = made()
  shown = simulated_users.shown_part(x, np.random.default_rng(1))
  p = precision(x)
  found = simulated_users.left_out_scores(p, x, shown, x @ p)
  assert found.dtype == np.float32
  for user in range(U):
    others = x[np.arange(U) != user]
    weights = linear_autoencoder.solve_primal(
      others, np.full(V, L2), dtype=np.float64
    )
    expected = (shown[user] @ weights).ravel()
    np.testing.assert_allclose(found[user], expected, atol=2e-6)


def test_rows_of_features_stay_when_a_user_is_left_out():
  x, ridge = made(), np.full(V, L2)
  rows_FxV = np.random.default_rng(2).standard_normal((4, V))
  shown = simulated_users.shown_part(x, np.random.default_rng(1))
  p = linear_autoencoder.precision(x, ridge, np.float64, rows_FxV)
  found = simulated_users.left_out_scores(p, x, shown, x @ p)
  for user in range(U):
    others = x[np.arange(U) != user]
    stacked = scipy.sparse.vstack([others, rows_FxV], format='csr')
    weights = linear_autoencoder.solve_primal(stacked, ridge, dtype=np.float64)
    expected = (shown[user] @ weights).ravel()
    np.testing.assert_allclose(found[user], expected, atol=2e-6)


def test_co_occurrences_are_those_of_other_users():
  x = made()
  shown = simulated_users.shown_part(x, np.random.default_rng(1))
  gram = linear_autoencoder.gram(x)
  found = simulated_users.log_together(gram, shown, x)
  for user in range(U):
    others = x[np.arange(U) != user].toarray()
    expected = shown[user].toarray()[0] @ (others.T @ others)
    np.testing.assert_allclose(np.expm1(found[user]), expected, atol=1e-3)
  new = simulated_users.log_together(gram, shown)
  np.testing.assert_allclose(np.expm1(new), shown @ gram, atol=1e-3)


def test_left_out_scores_differ_from_those_of_the_fit():
  x = made()
  weights = linear_autoencoder.solve_primal(x, np.full(V, L2))
  p = precision(x)
  found = simulated_users.left_out_scores(p, x, x, x @ p)
  assert abs(found - x @ weights).max() > 0.02


def test_what_is_shown_is_not_asked_for():
  x = made()
  source = simulated_users.of(x, precision(x))
  users = simulated_users.simulate(source, np.arange(U), seed=3)
  np.testing.assert_array_equal(users.shown + users.asked, x.toarray())
  assert set(np.unique(users.shown)) <= {0.0, 1.0}
  again = simulated_users.simulate(source, np.arange(U), seed=3)
  np.testing.assert_array_equal(users.shown, again.shown)
  other = simulated_users.simulate(source, np.arange(U), seed=4)
  assert (users.shown != other.shown).any()


def test_added_popularity_is_that_among_other_users():
  x = made()
  plain = simulated_users.of(x, precision(x))
  popular = simulated_users.of(x, precision(x), popularity=0.7)
  rows = np.array([3, 0, 11])
  before, after = (
    simulated_users.simulate(one, rows, seed=3).base for one in (plain, popular)
  )
  for user, added in zip(rows, after - before, strict=True):
    others = x[np.arange(U) != user].toarray()
    np.testing.assert_allclose(added, 0.7 * others.mean(axis=0), atol=1e-6)


def test_what_is_kept_where_it_fits_changes_nothing(monkeypatch):
  x = made()
  assert simulated_users.of(x, precision(x)).moved is not None
  monkeypatch.setattr(simulated_users, '_FITS', 0)
  assert simulated_users.of(x, precision(x)).moved is None
  few = x[: V - 2]
  kept = simulated_users.of(few, precision(x), linear_autoencoder.gram(x))
  assert kept.moved is not None
  rows = np.array([4, 1, 4])
  found = simulated_users.simulate(kept, rows, seed=5)
  again = simulated_users.simulate(kept._replace(moved=None), rows, seed=5)
  for one, other in zip(found, again, strict=True):
    np.testing.assert_array_equal(one, other)


def test_few_and_many_items_are_shown_alike_often():
  x = scipy.sparse.csr_matrix(np.ones((4000, 100), np.float32))
  part = simulated_users.shown_part(x, np.random.default_rng(0))
  sizes = np.asarray(part.sum(axis=1)).ravel()
  few, some, many = (
    np.mean((sizes >= low) & (sizes < high))
    for low, high in ((0, 4), (4, 18), (18, 101))
  )
  assert min(few, some, many) > 0.25
  assert np.mean(sizes == 0) < 0.2
  assert sizes.max() <= 95


@pytest.mark.parametrize('num_users', [0, 10])
def test_flops_grow_with_the_users(num_users):
  x = made()
  count = simulated_users.simulate_flops(x, num_users)
  dense = 2 * 2 * x.nnz / U * num_users * V
  assert dense <= count <= 3 * dense + 1
