"""EASE and its close variants, solved in closed form."""

import dataclasses
from typing import Any

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class EaseConfig:
  """Hyperparameters of EASE.

  Attributes:
    l2: Ridge lambda, such as 100.
    dropout: Share p of the interactions that are dropped in expectation, from
      0 to below 1; above 0 this is EDLAE (Steck, NeurIPS 2020), or RDLAE with
      `relax`.
    relax: Largest diagonal xi; above 0 this is RLAE (Moon et al., SIGIR 2023).
      Ablation, solved in the primal form.
    constrained: Keep the diagonal at zero. False is ridge regression; ablation,
      solved in the primal form.
    nonnegative: Set negative weights to 0 after the fit (Steck's "EASE >= 0").
      Ablation, solved in the primal form.
  """

  l2: float = config_lib.field(above=0)
  dropout: float = config_lib.field(0.0, least=0, below=1)
  relax: float = config_lib.field(0.0, least=0)
  constrained: bool = True
  nonnegative: bool = False

  def __post_init__(self):
    config_lib.check(self)


def ease(**hyperparameters: Any) -> Model:
  """EASE (Steck, WWW 2019), solved by the cheaper of its two closed forms.

  Args:
    **hyperparameters: fields of `EaseConfig`.
  """
  config = EaseConfig(**hyperparameters)
  is_ablation = config.relax > 0 or not config.constrained or config.nonnegative

  def fit(data):
    x_UxV = data.csr()
    ridge = linear_autoencoder.denoising_ridge(
      x_UxV.getnnz(0), config.l2, config.dropout
    )
    operations = linear_autoencoder.solve_flops(
      x_UxV.getnnz(1), data.num_items, primal=is_ablation
    )
    if not is_ablation:
      weights = linear_autoencoder.solve(x_UxV, ridge)
      return Outcome(weights, Cost(operations))
    weights = linear_autoencoder.weights_from_precision(
      linear_autoencoder.precision(x_UxV, ridge),
      ridge=ridge,
      relax=config.relax,
      constrained=config.constrained,
    )
    if config.nonnegative:
      weights.clip(min=0, out=weights)
    return Outcome(weights, Cost(operations))

  return item_item.closed_form('ease', config, fit)
