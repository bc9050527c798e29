"""EASE with sparse weights, for catalogues too large for the closed form."""

import dataclasses
from typing import Any

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import item_item, sparse_autoencoder

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class SparseConfig:
  """Hyperparameters of EASE on nearest neighbours.

  Attributes:
    l2: Ridge lambda, above 0.
    neighbours: Largest number of weights per item.
  """

  l2: float = config_lib.field(above=0)
  neighbours: int

  def __post_init__(self):
    config_lib.check(self)


@dataclasses.dataclass(frozen=True)
class SansaConfig:
  """Hyperparameters of SANSA.

  Attributes:
    l2: Ridge lambda, applied after the columns of the matrix are scaled.
    density: Share of the V^2 entries that each of two sparse factors keeps.
  """

  l2: float
  density: float


def ease_sparse(**hyperparameters: Any) -> Model:
  """EASE on each item's nearest neighbours, each column solved exactly.

  Args:
    **hyperparameters: fields of `SparseConfig`.
  """
  config = SparseConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    weights = sparse_autoencoder.solve_on_neighbours(
      x_UxV, config.l2, config.neighbours
    )
    operations = sparse_autoencoder.neighbour_flops(x_UxV, config.neighbours)
    return Outcome(weights, Cost(operations))

  return item_item.closed_form('ease_sparse', config, fit)


def sansa(**hyperparameters: Any) -> Model:
  """SANSA (Spisak et al., RecSys 2023), by its authors' package `sansa`.

  Args:
    **hyperparameters: fields of `SansaConfig`.
  """
  config = SansaConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    weights = sparse_autoencoder.solve_by_sansa(
      x_UxV, config.l2, config.density
    )
    operations = sparse_autoencoder.sansa_flops(x_UxV, config.density)
    return Outcome(weights, Cost(operations))

  return item_item.closed_form('sansa', config, fit)
