"""The weight of the fact that a user has chosen an item.

A user who compares two items has consumed both. Where people choose few of many
items, this is evidence of taste. Where everybody rates most items, it is not.
The weight is estimated from the training users.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec.systems.pref import preference_pairs
from hyperrec.systems.pref import reward_factorization as rf

Csr = scipy.sparse.csr_matrix

# Candidate weights. One below the first is used only if its loss is lower by
# `_LEAST_ERRORS` standard errors.
WEIGHTS = (1.0, 0.5, 0.25, 0.0)
_LEAST_ERRORS = 2.0
# At most: questions per user, predicted pairs per user, and users.
_QUESTIONS, _JUDGED, _USERS = 10, 60, 500


def estimate(
  taste: Float[Array, 'V J'],
  choice: Float[Array, 'V J'],
  prior: rf.Gaussian,
  ratings: Csr,
  *,
  liked: float,
  rng: np.random.Generator,
) -> float:
  """Estimates the weight of a chosen item; an answer has weight 1.

  A random half of a user's ratings answers ten questions, each about two items
  that the user has chosen. The weight is the one of `WEIGHTS` under which this
  predicts best, by log loss, which items of the other half are liked and which
  items, neither liked nor asked about, are not.

  Args:
    taste: Base functions that compare two rated items.
    choice: Base functions that rank items for recommendation.
    prior: Prior of the coefficients.
    ratings: [U, V], ratings of the training users.
    liked: Least rating that counts as liked.
    rng: Generator that draws users, halves and pairs.
  """
  if ratings.shape[0] > _USERS:
    ratings = ratings[np.sort(rng.permutation(ratings.shape[0])[:_USERS])]
  asked, hidden = preference_pairs.halves(ratings, rng)
  pairs, _ = preference_pairs.draw_disjoint(
    asked, liked=liked, most=_QUESTIONS, rng=rng
  )
  judged = preference_pairs.draw_unasked(
    ratings, asked, hidden, liked=liked, most=_JUDGED, rng=rng
  )
  items_UxT = pairs.pairs.reshape(len(pairs.pairs), -1)
  told_UxT = jnp.repeat(jnp.asarray(pairs.weights), 2, axis=1)
  v_VxJ = against_average(choice)
  answers = preference_pairs.as_answers(taste, pairs)
  targets = preference_pairs.as_answers(choice, judged)
  is_used = (judged.weights.sum(axis=1) > 0) & (pairs.weights.sum(axis=1) > 0)
  losses = []
  for weight in WEIGHTS:
    taken = rf.Answers(
      v_VxJ[items_UxT], jnp.ones(told_UxT.shape), weight * told_UxT
    )
    told = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), answers, taken)
    mean_UxJ = rf.posteriors(prior, told).mean
    losses.append(np.asarray(_mean_losses(mean_UxJ, targets))[is_used])
  return WEIGHTS[_best(np.array(losses))]


def against_average(choice: Float[Array, 'V J']) -> Float[Array, 'V J']:
  """Subtracts the mean of all items from the choice features of each item."""
  return choice - choice.mean(axis=0)[None]


_log_losses = jax.jit(jax.vmap(rf.log_loss))


def _mean_losses(mean_UxJ, targets) -> Float[Array, ' U']:
  """Returns the log loss of each user, averaged over the user's targets."""
  count_U = jnp.maximum(targets.weights.sum(axis=1), 1)
  return _log_losses(mean_UxJ, targets) / count_U


def _best(losses_WxU: Float[np.ndarray, 'W U']) -> int:
  """Returns the index of the best weight if surely better, else 0."""
  best = int(losses_WxU.mean(axis=1).argmin()) if losses_WxU.size else 0
  gain_U = losses_WxU[0] - losses_WxU[best]
  if len(gain_U) < 2:
    return 0
  error = gain_U.std(ddof=1) / np.sqrt(len(gain_U))
  return best if gain_U.mean() > _LEAST_ERRORS * error else 0


def flops(num_users: int, j: int) -> float:
  """Counts the operations of `estimate`."""
  each = rf.posterior_flops(3 * _QUESTIONS, j, rf.NEWTON_STEPS)
  return len(WEIGHTS) * min(num_users, _USERS) * (each + 2.0 * _JUDGED * j)
