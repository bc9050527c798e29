"""Soft permutations: sums, gradients that learn, and exact rounding."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hyperrec.systems.vqrec import permutation

KEY = jax.random.key(0)


def test_rows_and_columns_sum_to_one():
  logits = 3 * jax.random.normal(KEY, (2, 9, 9))
  soft = permutation.sinkhorn(logits, 50)
  np.testing.assert_allclose(soft.sum(-1), np.ones((2, 9)), atol=1e-3)
  np.testing.assert_allclose(soft.sum(-2), np.ones((2, 9)), atol=1e-5)
  assert (soft >= 0).all()


def test_a_permutation_stays():
  order = np.array([2, 0, 1])
  soft = permutation.sinkhorn(50 * jnp.eye(3)[order])
  np.testing.assert_allclose(soft, np.eye(3)[order], atol=1e-6)


def test_huge_logits_are_finite():
  soft = permutation.sinkhorn(jnp.asarray([[1e4, -1e4], [0.0, 1e4]]))
  assert np.isfinite(soft).all()


def test_noise_differs_by_key_and_falls_with_temperature():
  logits = jnp.zeros((4, 4))
  one, two = (
    permutation.gumbel_sinkhorn(jax.random.key(k), logits, 0.5) for k in (1, 2)
  )
  assert np.abs(one - two).max() > 0.1
  hard = permutation.gumbel_sinkhorn(
    jax.random.key(1), logits, 0.01, iterations=200
  )
  assert np.abs(hard - np.round(hard)).max() < 0.05


def test_rounding_is_the_best_of_all_permutations():
  weights = np.random.default_rng(0).random((6, 4, 4))
  for w, found in zip(weights, permutation.rounded(weights), strict=True):
    best = max(
      itertools.permutations(range(4)),
      key=lambda order, w=w: sum(w[i, j] for i, j in enumerate(order)),
    )
    assert tuple(found) == best


def test_rounding_refuses_nan():
  with pytest.raises(ValueError, match='finite'):
    permutation.rounded(np.full((1, 2, 2), np.nan))


def test_straight_through_is_hard_with_a_soft_gradient():
  logits = jax.random.normal(KEY, (5, 5))
  target = jax.random.normal(jax.random.key(1), (5, 5))

  def loss(logits, transform):
    return (transform(permutation.sinkhorn(logits)) * target).sum()

  hard = permutation.straight_through(permutation.sinkhorn(logits))
  np.testing.assert_allclose(hard, np.round(hard), atol=1e-6)
  np.testing.assert_allclose(hard.sum(-1), np.ones(5), atol=1e-6)
  through = jax.grad(loss)(logits, permutation.straight_through)
  soft = jax.grad(loss)(logits, lambda x: x)
  np.testing.assert_allclose(through, soft, rtol=1e-5)
  assert np.abs(through).max() > 1e-3


def test_a_permutation_is_learned():
  """Rows of a table are put back in their order by gradients alone."""
  table = jax.random.normal(KEY, (12, 6))
  order = jax.random.permutation(jax.random.key(1), 12)
  wanted = table[order]

  def loss(logits, key):
    soft = permutation.gumbel_sinkhorn(key, logits, 0.7)
    return jnp.square(permutation.straight_through(soft) @ table - wanted).sum()

  tx = optax.adam(0.1)

  def step(state, key):
    logits, opt_state = state
    updates, opt_state = tx.update(jax.grad(loss)(logits, key), opt_state)
    return (logits + updates, opt_state), None

  logits = jnp.zeros((12, 12))
  keys = jax.random.split(KEY, 200)
  (logits, _), _ = jax.lax.scan(step, (logits, tx.init(logits)), keys)
  found = permutation.rounded(permutation.sinkhorn(logits)[None])[0]
  np.testing.assert_array_equal(found, order)
