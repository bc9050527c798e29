"""Each rule against a brute-force evaluation of its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hyperrec.systems.pref import interview, question_rules
from hyperrec.systems.pref import reward_factorization as rf

N, J = 7, 3


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def slope(x):
  return sigmoid(x) * (1 - sigmoid(x))


@pytest.fixture
def pool():
  random = np.random.default_rng(0)
  features = jnp.asarray(random.normal(size=(N, J)), jnp.float32)
  return question_rules.Pool(
    features, jnp.ones(N), jnp.linspace(0.9, 0.1, N), jnp.eye(J)
  )


@pytest.fixture
def belief(pool):
  found = interview.start(rf.Gaussian(jnp.zeros(J), jnp.eye(J)), pool, 10)
  for pair, is_first in (((0, 1), 1.0), ((2, 5), 0.0), ((1, 6), 1.0)):
    found = interview.update(
      pool, found, pair, is_first, 1.0, num_steps=8
    )  # fmt: skip
  return found


def brute(pool, value):
  features = np.asarray(pool.features, np.float64)
  return np.array(
    [[value(a - b) for b in features] for a in features], np.float64
  )


KEY = jax.random.key(0)


def test_the_papers_rule(pool, belief):
  mean = np.asarray(belief.posterior.mean, np.float64)
  sigma = 0.001 * np.eye(J)
  for v in np.asarray(belief.answers.differences)[:3]:
    sigma += slope(mean @ v) * np.outer(v, v)
  inverse = np.linalg.inv(sigma)
  want = brute(pool, lambda v: slope(mean @ v) ** 2 * v @ inverse @ v)
  found = question_rules.paper(pool, belief, KEY)
  np.testing.assert_allclose(found, want, rtol=2e-3, atol=1e-4)
  first, second, is_left = question_rules.ask(
    question_rules.paper, pool, belief, KEY
  )
  want[np.tril_indices(N)] = -np.inf
  for pair in ((0, 1), (2, 5), (1, 6)):
    want[pair] = -np.inf
  assert (int(first), int(second)) == np.unravel_index(want.argmax(), (N, N))
  assert is_left


def test_d_optimal_is_the_fall_of_the_log_determinant(pool, belief):
  mean = np.asarray(belief.posterior.mean, np.float64)
  precision = np.asarray(belief.posterior.precision, np.float64)

  def fall(v):
    more = precision + slope(mean @ v) * np.outer(v, v)
    return np.linalg.slogdet(more)[1] - np.linalg.slogdet(precision)[1]

  found = question_rules.d_optimal(pool, belief, KEY)
  np.testing.assert_allclose(found, brute(pool, fall), rtol=1e-3, atol=1e-5)


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def entropy(p):
  p = np.clip(p, 1e-12, 1 - 1e-12)
  return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def integrated(pool, belief, probability, noise):
  """H(E p) - E noise over the posterior of each margin, by quadrature."""
  mean = np.asarray(belief.posterior.mean, np.float64)
  covariance = np.linalg.inv(np.asarray(belief.posterior.precision, np.float64))

  def information(v):
    margin = mean @ v + np.sqrt(max(v @ covariance @ v, 0)) * NODES
    return entropy(WEIGHTS @ probability(margin)) - WEIGHTS @ noise(margin)

  return brute(pool, information)


def test_bald_is_its_formula_integrated(pool, belief):
  """Of a probit, whose entropy is read as a Gaussian bump (Houlsby et al.)."""
  scale = np.sqrt(np.pi / 8)

  def probability(margin):
    return stats.norm.cdf(scale * margin)

  def noise(margin):
    return np.exp(-((scale * margin) ** 2) / (np.pi * np.log(2)))

  found = question_rules.bald(pool, belief, KEY)
  want = integrated(pool, belief, probability, noise)
  np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-5)


def test_bald_is_near_the_mutual_information(pool, belief):
  def noise(margin):
    return entropy(sigmoid(margin))

  found = question_rules.bald(pool, belief, KEY)
  want = integrated(pool, belief, sigmoid, noise)
  np.testing.assert_allclose(found, want, atol=0.04)
  above = np.triu_indices(N, 1)
  assert np.corrcoef(found[above], want[above])[0, 1] > 0.999


def test_static_ignores_answers_and_is_the_fall_of_the_error(pool, belief):
  other = belief._replace(
    posterior=belief.posterior._replace(mean=belief.posterior.mean + 1)
  )
  found = question_rules.static(pool, belief, KEY)
  np.testing.assert_array_equal(found, question_rules.static(pool, other, KEY))
  precision = np.eye(J) + np.asarray(belief.planned, np.float64)

  def fall(v):
    scale = np.sqrt(1 + np.pi / 8 * v @ v)
    more = precision + 0.25 / scale * np.outer(v, v)
    return np.trace(np.linalg.inv(precision) - np.linalg.inv(more))

  np.testing.assert_allclose(found, brute(pool, fall), rtol=1e-3, atol=1e-5)


def test_what_is_not_known_is_not_asked(pool, belief):
  known = pool._replace(known=jnp.zeros(N).at[jnp.array([3, 4])].set(1.0))
  for rule in (
    question_rules.random,
    question_rules.popular,
    question_rules.paper,
    question_rules.d_optimal,
    question_rules.bald,
    question_rules.static,
  ):
    first, second, is_left = question_rules.ask(rule, known, belief, KEY)
    assert (int(first), int(second), bool(is_left)) == (3, 4, True)
  nothing = known._replace(known=jnp.zeros(N))
  assert not question_rules.ask(question_rules.bald, nothing, belief, KEY)[2]


def test_no_answer_tells_by_bayes_what_is_not_known():
  known = jnp.array([0.7, 0.4, 0.9])
  pair = jnp.int32(0), jnp.int32(1)
  found = question_rules.known_after(known, pair, jnp.float32(0))
  silent = 1 - 0.6 * 0.7 * 0.4
  want = [0.7 * (1 - 0.6 * 0.4) / silent, 0.4 * (1 - 0.6 * 0.7) / silent, 0.9]
  np.testing.assert_allclose(found, want, rtol=1e-6)
  found = question_rules.known_after(known, pair, jnp.float32(1))
  np.testing.assert_allclose(found, [1, 1, 0.9], rtol=1e-6)
  # Two that are surely known are alike to her; one that is not stays unknown.
  sure = jnp.array([1.0, 1.0, 0.0])
  found = question_rules.known_after(sure, pair, jnp.float32(0))
  np.testing.assert_allclose(found, sure, rtol=1e-6)


def test_after_no_answer_other_items_are_asked():
  """Of items that tell as much, those that are more likely known."""
  eye, share = jnp.eye(N), jnp.full(N, 0.5)
  alike = question_rules.Pool(eye, share, share, eye)
  belief = interview.start(rf.Gaussian(jnp.zeros(N), eye), alike, 2)
  belief = interview.update(alike, belief, (0, 1), 0.0, 0.0)
  for rule in (question_rules.d_optimal, question_rules.bald):
    first, second, _ = question_rules.ask(rule, alike, belief, KEY)
    assert (int(first), int(second)) == (2, 3)


def test_an_item_is_asked_about_once_as_long_as_others_are_left(pool, belief):
  """Items 3 and 4 are the only ones that the belief has no question about."""
  popular = question_rules.once(question_rules.popular)
  found = question_rules.ask(popular, pool, belief, KEY)
  assert (int(found[0]), int(found[1])) == (3, 4)
  belief = interview.update(pool, belief, (3, 4), 1.0, 1.0)
  again = question_rules.ask(popular, pool, belief, KEY)
  usual = question_rules.ask(question_rules.popular, pool, belief, KEY)
  assert again == usual
  assert (int(again[0]), int(again[1]), bool(again[2])) == (0, 2, True)


def test_popular_asks_the_most_rated_pair(pool, belief):
  first, second, _ = question_rules.ask(
    question_rules.popular, pool, belief, KEY
  )
  assert (int(first), int(second)) == (0, 2)  # (0, 1) was asked
