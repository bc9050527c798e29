"""How much of a generated correction is kept: as much as it gains.

A generator that fits the users it was trained on may harm others. So a part of
each correction is kept that depends on the size of the history: the part that
gains most on held-out users, less some standard errors, and none where nothing
gains.
"""

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec.evaluation import ranking

# Parts of a correction that are tried besides none.
_PARTS = (0.3, 0.6, 1.0)
# A history is short, middling or long: below 3 items, below 10, or longer.
_EDGES = (3, 10)
# What a correction has to improve.
_METRIC = 'ndcg@100'

Csr = scipy.sparse.csr_matrix


def kept_parts(
  base: Float[np.ndarray, 'B V'],
  added: Float[np.ndarray, 'B V'],
  shown: Float[np.ndarray, 'B V'],
  asked: Float[np.ndarray, 'B V'],
  caution: float,
) -> Float[np.ndarray, ' 3']:
  """The part of a correction to keep for each length of a history.

  Args:
    base: scores of held-out users without a correction.
    added: the correction of these scores.
    shown: binary, items in the history.
    asked: binary, target items.
    caution: standard errors by which a part has to gain.
  """

  def ndcg(scores):
    return ranking.evaluate(
      lambda rows: scores[rows],
      Csr(shown),
      Csr(asked),
      metrics=(_METRIC,),
    )

  if not (asked.sum(axis=1) > 0).any():
    return np.zeros(len(_EDGES) + 1, np.float32)
  before = ndcg(base)
  length = np.digitize(shown.sum(axis=1)[before.users], _EDGES)
  gains = np.array(
    [
      ndcg(base + part * added).values[_METRIC] - before.values[_METRIC]
      for part in _PARTS
    ]
  )
  kept = [
    _best_part(gains[:, length == which], caution)
    for which in range(len(_EDGES) + 1)
  ]
  return np.array(kept, np.float32)


def _best_part(gains: Float[np.ndarray, 'P n'], caution: float) -> float:
  """The part with the highest cautious gain; 0 if there is none above 0."""
  num_users = gains.shape[1]
  if num_users < 2:
    return 0.0
  error_P = gains.std(axis=1, ddof=1) / np.sqrt(num_users)
  cautious_P = gains.mean(axis=1) - caution * error_P
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
