"""DAN: EASE on data whose users and items are normalised.

With weights diag(w) of users, w_u = |x_u|^-beta, and of items, d_i = the users
of item i, the weights B solve EASE on sqrt(w) X with the ridge of EDLAE,
l2 + d_i p / (1 - p), and histories are scored by

    W = diag(d^alpha) B diag(d^-alpha)
"""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome
Weights = linear_autoencoder.Weights


@dataclasses.dataclass(frozen=True)
class DanConfig:
  """Hyperparameters of DAN on EASE.

  Attributes:
    l2: Ridge lambda, such as 20.
    dropout: Share p of the interactions that are dropped in expectation, from
      0 to below 1, such as 0.6.
    item_power: Exponent alpha of the items' counts, such as 0.2; above 0 it
      counts frequent items more in a history, and less in the scores.
    user_power: Exponent beta by which users with long histories count less in
      the fit, such as 0.3.
  """

  l2: float = config_lib.field(above=0)
  dropout: float = config_lib.field(0.0, least=0, below=1)
  item_power: float = config_lib.field(0.0, least=0)
  user_power: float = config_lib.field(0.0, least=0)

  def __post_init__(self):
    config_lib.check(self)


def dan(**hyperparameters: Any) -> Model:
  """DAN on EASE (Park et al., SIGIR 2025, arXiv 2504.05805).

  Args:
    **hyperparameters: fields of `DanConfig`.
  """
  config = DanConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    users_U, items_V = x_UxV.getnnz(1), x_UxV.getnnz(0)
    ridge = linear_autoencoder.denoising_ridge(
      items_V, config.l2, config.dropout
    )
    root_U = np.maximum(users_U, 1.0) ** (-config.user_power / 2)
    # Users of the product X' diag(w) X, shared by its two factors.
    x_UxV.data *= np.repeat(root_U, users_U).astype(x_UxV.dtype)
    weights = normalise_items(
      linear_autoencoder.solve(x_UxV, ridge), items_V, config.item_power
    )
    operations = linear_autoencoder.solve_flops(users_U, data.num_items)
    return Outcome(weights, Cost(operations + 2 * _size(weights)))

  return item_item.closed_form('dan', config, fit)


def normalise_items(
  weights: Weights, counts: np.ndarray, exponent: float
) -> Weights:
  """Scales to diag(d^exponent) B diag(d^-exponent); overwrites dense weights.

  Args:
    weights: B, dense or in factors.
    counts: [V], d. Items without interactions keep their weights, which are 0.
    exponent: alpha.
  """
  scale_V = np.maximum(np.asarray(counts, np.float64), 1) ** exponent
  scale_V = scale_V.astype(np.float32)
  if isinstance(weights, linear_autoencoder.FactoredWeights):
    # The diagonal, which takes the product's, is left as it is by the scaling.
    return weights._replace(
      left=weights.left * scale_V[:, None], right=weights.right / scale_V
    )
  weights *= scale_V[:, None]
  weights /= scale_V
  return weights


def _size(weights: Weights) -> int:
  if isinstance(weights, linear_autoencoder.FactoredWeights):
    return weights.left.size
  return weights.size
