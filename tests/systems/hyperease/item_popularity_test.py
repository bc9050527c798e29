"""Popularity from features and counts: its ridge, its posterior."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import item_popularity

NOTHING = item_popularity.PopularityMap(np.zeros(3), 0.5)


def make(num_users=4000, num_items=60, noise=0.3, seed=0):
  """Items whose log rate is linear in their features, and what users do."""
  random = np.random.default_rng(seed)
  features = random.normal(size=(num_items, 3)) / np.sqrt(3)
  features -= features.mean(axis=0)
  log_rate = features @ [1.0, -0.5, 0.0] + noise * random.normal(size=num_items)
  rate = 0.05 * np.exp(log_rate - log_rate.mean())
  x = random.random((num_users, num_items)) < rate
  return scipy.sparse.csr_matrix(x.astype(float)), features, np.log(rate)


def test_leaving_an_item_out_is_what_the_variance_says():
  x, features, _ = make()
  fitted = item_popularity.fit(x, features)
  target = np.log((np.asarray(x.sum(axis=0)).ravel() + 1) / x.shape[0])
  target -= target.mean()
  errors = []
  for ridge in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0):
    rest = []
    for item in range(60):
      others = np.arange(60) != item
      a, y = features[others], target[others]
      w = np.linalg.solve(a.T @ a + ridge * np.eye(3), a.T @ y)
      rest.append(target[item] - features[item] @ w)
    errors.append(np.mean(np.square(rest)))
  assert fitted.variance == pytest.approx(min(errors))


def test_it_finds_what_is_there():
  x, features, log_rate = make()
  fitted = item_popularity.fit(x, features)
  told = item_popularity.log_posterior(fitted, features, x[:0])
  assert np.corrcoef(told, log_rate)[0, 1] > 0.8
  assert fitted.variance < 0.5 * log_rate.var()


def test_evidence_takes_over():
  """The more users are seen, the closer to the truth, from prior to counts."""
  x, features, log_rate = make(noise=0.8)
  fitted = item_popularity.fit(x[:2000], features)
  truth = log_rate - log_rate.mean()
  errors = [
    np.square(
      item_popularity.log_posterior(fitted, features, x[2000 : 2000 + k])
      - truth
    ).mean()
    for k in (0, 50, 2000)
  ]
  assert errors[0] > errors[1] > errors[2]


def test_the_posterior_is_a_gamma_mean():
  """Without features every item has the level of the evidence as its prior."""
  x = scipy.sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]]))
  told = item_popularity.log_posterior(NOTHING, np.zeros((3, 3)), x)
  shape, level = 1 / np.expm1(0.5), 3 / 2 / 3
  expected = np.log(shape + np.array([2, 1, 0])) - np.log(shape / level + 2)
  np.testing.assert_allclose(told, expected - expected.mean())


def test_domains_are_averaged():
  other = item_popularity.PopularityMap(np.ones(3), 1.5)
  pooled = item_popularity.pool([NOTHING, other])
  np.testing.assert_array_equal(pooled.weights, 0.5)
  assert pooled.variance == 1.0
