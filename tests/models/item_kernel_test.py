"""The kernel in factors against the kernel itself."""

import numpy as np
import pytest

from hyperrec.models import item_kernel, linear_autoencoder


def make(num_items=120, width=6, seed=0):
  return np.random.default_rng(seed).normal(size=(num_items, width))


def exact(features, sharpness):
  """The kernel, entry by entry."""
  rows = [row / max(np.linalg.norm(row), 1e-9) for row in features]
  return np.array(
    [[np.exp(sharpness * (a @ b - 1)) for b in rows] for a in rows]
  )


def relation(prior):
  """The product of its factors, without the diagonal, which drops out."""
  product = prior.left @ prior.right
  np.fill_diagonal(product, 0)
  return product


def test_the_prior_is_ease_through_the_kernel():
  features = make()
  precision = np.linalg.inv(exact(features, 2.0) + 1.5 * np.eye(120))
  expected = -0.8 * precision / np.diag(precision)
  np.fill_diagonal(expected, 0)
  ours = item_kernel.prior(features, 2.0, 1.5, 0.8)
  np.testing.assert_allclose(relation(ours), expected, atol=1e-6)


def test_factors_of_a_large_catalogue_come_near_it():
  features = make()
  small = relation(item_kernel.prior(features, 1.0, 1.0))
  errors = []
  for rank in (10, 30, 59):
    factored = item_kernel.prior(features, 1.0, 1.0, rank=rank)
    assert factored.left.shape == (120, rank)
    errors.append(np.linalg.norm(relation(factored) - small))
  assert errors[0] > errors[1] > errors[2]
  assert errors[2] < 0.2 * np.linalg.norm(small)


def test_costs_and_ranks_are_of_the_way_taken():
  assert item_kernel.rank_of(100, rank=50) == 100
  assert item_kernel.rank_of(101, rank=50) == 50
  large = item_kernel.flops(20_000, 512, 1000)
  assert 8e10 < large < 20_000.0**3 / 50
  assert item_kernel.flops(100, 5, 50) == 2 * 100**2 * 5 + 100**3


def test_full_rank_is_the_kernel():
  features = make()
  phi, rest = item_kernel.factors(features, 2.0, rank=500)
  assert phi.shape[1] <= 120
  np.testing.assert_allclose(phi @ phi.T, exact(features, 2.0), atol=1e-3)
  assert rest.max() < 1e-3


def test_low_rank_keeps_the_diagonal_and_errs_below_it():
  features = make(width=10)
  kernel = exact(features, 2.0)
  phi, rest = item_kernel.factors(features, 2.0, rank=40)
  assert phi.shape == (120, 40)
  left = kernel - phi @ phi.T
  np.testing.assert_allclose(np.diag(left), rest, atol=1e-4)
  assert np.linalg.eigvalsh(left).min() > -1e-4
  # The best factors of this rank leave out the smallest eigenvalues.
  least = np.linalg.eigvalsh(kernel)[:-40].sum()
  assert rest.sum() < 2 * least


def test_it_is_the_same_every_time():
  features = make()
  first, second = (item_kernel.factors(features, 1.0, rank=30) for _ in '12')
  np.testing.assert_array_equal(first.phi, second.phi)


def test_rows_of_zeros_and_equal_rows_are_served():
  features = make()
  features[3] = 0
  features[5:9] = features[4]
  phi, rest = item_kernel.factors(features, 1.0, rank=500)
  assert np.isfinite(phi).all() and (rest >= 0).all()
  np.testing.assert_allclose(phi @ phi.T, exact(features, 1.0), atol=1e-3)
  np.testing.assert_allclose(phi[4] @ phi[5], 1, atol=1e-3)


def test_a_slight_sharpness_is_the_linear_kernel():
  features = make()
  features /= np.linalg.norm(features, axis=1, keepdims=True)
  s = 0.01
  phi, rest = item_kernel.factors(features, s, rank=500)
  constant = np.ones((120, 1))
  # exp(s (c - 1)) ~ (1 - s) + s c.
  linear = np.concatenate([constant * np.sqrt(1 - s), np.sqrt(s) * features], 1)
  ours, theirs = (
    relation(linear_autoencoder.feature_prior(table, 0.1 + noise))
    for table, noise in ((phi, rest), (linear, 0.0))
  )
  np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_one_item_is_a_catalogue():
  phi, _ = item_kernel.factors(np.ones((1, 4)), 1.0)
  np.testing.assert_allclose(phi @ phi.T, [[1.0]], rtol=1e-3)


def test_a_ridge_for_each_item_is_the_closed_form():
  features, l2 = make(width=5), np.linspace(1, 4, 120)
  precision = np.linalg.inv(features @ features.T + np.diag(l2))
  expected = -precision / np.diag(precision)
  np.fill_diagonal(expected, 0)
  ours = relation(linear_autoencoder.feature_prior(features, l2))
  np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_sharpness_must_be_positive():
  for rank in (10, 1000):
    with pytest.raises(ValueError, match='sharpness=0'):
      item_kernel.prior(make(), 0.0, 1.0, rank=rank)
