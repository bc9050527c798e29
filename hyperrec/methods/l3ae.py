"""Linear models with item features: L3AE, CEASE and Add-EASE."""

from collections.abc import Callable

import numpy as np
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder

Features = Callable[[interactions_lib.Interactions], np.ndarray]
Method = method_lib.Method


def l3ae(
  features: Features,
  *,
  l2: float,
  l2_features: float,
  trust: float,
  retrain: bool = False,
) -> Method:
  """L3AE (CIKM 2025, arXiv 2508.13500): EASE around a relation of features.

  min ||X - XB||^2 + l2 (1 - trust) ||B||^2 + l2 trust ||B - C||^2 with a zero
  diagonal, where C is EASE on the features; in the paper's letters
  l2 = lambda_X + lambda_E and trust = lambda_E / (lambda_X + lambda_E).

  Args:
    features: interactions -> features of their catalogue, float [V, F].
    l2: the total ridge.
    l2_features: lambda_F, the ridge of C.
    trust: in [0, 1]; 0 is EASE.
    retrain: prepare nothing, fit everything at each adaptation.
  """

  def fit(data):
    prior = linear_autoencoder.feature_prior(features(data), l2_features, trust)
    ridge = np.full(data.num_items, float(l2))
    return linear_autoencoder.solve(data.csr(), ridge, prior)

  def fit_flops(data):
    rank = features(data).shape[1]
    prior = 2 * data.num_items * rank**2 + rank**3 / 3
    return prior + linear_autoencoder.solve_flops(
      data.csr().getnnz(1), data.num_items, rank
    )

  return item_item.closed_form(
    'l3ae', fit, fit_flops, retrain=retrain, zero_shot=True
  )


def cease(
  features: Features, *, l2: float, alpha: float, retrain: bool = False
) -> Method:
  """CEASE (Jeunen et al., RecSys 2020): EASE on users stacked with features.

  Args:
    features: interactions -> features of their catalogue, float [V, F].
    l2: lambda.
    alpha: scales the feature rows, so its square enters the Gram matrix.
    retrain: prepare nothing, fit everything at each adaptation.
  """

  def stacked(data):
    rows = scipy.sparse.csr_matrix(alpha * features(data).T)
    return scipy.sparse.vstack([data.csr(), rows], format='csr')

  def fit(data):
    ridge = np.full(data.num_items, float(l2))
    return linear_autoencoder.solve(stacked(data), ridge)

  def fit_flops(data):
    return linear_autoencoder.solve_flops(
      stacked(data).getnnz(1), data.num_items
    )

  return item_item.closed_form(
    'cease', fit, fit_flops, retrain=retrain, zero_shot=True
  )


def add_ease(
  features: Features,
  *,
  l2: float,
  l2_features: float,
  alpha: float,
  retrain: bool = False,
) -> Method:
  """Add-EASE (Jeunen et al., RecSys 2020): (1 - alpha) EASE(X) + alpha C.

  Args:
    features: interactions -> features of their catalogue, float [V, F].
    l2: lambda of EASE on interactions.
    l2_features: lambda of C, EASE on features.
    alpha: in [0, 1].
    retrain: prepare nothing, fit everything at each adaptation.
  """

  def fit(data):
    ridge = np.full(data.num_items, float(l2))
    weights = linear_autoencoder.solve(data.csr(), ridge)
    prior = linear_autoencoder.feature_prior(features(data), l2_features, alpha)
    return linear_autoencoder.add_prior(weights, 1 - alpha, prior)

  def fit_flops(data):
    rank = features(data).shape[1]
    prior = 2 * data.num_items * rank**2 + rank**3 / 3
    return prior + linear_autoencoder.solve_flops(
      data.csr().getnnz(1), data.num_items
    )

  return item_item.closed_form(
    'cease:add', fit, fit_flops, retrain=retrain, zero_shot=True
  )
