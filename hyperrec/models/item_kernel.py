"""EASE on item features through a kernel: likeness that is not linear.

    k(i, j) = exp(s (f_i . f_j - 1)),    C = I - P diag(1 / diag P)
    P = (K + l2 I)^-1,    K ~ Phi Phi' + diag(rest)

with features of length 1. With K = F F' this is the C of L3AE (arXiv
2508.13500). In large catalogues K has factors of a low rank, by a randomly
pivoted Cholesky decomposition (Chen, Epperly, Tropp & Webber, "Randomly pivoted
Cholesky", 2023; in blocks), and no V x V matrix is ever formed. The diagonal
that they leave out is kept as each item's own noise (FITC, Snelson &
Ghahramani, NeurIPS 2005).
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

from hyperrec.models import linear_autoencoder, spd_inverse

Prior = linear_autoencoder.Prior

RANK = 1600
_BLOCK = 64
# What a pivot has to add, of a diagonal of 1: less is rounding.
_LEAST = 1e-4


class Factors(NamedTuple):
  """K in factors of rank R.

  Attributes:
    phi: Phi, float32 [V, R].
    rest: the diagonal of K that Phi Phi' leaves out, at least 0.
  """

  phi: np.ndarray
  rest: np.ndarray


def prior(
  features: Float[np.ndarray, 'V F'],
  sharpness: float,
  l2: float,
  weight: float = 1.0,
  *,
  rank: int = RANK,
) -> Prior:
  """Weight C of a catalogue, in factors.

  Up to 2 `rank` items, where factors would be dearer than C itself, C is exact.

  Args:
    features: of the items; rows are brought to length 1. A row of zeros is
      alike to all others in the same degree.
    sharpness: s; how fast likeness falls. Towards 0 the kernel is linear.
    l2: the ridge.
    weight: what C is multiplied by.
    rank: of the factors of K in a larger catalogue.

  Raises:
    ValueError: s is not positive.
  """
  if len(features) > 2 * rank:
    phi, rest_V = factors(features, sharpness, rank=rank)
    return linear_autoencoder.feature_prior(
      phi, l2 + rest_V, weight, np.float32
    )
  kernel = _kernel(features, sharpness)
  kernel[np.diag_indices(len(kernel))] += l2
  inverse = spd_inverse.spd_inverse(kernel)
  right = np.eye(len(inverse), dtype=np.float32)
  return Prior(inverse * (-weight / np.diagonal(inverse)), right)


def factors(
  features: Float[np.ndarray, 'V F'],
  sharpness: float,
  *,
  rank: int = RANK,
  seed: int = 0,
) -> Factors:
  """The kernel of a catalogue in O(V R (F + R)).

  Args:
    features: as of `prior`, and the next.
    sharpness: s.
    rank: R at most; fewer where the items span less.
    seed: of the pivots.

  Raises:
    ValueError: s is not positive.
  """
  _check(sharpness)
  units = _units(features)
  # 1, but for rows of zeros.
  rest_V = np.exp(sharpness * (np.square(units).sum(axis=1) - 1.0))
  phi = np.zeros((len(units), min(rank, len(units))), np.float32)
  rng = np.random.default_rng(seed)
  done = 0
  while done < phi.shape[1]:
    pivots = _draw(rest_V, min(_BLOCK, phi.shape[1] - done), rng)
    if not len(pivots):
      break
    rows = np.exp(sharpness * (units @ units[pivots].T - 1.0))
    rows -= phi[:, :done] @ phi[pivots, :done].T
    stop = done + len(pivots)
    phi[:, done:stop] = _whiten(rows, rows[pivots])
    rest_V -= np.einsum('vr,vr->v', phi[:, done:stop], phi[:, done:stop])
    rest_V = np.maximum(rest_V, 0.0)
    rest_V[pivots] = 0.0
    done = stop
  return Factors(phi[:, :done], rest_V)


def flops(num_items: int, width: int, rank: int = RANK) -> float:
  """Operations of `prior`."""
  if num_items <= 2 * rank:
    return 2.0 * num_items**2 * width + float(num_items) ** 3
  factored = 2.0 * num_items * (width + rank) * rank
  return factored + 2.0 * num_items * rank**2 + rank**3 / 3


def rank_of(num_items: int, rank: int = RANK) -> int:
  """How many factors `prior` has at most."""
  return num_items if num_items <= 2 * rank else rank


def _check(sharpness):
  if not sharpness > 0:
    raise ValueError(f'sharpness={sharpness} must be positive')


def _kernel(features, sharpness):
  _check(sharpness)
  units = _units(features)
  return np.exp(sharpness * (units @ units.T - 1.0))


def _units(features):
  table = np.asarray(features, np.float32)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return table / np.where(norm > 1e-6, norm, np.inf)


def _draw(rest_V, count, rng):
  """Distinct items, each in proportion to what is left of its diagonal."""
  left = np.flatnonzero(rest_V > _LEAST)
  if not len(left):
    return left
  weights = rest_V[left].astype(np.float64)
  weights /= weights.sum()
  return rng.choice(left, min(count, len(left)), replace=False, p=weights)


def _whiten(rows_VxB, block_BxB):
  """Columns whose product is the part of K that the block explains."""
  jitter = 1e-6 * np.eye(len(block_BxB), dtype=block_BxB.dtype)
  lower = scipy.linalg.cholesky(block_BxB + jitter, lower=True)
  return scipy.linalg.solve_triangular(lower, rows_VxB.T, lower=True).T
