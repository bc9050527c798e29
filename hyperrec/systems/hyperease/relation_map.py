"""A map from the features of two items to their weight, in closed form.

The generator of item-item weights is linear: B0 = F M F', where M [F, F] is
learned on a source and applied to the features of any other catalogue.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec.systems.linear import linear_autoencoder

Prior = linear_autoencoder.Prior


class Moments(NamedTuple):
  """Moments of one domain that the fit needs, each float64 [F, F].

  Attributes:
    shown: F'GF with G = X'X, over users' interactions.
    others: F'(G - diag G)F, over pairs of distinct items.
    items: F'F, over the catalogue.
  """

  shown: np.ndarray
  others: np.ndarray
  items: np.ndarray


def fit(
  domains: Iterable[tuple[scipy.sparse.csr_matrix, Float[np.ndarray, 'V F']]],
  *,
  l2_users: float,
  l2_items: float,
) -> Float[np.ndarray, 'F F']:
  """M = (F'GF + a I)^-1 F'(G - diag G)F (F'F + b I)^-1 with G = X'X.

  This is the ridge solution of X F M F' ~ X. Taking the diagonal out of the
  right-hand side keeps an item from explaining itself, as EASE's zero diagonal
  does; otherwise M would tend to the identity. The cost is
  O(nnz F + (U + V) F^2 + F^3), without a V x V matrix.

  The moments of a domain are sums over its users and items. Those over users
  are divided by trace(F'GF) / F, the one over items by trace(F'F) / F. They are
  then averaged over the domains. So large domains do not count more, and the
  ridges are relative to a mean eigenvalue of 1.

  Args:
    domains: (x [U, V], features of its items) of each domain; all features
      have the same width F.
    l2_users: a.
    l2_items: b.

  Raises:
    ValueError: there is no domain, the numbers of items or the widths differ, a
      value is not finite, or a ridge is not positive.
  """
  for name, value in (('l2_users', l2_users), ('l2_items', l2_items)):
    if not value > 0:
      raise ValueError(f'{name}={value} must be positive')
  scaled = [_scaled(_moments(x, features)) for x, features in domains]
  if not scaled:
    raise ValueError('a relation map needs at least one domain to learn from')
  widths = {len(moments.items) for moments in scaled}
  if len(widths) > 1:
    raise ValueError(
      f'features of widths {sorted(widths)}: use the same encoder for all '
      'domains'
    )
  shown, others, items = (
    np.mean(parts, axis=0) for parts in zip(*scaled, strict=True)
  )
  half = _solve(shown, others, l2_users)
  return _solve(items, half.T, l2_items).T


def check_features(features: np.ndarray, num_items: int) -> None:
  """Raises ValueError unless a table [V, F] fits `num_items` items."""
  if len(features) != num_items:
    raise ValueError(
      f'there are {len(features)} rows of features for {num_items} items'
    )
  finite_V = np.isfinite(features).all(axis=1)
  if not finite_V.all():
    raise ValueError(f'the features of item {finite_V.argmin()} are not finite')


def _moments(x: scipy.sparse.csr_matrix, features: np.ndarray) -> Moments:
  features = np.asarray(features, np.float64)
  check_features(features, x.shape[1])
  shown_UxF = x.astype(np.float64) @ features
  shown = shown_UxF.T @ shown_UxF
  own_V = np.asarray(x.multiply(x).sum(axis=0)).ravel()
  others = shown - (features.T * own_V) @ features
  return Moments(shown, others, features.T @ features)


def _scaled(moments: Moments) -> Moments:
  """Divides users' and items' moments by their mean eigenvalues."""
  users, items = (
    np.trace(m) / len(m) or 1.0 for m in (moments.shown, moments.items)
  )
  return Moments(
    moments.shown / users, moments.others / users, moments.items / items
  )


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
    ValueError: the features and the map have different widths.
  """
  if features.shape[1] != len(relation):
    raise ValueError(
      f'features of width {features.shape[1]}, but the map was learned on '
      f'width {len(relation)}: use the same encoder for source and target'
    )
  features = np.asarray(features, np.float64)
  return Prior(features @ relation, weight * features.T)


def add(*priors: Prior) -> Prior:
  """The sum of priors; its rank is the sum of their ranks."""
  return Prior(
    np.concatenate([p.left for p in priors], axis=1),
    np.concatenate([p.right for p in priors]),
  )
