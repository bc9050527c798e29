"""Ranks large catalogues by sparse weights, without scores of all items.

With sparse weights most scores of a user are 0. Only the others are computed,
so the time of a user does not grow with the catalogue.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int

from hyperrec import top_k

Csr = scipy.sparse.csr_matrix


class Best(NamedTuple):
  """The best items of a batch of users.

  Attributes:
    items: the best first; -1 where fewer items have a positive score.
    scores: theirs; 0 where there is no item.
  """

  items: Int[np.ndarray, 'B k']
  scores: Float[np.ndarray, 'B k']


def best(
  x: Csr,
  weights: Csr,
  k: int,
  order: Int[np.ndarray, ' V'] | None = None,
  allowed: Bool[np.ndarray, ' V'] | None = None,
) -> Best:
  """The `k` best unseen items of each user that have a positive score.

  Where k items have a positive score, they are the items that a ranking of all
  scores x B would find.

  Args:
    x: histories [B, V], binary.
    weights: B [V, V].
    k: length of the lists.
    order: all items, in the order in which equal scores are taken; None takes
      the items with lower numbers first.
    allowed: whether each item may be listed; None allows all.

  Raises:
    ValueError: a score is NaN.
  """
  scores = (x @ weights).tocsr()
  if np.isnan(scores.data).any():
    raise ValueError('a score is NaN')
  # The score of a seen item less itself is exactly 0.
  scores = (scores - scores.multiply(x)).tocsr()
  is_listed = scores.data > 0
  if allowed is not None:
    is_listed &= allowed[scores.indices]
  scores.data[~is_listed] = 0
  scores.eliminate_zeros()
  if order is not None:
    rank_V = np.empty(len(order), np.int32)
    rank_V[order] = np.arange(len(order), dtype=np.int32)
    scores = scipy.sparse.csr_matrix(
      (scores.data, rank_V[scores.indices], scores.indptr), scores.shape
    )
  scores.sort_indices()
  items, found = top_k.of_sparse(scores, k)
  if order is not None:
    items = np.where(items < 0, -1, order[items])
  return Best(items, np.maximum(found, 0))
