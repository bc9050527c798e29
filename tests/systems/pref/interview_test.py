"""Interviews: what costs a question, what an answer teaches."""

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.systems.pref import interview, question_rules
from hyperrec.systems.pref import reward_factorization as rf

N, J, Q = 12, 3, 8


def make(seed=0):
  random = np.random.default_rng(seed)
  features = jnp.asarray(random.normal(size=(N, J)), jnp.float32)
  pool = question_rules.Pool(features, jnp.ones(N), jnp.ones(N), jnp.eye(J))
  return pool, rf.Gaussian(jnp.zeros(J), jnp.eye(J) / 9)


def run(rule, ratings, pool, prior, noise=0.0):
  return interview.simulate(
    rule,
    prior,
    pool,
    ratings,
    jax.random.key(0),
    num_questions=Q,
    noise=noise,
  )


def test_answers_follow_the_ratings_and_no_pair_comes_twice():
  pool, prior = make()
  ratings = pool.features @ jnp.array([2.0, -1.0, 0.5])
  record = run(question_rules.d_optimal, ratings, pool, prior)
  first, second = record.pairs.T
  np.testing.assert_array_equal(
    record.is_first, ratings[first] > ratings[second]
  )
  assert len({tuple(p) for p in np.asarray(record.pairs).tolist()}) == Q
  assert (first < second).all()
  learned = pool.features @ record.coefficients[-1]
  assert np.corrcoef(learned, ratings)[0, 1] > 0.9


def test_the_last_map_is_that_of_all_answers_at_once():
  pool, prior = make()
  ratings = pool.features @ jnp.array([2.0, -1.0, 0.5])
  record = run(question_rules.bald, ratings, pool, prior)
  v = pool.features[record.pairs[:, 0]] - pool.features[record.pairs[:, 1]]
  answers = rf.Answers(v, record.is_first, record.weights)
  want = rf.posterior(prior, answers, num_steps=20).mean
  np.testing.assert_allclose(record.coefficients[-1], want, atol=1e-3)


def test_i_do_not_know_costs_a_question_and_teaches_nothing():
  pool, prior = make()
  record = run(question_rules.popular, jnp.full(N, jnp.nan), pool, prior)
  np.testing.assert_array_equal(record.weights, 0)
  np.testing.assert_allclose(record.coefficients, 0, atol=1e-7)
  tied = run(question_rules.popular, jnp.ones(N), pool, prior)
  np.testing.assert_array_equal(tied.weights, 0)
  assert len({tuple(p) for p in np.asarray(record.pairs).tolist()}) == Q


def test_an_answer_tells_that_both_items_were_taken_up():
  pool, prior = make()
  pool = pool._replace(taken=pool.features + 1)
  belief = interview.start(prior, pool, 2)
  belief = interview.update(pool, belief, (1, 4), 0.0, 0.0)
  np.testing.assert_array_equal(belief.answers.weights, 0)
  belief = interview.update(pool, belief, (2, 5), 0.0, 1.0, num_steps=8)
  both = pool.taken[jnp.array([2, 5])]
  v = jnp.concatenate([(pool.features[2] - pool.features[5])[None], both])
  answers = rf.Answers(v, jnp.array([0.0, 1.0, 1.0]), jnp.ones(3))
  want = rf.posterior(prior, answers).mean
  np.testing.assert_allclose(belief.posterior.mean, want, atol=1e-5)


def test_noise_turns_answers_round():
  pool, prior = make()
  ratings = pool.features[:, 0]
  record = run(question_rules.random, ratings, pool, prior, noise=1.0)
  first, second = record.pairs.T
  np.testing.assert_array_equal(
    record.is_first, ratings[first] < ratings[second]
  )


def test_one_trace_serves_all_users():
  pool, prior = make()
  ratings = jnp.asarray(np.random.default_rng(1).normal(size=(5, N)))
  traces = []

  @jax.jit
  def everyone(ratings, keys):
    traces.append(1)
    simulate = lambda r, k: interview.simulate(  # noqa: E731
      question_rules.static, prior, pool, r, k, num_questions=Q
    )
    return jax.vmap(simulate)(ratings, keys)

  keys = jax.random.split(jax.random.key(0), 5)
  record = everyone(ratings, keys)
  everyone(ratings + 1, keys)
  assert len(traces) == 1
  # The questionnaire is the same for everyone.
  assert (record.pairs == record.pairs[:1]).all()
