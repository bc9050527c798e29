"""EASE on neighbours for catalogues of a million items, in batches.

The weights are those of `sparse_autoencoder.solve_on_neighbours`,

    (X'X + lambda I)_SS B_Sj = (X'X)_Sj,   S the m items most similar to j,

but all systems of a batch are solved at once, on the devices of the mesh in
use. Of X'X, only one half is held, sparse; no [V, V] matrix is ever made.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec.cost import memory
from hyperrec.training import mesh as mesh_lib

Csr = scipy.sparse.csr_matrix

# Systems that a device solves at once.
_BATCH = 1024
# Items whose rows of X'X are in memory at once, beside the half that is kept.
_BLOCK = 4096


class Together(NamedTuple):
  """How many users share each pair of items: one half of X'X, sparse.

  Attributes:
    halves: [V, V] over ranks, entries right of the diagonal; they add up. Items
      are ranked by popularity, the least popular first, so that rows are short.
    counts: number of users of each item.
    ranks: the rank of each item.
  """

  halves: tuple[Csr, ...]
  counts: Float[np.ndarray, ' V']
  ranks: Int[np.ndarray, ' V']

  def of_pairs(
    self, first: Int[np.ndarray, ' n'], second: Int[np.ndarray, ' n']
  ) -> Float[np.ndarray, ' n']:
    """Number of users who share each of n pairs of different items."""
    first, second = self.ranks[first], self.ranks[second]
    low, high = np.minimum(first, second), np.maximum(first, second)
    # Every look-up reads the whole matrix once: it gets only the rows in use.
    is_used_V = np.zeros(len(self.ranks), bool)
    is_used_V[low] = True
    used = np.flatnonzero(is_used_V)
    place_V = np.empty(len(self.ranks), np.int32)
    place_V[used] = np.arange(len(used), dtype=np.int32)
    low = place_V[low]
    return sum(np.asarray(h[used][low, high]).ravel() for h in self.halves)

  def changed(self, before: Csr, after: Csr) -> 'Together':
    """The counts after some users have changed, in time of these users alone.

    Args:
      before: [B, V], what these users had; empty rows for new users.
      after: [B, V], what they have now.
    """
    halves = _half(after, self.ranks), _half(before, self.ranks) * -1
    counts = self.counts + after.getnnz(0) - before.getnnz(0)
    added = tuple(half for half in halves if half.nnz)
    return Together(
      (*self.halves, *added), counts.astype(np.float32), self.ranks
    )


def together(x: Csr) -> Together:
  """Counts the users that pairs of items share.

  Args:
    x: users' items [U, V], binary.

  Raises:
    InsufficientMemoryError: the counts may not fit into memory.
  """
  num_items = x.shape[1]
  memory.check_memory(
    peak_bytes(x),
    f"half of X'X of {num_items:,} items",
    'drop users with very long histories',
  )
  counts_V = x.getnnz(0)
  ranks_V = np.empty(num_items, np.int32)
  ranks_V[np.argsort(counts_V, kind='stable')] = np.arange(num_items)
  return Together((_half(x, ranks_V),), counts_V.astype(np.float32), ranks_V)


def _half(x: Csr, ranks_V: Int[np.ndarray, ' V']) -> Csr:
  """X'X over ranks, right of its diagonal, made block by block."""
  num_items = x.shape[1]
  ranked = scipy.sparse.csr_matrix(
    (x.data.astype(np.float32), ranks_V[x.indices], x.indptr), x.shape
  )
  by_rank = ranked.T.tocsr()
  # Only ranks that occur have rows.
  ranks = np.flatnonzero(np.diff(by_rank.indptr))
  indices, data = [], []
  lengths_V = np.zeros(num_items, np.int64)
  for start in range(0, len(ranks), _BLOCK):
    block = ranks[start : start + _BLOCK]
    rows = (by_rank[block] @ ranked).tocsr()
    rows.sort_indices()
    own = np.repeat(block, np.diff(rows.indptr))
    is_right = rows.indices > own
    indices.append(rows.indices[is_right])
    data.append(rows.data[is_right])
    lengths_V += np.bincount(own[is_right], minlength=num_items)
  ends = np.concatenate([[0], np.cumsum(lengths_V)])
  merged = np.concatenate([np.empty(0, np.int32), *indices])
  indices.clear()
  half = scipy.sparse.csr_matrix(
    (np.concatenate([np.empty(0, np.float32), *data]), merged, ends),
    (num_items, num_items),
  )
  half.has_sorted_indices = half.has_canonical_format = True
  return half


