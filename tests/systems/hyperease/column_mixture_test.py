"""Other columns of an item: hidden items have those of a smaller catalogue."""

import numpy as np

from hyperrec.cost import counts
from hyperrec.systems.hyperease import (
  column_mixture,
  hidden_columns,
  item_columns,
)
from hyperrec.systems.linear import linear_autoencoder
from tests.makers import made_domain

CONFIG = item_columns.ItemColumnsConfig(
  l2=50.0, l2_kernel=0.7, sharpness=2.0, identity=0.3
)


def unit_rows(random, *shape):
  rows = random.normal(size=shape)
  return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_hidden_items_have_the_columns_of_a_catalogue_without_them():
  data = made_domain('some', 3, num_users=150, num_items=40)
  x, size = data.csr(np.float64), data.num_items
  random = np.random.default_rng(0)
  apart = [unit_rows(random, size, width) for width in (6, 4)]
  views = [np.concatenate(apart, axis=1) / np.sqrt(2), *apart]
  popularity = random.normal(size=size)
  ridge = np.full(size, 50.0)
  precision = linear_autoencoder.precision(x, ridge, np.float64)
  columns, shares, _ = hidden_columns.generate(CONFIG, precision, views[0])
  hidden = item_columns.Generated(columns, shares, counts.Cost())
  mixed, mixture, operations = column_mixture.of_old(
    CONFIG, precision, views, hidden, popularity
  )
  # Four kernels, each as it is and smoothed; smoothed twice; popular items.
  assert mixed.shape == (10, size, size)
  assert operations > 0
  median = np.median(np.linalg.norm(columns, axis=0))
  np.testing.assert_allclose(
    np.median(np.linalg.norm(mixed, axis=1), axis=1), median, rtol=1e-4
  )
  for item in (0, 11):
    known = np.setdiff1d(np.arange(size), [item])
    weights = linear_autoencoder.solve(x[:, known], ridge[1:])
    sharp = [(views[0], 2.0), (views[1], 2.0), (views[2], 2.0), (views[0], 8.0)]
    factors = [
      item_columns.kernel_factor(table[known], sharpness, 0.7)
      for table, sharpness in sharp
    ]
    pairs = [(table[known], table[[item]]) for table in views]
    own, _ = item_columns.regression(factors[0], *pairs[0], 2.0)
    without = column_mixture.Mixture(
      tuple(factors[1:]), mixture.lengths, popularity[known]
    )
    found, spent = column_mixture.of_new(CONFIG, without, weights, own, pairs)
    assert spent > 0
    np.testing.assert_allclose(
      mixed[:, known, item], found[:, :, 0], atol=2e-4, rtol=1e-2
    )


def test_one_view_is_not_taken_twice():
  random = np.random.default_rng(0)
  table = unit_rows(random, 12, 5)
  precision = np.eye(12) / 2
  columns, shares, _ = hidden_columns.generate(CONFIG, precision, table)
  hidden = item_columns.Generated(columns, shares, counts.Cost())
  mixed, mixture, _ = column_mixture.of_old(
    CONFIG, precision, [table, table], hidden, np.zeros(12)
  )
  assert len(mixed) == 6
  assert len(mixture.factors) == 1
