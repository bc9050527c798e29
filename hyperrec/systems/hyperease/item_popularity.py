"""Item popularity: a prediction from features, corrected by the evidence.

The prior of the rate is log-normal given features and is matched by a gamma;
counts are Poisson given the rate. The posterior mean then has a closed form.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

# From near interpolation to the mean alone, for features of length 1.
_RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


class PopularityMap(NamedTuple):
  """Log popularity as a linear function of features.

  Attributes:
    weights: float64 [F]; they predict an item's deviation from its catalogue.
    variance: out-of-sample variance that the features do not explain.
  """

  weights: np.ndarray
  variance: float


def fit(
  x: scipy.sparse.csr_matrix, features: Float[np.ndarray, 'V F']
) -> PopularityMap:
  """Ridge regression of log((count + 1) / U) on features.

  The ridge with the least squared leave-one-out error is chosen; the hat matrix
  gives that error in closed form. The cost is O(V F^2 + F^3).

  Args:
    x: [U, V], the source's users.
    features: features of its items, centred over the catalogue.
  """
  counts = np.asarray(x.sum(axis=0), np.float64).ravel()
  target_V = np.log((counts + 1) / max(1, x.shape[0]))
  target_V -= target_V.mean()
  values_F, vectors = np.linalg.eigh(features.T @ features)
  rotated_VxF = features @ vectors
  along_F = rotated_VxF.T @ target_V
  squared_VxF = rotated_VxF**2
  maps = []
  for ridge in _RIDGES:
    shrink_F = 1 / (np.maximum(values_F, 0) + ridge)
    leverage_V = squared_VxF @ shrink_F
    rest_V = (target_V - rotated_VxF @ (along_F * shrink_F)) / (1 - leverage_V)
    maps.append(
      PopularityMap(vectors @ (along_F * shrink_F), float(np.mean(rest_V**2)))
    )
  return min(maps, key=lambda m: m.variance)


def pool(maps: list[PopularityMap]) -> PopularityMap:
  """Averages the maps of several domains."""
  return PopularityMap(
    np.mean([m.weights for m in maps], axis=0),
    float(np.mean([m.variance for m in maps])),
  )


def log_posterior(
  learned: PopularityMap,
  features: Float[np.ndarray, 'V F'],
  evidence: scipy.sparse.csr_matrix,
) -> Float[np.ndarray, ' V']:
  """Log of each item's expected popularity given evidence, centred to mean 0.

  The prior rate is proportional to exp(features . weights), scaled to the level
  of the evidence; its gamma has the shape 1 / (exp(variance) - 1), which gives
  the coefficient of variation of the log-normal. Without evidence, the result
  is the prior alone.

  Args:
    learned: map that was fitted on a source.
    features: features of the target's items, centred over the catalogue.
    evidence: [U, V], binary; U may be 0.
  """
  prior_V = features @ learned.weights
  counts_V = np.asarray(evidence.sum(axis=0), np.float64).ravel()
  num_users = np.count_nonzero(evidence.getnnz(axis=1))
  if num_users:
    relative_V = np.exp(prior_V - prior_V.max())
    level = counts_V.sum() / num_users / relative_V.sum()
    shape = 1 / np.expm1(max(learned.variance, 1e-6))
    prior_V = np.log(shape + counts_V) - np.log(
      shape / (level * relative_V) + num_users
    )
  return prior_V - prior_V.mean()
