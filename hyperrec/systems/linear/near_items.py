"""The nearest items of each item, in memory that grows with V and not V x V.

Items are near by the users that they share, or by their features. Work is done
for a range of items at a time, so that machines can share it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec import top_k
from hyperrec.nn import k_means

Csr = scipy.sparse.csr_matrix

# Items whose rows of X'X are in memory at once.
_BLOCK = 1024
# Mean size of a group of items with similar features; the sample by which the
# middles of the groups are found, and the steps of k-means on it.
_GROUP = 500
_SAMPLE = 2**15
_STEPS = 8


def by_users(x: Csr, neighbours: int) -> Int[np.ndarray, 'V m']:
  """The items with the largest cosine c_ij / sqrt(c_i c_j), as `ease_sparse`.

  Args:
    x: users' items [U, V], binary.
    neighbours: m. Ties go to the items with lower numbers.

  Returns:
    The most similar items first; -1 where fewer share a user with the item.
  """
  num_items = x.shape[1]
  roots_V = np.sqrt(np.maximum(x.getnnz(0), 1).astype(np.float32))
  x_VxU = x.T.tocsr()
  near_VxM = np.empty((num_items, neighbours), np.int32)
  for start in range(0, num_items, _BLOCK):
    part = slice(start, start + _BLOCK)
    rows = (x_VxU[part] @ x).tocsr()
    rows.sort_indices()
    own = np.repeat(np.arange(num_items)[part], np.diff(rows.indptr))
    # An item is no neighbour of itself.
    rows.data[rows.indices == own] = 0
    rows.eliminate_zeros()
    rows.data /= roots_V[rows.indices]
    near_VxM[part], _ = top_k.of_sparse(rows, neighbours)
  return near_VxM


def joined(
  first: Int[np.ndarray, 'N m'], second: Int[np.ndarray, 'N n']
) -> Int[np.ndarray, 'N m_n']:
  """Neighbours of two kinds, none twice: -1 where the first kind has it."""
  is_new = np.ones(second.shape, bool)
  for column in first.T:
    is_new &= second != column[:, None]
  return np.concatenate([first, np.where(is_new, second, -1)], axis=1)


class Groups(NamedTuple):
  """Groups of items with similar features.

  Attributes:
    items: all items, group by group.
    ends: where each group ends in `items`.
    middles: mean features of each group, of length 1.
  """

  items: Int[np.ndarray, ' V']
  ends: Int[np.ndarray, ' G']
  middles: Float[np.ndarray, 'G F']

  def members(self, group: int) -> Int[np.ndarray, ' n']:
    """The items of a group."""
    first = self.ends[group - 1] if group else 0
    return self.items[first : self.ends[group]]


def groups(features: Float[np.ndarray, 'V F']) -> Groups:
  """Groups items by k-means; the groups are the same for equal features."""
  num_items = len(features)
  num_groups = max(1, num_items // _GROUP)
  random = np.random.default_rng(0)
  sample = features[random.permutation(num_items)[:_SAMPLE]]
  middles = jax.jit(k_means.refine, static_argnums=2)(
    sample, sample[:num_groups], _STEPS
  )
  nearest = jax.jit(k_means.nearest)
  group_V = np.concatenate(
    [
      np.asarray(nearest(jnp.asarray(features[s : s + _SAMPLE]), middles).codes)
      for s in range(0, num_items, _SAMPLE)
    ]
  )
  items = np.argsort(group_V, kind='stable')
  ends = np.cumsum(np.bincount(group_V, minlength=num_groups))
  return Groups(items, ends, np.asarray(middles))


def by_features(
  known: Float[np.ndarray, 'V F'],
  found: Groups,
  new: Float[np.ndarray, 'N F'],
  neighbours: int,
  candidates: int,
  *,
  is_known: bool = False,
) -> Int[np.ndarray, 'N m']:
  """The known items with the largest cosines to each new one.

  The items nearest to the same middle are compared with the groups whose
  middles are nearest to it, until these hold `candidates` items. If that is all
  items, the neighbours are exact.

  Args:
    known: features, rows of length 1.
    found: `groups` of the known items.
    new: features, rows of length 1.
    neighbours: m.
    candidates: number of items that each new one is compared with, at least m.
    is_known: whether the new items are the known ones, so that an item is not
      its own neighbour.
  """
  candidates = min(max(candidates, neighbours + is_known), len(known))
  near_NxM = np.empty((len(new), neighbours), np.int32)
  sizes_G = np.diff(found.ends, prepend=0)
  nearest = jax.jit(k_means.nearest)
  group_N = np.concatenate(
    [
      np.asarray(
        nearest(jnp.asarray(new[s : s + _SAMPLE]), found.middles).codes
      )
      for s in range(0, len(new), _SAMPLE)
    ]
  )
  order = np.argsort(group_N, kind='stable')
  ends = np.cumsum(np.bincount(group_N, minlength=len(sizes_G)))
  for group in np.unique(group_N):
    apart = np.argsort(-(found.middles @ found.middles[group]), kind='stable')
    enough = np.searchsorted(np.cumsum(sizes_G[apart]), candidates) + 1
    others = np.sort(np.concatenate([found.members(g) for g in apart[:enough]]))
    table = known[others].T
    own = order[ends[group - 1] if group else 0 : ends[group]]
    for start in range(0, len(own), _BLOCK):
      part = own[start : start + _BLOCK]
      cosines = new[part] @ table
      if is_known:
        cosines[np.arange(len(part)), np.searchsorted(others, part)] = -np.inf
      near_NxM[part] = others[top_k.places(cosines, neighbours)]
  return near_NxM
