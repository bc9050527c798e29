"""New users made of old ones: EASE without them, and a part of their items.

What is to help users whom the weights have not seen cannot be learned from the
users they were fitted on, unless each is left out of them first.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

Csr = scipy.sparse.csr_matrix

# Of a user's items, at most this share is shown.
_LARGEST_SHARE = 0.8


class Batch(NamedTuple):
  """Simulated new users; each array is [B, V].

  Attributes:
    shown: what they show.
    asked: what they are to be scored on.
    base: EASE's scores without them.
  """

  shown: Float[np.ndarray, 'B V']
  asked: Float[np.ndarray, 'B V']
  base: Float[np.ndarray, 'B V']


def simulate(precision: np.ndarray, x: Csr, seed: Any) -> Batch:
  """Shows a random part of each user's items: 0.8 n^v of n, v uniform in 0..1.

  On average; so a user with one shown item is as frequent as one with many,
  and some show nothing.

  Args:
    precision: see `left_out_scores`.
    x: [B, V], rows that EASE was fitted on.
    seed: of NumPy.
  """
  part = shown_part(x, np.random.default_rng(seed))
  shown_BxV = part.toarray()
  base_BxV = left_out_scores(precision, x, part)
  return Batch(shown_BxV, x.toarray() - shown_BxV, base_BxV)


def shown_part(x: Csr, random: np.random.Generator) -> Csr:
  """What the users of [B, V] show, drawn as `simulate` says."""
  counts_B = np.diff(x.indptr)
  power_B = random.random(len(counts_B))
  share_B = _LARGEST_SHARE * np.maximum(counts_B, 1.0) ** -power_B
  is_shown = random.random(x.nnz) < np.repeat(share_B, counts_B)
  parts = is_shown.astype(np.float32), x.indices, x.indptr
  return scipy.sparse.csr_matrix(parts, x.shape)


def left_out_scores(
  precision: Float[np.ndarray, 'V V'], x: Csr, shown: Csr
) -> Float[np.ndarray, 'B V']:
  """EASE's scores of users as if it had been fitted without each of them.

  A row x leaves X'X by a change of rank one (Sherman & Morrison, 1950), so

    P_-u = P + (P x)(P x)' / (1 - x'P x),   B_-u = I - P_-u diag(1 / diag P_-u)

  and only shown' B_-u is formed. Exact; O(|x| V) a user.

  Args:
    precision: P = (X'X + l2 I)^-1 with all users in X.
    x: [B, V], rows of X.
    shown: [B, V], the part of each row that is scored.
  """
  px_BxV = x @ precision
  leverage_B = _row_dot(x, px_BxV)
  gain_B = 1 / (1 - leverage_B)
  along_B = gain_B * _row_dot(shown, px_BxV)
  product_BxV = shown @ precision + along_B[:, None] * px_BxV
  diagonal_BxV = np.diagonal(precision) + gain_B[:, None] * px_BxV**2
  return (shown.toarray() - product_BxV / diagonal_BxV).astype(np.float32)


def _row_dot(x: Csr, dense: np.ndarray) -> np.ndarray:
  return np.asarray(x.multiply(dense).sum(axis=1), np.float64).ravel()


def simulate_flops(x: Csr, num_users: int) -> float:
  """Operations of `simulate`, on average over users of X, at most.

  Args:
    x: [U, V], the users that are drawn from.
    num_users: how many are drawn.
  """
  length, num_items = x.nnz / x.shape[0], x.shape[1]
  return num_users * (4 * length * num_items + 6 * num_items)
