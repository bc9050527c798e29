"""Tests of exact updates of P: new users, changed users, items and drift."""

import numpy as np
import scipy.sparse

from hyperrec.systems.linear import linear_autoencoder, woodbury

L2, NUM_ITEMS = 3.0, 25


def make_x(num_users, num_items=NUM_ITEMS, seed=0):
  random = np.random.default_rng(seed)
  dense = random.random((num_users, num_items)) < 0.2
  return scipy.sparse.csr_matrix(dense.astype(np.float32))


def inverse(x, dtype=np.float64):
  return linear_autoencoder.precision(x, np.full(x.shape[1], L2), dtype)


def test_new_users():
  old, new = make_x(40), make_x(6, seed=1)
  updated = woodbury.update(inverse(old), new, block=7)
  expected = inverse(scipy.sparse.vstack([old, new], format='csr'))
  np.testing.assert_allclose(updated, expected, rtol=1e-9, atol=1e-12)


def test_users_who_add_interactions_are_rank_two():
  old = make_x(40)
  changed = old.copy().tolil()
  changed[3, :5] = 1
  changed = changed.tocsr()
  updated = woodbury.update(inverse(old), changed[[3]], removed=old[[3]])
  np.testing.assert_allclose(updated, inverse(changed), rtol=1e-9, atol=1e-12)


def test_new_items():
  old = make_x(40)
  extended = woodbury.extend(inverse(old), 3, L2)
  wide = scipy.sparse.hstack(
    [old, scipy.sparse.csr_matrix((40, 3))], format='csr'
  )
  np.testing.assert_allclose(extended, inverse(wide), rtol=1e-9, atol=1e-12)
  first = make_x(2, NUM_ITEMS + 3, seed=2)
  both = scipy.sparse.vstack([wide, first], format='csr')
  np.testing.assert_allclose(
    woodbury.update(extended, first), inverse(both), rtol=1e-9, atol=1e-12
  )


def test_drift_of_many_float32_updates_is_small_and_measured():
  x = make_x(40)
  p = inverse(x, np.float32)
  for step in range(200):
    row = make_x(1, seed=step + 10)
    p = woodbury.update(p, row)
    x = scipy.sparse.vstack([x, row], format='csr')
  measured = woodbury.drift(p, x, L2)
  exact = inverse(x)
  error = np.linalg.norm(p - exact) / np.linalg.norm(exact)
  assert error < 1e-4
  assert measured < 1e-3
  assert woodbury.drift(exact, x, L2) < 1e-10
  assert woodbury.drift(exact * 1.1, x, L2) > 0.05
