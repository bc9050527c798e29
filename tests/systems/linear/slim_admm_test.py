"""Tests of SLIM against a reference solver and the optimality conditions."""

import numpy as np
import pytest
import scipy.sparse
from sklearn import linear_model

from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.linear import slim_admm as slim


def make_x(num_users, num_items, seed=0):
  random = np.random.default_rng(seed)
  dense = random.random((num_users, num_items)) < 0.3
  return scipy.sparse.csr_matrix(dense.astype(np.float32))


@pytest.mark.parametrize('num_users', [60, 8])
def test_equals_elastic_net(num_users):
  """Compares the primal and the dual way with scikit-learn, per column."""
  x, l1, l2 = make_x(num_users, 20), 0.5, 2.0
  fitted = slim.slim(
    x, l1=l1, l2=l2, max_iterations=3000, tolerance=1e-9, dtype=np.float64
  )
  dense = x.toarray().astype(np.float64)
  for item in range(20):
    others = np.delete(np.arange(20), item)
    net = linear_model.ElasticNet(
      alpha=(l1 + l2) / num_users,
      l1_ratio=l1 / (l1 + l2),
      fit_intercept=False,
      positive=True,
      tol=1e-10,
      max_iter=100_000,
    ).fit(dense[:, others], dense[:, item])
    np.testing.assert_allclose(
      fitted.weights[others, item], net.coef_, atol=1e-5
    )


def test_no_negative_weight_and_a_zero_diagonal():
  fitted = slim.slim(make_x(40, 15), l1=0.1, l2=1.0)
  assert (fitted.weights >= 0).all()
  assert (np.diagonal(fitted.weights) == 0).all()
  assert fitted.residual < 1e-3


def test_stronger_l1_gives_fewer_weights():
  x = make_x(40, 15)
  counts = [
    (slim.slim(x, l1=l1, l2=1.0).weights > 0).sum() for l1 in (0.0, 1.0, 4.0)
  ]
  assert counts[0] > counts[1] > counts[2]


def test_clipping_is_not_the_nonnegative_fit():
  x = make_x(40, 15)
  ease = linear_autoencoder.solve_primal(x, np.full(15, 2.0))
  fitted = slim.slim(x, l1=0.0, l2=2.0).weights
  assert np.abs(ease.clip(min=0) - fitted).max() > 1e-2
