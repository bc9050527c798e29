"""Priors of item-item weights: made from features, tilted and added up.

A prior is held as factors, or dense where it has no useful ones; see
`linear_autoencoder`.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from hyperrec.cost import counts
from hyperrec.systems.linear import linear_autoencoder

Prior = linear_autoencoder.Prior
Weights = linear_autoencoder.Weights


def from_features(
  features: Float[np.ndarray, 'V F'], l2: float, weight: float = 1.0
) -> Prior:
  """EASE on item features times `weight`, as a prior in factors of rank F.

  This is the first step of L3AE (arXiv 2508.13500). In the dual form, C =
  EASE(F'; l2) equals W'W diag(1 / diag P) off the diagonal, so no V x V matrix
  is needed.
  """
  features = np.asarray(features, np.float64)
  inner = features.T @ features
  inner[np.diag_indices(len(inner))] += l2
  lower = scipy.linalg.cholesky(inner, lower=True)
  w_FxV = scipy.linalg.solve_triangular(lower, features.T, lower=True)
  # (F F' + l2 I)^-1 = (I - W'W) / l2: the factor l2 cancels in W'W / diag P.
  shrink = weight / (1 - np.einsum('fv,fv->v', w_FxV, w_FxV))
  return Prior(w_FxV.T, w_FxV * shrink)


def from_features_flops(num_items: int, width: int) -> float:
  """Operations of `from_features`."""
  return (
    counts.matmul(width, width, num_items)
    + counts.cholesky(width)
    + counts.triangular_solve(width, num_items)
  )


def as_weights(prior: Prior | Float[np.ndarray, 'V V']) -> Weights:
  """A prior as weights; a prior in factors gets a zero diagonal."""
  if isinstance(prior, np.ndarray):
    return prior
  return linear_autoencoder.factored(*prior)


def rank(prior: Prior | Float[np.ndarray, 'V V']) -> int:
  """The rank of a prior; a dense one has rank V."""
  return len(prior) if isinstance(prior, np.ndarray) else prior.left.shape[1]


def tilted(
  prior: Prior | Float[np.ndarray, 'V V'], tilt_V: Float[np.ndarray, ' V']
) -> Prior | Float[np.ndarray, 'V V']:
  """D^-1 prior D with D = diag(tilt); overwrites a dense prior."""
  if not isinstance(prior, np.ndarray):
    return Prior(prior.left / tilt_V[:, None], prior.right * tilt_V)
  prior /= tilt_V[:, None].astype(prior.dtype)
  prior *= tilt_V.astype(prior.dtype)
  return prior


def add(weights: Weights, scale: float, prior: Prior) -> Weights:
  """The sum scale * weights + prior, with a zero diagonal.

  Dense weights are overwritten with the sum.
  """
  if not isinstance(weights, linear_autoencoder.FactoredWeights):
    weights *= weights.dtype.type(scale)
    linear_autoencoder.add_product(
      weights,
      prior.left.astype(weights.dtype),
      prior.right.astype(weights.dtype),
    )
    np.fill_diagonal(weights, 0)
    return weights
  left = np.concatenate([weights.left, prior.left], axis=1)
  right = np.concatenate([scale * weights.right, prior.right])
  return linear_autoencoder.factored(left, right, weights.left.dtype)
