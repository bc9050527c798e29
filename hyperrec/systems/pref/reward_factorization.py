"""PReF: a user is coefficients over base reward functions that all share.

Shenfeld et al., "Language model personalization via reward factorization",
arXiv 2503.06358. The reward of item i to user u is lambda_u . phi_i, and

    P(u prefers i to j) = sigmoid(lambda_u . v),  v = phi_i - phi_j.

Written for one user and vmapped by the caller, unless a shape says otherwise.
T is the number of answers, J of base functions, P of pairs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Newton's step is cut until the loss does not rise; 0 where it always does.
_STEP_SIZES = (1.0, 0.5, 0.25, 0.125, 0.03125, 0.0)
NEWTON_STEPS = 8
# Near the optimum losses differ by rounding alone, which must not stop a step.
_ROUNDING = 1e-6


class Gaussian(NamedTuple):
  """A normal distribution of coefficients: a prior, or a posterior.

  Attributes:
    mean: [J].
    precision: [J, J], positive definite.
  """

  mean: Float[Array, ' J']
  precision: Float[Array, 'J J']


class Answers(NamedTuple):
  """What one user answered; unused places have weight 0.

  Attributes:
    differences: [T, J], phi of the first item minus phi of the second.
    is_first: [T], 1 where the first was preferred, 0 the second.
    weights: [T], 0 where there is no answer ("I don't know" is none).
  """

  differences: Float[Array, 'T J']
  is_first: Float[Array, ' T']
  weights: Float[Array, ' T']


def slope(logits: Float[Array, '*n']) -> Float[Array, '*n']:
  """The derivative of the sigmoid: the information in one answer."""
  p = jax.nn.sigmoid(logits)
  return p * (1 - p)


def log_loss(coefficients, answers: Answers) -> Float[Array, '']:
  """Negative log likelihood of the answers, in nats."""
  logits_T = answers.differences @ coefficients
  losses_T = jax.nn.softplus(logits_T) - answers.is_first * logits_T
  return (answers.weights * losses_T).sum()


def loss(coefficients, prior: Gaussian, answers: Answers) -> Float[Array, '']:
  """Negative log posterior, up to a constant."""
  off_J = coefficients - prior.mean
  return log_loss(coefficients, answers) + off_J @ prior.precision @ off_J / 2


def posterior(
  prior: Gaussian,
  answers: Answers,
  start: Float[Array, ' J'] | None = None,
  num_steps: int = NEWTON_STEPS,
) -> Gaussian:
  """The MAP coefficients by Newton (IRLS), and Laplace's precision there.

  Args:
    prior: of the population.
    answers: of one user.
    start: first guess; the prior's mean by default.
    num_steps: of Newton, each O(T J^2 + J^3). None raises the loss.
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
  """Hessian and gradient of `loss`."""
  v_TxJ = answers.differences
  logits_T = v_TxJ @ mean_J
  error_T = answers.weights * (jax.nn.sigmoid(logits_T) - answers.is_first)
  gradient_J = error_T @ v_TxJ + prior.precision @ (mean_J - prior.mean)
  weight_T = answers.weights * slope(logits_T)
  return prior.precision + (v_TxJ * weight_T[:, None]).T @ v_TxJ, gradient_J


def posterior_flops(num_answers: int, j: int, num_steps: int) -> float:
  """Operations of `posterior`: Hessian, factor, and the tried step sizes."""
  hessian = 2.0 * num_answers * j**2
  tried = len(_STEP_SIZES) * 2.0 * (num_answers * j + j**2)
  return num_steps * (hessian + j**3 / 3 + 2 * j**2 + tried) + hessian


def population_flops(
  num_users: int, num_answers: int, j: int, num_rounds: int
) -> float:
  """Operations of `population`."""
  each = posterior_flops(num_answers, j, NEWTON_STEPS) + j**3 + 2 * j**2
  return num_rounds * num_users * each


def flat_sgd(
  start: Float[Array, ' J'],
  answers: Answers,
  *,
  learning_rate: float = 0.01,
  num_steps: int = 5000,
) -> Float[Array, ' J']:
  """The form released with the paper: SGD on the mean loss, no prior.

  Separable answers have no finite optimum: the steps alone bound the norm.
  """
  count = jnp.maximum(answers.weights.sum(), 1.0)

  def step(mean_J, unused):
    del unused
    return mean_J - learning_rate * jax.grad(log_loss)(
      mean_J, answers
    ) / count, None

  return jax.lax.scan(step, start, length=num_steps)[0]


# Of many users, a leading axis on every array of their answers.
posteriors = jax.jit(jax.vmap(posterior, (None, 0)))


def population(
  answers_U: Answers,
  variances: Float[Array, ' J'] | None = None,
  *,
  num_rounds: int = 5,
  ridge: float = 1e-2,
) -> Gaussian:
  """The prior N(mu, Sigma) by EM with Laplace posteriors.

  A few answers move a user's posterior little, so EM moves Sigma slowly: after
  few rounds it is still near the variances that it began with, which therefore
  matter.

  Args:
    answers_U: of the training users, a leading axis U on every array.
    variances: [J] EM begins with a mean of 0 and these; 1 by default.
    num_rounds: of EM.
    ridge: least variance of any direction.
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
  """Pair features and user coefficients that start the joint fit.

  Missing entries begin at 0.5 and are filled again from each round's
  rank-J reconstruction, clipped to [0, 1] (Kurucz et al., KDD Cup 2007).

  Args:
    preferences: 1 first, 0 second, 0.5 a tie, NaN missing.
    rank: J.
    num_rounds: of refilling.

  Raises:
    ValueError: the rank exceeds the smaller side.
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
  """(U S, V), by the Gram matrix of the columns, which are few."""
  _, vectors = np.linalg.eigh(matrix.T @ matrix)
  right = vectors[:, ::-1][:, :rank]
  return matrix @ right, right


def items_from_pairs(
  pair_features: Float[np.ndarray, 'P J'],
  pairs: np.ndarray,
  features: Float[np.ndarray, 'V F'],
  ridge: float = 1.0,
) -> Float[np.ndarray, 'F J']:
  """W that makes (f_i - f_j) W the features of each pair, by ridge.

  Args:
    pair_features: of `refilled_svd`.
    pairs: [P, 2] items.
    features: F of each item; the identity gives a free vector to each.
    ridge: strength.
  """
  f_PxF = features[pairs[:, 0]] - features[pairs[:, 1]]
  gram_FxF = f_PxF.T @ f_PxF + ridge * np.eye(f_PxF.shape[1])
  return np.linalg.solve(gram_FxF, f_PxF.T @ pair_features)
