"""Which pair to ask next: rules over all pairs of a pool of N items.

A rule maps (pool, belief, key) to the gain of each pair [N, N]; `ask` takes
the best pair that was not asked. All gains come from two [N, N] products, so
the pairs themselves are never listed.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hyperrec.systems.pref import reward_factorization as rf

PAPER_RIDGE = 1e-3
# Of two films that a person has rated, one has the higher rating so often.
_UNLIKE = 0.6


class Pool(NamedTuple):
  """What can be asked about.

  Attributes:
    features: [N, J] phi of the pool's items.
    known: [N] probability that the user can judge the item; 0 forbids it.
    popularity: [N] share of training users who rated it.
    importance: [J, J] second moment of phi over the catalogue, that is, the
      weight of an error in each direction of the coefficients.
    taken: [N, J] what it tells that the user has taken an item up at all, as
      an answer against an average one; None lets it tell nothing. Who can
      compare two items has taken both up.
    taken_weight: of such an answer, against 1 of the comparison.
  """

  features: Float[Array, 'N J']
  known: Float[Array, ' N']
  popularity: Float[Array, ' N']
  importance: Float[Array, 'J J']
  taken: Float[Array, 'N J'] | None = None
  taken_weight: float = 1.0


class Belief(NamedTuple):
  """What is known of a user.

  Attributes:
    prior: of the population.
    posterior: after the answers.
    answers: so far.
    planned: [J, J] the precision expected of the questions asked so far
      without regard to the answers.
    known: [N] `Pool.known`, given which questions were answered.
    count: questions asked.
    asked: [N, N] True for pairs that were asked (i < j).
    told: [N] True for items that an answer showed to be taken up.
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
  """V' M v of every pair, M symmetric, without listing the pairs."""
  g_NxN = features @ matrix @ features.T
  own_N = jnp.diagonal(g_NxN)
  return own_N[:, None] + own_N[None] - 2 * g_NxN


def margins(features, coefficients) -> Float[Array, 'N N']:
  """Lambda . v of every pair."""
  scores_N = features @ coefficients
  return scores_N[:, None] - scores_N[None]


def both_known(known: Float[Array, ' N']) -> Float[Array, 'N N']:
  """Probability that a user can judge both items of a pair."""
  return known[:, None] * known[None]


def known_after(
  known: Float[Array, ' N'], pair: tuple[Array, Array], weight: Array
) -> Float[Array, ' N']:
  """What the user can judge, given whether she answered: Bayes' rule.

  As if items were known independently of each other. Who does not answer may
  know both and find them alike.

  Args:
    known: [N] probabilities before the question.
    pair: places of its two items.
    weight: 1 where she answered, 0 where not.
  """
  both = jnp.stack(pair)
  own_2 = known[both]
  silent_2 = own_2 * (1 - _UNLIKE * own_2[::-1]) / (1 - _UNLIKE * own_2.prod())
  return known.at[both].set(jnp.where(weight > 0, 1.0, silent_2))


def random(pool: Pool, belief: Belief, key: jax.Array):
  """Any pair, with equal probability."""
  del belief
  return jax.random.uniform(key, (len(pool.known),) * 2)


def popular(pool: Pool, belief: Belief, key: jax.Array):
  """The pairs that most people can judge, first."""
  del belief, key
  return pool.popularity[:, None] * pool.popularity[None]


def paper(pool: Pool, belief: Belief, key: jax.Array):
  """sigma'(lambda.v)^2 v' Sigma^-1 v, the first pair at random.

  Sigma = 0.001 I + sum sigma'(lambda.v_s) v_s v_s' over the answers
  (arXiv 2503.06358, the released code). It is the delta-method variance of
  the predicted answer. Times the probability of an answer.
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
  """log(1 + sigma' v' C v), C the posterior covariance: the one-step fall of
  its log determinant, times the probability of an answer.
  """
  del key
  covariance_JxJ = jnp.linalg.inv(belief.posterior.precision)
  slope_NxN = rf.slope(margins(pool.features, belief.posterior.mean))
  spread_NxN = quadratic(pool.features, covariance_JxJ)
  return jnp.log1p(slope_NxN * spread_NxN) * both_known(belief.known)


def bald(pool: Pool, belief: Belief, key: jax.Array):
  """Mutual information of answer and coefficients, in bits.

  The closed form of Houlsby et al., arXiv 1112.5745, eq. 3, for a probit; the
  logistic is read as a probit of its slope at 0 (factor sqrt(pi / 8)).
  """
  del key
  covariance_JxJ = jnp.linalg.inv(belief.posterior.precision)
  factor = jnp.pi / 8
  mean_NxN = jnp.sqrt(factor) * margins(pool.features, belief.posterior.mean)
  variance_NxN = factor * quadratic(pool.features, covariance_JxJ)
  gain_NxN = probit_information(mean_NxN, variance_NxN)
  return gain_NxN * both_known(belief.known)


def probit_information(mean, variance) -> Float[Array, '*n']:
  """Houlsby et al., eq. 3: bits that a probit answer tells."""
  # By erf and two logarithms: scipy's cdf and entr take half as long again.
  lean = jax.lax.erf(mean / jnp.sqrt(2 * (variance + 1)))
  p, q = 0.5 + 0.5 * lean, 0.5 - 0.5 * lean
  tiny = jnp.finfo(p.dtype).tiny
  total = -(p * jnp.log2(p + tiny) + q * jnp.log2(q + tiny))
  c2 = jnp.pi * jnp.log(2.0) / 2
  noise = jnp.exp(-(mean**2) / (2 * (variance + c2)))
  return jnp.maximum(total - jnp.sqrt(c2 / (variance + c2)) * noise, 0.0)


def static(pool: Pool, belief: Belief, key: jax.Array):
  """A questionnaire fixed beforehand: it never looks at an answer.

  Greedy for the least expected squared error of all items' scores, as in SPQ
  (Sepliarskaia et al., RecSys 2018), here with the information of an answer
  averaged over the prior: the fall of tr(importance C) by one question is
  w v'C M C v / (1 + w v'C v). Where `known` is the same for all users, so are
  the questions, and they can be computed once.
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
  """E sigma'(lambda.v) over the prior, by the probit approximation."""
  mean_NxN = margins(features, prior.mean)
  spread_NxN = quadratic(features, jnp.linalg.inv(prior.precision))
  scale_NxN = jnp.sqrt(1 + jnp.pi / 8 * spread_NxN)
  return rf.slope(mean_NxN / scale_NxN) / scale_NxN


def ask(rule: Rule, pool: Pool, belief: Belief, key: jax.Array):
  """The best pair that was not asked yet.

  Returns:
    (first, second, is_left): places in the pool, and whether there was a pair
    left to ask at all.
  """
  gain_NxN = rule(pool, belief, key)
  free_NxN = jnp.triu(both_known(pool.known) > 0, 1) & ~belief.asked
  gain_NxN = jnp.where(free_NxN, gain_NxN, -jnp.inf)
  # By rows: an argmax over all pairs is not vectorised, and thrice as slow.
  first = jnp.argmax(gain_NxN.max(axis=1))
  second = jnp.argmax(gain_NxN[first])
  return first, second, free_NxN.any()
