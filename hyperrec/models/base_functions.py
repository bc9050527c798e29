"""Base reward functions: learned from preferences, or factors of X.

P is the number of comparisons of a user; the first of a pair is preferred.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec.models import linear_autoencoder
from hyperrec.models import reward_factorization as rf

Csr = scipy.sparse.csr_matrix


class Comparisons(NamedTuple):
  """Which of two items each user preferred.

  Attributes:
    pairs: [U, P, 2] the preferred item, and the other one.
    weights: [U, P] 0 where a user has no such pair.
  """

  pairs: Int[np.ndarray, 'U P 2']
  weights: Float[np.ndarray, 'U P']


def draw_comparisons(
  ratings: Csr,
  *,
  per_user: int,
  unseen_share: float,
  liked: float,
  rng: np.random.Generator,
) -> Comparisons:
  """Random pairs of each user's rated items, and of liked and unseen ones.

  Args:
    ratings: [U, V], 0 where there is none.
    per_user: P.
    unseen_share: of the pairs, whose other item the user has not rated.
    liked: least rating of the preferred item of such a pair.
    rng: of the draws.
  """
  num_users, num_items = ratings.shape
  pairs = np.zeros((num_users, per_user, 2), np.int32)
  weights = np.zeros((num_users, per_user), np.float32)
  num_unseen = round(per_user * unseen_share)
  for user in range(num_users):
    row = ratings[user]
    items, values = row.indices, row.data
    is_liked = values >= liked
    if is_liked.any():
      first = rng.choice(items[is_liked], num_unseen)
      other = rng.integers(num_items, size=num_unseen)
      pairs[user, :num_unseen] = np.stack([first, other], 1)
      weights[user, :num_unseen] = ~np.isin(other, items)
    if len(items) > 1:
      a, b = rng.integers(len(items), size=(2, per_user - num_unseen))
      is_turned = values[a] < values[b]
      a, b = np.where(is_turned, b, a), np.where(is_turned, a, b)
      pairs[user, num_unseen:] = np.stack([items[a], items[b]], 1)
      weights[user, num_unseen:] = values[a] != values[b]
  return Comparisons(pairs, weights)


def as_answers(features: Float[Array, 'V J'], made: Comparisons) -> rf.Answers:
  """The comparisons as answers [U, P, J]; all say "the first"."""
  v_UxPxJ = features[made.pairs[..., 0]] - features[made.pairs[..., 1]]
  return rf.Answers(
    v_UxPxJ, jnp.ones(made.weights.shape), jnp.asarray(made.weights)
  )


def svd_factors(x: Csr, rank: int, seed: int = 0) -> Float[np.ndarray, 'V J']:
  """V sqrt(S) of the truncated SVD of X."""
  return _truncated(x, rank, seed)


def ease_factors(
  x: Csr, rank: int, l2: float, seed: int = 0
) -> Float[np.ndarray, 'V J']:
  """V sqrt(S) of the truncated SVD of EASE's predictions X B."""
  ridge = linear_autoencoder.denoising_ridge(x.getnnz(0), l2, 0.0)
  weights = linear_autoencoder.solve(x, ridge)
  return _truncated(linear_autoencoder.scores(x, weights), rank, seed)


def _truncated(matrix, rank, seed):
  start = np.random.default_rng(seed).normal(size=min(matrix.shape))
  _, values, right = scipy.sparse.linalg.svds(matrix, k=rank, v0=start)
  return (right.T * np.sqrt(values)).astype(np.float32)


def svd_start(
  ratings: Csr,
  rank: int,
  features: Float[np.ndarray, 'V F'] | None,
  num_items: int,
) -> tuple[Float[np.ndarray, 'F J'], Float[np.ndarray, 'U J']]:
  """The paper's start, on all pairs of the most rated items.

  Args:
    ratings: [U, V], 0 where there is none.
    rank: J.
    features: of the items; None is the identity.
    num_items: how many items the pairs are made of.

  Returns:
    Map W from features to base functions, and the users' coefficients.
  """
  num_items = min(num_items, ratings.shape[1])
  top = np.argsort(-ratings.getnnz(0), kind='stable')[:num_items]
  places = np.array(np.triu_indices(num_items, 1)).T
  r_UxN = ratings[:, top].toarray()
  r_UxN = np.where(r_UxN == 0, np.nan, r_UxN)
  gap_PxU = (r_UxN[:, places[:, 0]] - r_UxN[:, places[:, 1]]).T
  preferences = np.where(np.isnan(gap_PxU), np.nan, (np.sign(gap_PxU) + 1) / 2)
  pair_PxJ, user_UxJ = rf.refilled_svd(preferences, rank)
  of_top = np.eye(num_items) if features is None else features[top]
  w_FxJ = rf.items_from_pairs(pair_PxJ, places, of_top)
  if features is None:
    w_VxJ = np.zeros((ratings.shape[1], rank))
    w_VxJ[top] = w_FxJ
    return w_VxJ, user_UxJ
  return w_FxJ, user_UxJ


def fit_joint(
  start: tuple[Float[np.ndarray, 'F J'], Float[np.ndarray, 'U J']],
  made: Comparisons,
  features: Float[np.ndarray, 'V F'] | None,
  *,
  l2: float,
  learning_rate: float,
  num_steps: int,
  batch_size: int,
  key: jax.Array,
) -> Float[Array, 'F J']:
  """Joint maximum likelihood of W and the users' coefficients, by Adam.

  The loss is the mean log loss, plus l2 times the mean squared length of the
  differences v (the paper's penalty, 0.02), plus the same for coefficients.

  Args:
    start: W and the coefficients, of `svd_start`.
    made: of the training users.
    features: [V, F]; None is the identity, so that W is phi.
    l2: of both penalties.
    learning_rate: of Adam.
    num_steps: of Adam.
    batch_size: comparisons a step.
    key: of the batches.
  """
  users, places = np.nonzero(made.weights)
  pairs = made.pairs[users, places]
  features = None if features is None else jnp.asarray(features, jnp.float32)
  params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), start)
  run = functools.partial(
    _adam, l2=l2, lr=learning_rate, steps=num_steps, batch=batch_size
  )
  return jax.jit(run)(
    params, features, jnp.asarray(users), jnp.asarray(pairs), key
  )[0]


def _adam(params, features, users, pairs, key, *, l2, lr, steps, batch):
  optimizer = optax.adam(lr)

  def loss(params, chosen):
    w_FxJ, lambda_UxJ = params
    of = lambda i: w_FxJ[i] if features is None else features[i] @ w_FxJ  # noqa: E731
    v_BxJ = of(pairs[chosen, 0]) - of(pairs[chosen, 1])
    lambda_BxJ = lambda_UxJ[users[chosen]]
    size = (v_BxJ**2).sum(-1) + (lambda_BxJ**2).sum(-1)
    logits_B = (v_BxJ * lambda_BxJ).sum(-1)
    return (jax.nn.softplus(-logits_B) + l2 * size).mean()

  def step(state, key):
    params, moments = state
    chosen = jax.random.randint(key, (batch,), 0, len(users))
    updates, moments = optimizer.update(jax.grad(loss)(params, chosen), moments)
    return (optax.apply_updates(params, updates), moments), None

  state = (params, optimizer.init(params))
  return jax.lax.scan(step, state, jax.random.split(key, steps))[0][0]
