"""Coefficients, their posterior, and what starts the base functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.pref import reward_factorization as rf

J = 4


def standard(j=J):
  return rf.Gaussian(jnp.zeros(j), jnp.eye(j))


def answers_of(random, coefficients, count):
  v_TxJ = random.normal(size=(count, len(coefficients)))
  p_T = 1 / (1 + np.exp(-v_TxJ @ coefficients))
  is_first = random.random(count) < p_T
  return rf.Answers(
    jnp.asarray(v_TxJ, jnp.float32),
    jnp.asarray(is_first, jnp.float32),
    jnp.ones(count),
  )


def test_planted_coefficients_are_recovered():
  truth = np.array([1.5, -1.0, 0.5, 0.0])
  answers = answers_of(np.random.default_rng(0), truth, 4000)
  found = jax.jit(rf.posterior)(standard(), answers)
  np.testing.assert_allclose(found.mean, truth, atol=0.15)


def test_map_is_where_the_gradient_is_zero():
  answers = answers_of(np.random.default_rng(1), np.ones(J), 12)
  found = rf.posterior(standard(), answers)
  gradient = jax.grad(rf.loss)(found.mean, standard(), answers)
  np.testing.assert_allclose(gradient, 0, atol=1e-4)
  hessian = jax.hessian(rf.loss)(found.mean, standard(), answers)
  np.testing.assert_allclose(found.precision, hessian, rtol=1e-4, atol=1e-5)


def test_posterior_shrinks_with_every_answer():
  answers = answers_of(np.random.default_rng(2), np.ones(J), 20)
  volumes = []
  for count in (0, 5, 10, 20):
    weights = jnp.where(jnp.arange(20) < count, 1.0, 0.0)
    found = rf.posterior(standard(), answers._replace(weights=weights))
    volumes.append(-float(jnp.linalg.slogdet(found.precision)[1]))
  assert volumes == sorted(volumes, reverse=True)
  assert volumes[0] == pytest.approx(0, abs=1e-6)


def test_order_of_answers_does_not_matter():
  answers = answers_of(np.random.default_rng(3), np.ones(J), 15)
  order = np.random.default_rng(4).permutation(15)
  other = rf.Answers(*(a[order] for a in answers))
  np.testing.assert_allclose(
    rf.posterior(standard(), answers).mean,
    rf.posterior(standard(), other).mean,
    atol=1e-5,
  )


def test_separable_answers_stay_finite():
  v_TxJ = jnp.eye(J).repeat(50, axis=0) * 30
  answers = rf.Answers(v_TxJ, jnp.ones(200), jnp.ones(200))
  found = rf.posterior(standard(), answers, num_steps=30)
  assert np.isfinite(found.mean).all()
  assert np.abs(found.mean).max() < 5
  gradient = jax.grad(rf.loss)(found.mean, standard(), answers)
  np.testing.assert_allclose(gradient, 0, atol=1e-2)


def test_a_newton_step_never_raises_the_loss():
  prior = rf.Gaussian(jnp.full(J, 8.0), jnp.eye(J) * 1e-3)
  answers = answers_of(np.random.default_rng(5), -np.ones(J), 30)
  found = [rf.posterior(prior, answers, num_steps=n) for n in range(6)]
  losses = [float(rf.loss(f.mean, prior, answers)) for f in found]
  assert losses == sorted(losses, reverse=True)


def test_flat_sgd_follows_the_answers_and_ignores_empty_places():
  answers = answers_of(np.random.default_rng(6), 2 * np.ones(J), 40)
  padded = rf.Answers(
    jnp.concatenate([answers.differences, jnp.full((5, J), 9.0)]),
    jnp.concatenate([answers.is_first, jnp.zeros(5)]),
    jnp.concatenate([answers.weights, jnp.zeros(5)]),
  )
  found = rf.flat_sgd(jnp.zeros(J), answers)
  same = rf.flat_sgd(jnp.zeros(J), padded)
  np.testing.assert_allclose(found, same, rtol=1e-5)
  assert rf.log_loss(found, answers) < rf.log_loss(jnp.zeros(J), answers)


def test_population_finds_mean_and_covariance():
  random = np.random.default_rng(7)
  root = np.array([[1.0, 0.0], [0.8, 0.4]])
  truth = random.normal(size=(300, 2)) @ root.T + np.array([1.0, -1.0])
  made = [answers_of(random, t, 60) for t in truth]
  stacked = jax.tree.map(lambda *a: jnp.stack(a), *made)
  prior = rf.population(stacked, num_rounds=8)
  np.testing.assert_allclose(prior.mean, [1, -1], atol=0.25)
  covariance = np.linalg.inv(prior.precision)
  np.testing.assert_allclose(covariance, root @ root.T, atol=0.3)
  narrow = rf.population(stacked, jnp.full(2, 1e-2), num_rounds=1)
  assert jnp.trace(jnp.linalg.inv(narrow.precision)) < jnp.trace(covariance)


def test_refilled_svd_completes_a_low_rank_matrix():
  random = np.random.default_rng(8)
  full = random.random((30, 1)) @ random.random((1, 20))
  holes = np.where(random.random(full.shape) < 0.2, np.nan, full)
  pairs, users = rf.refilled_svd(holes, 1, num_rounds=30)
  np.testing.assert_allclose(pairs @ users.T, full, atol=0.05)
  with pytest.raises(ValueError, match='fewer base functions'):
    rf.refilled_svd(holes, 21)


def test_items_from_pairs_inverts_differences():
  random = np.random.default_rng(9)
  items = random.normal(size=(6, 2))
  pairs = np.array([(i, j) for i in range(6) for j in range(i)])
  differences = items[pairs[:, 0]] - items[pairs[:, 1]]
  found = rf.items_from_pairs(differences, pairs, np.eye(6), ridge=1e-6)
  np.testing.assert_allclose(found, items - items.mean(axis=0), atol=1e-4)