def touched(
  near: Int[np.ndarray, 'V m'], items: Int[np.ndarray, ' n']
) -> Int[np.ndarray, ' N']:
  """The items whose systems change with the counts of some items.

  These are the items themselves and those that have them as neighbours.
  """
  is_changed = np.zeros(len(near) + 1, bool)
  is_changed[items] = True
  # A missing neighbour of -1 reads the last place, which is False.
  return np.flatnonzero(is_changed[near].any(axis=1) | is_changed[:-1])


def peak_bytes(x: Csr) -> int:
  """Upper bound of the bytes of `together`, without its argument."""
  pairs = int((np.diff(x.indptr).astype(np.int64) ** 2).sum()) // 2
  half = min(pairs, x.shape[1] ** 2 // 2)
  return 12 * half + 16 * x.nnz


def solve(
  counted: Together,
  near: Int[np.ndarray, 'V m'],
  l2: float,
  prior: Float[np.ndarray, 'V m'] | None = None,
  chosen: Int[np.ndarray, ' N'] | None = None,
) -> Float[np.ndarray, 'N m']:
  """The weights of the neighbours of each item.

  Args:
    counted: users that pairs of items share.
    near: neighbours of all items, none twice; -1 where there is none.
    l2: lambda > 0.
    prior: what the ridge pulls the weights to, at the neighbours; None means 0.
    chosen: the items whose weights are wanted; None wants those of all.

  Returns:
    Column j of B at the neighbours of item j; 0 where there is no neighbour.
  """
  num_items, width = near.shape
  chosen = np.arange(num_items) if chosen is None else chosen
  # A system is that of the neighbours and the item itself, which comes last.
  left, right = np.tril_indices(width + 1, -1)

  def make(places):
    own = chosen[places]
    items = np.concatenate([near[own], own[:, None]], axis=1)
    first, second = items[:, left], items[:, right]
    is_pair = (first >= 0) & (second >= 0)
    pairs = np.zeros(is_pair.shape, np.float32)
    pairs[is_pair] = counted.of_pairs(first[is_pair], second[is_pair])
    lower = np.zeros((len(own), width + 1, width + 1), np.float32)
    for row in range(1, width + 1):
      lower[:, row, :row] = pairs[:, row * (row - 1) // 2 :][:, :row]
    # Where there is no neighbour, a diagonal of 1 keeps the system regular.
    diagonal = np.where(items >= 0, counted.counts[items], 1)
    pull = np.zeros((len(own), width)) if prior is None else prior[own]
    return lower, diagonal.astype(np.float32), pull.astype(np.float32)

  return mesh_lib.map_items(
    len(chosen), width, _BATCH, make, _solve_batch, np.float32(l2)
  )


def _solve_batch(l2, lower_BxWxW, diagonal_BxW, pull_BxM):
  """Solves the systems of a batch, given the pairs below the diagonal."""

  def one(lower_WxW, diagonal_W, pull_M):
    a_WxW = lower_WxW + lower_WxW.T + jnp.diag(diagonal_W + l2)
    return scaled_solve(a_WxW[:-1, :-1], a_WxW[-1, :-1] + l2 * pull_M)

  return jax.vmap(one)(lower_BxWxW, diagonal_BxW, pull_BxM)


def scaled_solve(
  a_MxM: Float[Array, 'm m'], b_M: Float[Array, ' m']
) -> Float[Array, ' m']:
  """A^-1 b of a positive definite A, scaled to a diagonal of 1.

  Popular and rare items differ by orders of magnitude; scaling keeps float32
  accurate, and one step of refinement removes most of the error that is left.
  """
  scale_M = jax.lax.rsqrt(jnp.diagonal(a_MxM))
  a_MxM = scale_M[:, None] * a_MxM * scale_M[None]
  b_M = scale_M * b_M
  factor = jax.scipy.linalg.cho_factor(a_MxM, lower=True)
  w_M = jax.scipy.linalg.cho_solve(factor, b_M)
  w_M += jax.scipy.linalg.cho_solve(factor, b_M - a_MxM @ w_M)
  return scale_M * w_M


def as_matrix(
  items: Int[np.ndarray, 'N m'],
  values: Float[np.ndarray, 'N m'],
  num_items: int,
) -> Csr:
  """Sparse weights [V, N]: column j has the values of item j at its neighbours.

  Args:
    items: neighbours of each item; -1 where there is none.
    values: their weights.
    num_items: V.
  """
  is_item = items >= 0
  ends = np.concatenate([[0], np.cumsum(is_item.sum(axis=1))])
  columns = scipy.sparse.csc_matrix(
    (values[is_item], items[is_item], ends), (num_items, len(items))
  )
  return columns.tocsr()
