"""CEASE: EASE on users and, below them, on rows of item features."""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Features = method_lib.Features
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class CeaseConfig:
  """Hyperparameters of CEASE.

  Attributes:
    l2: Ridge lambda, above 0.
    alpha: Scale of the feature rows; its square enters the Gram matrix.
  """

  l2: float = config_lib.field(above=0)
  alpha: float

  def __post_init__(self):
    config_lib.check(self)


def cease(features: Features, **hyperparameters: Any) -> Model:
  """CEASE (Jeunen et al., RecSys 2020): EASE on users stacked with features.

  Args:
    features: gives the item features.
    **hyperparameters: fields of `CeaseConfig`.
  """
  config = CeaseConfig(**hyperparameters)

  def fit(data):
    x_UxV, rows_FxV = data.csr(), config.alpha * features(data).T
    ridge = np.full(data.num_items, float(config.l2))
    lengths = np.append(x_UxV.getnnz(1), np.count_nonzero(rows_FxV, axis=1))
    operations = linear_autoencoder.solve_flops(lengths, data.num_items)
    weights = linear_autoencoder.solve(x_UxV, ridge, stacked=rows_FxV)
    return Outcome(weights, Cost(operations))

  return item_item.closed_form('cease', config, fit, needs_interactions=False)
