"""What a pair of items' features says about their relation, in closed form.

A linear generator of item-item weights: B0 = F M F' with M [F, F] learned on a
source and applied to the features of any other catalogue.
"""

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec.models import linear_autoencoder

Prior = linear_autoencoder.Prior


def fit(
  x: scipy.sparse.csr_matrix,
  features: Float[np.ndarray, 'V F'],
  *,
  l2_users: float,
  l2_items: float,
) -> Float[np.ndarray, 'F F']:
  """M = (F'GF + a I)^-1 F'(G - diag G)F (F'F + b I)^-1 with G = X'X.

  The ridge solution of X F M F' ~ X. Taking the diagonal out of the right-hand
  side keeps an item from explaining itself, as the zero diagonal of EASE does;
  with it in, M would tend to the identity. O(nnz F + (U + V) F^2 + F^3), and no
  V x V matrix.

  Args:
    x: [U, V], the source's users.
    features: of the source's items.
    l2_users: a.
    l2_items: b.

  Raises:
    ValueError: another number of items, a value that is not finite, or a
      ridge that is not positive.
  """
  features = np.asarray(features, np.float64)
  if len(features) != x.shape[1]:
    raise ValueError(f'{len(features)} rows of features, {x.shape[1]} items')
  if not np.isfinite(features).all():
    item = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
    raise ValueError(f'the features of item {item} are not finite')
  for name, value in (('l2_users', l2_users), ('l2_items', l2_items)):
    if not value > 0:
      raise ValueError(f'{name}={value} must be positive')
  shown_UxF = x.astype(np.float64) @ features
  gram = shown_UxF.T @ shown_UxF
  own_V = np.asarray(x.multiply(x).sum(axis=0)).ravel()
  others = gram - (features.T * own_V) @ features
  half = _solve(gram, others, l2_users)
  return _solve(features.T @ features, half.T, l2_items).T


def _solve(matrix, right, l2):
  ridged = matrix + l2 * np.eye(len(matrix))
  return scipy.linalg.solve(ridged, right, assume_a='pos')


def prior(
  features: Float[np.ndarray, 'V F'],
  relation: Float[np.ndarray, 'F F'],
  weight: float = 1.0,
) -> Prior:
  """B0 = weight F M F' of a catalogue, in factors of rank F.

  Raises:
    ValueError: the features have another width than the map.
  """
  if features.shape[1] != len(relation):
    raise ValueError(
      f'features of width {features.shape[1]}, but the map was learned on '
      f'width {len(relation)}: use the same encoder for source and target'
    )
  features = np.asarray(features, np.float64)
  return Prior(features @ relation, weight * features.T)


def add(*priors: Prior) -> Prior:
  """The sum of priors; their ranks add up."""
  return Prior(
    np.concatenate([p.left for p in priors], axis=1),
    np.concatenate([p.right for p in priors]),
  )
