"""An interview asks a question, reads the answer and updates the posterior.

The answers come from a person or, in a simulation, from held-out ratings.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hyperrec.systems.pref import question_rules
from hyperrec.systems.pref import reward_factorization as rf

Belief = question_rules.Belief
Pool = question_rules.Pool
# Newton steps after one more answer, starting from the last MAP.
WARM_STEPS = 3


class Record(NamedTuple):
  """A simulated interview of Q questions.

  Attributes:
    coefficients: [Q + 1, J], the MAP after 0, 1, ..., Q questions.
    pairs: [Q, 2], indices into the pool.
    is_first: [Q], 1 where the first item was preferred.
    weights: [Q], 0 where the answer was "I don't know".
  """

  coefficients: Float[Array, 'Q1 J']
  pairs: Array
  is_first: Float[Array, ' Q']
  weights: Float[Array, ' Q']


def start(prior: rf.Gaussian, pool: Pool, num_questions: int) -> Belief:
  """Returns the belief before any question, with room for `num_questions`."""
  n, j = pool.features.shape
  room = num_questions * (1 if pool.taken is None else 3)
  answers = rf.Answers(jnp.zeros((room, j)), jnp.zeros(room), jnp.zeros(room))
  return Belief(
    prior,
    prior,
    answers,
    jnp.zeros((j, j)),
    pool.known,
    jnp.zeros((), jnp.int32),
    jnp.zeros((n, n), bool),
    jnp.zeros(n, bool),
  )


def update(
  pool: Pool,
  belief: Belief,
  pair: tuple[Array, Array],
  is_first: Array,
  weight: Array,
  *,
  num_steps: int = WARM_STEPS,
) -> Belief:
  """Returns the belief after one question.

  Args:
    pool: Items that can be asked about.
    belief: Belief before the question.
    pair: Indices of the two items in the pool, first < second.
    is_first: 1 if the first item was preferred, 0 if the second was.
    weight: 1 for an answer, 0 for "I don't know". Both count as a question.
    num_steps: Newton steps, which start from the last MAP.
  """
  first, second = pair
  v_J = pool.features[first] - pool.features[second]
  told = [(v_J, is_first, weight)]
  if pool.taken is not None:
    # That an item was chosen counts only the first time it is asked about.
    of_item = weight * pool.taken_weight
    told += [(pool.taken[i], 1.0, of_item * ~belief.told[i]) for i in pair]
  place = len(told) * belief.count
  answers = belief.answers
  for row in told:
    answers = jax.tree.map(
      lambda kept, new, place=place: kept.at[place].set(new),
      answers,
      rf.Answers(*row),
    )
    place += 1
  expected = question_rules.expected_slope(
    jnp.stack([v_J, jnp.zeros_like(v_J)]), belief.prior
  )[0, 1]
  expected *= pool.known[first] * pool.known[second]
  return Belief(
    belief.prior,
    rf.posterior(
      belief.prior, answers, belief.posterior.mean, num_steps=num_steps
    ),
    answers,
    belief.planned + expected * jnp.outer(v_J, v_J),
    question_rules.known_after(belief.known, pair, weight),
    belief.count + 1,
    belief.asked.at[first, second].set(True),
    belief.told.at[jnp.stack(pair)].max(weight > 0),
  )


def turn(
  rule: question_rules.Rule,
  pool: Pool,
  belief: Belief,
  ratings: Float[Array, ' N'],
  key: jax.Array,
  *,
  noise: float = 0.0,
) -> tuple[Belief, Array, Array, Array]:
  """Asks a simulated user one question and updates the belief.

  The user answers "I don't know" unless both items are rated and the ratings
  differ. If no pair is left to ask, the answer is also "I don't know".

  Args:
    rule: Rule that selects the question.
    pool: Items that can be asked about.
    belief: Belief before the question.
    ratings: Ratings of the pool's items; NaN where the user has none.
    key: Key of the rule's random choices and of the noise.
    noise: Probability that an answer is reversed.

  Returns:
    The new belief, the pair [2], 1 if the first item was preferred, and the
    weight of the answer, which is 0 for "I don't know".
  """
  rule_key, noise_key = jax.random.split(key)
  first, second, is_left = question_rules.ask(rule, pool, belief, rule_key)
  gap = ratings[first] - ratings[second]
  knows = is_left & ~jnp.isnan(gap) & (gap != 0)
  is_wrong = jax.random.uniform(noise_key) < noise
  is_first = jnp.where(knows & ((gap > 0) ^ is_wrong), 1.0, 0.0)
  weight = knows.astype(jnp.float32)
  belief = update(pool, belief, (first, second), is_first, weight)
  return belief, jnp.stack([first, second]), is_first, weight


def simulate(
  rule: question_rules.Rule,
  prior: rf.Gaussian,
  pool: Pool,
  ratings: Float[Array, ' N'],
  key: jax.Array,
  *,
  num_questions: int,
  noise: float = 0.0,
) -> Record:
  """Interviews one simulated user, who answers from held-out ratings.

  Args:
    rule: Rule that selects the questions.
    prior: Prior of the population.
    pool: Items that can be asked about.
    ratings: Ratings of the pool's items; NaN where the user has none.
    key: Key of the rule's random choices and of the noise.
    num_questions: Number of questions, Q.
    noise: Probability that an answer is reversed.
  """

  def step(belief, key):
    belief, pair, is_first, weight = turn(
      rule, pool, belief, ratings, key, noise=noise
    )
    return belief, (belief.posterior.mean, pair, is_first, weight)

  belief = start(prior, pool, num_questions)
  _, (means, pairs, is_first, weights) = jax.lax.scan(
    step, belief, jax.random.split(key, num_questions)
  )
  means = jnp.concatenate([prior.mean[None], means])
  return Record(means, pairs, is_first, weights)
