"""PReF: users differ only in their coefficients of shared base functions.

Shenfeld et al., "Language model personalization via reward factorization",
arXiv 2503.06358. The reward of item i to user u is lambda_u . phi_i, and

    P(u prefers i to j) = sigmoid(lambda_u . v),  v = phi_i - phi_j.

The functions serve one user, and callers vmap them, unless a shape says
otherwise. There are T answers, J base functions and P pairs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Newton takes the first of these step sizes that does not raise the loss.
_STEP_SIZES = (1.0, 0.5, 0.25, 0.125, 0.03125, 0.0)
NEWTON_STEPS = 8
# Relative rise of the loss that counts as rounding and does not stop a step.
_ROUNDING = 1e-6


class Gaussian(NamedTuple):
  """A normal distribution of coefficients, used as prior and as posterior.

  Attributes:
    mean: [J].
    precision: [J, J], positive definite.
  """

  mean: Float[Array, ' J']
  precision: Float[Array, 'J J']


class Answers(NamedTuple):
  """The answers of one user; unused rows have weight 0.

  Attributes:
    differences: [T, J], phi of the first item minus phi of the second.
    is_first: [T], 1 where the first item was preferred, else 0.
    weights: [T], 0 where there is no answer or it was "I don't know".
  """

  differences: Float[Array, 'T J']
  is_first: Float[Array, ' T']
  weights: Float[Array, ' T']


def slope(logits: Float[Array, '*n']) -> Float[Array, '*n']:
  """Returns the derivative of the sigmoid: the information in one answer."""
  p = jax.nn.sigmoid(logits)
  return p * (1 - p)


def log_loss(coefficients, answers: Answers) -> Float[Array, '']:
  """Returns the negative log likelihood of the answers, in nats."""
  logits_T = answers.differences @ coefficients
  losses_T = jax.nn.softplus(logits_T) - answers.is_first * logits_T
  return (answers.weights * losses_T).sum()


def loss(coefficients, prior: Gaussian, answers: Answers) -> Float[Array, '']:
  """Returns the negative log posterior, up to a constant."""
  off_J = coefficients - prior.mean
  return log_loss(coefficients, answers) + off_J @ prior.precision @ off_J / 2


def posterior(
  prior: Gaussian,
  answers: Answers,
  start: Float[Array, ' J'] | None = None,
  num_steps: int = NEWTON_STEPS,
) -> Gaussian:
  """Finds the MAP coefficients by Newton (IRLS), and their Laplace precision.

  Args:
    prior: Prior of the population.
    answers: Answers of one user.
    start: Initial coefficients; the mean of the prior by default.
    num_steps: Newton steps. Each costs O(T J^2 + J^3) and never raises the
      loss, apart from rounding.
  """

  def step(mean_J, unused):
    del unused
    hessian_JxJ, gradient_J = _derivatives(mean_J, prior, answers)
    factor = jax.scipy.linalg.cho_factor(hessian_JxJ)
    direction_J = jax.scipy.linalg.cho_solve(factor, gradient_J)
    sizes_S = jnp.array(_STEP_SIZES)
    tried_SxJ = mean_J[None] - sizes_S[:, None] * direction_J[None]
    losses_S = jax.vmap(loss, (0, None, None))(tried_SxJ, prior, answers)
    is_no_rise_S = losses_S <= losses_S[-1] * (1 + _ROUNDING)
    return tried_SxJ[jnp.argmax(is_no_rise_S)], None

  start = prior.mean if start is None else start
  mean_J, _ = jax.lax.scan(step, start, length=num_steps)
  return Gaussian(mean_J, _derivatives(mean_J, prior, answers)[0])


def _derivatives(mean_J, prior, answers):
  """Returns the Hessian and the gradient of `loss`."""
  v_TxJ = answers.differences
  logits_T = v_TxJ @ mean_J
  error_T = answers.weights * (jax.nn.sigmoid(logits_T) - answers.is_first)
  gradient_J = error_T @ v_TxJ + prior.precision @ (mean_J - prior.mean)
  weight_T = answers.weights * slope(logits_T)
  return prior.precision + (v_TxJ * weight_T[:, None]).T @ v_TxJ, gradient_J


def posterior_flops(num_answers: int, j: int, num_steps: int) -> float:
  """Counts the operations of `posterior`, with all step sizes tried."""
  hessian = 2.0 * num_answers * j**2
  tried = len(_STEP_SIZES) * 2.0 * (num_answers * j + j**2)
  return num_steps * (hessian + j**3 / 3 + 2 * j**2 + tried) + hessian


def population_flops(
  num_users: int, num_answers: int, j: int, num_rounds: int
) -> float:
  """Counts the operations of `population`."""
  each = posterior_flops(num_answers, j, NEWTON_STEPS) + j**3 + 2 * j**2
  return num_rounds * num_users * each


def flat_sgd(
  start: Float[Array, ' J'],
  answers: Answers,
  *,
  learning_rate: float = 0.01,
  num_steps: int = 5000,
) -> Float[Array, ' J']:
  """Fits coefficients as the paper's released code does: SGD without a prior.

  It descends the mean log loss. If the answers are separable there is no
  finite optimum, and only the number of steps bounds the coefficients.
  """
  count = jnp.maximum(answers.weights.sum(), 1.0)

  def step(mean_J, unused):
    del unused
    return mean_J - learning_rate * jax.grad(log_loss)(
      mean_J, answers
    ) / count, None

  return jax.lax.scan(step, start, length=num_steps)[0]


# `posterior` of many users: every array of the answers has a leading axis U.
posteriors = jax.jit(jax.vmap(posterior, (None, 0)))


def population(
  answers_U: Answers,
  variances: Float[Array, ' J'] | None = None,
  *,
  num_rounds: int = 5,
  ridge: float = 1e-2,
) -> Gaussian:
  """Fits the prior N(mu, Sigma) by EM with Laplace posteriors.

  The initial variances matter. A few answers move the posterior of a user
  little, so Sigma stays near its initial value for the first rounds.

  Args:
    answers_U: Answers of the training users; every array has a leading axis U.
    variances: [J], initial variances, 1 by default. The initial mean is 0.
    num_rounds: Number of EM rounds.
    ridge: Value added to each variance in every round.
  """
  j = answers_U.differences.shape[-1]
  variances = jnp.ones(j) if variances is None else variances
  prior = Gaussian(jnp.zeros(j), jnp.diag(1 / variances))
  for _ in range(num_rounds):
    found = posteriors(prior, answers_U)
    mean_J = found.mean.mean(axis=0)
    off_UxJ = found.mean - mean_J[None]
    covariance_JxJ = off_UxJ.T @ off_UxJ / len(off_UxJ)
    covariance_JxJ += jnp.linalg.inv(found.precision).mean(axis=0)
    covariance_JxJ += ridge * jnp.eye(j)
    prior = Gaussian(mean_J, jnp.linalg.inv(covariance_JxJ))
  return prior


def refilled_svd(
  preferences: Float[np.ndarray, 'P U'], rank: int, num_rounds: int = 10
) -> tuple[Float[np.ndarray, 'P J'], Float[np.ndarray, 'U J']]:
  """Computes initial pair features and user coefficients for the joint fit.

  Missing entries start at 0.5. Each round replaces them by the rank-J
  reconstruction, clipped to [0, 1] (Kurucz et al., KDD Cup 2007).

  Args:
    preferences: 1 where the first item was preferred, 0 where the second was,
      0.5 for a tie, NaN where missing.
    rank: Number of base functions, J.
    num_rounds: Number of times the missing entries are replaced.

  Raises:
    ValueError: `rank` exceeds the number of pairs or of users.
  """
  if rank > min(preferences.shape):
    raise ValueError(
      f'rank={rank} exceeds the smaller side of the preference matrix '
      f'{preferences.shape}; ask for fewer base functions'
    )
  is_missing = np.isnan(preferences)
  filled = np.where(is_missing, 0.5, preferences)
  for _ in range(num_rounds):
    pair_PxJ, user_UxJ = _truncated_svd(filled, rank)
    filled = np.where(
      is_missing, (pair_PxJ @ user_UxJ.T).clip(0, 1), preferences
    )
  pair_PxJ, user_UxJ = _truncated_svd(filled, rank)
  root_J = np.sqrt(np.maximum(np.linalg.norm(pair_PxJ, axis=0), 1e-12))
  return pair_PxJ / root_J, user_UxJ * root_J


def _truncated_svd(matrix, rank):
  """Returns (U S, V) from the Gram matrix of the columns, which are few."""
  _, vectors = np.linalg.eigh(matrix.T @ matrix)
  right = vectors[:, ::-1][:, :rank]
  return matrix @ right, right


def items_from_pairs(
  pair_features: Float[np.ndarray, 'P J'],
  pairs: np.ndarray,
  features: Float[np.ndarray, 'V F'],
  ridge: float = 1.0,
) -> Float[np.ndarray, 'F J']:
  """Fits W by ridge regression so that (f_i - f_j) W are the pair features.

  Args:
    pair_features: Pair features from `refilled_svd`.
    pairs: [P, 2], item ids.
    features: Item features; the identity gives each item a free vector.
    ridge: Strength of the penalty.
  """
  f_PxF = features[pairs[:, 0]] - features[pairs[:, 1]]
  gram_FxF = f_PxF.T @ f_PxF + ridge * np.eye(f_PxF.shape[1])
  return np.linalg.solve(gram_FxF, f_PxF.T @ pair_features)
