"""Weights that a source learned, carried to other items by likeness.

B0 = T B T' with B, EASE on the source, and T [V, source V] a row of weights for
each target item over the source items whose features are most like its own: a
history is read as the source items it resembles, B scores these, and their
scores go back to the items that resemble them.
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
# Decimals of a cosine that single precision gets right.
_DIGITS = 5


class Anchors(NamedTuple):
  """A source's items, and the weights between them in factors.

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
  """EASE on the most popular items of a source, in factors.

  Likeness averages B over neighbours, so that its small singular values would
  be lost anyway.

  Args:
    x: [U, V], the source's users.
    features: of its items, centred over the catalogue.
    l2: EASE's ridge.
    rank: R.
    num_anchors: how many items serve; this bounds what carrying costs.
    seed: of the randomised SVD.
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
    features: of the items, centred over their catalogue.
    anchors: rows of length 1.
    neighbours: how many anchors a row holds.
    temperature: of the softmax.
    exclude_self: the items are the anchors, and none may be its own neighbour.
  """
  # Single precision: the largest array here, and weights need no more.
  units = normalised(features).astype(np.float32)
  cosines = units @ anchors.T.astype(np.float32)
  if exclude_self:
    np.fill_diagonal(cosines, -np.inf)
  size = min(neighbours, len(anchors) - exclude_self)
  # What differs by rounding alone is equally near, on every processor.
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
    anchors: of each source domain; B is block diagonal over them.
    features: of the catalogue, centred.
    weight: what B0 is multiplied by.

  Raises:
    ValueError: the features have another width than the anchors'.
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
  """T B T' in factors: their rank is the sum of the domains' ranks."""
  cuts = np.cumsum([0, *(len(a.features) for a in anchors)])
  left, right = [], []
  for domain, start, stop in zip(anchors, cuts, cuts[1:], strict=False):
    part = likeness_VxN[:, start:stop]
    left.append(part @ domain.weights.left)
    right.append(weight * (part @ domain.weights.right.T).T)
  return Prior(np.concatenate(left, axis=1), np.concatenate(right))


def scaled(anchors: Anchors, factor: float) -> Anchors:
  """The same anchors with B multiplied by a factor."""
  left, right = anchors.weights
  return Anchors(anchors.features, Prior(left * factor, right))


def normalised(
  table: Float[np.ndarray, 'V F'],
) -> Float[np.ndarray, 'V F']:
  """Rows of length 1; a row of zeros stays one."""
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return np.asarray(table, np.float64) / np.maximum(norm, 1e-9)
