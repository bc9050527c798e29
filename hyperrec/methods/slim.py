"""SLIM: item-item weights that may not be negative."""

import numpy as np

from hyperrec import method as method_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder
from hyperrec.models import slim as slim_lib

Method = method_lib.Method


def slim(
  *, l1: float, l2: float, max_iterations: int = 30, retrain: bool = False
) -> Method:
  """SLIM (Ning & Karypis, ICDM 2011) by ADMM; see `models.slim`.

  An item that no user has touched has no weights, so only the touched ones
  enter the solve: exact, and far cheaper when the evidence is small.
  """

  def fit(data):
    touched = np.flatnonzero(data.item_counts())
    fitted = slim_lib.slim(
      data.csr()[:, touched], l1=l1, l2=l2, max_iterations=max_iterations
    )
    return linear_autoencoder.SubsetWeights(
      fitted.weights, touched, data.num_items
    )

  def fit_flops(data):
    touched = int((data.item_counts() > 0).sum())
    counts = data.csr().getnnz(1)
    return slim_lib.slim_flops(counts, touched, max_iterations)

  return item_item.closed_form('slim', fit, fit_flops, retrain=retrain)
