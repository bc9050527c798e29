"""EASE and its close relatives: one closed form, few options."""

from hyperrec import method as method_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder

Method = method_lib.Method


def ease(
  *,
  l2: float,
  dropout: float = 0.0,
  relax: float = 0.0,
  constrained: bool = True,
  nonnegative: bool = False,
  retrain: bool = False,
) -> Method:
  """EASE (Steck, WWW 2019), solved by the cheaper of its two closed forms.

  Args:
    l2: lambda.
    dropout: p > 0 is EDLAE (Steck, NeurIPS 2020), or RDLAE with `relax`.
    relax: xi > 0 is RLAE (Moon et al., SIGIR 2023). Ablation, primal form.
    constrained: False drops the zero diagonal. Ablation, primal form.
    nonnegative: True sets negative weights to 0 after the fit (Steck's
      "EASE >= 0"). Ablation, primal form.
    retrain: prepare nothing, fit everything at each adaptation.
  """
  ablation = relax > 0 or not constrained or nonnegative

  def fit(data):
    x_UxV = data.csr()
    ridge = linear_autoencoder.denoising_ridge(x_UxV.getnnz(0), l2, dropout)
    if not ablation:
      return linear_autoencoder.solve(x_UxV, ridge)
    weights = linear_autoencoder.weights_from_precision(
      linear_autoencoder.precision(x_UxV, ridge),
      ridge=ridge,
      relax=relax,
      constrained=constrained,
    )
    return weights.clip(min=0, out=weights) if nonnegative else weights

  def fit_flops(data):
    return linear_autoencoder.solve_flops(
      data.csr().getnnz(1), data.num_items, primal=ablation
    )

  return item_item.closed_form('ease', fit, fit_flops, retrain=retrain)
