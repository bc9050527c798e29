"""Base reward functions: learned from preferences, or factors of X."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec.cost import memory
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.pref import preference_pairs
from hyperrec.systems.pref import reward_factorization as rf

Comparisons = preference_pairs.Comparisons
Csr = scipy.sparse.csr_matrix

# Of the randomised SVD: more columns than are kept, and passes over X.
_EXTRA, _PASSES = 10, 4
# Ratings of the mean that a mean rating counts besides its own.
_SHRINKAGE = 5.0


def consensus(ratings: Csr) -> Float[np.ndarray, 'V 2']:
  """What the average person rewards: popularity and the mean rating.

  The logarithm of the count, and the mean rating shrunk to that of all items,
  each with mean 0 and variance 1; 0 where it is the same for all items.

  Args:
    ratings: [U, V], stored where there is one, also where it is 0.
  """
  counts = ratings.getnnz(0)
  totals = np.asarray(ratings.sum(axis=0), np.float64).ravel()
  mean = (totals + _SHRINKAGE * ratings.data.mean()) / (counts + _SHRINKAGE)
  columns = np.stack([np.log1p(counts), mean], 1)
  centred = columns - columns.mean(axis=0)
  spread = columns.std(axis=0)
  return centred / np.where(spread > 1e-6, spread, np.inf)


def svd_factors(x: Csr, rank: int, seed: int = 0) -> Float[np.ndarray, 'V J']:
  """V sqrt(S) of the truncated SVD of X."""
  return _truncated(x, rank, seed)


def ease_factors(
  x: Csr, rank: int, l2: float, seed: int = 0
) -> Float[np.ndarray, 'V J']:
  """V sqrt(S) of the truncated SVD of EASE's predictions X B.

  Raises:
    InsufficientMemoryError: before anything is computed.
  """
  memory.check_memory(
    8 * x.shape[0] * x.shape[1],
    f'predictions of EASE for {x.shape[0]} users and {x.shape[1]} items',
    'take base functions that are factors of the likes (svd or ials)',
  )
  ridge = linear_autoencoder.denoising_ridge(x.getnnz(0), l2, 0.0)
  weights = linear_autoencoder.solve(x, ridge)
  return _truncated(linear_autoencoder.scores(x, weights), rank, seed)


def ials_factors(
  x: Csr,
  rank: int,
  *,
  unobserved: float = 0.1,
  l2: float = 0.003,
  rounds: int = 8,
  seed: int = 0,
) -> Float[np.ndarray, 'V J']:
  """Item factors of implicit ALS (Hu, Koren & Volinsky, ICDM 2008).

  Alternately minimises, over user factors w and item factors h,

    sum_observed (1 - w.h)^2 + unobserved sum_all (w.h)^2 + penalty,

  each factor's penalty being l2 (its observed entries + unobserved times all)
  times its squared length (Rendle et al., RecSys 2022, eq. 3-5, exponent 1).

  Args:
    x: [U, V], binary.
    rank: J.
    unobserved: weight of all entries, as 0.
    l2: strength.
    rounds: of both sides.
    seed: of the start.
  """
  random = np.random.default_rng(seed)
  item_VxJ = random.normal(size=(x.shape[1], rank)) * 0.1 / np.sqrt(rank)
  by_item = x.T.tocsr()
  for _ in range(rounds):
    user_UxJ = _ridge_by_row(x, item_VxJ, unobserved, l2)
    item_VxJ = _ridge_by_row(by_item, user_UxJ, unobserved, l2)
  return item_VxJ.astype(np.float32)


def _ridge_by_row(x, others_NxJ, unobserved, l2):
  """The factor of each row of X [M, N], given those of the columns."""
  gram_JxJ = unobserved * others_NxJ.T @ others_NxJ
  eye_JxJ = np.eye(len(gram_JxJ))
  found = np.zeros((x.shape[0], len(gram_JxJ)))
  for row, (start, end) in enumerate(itertools.pairwise(x.indptr)):
    h_LxJ = others_NxJ[x.indices[start:end]]
    ridge = l2 * (end - start + unobserved * len(others_NxJ))
    normal_JxJ = gram_JxJ + h_LxJ.T @ h_LxJ + ridge * eye_JxJ
    found[row] = np.linalg.solve(normal_JxJ, h_LxJ.sum(axis=0))
  return found


def ials_flops(
  num_rows: int, num_columns: int, nnz: int, rank: int, rounds: int = 8
) -> float:
  """Operations of `ials_factors`."""
  solves = (num_rows + num_columns) * (2 / 3 * rank**3 + 4.0 * rank**2)
  return rounds * (solves + 4.0 * nnz * rank**2)


def _truncated(matrix, rank, seed):
  """Randomised SVD (Halko, Martinsson & Tropp, 2011, algorithm 4.4)."""
  width = min(rank + _EXTRA, *matrix.shape)
  side_VxW = np.random.default_rng(seed).normal(size=(matrix.shape[1], width))
  for _ in range(_PASSES):
    side_UxW, _ = np.linalg.qr(matrix @ side_VxW)
    side_VxW, _ = np.linalg.qr(matrix.T @ side_UxW)
  _, values, right = np.linalg.svd(matrix @ side_VxW, full_matrices=False)
  right_VxJ = side_VxW @ right[:rank].T
  return (right_VxJ * np.sqrt(values[:rank])).astype(np.float32)


def truncated_flops(
  num_rows: int, num_columns: int, nnz: int, rank: int
) -> float:
  """Operations of the SVD of a factor base, of nnz stored entries."""
  width = rank + _EXTRA
  products = (2 * _PASSES + 1) * 2.0 * nnz * width
  factors = 4.0 * _PASSES * (num_rows + num_columns) + 14.0 * num_rows
  return products + (factors + 2 * num_columns) * width**2


def svd_start(
  ratings: Csr,
  rank: int,
  features: Float[np.ndarray, 'V F'] | None,
  num_items: int,
) -> tuple[Float[np.ndarray, 'F J'], Float[np.ndarray, 'U J']]:
  """The paper's start, on all pairs of the most rated items.

  Args:
    ratings: [U, V], stored where there is one, also where it is 0.
    rank: J.
    features: of the items; None is the identity.
    num_items: how many items the pairs are made of.

  Returns:
    Map W from features to base functions, and the users' coefficients.
  """
  num_items = min(num_items, ratings.shape[1])
  top = np.argsort(-ratings.getnnz(0), kind='stable')[:num_items]
  places = np.array(np.triu_indices(num_items, 1)).T
  r_UxN = preference_pairs.known(ratings[:, top]).astype(np.float64)
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
  return _adam(
    params,
    features,
    jnp.asarray(users),
    jnp.asarray(pairs),
    key,
    l2=l2,
    lr=learning_rate,
    steps=num_steps,
    batch=batch_size,
  )[0]


@functools.partial(jax.jit, static_argnames=('steps', 'batch'))
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
