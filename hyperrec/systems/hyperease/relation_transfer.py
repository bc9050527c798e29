"""Weights learned on a source, carried over to items with similar features.

B0 = T B T'. B is EASE on the source. Row i of T [V, source V] holds weights of
target item i over the source items with the most similar features. In other
words: T translates a history to similar source items, B scores the source
items, and T' carries their scores back to the similar target items.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec import top_k
from hyperrec.systems.linear import linear_autoencoder

Prior = linear_autoencoder.Prior

RANK = 256
MAX_ANCHORS = 2048
NEIGHBOURS = 50
# Decimals of a cosine that are exact in single precision.
_DIGITS = 5


class Anchors(NamedTuple):
  """A source's items and the weights between them, in factors.

  Attributes:
    features: float64 [N, F], rows of length 1 (or 0).
    weights: B in factors of rank R.
  """

  features: np.ndarray
  weights: Prior


def fit(
  x: scipy.sparse.csr_matrix,
  features: Float[np.ndarray, 'V F'],
  *,
  l2: float = 100.0,
  rank: int = RANK,
  num_anchors: int = MAX_ANCHORS,
  seed: int = 0,
) -> Anchors:
  """Fits EASE on the most popular items of a source, in factors.

  T averages B over neighbours, which would lose its small singular values
  anyway.

  Args:
    x: [U, V], the source's users.
    features: features of its items, centred over the catalogue.
    l2: ridge of EASE.
    rank: R.
    num_anchors: number of items that serve as anchors; it bounds the cost of
      the transfer.
    seed: seed of the randomised SVD.
  """
  popular = np.argsort(-x.getnnz(axis=0), kind='stable')[:num_anchors]
  popular.sort()
  x = x[:, popular].tocsr()
  ridge = np.full(x.shape[1], float(l2))
  weights = linear_autoencoder.solve_primal(x, ridge, dtype=np.float64)
  return Anchors(normalised(features[popular]), _factors(weights, rank, seed))


def _factors(weights_NxN, rank, seed):
  """A randomised truncated SVD (Halko et al., 2011, algorithm 5.1)."""
  size = min(rank, len(weights_NxN))
  rng = np.random.default_rng(seed)
  span = rng.standard_normal((len(weights_NxN), size + 10))
  for _ in range(3):
    span, _ = np.linalg.qr(weights_NxN @ (weights_NxN.T @ span))
  left, scale, right = scipy.linalg.svd(
    span.T @ weights_NxN, full_matrices=False
  )
  return Prior((span @ left)[:, :size] * scale[:size], right[:size])


def likeness(
  features: Float[np.ndarray, 'V F'],
  anchors: Float[np.ndarray, 'N F'],
  *,
  neighbours: int = NEIGHBOURS,
  temperature: float = 0.1,
  exclude_self: bool = False,
) -> scipy.sparse.csr_matrix:
  """T [V, N]: a softmax of the cosines with the nearest anchors.

  Args:
    features: features of the items, centred over their catalogue.
    anchors: rows of length 1.
    neighbours: number of anchors in a row.
    temperature: temperature of the softmax.
    exclude_self: True if the items are the anchors; no item is then its own
      neighbour.
  """
  # Single precision is enough for weights, and this is the largest array.
  units = normalised(features).astype(np.float32)
  cosines = units @ anchors.T.astype(np.float32)
  if exclude_self:
    np.fill_diagonal(cosines, -np.inf)
  size = min(neighbours, len(anchors) - exclude_self)
  # Cosines that differ only by rounding are ties, on every processor.
  nearest = top_k.places(cosines.round(_DIGITS), size)
  chosen = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
  weights = np.exp((chosen - chosen.max(axis=1, keepdims=True)) / temperature)
  weights /= weights.sum(axis=1, keepdims=True)
  rows = np.repeat(np.arange(len(features)), size)
  return scipy.sparse.csr_matrix(
    (weights.ravel(), (rows, nearest.ravel())),
    shape=(len(features), len(anchors)),
  )


def prior(
  anchors: Sequence[Anchors],
  features: Float[np.ndarray, 'V F'],
  weight: float = 1.0,
) -> Prior:
  """B0 = weight T B T' of a catalogue, over the anchors of all domains.

  Args:
    anchors: anchors of each source domain; B is block diagonal over them.
    features: features of the catalogue, centred.
    weight: multiplier of B0.

  Raises:
    ValueError: the features and the anchors have different widths.
  """
  table = np.concatenate([a.features for a in anchors])
  if features.shape[1] != table.shape[1]:
    raise ValueError(
      f'features of width {features.shape[1]}, but the anchors have '
      f'{table.shape[1]}: use the same encoder for source and target'
    )
  return carry(anchors, likeness(features, table), weight)


def carry(
  anchors: Sequence[Anchors],
  likeness_VxN: scipy.sparse.csr_matrix,
  weight: float,
) -> Prior:
  """T B T' in factors; its rank is the sum of the domains' ranks."""
  cuts = np.cumsum([0, *(len(a.features) for a in anchors)])
  left, right = [], []
  for domain, start, stop in zip(anchors, cuts, cuts[1:], strict=False):
    part = likeness_VxN[:, start:stop]
    left.append(part @ domain.weights.left)
    right.append(weight * (part @ domain.weights.right.T).T)
  return Prior(np.concatenate(left, axis=1), np.concatenate(right))


def scaled(anchors: Anchors, factor: float) -> Anchors:
  """The same anchors, with B multiplied by a factor."""
  left, right = anchors.weights
  return Anchors(anchors.features, Prior(left * factor, right))


def normalised(
  table: Float[np.ndarray, 'V F'],
) -> Float[np.ndarray, 'V F']:
  """Scales rows to length 1; rows of zeros stay zero."""
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return np.asarray(table, np.float64) / np.maximum(norm, 1e-9)
