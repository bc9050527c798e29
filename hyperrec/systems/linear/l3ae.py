"""L3AE: EASE around a relation of item features."""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import (
  feature_relation,
  item_item,
  linear_autoencoder,
)
from hyperrec.systems.linear import prior as prior_lib

Cost = method_lib.Cost
Features = method_lib.Features
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class L3aeConfig:
  """Hyperparameters of L3AE.

  Attributes:
    l2: Total ridge lambda_X + lambda_E, in the paper's letters, above 0.
    l2_features: Ridge lambda_F of C, the item relation made from features,
      above 0.
    trust: Share lambda_E / (lambda_X + lambda_E) of the ridge that pulls
      towards C instead of zero, from 0 to 1; 0 is EASE.
    sharpness: Sharpness of the kernel of which C is made (`item_kernel`); 0 is
      the linear C of the paper.
    popularity: Exponent k of the popularity that tilts C, such as 0.2; 0, as in
      the paper, ignores popularity.
    prior_count: Interactions that each item is given beside its own when its
      popularity is estimated, above 0.
  """

  l2: float = config_lib.field(above=0)
  l2_features: float = config_lib.field(above=0)
  trust: float = config_lib.field(least=0, most=1)
  sharpness: float = config_lib.field(0.0, least=0)
  popularity: float = 0.0
  prior_count: float = config_lib.field(1.0, above=0)

  def __post_init__(self):
    config_lib.check(self)


def l3ae(features: Features, **hyperparameters: Any) -> Model:
  """L3AE (CIKM 2025, arXiv 2508.13500): EASE around a relation of features.

  min ||X - XB||^2 + l2 (1 - trust) ||B||^2 + l2 trust ||B - C||^2 with a zero
  diagonal, where C is EASE on the features.

  Not in the paper: C may be made of a kernel, and D^-k C D^k may take its
  place, with D the interactions of each item plus `prior_count`. An item that
  many take up is then more likely than its features alone say.

  Args:
    features: gives the item features.
    **hyperparameters: fields of `L3aeConfig`.
  """
  config = L3aeConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    prior, cost = feature_relation.relation(
      features(data), config.l2_features, config.trust, config.sharpness
    )
    if config.popularity:
      counts_V = x_UxV.getnnz(0) + config.prior_count
      prior = prior_lib.tilted(prior, counts_V**config.popularity)
      rank = prior_lib.rank(prior)
      cost += Cost(x_UxV.nnz + 2.0 * data.num_items * rank)
    ridge = np.full(data.num_items, float(config.l2))
    weights, operations = linear_autoencoder.solve_from_prior(
      x_UxV, ridge, prior
    )
    return Outcome(weights, cost + Cost(operations))

  return item_item.closed_form('l3ae', config, fit, needs_interactions=False)
