"""SLIM: item-item weights that are sparse and not negative."""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import item_item, linear_autoencoder
from hyperrec.systems.linear import slim_admm as slim_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class SlimConfig:
  """Hyperparameters of SLIM.

  Attributes:
    l1: Weight of the L1 penalty on the weights, at least 0.
    l2: Ridge, above 0.
    max_iterations: Largest number of ADMM iterations.
  """

  l1: float = config_lib.field(least=0)
  l2: float = config_lib.field(above=0)
  max_iterations: int = 30

  def __post_init__(self):
    config_lib.check(self)


def slim(**hyperparameters: Any) -> Model:
  """SLIM (Ning & Karypis, ICDM 2011) by ADMM; see `slim_admm`.

  Items without interactions have no weights, so they are left out of the solve.
  This is exact, and far cheaper if there is little evidence.

  Args:
    **hyperparameters: fields of `SlimConfig`.
  """
  config = SlimConfig(**hyperparameters)

  def fit(data):
    touched = np.flatnonzero(data.item_counts())
    x_UxT = data.csr()[:, touched]
    fitted = slim_lib.slim(
      x_UxT, l1=config.l1, l2=config.l2, max_iterations=config.max_iterations
    )
    operations = slim_lib.slim_flops(
      x_UxT.getnnz(1), len(touched), fitted.iterations
    )
    weights = linear_autoencoder.SubsetWeights(
      fitted.weights, touched, data.num_items
    )
    return Outcome(weights, Cost(operations))

  return item_item.closed_form('slim', config, fit)
