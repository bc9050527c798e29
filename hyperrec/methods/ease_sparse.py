"""EASE whose weights stay sparse, for catalogues beyond the closed form."""

from hyperrec import method as method_lib
from hyperrec.methods import item_item
from hyperrec.models import sparse_autoencoder

Method = method_lib.Method


def ease_sparse(*, l2: float, neighbours: int, retrain: bool = False) -> Method:
  """EASE on each item's nearest neighbours, each column solved exactly.

  Args:
    l2: lambda.
    neighbours: weights of an item at most.
    retrain: prepare nothing, fit everything at each adaptation.
  """

  def fit(data):
    return sparse_autoencoder.solve_on_neighbours(data.csr(), l2, neighbours)

  def fit_flops(data):
    return sparse_autoencoder.neighbour_flops(data.csr(), neighbours)

  return item_item.closed_form('ease_sparse', fit, fit_flops, retrain=retrain)


def sansa(*, l2: float, density: float, retrain: bool = False) -> Method:
  """SANSA (Spisak et al., RecSys 2023), by its authors' package `sansa`.

  Args:
    l2: lambda, of a matrix whose columns were scaled.
    density: share of V^2 that each of two sparse factors keeps.
    retrain: prepare nothing, fit everything at each adaptation.
  """

  def fit(data):
    return sparse_autoencoder.solve_by_sansa(data.csr(), l2, density)

  def fit_flops(data):
    return sparse_autoencoder.sansa_flops(data.csr(), density)

  return item_item.closed_form('sansa', fit, fit_flops, retrain=retrain)
