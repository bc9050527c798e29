"""Tests of the kernel relation C against its definition, entry by entry."""

import numpy as np
import pytest

from hyperrec.systems.linear import item_kernel
from hyperrec.systems.linear import prior as prior_lib


def make(num_items=80, width=6, seed=0):
  return np.random.default_rng(seed).normal(size=(num_items, width))


def expected(features, sharpness, l2):
  units = [row / max(np.linalg.norm(row), 1e-9) for row in features]
  kernel = [[np.exp(sharpness * (a @ b - 1)) for b in units] for a in units]
  precision = np.linalg.inv(np.array(kernel) + l2 * np.eye(len(units)))
  c = -precision / np.diag(precision)
  np.fill_diagonal(c, 0)
  return c


@pytest.mark.parametrize('sharpness', [0.5, 4.0])
def test_it_is_ease_through_the_kernel(sharpness):
  ours = item_kernel.relation(make(), sharpness, 1.5)
  np.testing.assert_allclose(ours, expected(make(), sharpness, 1.5), atol=1e-6)


def test_a_slight_sharpness_is_the_linear_kernel():
  s, features = 0.01, make()
  features /= np.linalg.norm(features, axis=1, keepdims=True)
  # exp(s (c - 1)) ~ (1 - s) + s c.
  constant = np.full((80, 1), np.sqrt(1 - s))
  linear = np.concatenate([constant, np.sqrt(s) * features], axis=1)
  left, right = prior_lib.from_features(linear, 0.1)
  theirs = left @ right
  np.fill_diagonal(theirs, 0)
  ours = item_kernel.relation(features, s, 0.1)
  np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_rows_of_zeros_and_equal_rows_are_served():
  features = make()
  features[3] = 0
  features[5:9] = features[4]
  c = item_kernel.relation(features, 1.0, 1.0)
  assert np.isfinite(c).all()
  assert (c[4, 5:9] > 5 * np.abs(c).mean()).all()


def test_one_item_is_a_catalogue():
  c = item_kernel.relation(np.ones((1, 4)), 1.0, 1.0)
  np.testing.assert_array_equal(c, [[0.0]])


def test_bad_numbers_are_named():
  with pytest.raises(ValueError, match='sharpness=0'):
    item_kernel.relation(make(), 0.0, 1.0)
  with pytest.raises(ValueError, match='l2_features=-1'):
    item_kernel.relation(make(), 1.0, -1.0)


def test_the_factor_is_that_of_the_kernel():
  features = np.repeat(make(40), 2, axis=0)
  factor, operations = item_kernel.factor(features, 2.0)
  assert operations == 2 * 80**2 * 6 + 80**3 / 3
  units = features / np.linalg.norm(features, axis=1, keepdims=True)
  kernel = np.exp(2.0 * (units @ units.T - 1)) + 1e-3 * np.eye(80)
  np.testing.assert_allclose(factor @ factor.T, kernel, atol=1e-5)
