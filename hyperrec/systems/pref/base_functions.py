"""Base reward functions: learned from comparisons or factored from X."""

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

# The randomised SVD draws this many extra columns and makes this many passes.
_EXTRA, _PASSES = 10, 4
# Names of the two features of `consensus`, in their order.
CONSENSUS = ('popularity', 'mean rating')
# Weight, in ratings, of the global mean in the mean rating of an item.
_SHRINKAGE = 5.0
# Implicit ALS: weight a of the term that pulls every entry to 0, strength b of
# the penalty, and number of rounds, each of which solves all users, then all
# items.
_UNOBSERVED = 0.1
_L2 = 0.003
_ROUNDS = 8


def consensus(ratings: Csr) -> Float[np.ndarray, 'V 2']:
  """Computes two features that all users share: popularity and mean rating.

  Popularity is the logarithm of the number of ratings. The mean rating of an
  item is shrunk to the global mean. Each feature is scaled to mean 0 and
  variance 1, or set to 0 if it is the same for all items.

  Args:
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
  """
  counts = ratings.getnnz(0)
  totals = np.asarray(ratings.sum(axis=0), np.float64).ravel()
  mean = (totals + _SHRINKAGE * ratings.data.mean()) / (counts + _SHRINKAGE)
  columns = np.stack([np.log1p(counts), mean], 1)
  centred = columns - columns.mean(axis=0)
  spread = columns.std(axis=0)
  return centred / np.where(spread > 1e-6, spread, np.inf)


def svd_factors(x: Csr, rank: int) -> Float[np.ndarray, 'V J']:
  """Returns the item factors V sqrt(S) of the truncated SVD of X."""
  return _truncated(x, rank)


def ease_factors(x: Csr, rank: int, l2: float) -> Float[np.ndarray, 'V J']:
  """Returns V sqrt(S) of the truncated SVD of the predictions X B of EASE.

  Raises:
    InsufficientMemoryError: The predictions do not fit in memory. Nothing is
      computed in this case.
  """
  memory.check_memory(
    8 * x.shape[0] * x.shape[1],
    f'predictions of EASE for {x.shape[0]} users and {x.shape[1]} items',
    'take base functions that are factors of the likes (svd or ials)',
  )
  ridge = linear_autoencoder.denoising_ridge(x.getnnz(0), l2, 0.0)
  weights = linear_autoencoder.solve(x, ridge)
  return _truncated(linear_autoencoder.scores(x, weights), rank)


def ials_factors(x: Csr, rank: int) -> Float[np.ndarray, 'V J']:
  """Fits the item factors of implicit ALS (Hu, Koren & Volinsky, ICDM 2008).

  It minimises, alternately over user factors w and item factors h,

    sum_observed (1 - w.h)^2 + a sum_all (w.h)^2 + penalty.

  The penalty of a factor is its squared length times b (n + a N), where n of
  its N entries are observed (Rendle et al., RecSys 2022, eq. 3-5, exponent 1).

  Args:
    x: [U, V], binary.
    rank: Number of factors, J.
  """
  random = np.random.default_rng(0)
  item_VxJ = random.normal(size=(x.shape[1], rank)) * 0.1 / np.sqrt(rank)
  by_item = x.T.tocsr()
  for _ in range(_ROUNDS):
    user_UxJ = _ridge_by_row(x, item_VxJ)
    item_VxJ = _ridge_by_row(by_item, user_UxJ)
  return item_VxJ.astype(np.float32)


def _ridge_by_row(x, others_NxJ):
  """Solves for the factor of each row of X [M, N], given the column factors."""
  gram_JxJ = _UNOBSERVED * others_NxJ.T @ others_NxJ
  eye_JxJ = np.eye(len(gram_JxJ))
  found = np.zeros((x.shape[0], len(gram_JxJ)))
  for row, (start, end) in enumerate(itertools.pairwise(x.indptr)):
    h_LxJ = others_NxJ[x.indices[start:end]]
    ridge = _L2 * (end - start + _UNOBSERVED * len(others_NxJ))
    normal_JxJ = gram_JxJ + h_LxJ.T @ h_LxJ + ridge * eye_JxJ
    found[row] = np.linalg.solve(normal_JxJ, h_LxJ.sum(axis=0))
  return found


def ials_flops(num_rows: int, num_columns: int, nnz: int, rank: int) -> float:
  """Counts the operations of `ials_factors`."""
  solves = (num_rows + num_columns) * (2 / 3 * rank**3 + 4.0 * rank**2)
  return _ROUNDS * (solves + 4.0 * nnz * rank**2)


def _truncated(matrix, rank):
  """Runs the randomised SVD of Halko, Martinsson & Tropp (2011, alg. 4.4)."""
  width = min(rank + _EXTRA, *matrix.shape)
  side_VxW = np.random.default_rng(0).normal(size=(matrix.shape[1], width))
  for _ in range(_PASSES):
    side_UxW, _ = np.linalg.qr(matrix @ side_VxW)
    side_VxW, _ = np.linalg.qr(matrix.T @ side_UxW)
  _, values, right = np.linalg.svd(matrix @ side_VxW, full_matrices=False)
  right_VxJ = side_VxW @ right[:rank].T
  return (right_VxJ * np.sqrt(values[:rank])).astype(np.float32)


def truncated_flops(
  num_rows: int, num_columns: int, nnz: int, rank: int
) -> float:
  """Counts the operations of the truncated SVD of nnz stored entries."""
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
  """Initialises the joint fit from all pairs of the most rated items.

  This is the SVD initialisation of PReF (arXiv 2503.06358).

  Args:
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
    rank: Number of base functions, J.
    features: Item features; None stands for the identity.
    num_items: Number of most rated items from which the pairs are made.

  Returns:
    The map W from features to base functions, and the users' coefficients.

  Raises:
    ValueError: `rank` exceeds the number of pairs or of users.
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
  """Fits W and the users' coefficients jointly by Adam, and returns W.

  The loss is the mean log loss plus two penalties: l2 times the mean squared
  length of the differences v (the paper uses l2 = 0.02), and l2 times that of
  the coefficients.

  Args:
    start: W and the coefficients from `svd_start`.
    made: Comparisons of the training users.
    features: Item features; None stands for the identity, so that W is phi.
    l2: Strength of both penalties.
    learning_rate: Learning rate of Adam.
    num_steps: Number of steps of Adam.
    batch_size: Number of comparisons in a batch.
    key: Key that draws the batches.
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
