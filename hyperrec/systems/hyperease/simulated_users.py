"""Simulates new users: leaves users out of EASE and shows part of their items.

A correction for users that the weights have not seen cannot be learned from
the users on whom they were fitted, unless each user is first left out.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

Csr = scipy.sparse.csr_matrix

# The largest share of a user's items that is shown.
_LARGEST_SHARE = 0.8
# Bytes that are always spared to compute X P only once.
_FITS = 2**30


class Users(NamedTuple):
  """Users from whom new ones are simulated, and the EASE of them all.

  Attributes:
    x: X.
    precision: P = (X'X + l2 I)^-1.
    gram: X'X of all users; None if co-occurrences are not read.
    moved: X P; None if it would need more memory than P, and than `_FITS`.
    popularity: what is added to the scores of an item that everyone has.
    counts: number of users of each item; None if nothing is added.
  """

  x: Csr
  precision: Float[np.ndarray, 'V V']
  gram: Float[np.ndarray, 'V V'] | None
  moved: Float[np.ndarray, 'U V'] | None
  popularity: float = 0.0
  counts: Float[np.ndarray, ' V'] | None = None


def of(
  x: Csr,
  precision: Float[np.ndarray, 'V V'],
  gram: Float[np.ndarray, 'V V'] | None = None,
  popularity: float = 0.0,
) -> Users:
  """The users of X; for the arguments see `Users`."""
  fits = max(precision.nbytes, _FITS)
  is_kept = x.shape[0] * precision.itemsize * x.shape[1] <= fits
  moved = x @ precision if is_kept else None
  counts = x.getnnz(axis=0).astype(np.float32) if popularity else None
  return Users(x, precision, gram, moved, popularity, counts)


class Batch(NamedTuple):
  """Simulated new users; each array is [B, V].

  Attributes:
    shown: items in the history.
    asked: target items, which are hidden.
    base: scores of an EASE that was fitted without the user, and popularity
      among the others.
    together: logarithm of 1 plus the other users' co-occurrences of an item
      with all shown items; zeros if it is not read.
  """

  shown: Float[np.ndarray, 'B V']
  asked: Float[np.ndarray, 'B V']
  base: Float[np.ndarray, 'B V']
  together: Float[np.ndarray, 'B V']


def simulate(users: Users, rows: Int[np.ndarray, ' B'], seed: Any) -> Batch:
  """Shows a random part of each user's items.

  Of n items, 0.8 n^(1 - v) are shown on average, with v uniform in [0, 1]. So
  histories with one item are as frequent as histories with many, and some are
  empty.

  Args:
    users: those from whom new ones are simulated.
    rows: the users of the batch, as rows of X.
    seed: seed of NumPy's generator.
  """
  x = users.x[rows]
  moved = x @ users.precision if users.moved is None else users.moved[rows]
  part = shown_part(x, np.random.default_rng(seed))
  shown_BxV = part.toarray()
  base_BxV = left_out_scores(users.precision, x, part, moved)
  if users.counts is not None:
    of_one = np.float32(users.popularity / max(1, users.x.shape[0] - 1))
    base_BxV += of_one * users.counts
    base_BxV[x.nonzero()] -= of_one
  together_BxV = np.zeros_like(shown_BxV)
  if users.gram is not None:
    together_BxV = log_together(users.gram, part, x)
  return Batch(shown_BxV, x.toarray() - shown_BxV, base_BxV, together_BxV)


def log_together(
  gram: Float[np.ndarray, 'V V'], shown: Csr, own: Csr | None = None
) -> Float[np.ndarray, 'B V']:
  """Logarithm of 1 plus the co-occurrences of each item with all shown ones.

  Args:
    gram: X'X.
    shown: [B, V].
    own: the users' rows of X, which are left out of the counts; None for users
      who are not in X.
  """
  counts_BxV = np.asarray(shown @ gram, np.float32)
  if own is not None:
    shown_B = np.asarray(shown.sum(axis=1), np.float32).ravel()
    counts_BxV[own.nonzero()] -= np.repeat(shown_B, own.getnnz(axis=1))
  np.maximum(counts_BxV, 0, out=counts_BxV)
  return np.log1p(counts_BxV, out=counts_BxV)


def shown_part(x: Csr, random: np.random.Generator) -> Csr:
  """The shown items of users [B, V], drawn as `simulate` says."""
  counts_B = np.diff(x.indptr)
  power_B = random.random(len(counts_B))
  share_B = _LARGEST_SHARE * np.maximum(counts_B, 1.0) ** -power_B
  is_shown = random.random(x.nnz) < np.repeat(share_B, counts_B)
  indices = x.indices[is_shown]
  indptr = np.append(0, np.cumsum(is_shown))[x.indptr]
  parts = np.ones(len(indices), np.float32), indices, indptr
  return scipy.sparse.csr_matrix(parts, x.shape)


def left_out_scores(
  precision: Float[np.ndarray, 'V V'],
  x: Csr,
  shown: Csr,
  px_BxV: Float[np.ndarray, 'B V'],
) -> Float[np.ndarray, 'B V']:
  """Scores each user by EASE as if it had been fitted without that user.

  Removing a row x from X'X is a change of rank one (Sherman & Morrison, 1950):

    P_-u = P + (P x)(P x)' / (1 - x'P x),   B_-u = I - P_-u diag(1 / diag P_-u)

  Only shown' B_-u is formed. The result is exact and costs O(|x| V) per user.

  Args:
    precision: P = (X'X + l2 I)^-1 with all users in X.
    x: [B, V], rows of X.
    shown: [B, V], the part of each row from which scores are made.
    px_BxV: P x of each row.
  """
  gain_B = 1 / (1 - _row_dot(x, px_BxV))
  along_B = gain_B * _row_dot(shown, px_BxV)
  gain_Bx1, along_Bx1 = (
    part.astype(np.float32)[:, None] for part in (gain_B, along_B)
  )
  # In single precision and in place, since training waits for it.
  px_BxV = np.asarray(px_BxV, np.float32)
  scores_BxV = np.asarray(shown @ precision, np.float32)
  scores_BxV += along_Bx1 * px_BxV
  diagonal_BxV = np.square(px_BxV)
  diagonal_BxV *= gain_Bx1
  # The copy lies in adjacent memory, which is read once for each user.
  diagonal_BxV += np.diagonal(precision).copy()
  scores_BxV /= diagonal_BxV
  np.negative(scores_BxV, out=scores_BxV)
  scores_BxV[shown.nonzero()] += 1
  return scores_BxV


def _row_dot(x: Csr, dense: np.ndarray) -> np.ndarray:
  return np.asarray(x.multiply(dense).sum(axis=1), np.float64).ravel()


def simulate_flops(x: Csr, num_users: int) -> float:
  """Operations of `simulate`: an upper bound for average users of X.

  Args:
    x: [U, V], the users from whom is drawn.
    num_users: number of users drawn.
  """
  length, num_items = x.nnz / x.shape[0], x.shape[1]
  return num_users * (4 * length * num_items + 6 * num_items)
