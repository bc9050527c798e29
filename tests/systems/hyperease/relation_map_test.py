"""The linear generator: its normal equations, its prior, its refusals."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import relation_map


def make(num_users=30, num_items=12, width=4, seed=0):
  random = np.random.default_rng(seed)
  x = (random.random((num_users, num_items)) < 0.3).astype(np.float64)
  return scipy.sparse.csr_matrix(x), random.normal(size=(num_items, width))


def fit(*domains, a=0.03, b=0.3):
  return relation_map.fit(domains, l2_users=a, l2_items=b)


def test_solves_the_normal_equations_of_scaled_sums():
  domains = [make(seed=1), make(num_users=50, num_items=9, seed=2)]
  left, others, right = np.zeros((3, 4, 4))
  for x, f in domains:
    gram = (x.T @ x).toarray()
    shown, own = f.T @ gram @ f, f.T @ f
    users, items = np.trace(shown) / 4, np.trace(own) / 4
    left += shown / users / 2
    others += f.T @ (gram - np.diag(np.diag(gram))) @ f / users / 2
    right += own / items / 2
  expected = (left + 0.03 * np.eye(4)) @ fit(*domains)
  expected = expected @ (right + 0.3 * np.eye(4))
  np.testing.assert_allclose(expected, others, atol=1e-8)


def test_learns_a_relation_that_another_catalogue_has_too():
  """Users like one of two kinds; the features name them, and add noise."""
  random = np.random.default_rng(0)
  kind = random.integers(0, 2, 80)
  noise = random.normal(size=(80, 6))
  features = np.concatenate([np.eye(2)[kind], noise], axis=1)
  taste = random.integers(0, 2, 300)
  likes = np.where(taste[:, None] == kind, 0.4, 0.02)
  x = scipy.sparse.csr_matrix((random.random((300, 80)) < likes).astype(float))
  m = fit((x[:, :40], features[:40]))
  prior = relation_map.prior(features[40:], m)
  weights = prior.left @ prior.right
  same = kind[40:, None] == kind[40:]
  off = ~np.eye(40, dtype=bool)
  assert weights[same & off].mean() > 3 * abs(weights[~same].mean())


def test_no_domain_outweighs_another_by_its_size():
  (x, f), other = make(seed=1), make(seed=2)
  m = fit((x, f), other)
  larger = scipy.sparse.vstack([x] * 10, format='csr')
  np.testing.assert_allclose(fit((larger, f), other), m, atol=1e-10)


def test_a_domain_without_interactions_teaches_nothing():
  x, f = make(seed=1)
  np.testing.assert_array_equal(fit((x * 0, f)), 0)
  assert np.isfinite(fit((x * 0, f), make(seed=2))).all()


def test_priors_add_up():
  x, features = make()
  m = fit((x, features))
  one = relation_map.prior(features, m)
  both = relation_map.add(one, relation_map.prior(features, m, 2.0))
  np.testing.assert_allclose(both.left @ both.right, 3 * (one.left @ one.right))


def test_bad_input_is_named():
  x, features = make()
  with pytest.raises(ValueError, match='at least one domain'):
    fit()
  with pytest.raises(ValueError, match='11 rows of features for 12 items'):
    fit((x, features[1:]))
  with pytest.raises(ValueError, match='l2_items=0 must be positive'):
    fit((x, features), b=0)
  with pytest.raises(ValueError, match=r'widths \[3, 4\]'):
    fit((x, features), (x, features[:, :3]))
  broken = features.copy()
  broken[3, 1] = np.nan
  with pytest.raises(ValueError, match='item 3 are not finite'):
    fit((x, broken))
  with pytest.raises(ValueError, match=r'width 3, but the map .* width 4'):
    relation_map.prior(features[:, :3], fit((x, features)))
