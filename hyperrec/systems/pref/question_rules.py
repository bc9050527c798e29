"""Rules that select the next question, a pair of items from a pool of N items.

A rule maps (pool, belief, key) to the gain of each pair, [N, N]. `ask` selects
the pair with the largest gain that was not asked yet. All gains come from
matrix products [N, N], so the differences of all pairs [N, N, J] are never
stored.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hyperrec.systems.pref import reward_factorization as rf

# Ridge of Sigma in the rule `paper`.
PAPER_RIDGE = 1e-3
# Probability that a user's ratings of two films differ.
_UNLIKE = 0.6


class Pool(NamedTuple):
  """The items that can be asked about.

  Attributes:
    features: [N, J], phi of the pool's items.
    known: [N], probability that the user knows the item; an item with 0 is
      never asked about.
    popularity: [N], share of training users who rated the item.
    importance: [J, J], second moment of phi over the catalogue, that is, the
      weight of an error in each direction of the coefficients.
    taken: [N, J], phi of each item minus that of an average item. A user who
      compares two items has chosen both. This evidence is entered as an answer
      that prefers the chosen item to an average one. None leaves it out.
    taken_weight: Weight of the evidence that an item was chosen; a comparison
      has weight 1.
  """

  features: Float[Array, 'N J']
  known: Float[Array, ' N']
  popularity: Float[Array, ' N']
  importance: Float[Array, 'J J']
  taken: Float[Array, 'N J'] | None = None
  taken_weight: float = 1.0


class Belief(NamedTuple):
  """All that an interview has learned about a user.

  Attributes:
    prior: Prior of the population.
    posterior: Posterior after the answers.
    answers: Answers so far; unused rows have weight 0.
    planned: [J, J], precision that the questions so far were expected to add,
      whatever the answers were.
    known: [N], `Pool.known` updated by which questions were answered.
    count: Number of questions asked.
    asked: [N, N], True for pairs that were asked (i < j).
    told: [N], True for items that an answer showed to be chosen.
  """

  prior: rf.Gaussian
  posterior: rf.Gaussian
  answers: rf.Answers
  planned: Float[Array, 'J J']
  known: Float[Array, ' N']
  count: Array
  asked: Bool[Array, 'N N']
  told: Bool[Array, ' N']


Rule = Callable[[Pool, Belief, jax.Array], Float[Array, 'N N']]


def quadratic(features, matrix) -> Float[Array, 'N N']:
  """Returns v' M v of every pair, without storing the differences v.

  Args:
    features: [N, J], phi of the pool's items.
    matrix: [J, J], a symmetric matrix M.
  """
  g_NxN = features @ matrix @ features.T
  own_N = jnp.diagonal(g_NxN)
  return own_N[:, None] + own_N[None] - 2 * g_NxN


def margins(features, coefficients) -> Float[Array, 'N N']:
  """Returns lambda . v of every pair."""
  scores_N = features @ coefficients
  return scores_N[:, None] - scores_N[None]


def both_known(known: Float[Array, ' N']) -> Float[Array, 'N N']:
  """Returns the probability that a user knows both items of a pair."""
  return known[:, None] * known[None]


def known_after(
  known: Float[Array, ' N'], pair: tuple[Array, Array], weight: Array
) -> Float[Array, ' N']:
  """Updates the probabilities that the user knows each item by Bayes' rule.

  It is assumed that items are known independently of each other. A user who
  does not answer may know both items and rate them alike.

  Args:
    known: Probabilities before the question.
    pair: Indices of the two items in the pool.
    weight: 1 for an answer, 0 for "I don't know".

  Returns:
    The probabilities after the question.
  """
  both = jnp.stack(pair)
  own_2 = known[both]
  silent_2 = own_2 * (1 - _UNLIKE * own_2[::-1]) / (1 - _UNLIKE * own_2.prod())
  return known.at[both].set(jnp.where(weight > 0, 1.0, silent_2))


def random(pool: Pool, belief: Belief, key: jax.Array):
  """Selects any pair with equal probability."""
  del belief
  return jax.random.uniform(key, (len(pool.known),) * 2)


def popular(pool: Pool, belief: Belief, key: jax.Array):
  """Selects the pair with the most popular items."""
  del belief, key
  return pool.popularity[:, None] * pool.popularity[None]


def paper(pool: Pool, belief: Belief, key: jax.Array):
  """Selects as the paper's released code does (arXiv 2503.06358).

  The gain of a pair is the variance of the predicted answer by the delta
  method,

    sigma'(lambda.v)^2 v' Sigma^-1 v,

  where Sigma = 0.001 I + sum sigma'(lambda.v_s) v_s v_s' over the answers s.
  Here it is also multiplied by the probability that the user knows both items.
  The first pair is random.
  """
  return jax.lax.cond(belief.count == 0, random, _paper_gain, pool, belief, key)


def _paper_gain(pool, belief, key):
  del key
  v_TxJ = belief.answers.differences
  mean_J = belief.posterior.mean
  weight_T = belief.answers.weights * rf.slope(v_TxJ @ mean_J)
  sigma_JxJ = (v_TxJ * weight_T[:, None]).T @ v_TxJ
  sigma_JxJ += PAPER_RIDGE * jnp.eye(len(mean_J))
  slope_NxN = rf.slope(margins(pool.features, mean_J))
  spread_NxN = quadratic(pool.features, jnp.linalg.inv(sigma_JxJ))
  return slope_NxN**2 * spread_NxN * both_known(belief.known)


def d_optimal(pool: Pool, belief: Belief, key: jax.Array):
  """Selects by D-optimality: the largest decrease of log det C.

  C is the posterior covariance. One answer decreases its log determinant by
  log(1 + sigma'(lambda.v) v' C v). The gain is this decrease multiplied by the
  probability that the user knows both items.
  """
  del key
  covariance_JxJ = jnp.linalg.inv(belief.posterior.precision)
  slope_NxN = rf.slope(margins(pool.features, belief.posterior.mean))
  spread_NxN = quadratic(pool.features, covariance_JxJ)
  return jnp.log1p(slope_NxN * spread_NxN) * both_known(belief.known)


def bald(pool: Pool, belief: Belief, key: jax.Array):
  """Selects by the mutual information of answer and coefficients, in bits.

  This is the closed form for a probit likelihood (Houlsby et al.,
  arXiv 1112.5745, eq. 3). The logistic function is replaced by the probit
  function with the same slope at 0 (factor sqrt(pi / 8)). The gain is the
  mutual information multiplied by the probability that the user knows both
  items.
  """
  del key
  covariance_JxJ = jnp.linalg.inv(belief.posterior.precision)
  factor = jnp.pi / 8
  mean_NxN = jnp.sqrt(factor) * margins(pool.features, belief.posterior.mean)
  variance_NxN = factor * quadratic(pool.features, covariance_JxJ)
  gain_NxN = probit_information(mean_NxN, variance_NxN)
  return gain_NxN * both_known(belief.known)


def probit_information(mean, variance) -> Float[Array, '*n']:
  """Returns the mutual information of a probit answer, in bits.

  This is eq. 3 of Houlsby et al., arXiv 1112.5745.

  Args:
    mean: Posterior mean of the argument of the probit function.
    variance: Posterior variance of the same, of the same shape.
  """
  # erf and two logarithms; the cdf and entr of scipy take 1.5 times as long.
  lean = jax.lax.erf(mean / jnp.sqrt(2 * (variance + 1)))
  p, q = 0.5 + 0.5 * lean, 0.5 - 0.5 * lean
  tiny = jnp.finfo(p.dtype).tiny
  total = -(p * jnp.log2(p + tiny) + q * jnp.log2(q + tiny))
  c2 = jnp.pi * jnp.log(2.0) / 2
  noise = jnp.exp(-(mean**2) / (2 * (variance + c2)))
  return jnp.maximum(total - jnp.sqrt(c2 / (variance + c2)) * noise, 0.0)


def static(pool: Pool, belief: Belief, key: jax.Array):
  """Selects for a static questionnaire, which does not depend on the answers.

  The selection is greedy: each question minimises the expected squared error of
  the scores of all items, as in SPQ (Sepliarskaia et al., RecSys 2018). Here
  the information w in an answer is averaged over the prior. With M the
  importance and C the covariance, one question decreases tr(M C) by
  w v'C M C v / (1 + w v'C v). Where `Pool.known` is the same for all users, so
  are the questions, and they can be computed once.
  """
  del key
  weight_NxN = expected_slope(pool.features, belief.prior)
  weight_NxN *= both_known(pool.known)
  covariance_JxJ = jnp.linalg.inv(belief.prior.precision + belief.planned)
  spread_NxN = quadratic(pool.features, covariance_JxJ)
  error_JxJ = covariance_JxJ @ pool.importance @ covariance_JxJ
  fall_NxN = quadratic(pool.features, error_JxJ)
  return weight_NxN * fall_NxN / (1 + weight_NxN * spread_NxN)


def expected_slope(features, prior: rf.Gaussian) -> Float[Array, 'N N']:
  """Returns E sigma'(lambda.v) over the prior, by the probit approximation."""
  mean_NxN = margins(features, prior.mean)
  spread_NxN = quadratic(features, jnp.linalg.inv(prior.precision))
  scale_NxN = jnp.sqrt(1 + jnp.pi / 8 * spread_NxN)
  return rf.slope(mean_NxN / scale_NxN) / scale_NxN


