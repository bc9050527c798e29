"""The linear generator: its normal equations, its prior, its refusals."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.models import relation_map


def make(num_users=30, num_items=12, width=4, seed=0):
  random = np.random.default_rng(seed)
  x = (random.random((num_users, num_items)) < 0.3).astype(np.float64)
  return scipy.sparse.csr_matrix(x), random.normal(size=(num_items, width))


def test_solves_its_normal_equations():
  x, features = make()
  m = relation_map.fit(x, features, l2_users=7.0, l2_items=2.0)
  gram = (x.T @ x).toarray()
  others = gram - np.diag(np.diag(gram))
  left = features.T @ gram @ features + 7 * np.eye(4)
  right = features.T @ features + 2 * np.eye(4)
  np.testing.assert_allclose(
    left @ m @ right, features.T @ others @ features, atol=1e-8
  )


def test_learns_a_relation_that_another_catalogue_has_too():
  """Users like one of two kinds; the features name them, and add noise."""
  random = np.random.default_rng(0)
  kind = random.integers(0, 2, 80)
  noise = random.normal(size=(80, 6))
  features = np.concatenate([np.eye(2)[kind], noise], axis=1)
  taste = random.integers(0, 2, 300)
  likes = np.where(taste[:, None] == kind, 0.4, 0.02)
  x = scipy.sparse.csr_matrix((random.random((300, 80)) < likes).astype(float))
  m = relation_map.fit(x[:, :40], features[:40], l2_users=10.0, l2_items=1.0)
  prior = relation_map.prior(features[40:], m)
  weights = prior.left @ prior.right
  same = kind[40:, None] == kind[40:]
  off = ~np.eye(40, dtype=bool)
  assert weights[same & off].mean() > 3 * abs(weights[~same].mean())


def test_priors_add_up():
  x, features = make()
  m = relation_map.fit(x, features, l2_users=7.0, l2_items=2.0)
  one = relation_map.prior(features, m)
  both = relation_map.add(one, relation_map.prior(features, m, 2.0))
  np.testing.assert_allclose(both.left @ both.right, 3 * (one.left @ one.right))


def test_without_interactions_nothing_is_learned():
  x, features = make()
  m = relation_map.fit(x * 0, features, l2_users=1.0, l2_items=1.0)
  np.testing.assert_array_equal(m, 0)


def test_bad_input_is_named():
  x, features = make()
  with pytest.raises(ValueError, match='11 rows of features, 12 items'):
    relation_map.fit(x, features[1:], l2_users=1.0, l2_items=1.0)
  with pytest.raises(ValueError, match='l2_items=0 must be positive'):
    relation_map.fit(x, features, l2_users=1.0, l2_items=0)
  broken = features.copy()
  broken[3, 1] = np.nan
  with pytest.raises(ValueError, match='item 3 are not finite'):
    relation_map.fit(x, broken, l2_users=1.0, l2_items=1.0)
  m = relation_map.fit(x, features, l2_users=1.0, l2_items=1.0)
  with pytest.raises(ValueError, match=r'width 3, but the map .* width 4'):
    relation_map.prior(features[:, :3], m)
