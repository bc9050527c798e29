"""How much of a generated correction is kept: as much as it gains.

A generator that fits the users it was trained on may harm others. So a part of
each correction is kept that depends on the size of the history: the part that
gains most on held-out users, less some standard errors, and none where nothing
gains. These users do not tell when the training stops: a choice among many
steps flatters where it was made.
"""

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec.evaluation import ranking
from hyperrec.systems.hyperease import simulated_users

# Parts of a correction that are tried besides none.
_PARTS = (0.3, 0.6, 1.0)
# A history is short, middling or long: below 3 items, below 10, or longer.
_EDGES = (3, 10)
# What a correction has to improve.
_METRIC = 'ndcg@100'

Csr = scipy.sparse.csr_matrix


def kept_parts(
  users: Int[np.ndarray, ' B'],
  judged: simulated_users.Batch,
  added: Float[np.ndarray, 'B V'],
  caution: float,
) -> Float[np.ndarray, ' 3']:
  """The part of a correction to keep for each length of a history.

  Args:
    users: numbers of the held-out users; one may be simulated several times.
    judged: their histories, targets and scores without a correction.
    added: the correction of these scores.
    caution: standard errors by which a part has to gain.
  """

  def ndcg(scores):
    return ranking.evaluate(
      lambda rows: scores[rows],
      Csr(judged.shown),
      Csr(judged.asked),
      metrics=(_METRIC,),
    )

  if not judged.asked.any():
    return np.zeros(len(_EDGES) + 1, np.float32)
  before = ndcg(judged.base)
  gains_PxN = np.array(
    [
      ndcg(judged.base + part * added).values[_METRIC] - before.values[_METRIC]
      for part in _PARTS
    ]
  )
  users = users[before.users]
  length = np.digitize(judged.shown.sum(axis=1)[before.users], _EDGES)
  kept = [
    _best_part(users[length == which], gains_PxN[:, length == which], caution)
    for which in range(len(_EDGES) + 1)
  ]
  return np.array(kept, np.float32)


def _best_part(
  users: Int[np.ndarray, ' N'],
  gains: Float[np.ndarray, 'P N'],
  caution: float,
) -> float:
  """The part with the highest cautious gain; 0 if there is none above 0.

  All draws of one user are one observation of the standard error.
  """
  _, number_N = np.unique(users, return_inverse=True)
  num_users = number_N.max(initial=-1) + 1
  if num_users < 2:
    return 0.0
  mean_P = gains.mean(axis=1)
  apart_PxN = gains - mean_P[:, None]
  sums_PxU = np.array([np.bincount(number_N, row) for row in apart_PxN])
  spread_P = np.sqrt((sums_PxU**2).sum(axis=1) * num_users / (num_users - 1))
  cautious_P = mean_P - caution * spread_P / len(users)
  best = int(np.argmax(cautious_P))
  return _PARTS[best] if cautious_P[best] > 0 else 0.0


def all_kept() -> Float[np.ndarray, ' 3']:
  """Parts that keep a correction as it is."""
  return np.ones(len(_EDGES) + 1, np.float32)


def part_of(
  kept: Float[Array, ' 3'], size: Float[Array, ' B']
) -> Float[Array, ' B']:
  """The part that is kept of each user's correction.

  Args:
    kept: output of `kept_parts`.
    size: items in each history.
  """
  edges = jnp.asarray(_EDGES, size.dtype)
  return jnp.asarray(kept)[jnp.searchsorted(edges, size, side='right')]


def flops(num_users: int, num_items: int) -> float:
  """Operations of `kept_parts`: sums, and a sort of each user's scores."""
  looks = len(_PARTS) + 1
  return looks * num_users * num_items * (2 + np.log2(max(2, num_items)))