def once(rule: Rule) -> Rule:
  """Makes a rule that asks about each item once, as long as it can.

  Some rules come back to the same few items, which is tedious for a person. If
  fewer than two items are left that no question was about, the rule is as
  before.
  """

  def gains(pool: Pool, belief: Belief, key: jax.Array):
    gain_NxN = rule(pool, belief, key)
    is_asked_N = belief.asked.any(axis=0) | belief.asked.any(axis=1)
    is_new_N = ~is_asked_N & (pool.known > 0)
    is_new_NxN = is_new_N[:, None] & is_new_N[None]
    of_new_NxN = jnp.where(is_new_NxN, gain_NxN, -jnp.inf)
    return jnp.where(is_new_N.sum() >= 2, of_new_NxN, gain_NxN)

  return gains


def ask(rule: Rule, pool: Pool, belief: Belief, key: jax.Array):
  """Selects the pair with the largest gain that was not asked yet.

  Args:
    rule: Rule that computes the gains.
    pool: Items that can be asked about.
    belief: Belief before the question.
    key: Key of the rule's random choices.

  Returns:
    (first, second, is_left): the indices of the two items in the pool,
    first < second, and whether any pair was left to ask. If none was left, the
    indices have no meaning.
  """
  gain_NxN = rule(pool, belief, key)
  free_NxN = jnp.triu(both_known(pool.known) > 0, 1) & ~belief.asked
  gain_NxN = jnp.where(free_NxN, gain_NxN, -jnp.inf)
  # The maximum of each row comes first, since a single argmax over all pairs
  # is not vectorised and takes three times as long.
  first = jnp.argmax(gain_NxN.max(axis=1))
  second = jnp.argmax(gain_NxN[first])
  return first, second, free_NxN.any()
