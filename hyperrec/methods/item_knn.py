"""ItemKNN: cosine similarity of item columns, shrunk, the nearest kept."""

import numpy as np
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec import top_k
from hyperrec.methods import item_item

Method = method_lib.Method


def item_knn(
  *, neighbours: int, shrink: float, retrain: bool = False
) -> Method:
  """ItemKNN (Sarwar et al., WWW 2001) with cosine c_ij / (|i| |j| + shrink).

  Args:
    neighbours: similarities kept for each item (column of the weights).
    shrink: takes weight off items with little support (Dacrema et al., 2019).
    retrain: prepare nothing, count everything at each adaptation.
  """

  def fit(data):
    return cosine_neighbours(data.csr(), neighbours, shrink)

  def fit_flops(data):
    counts = data.csr().getnnz(1).astype(float)
    return 2 * float(np.square(counts).sum())

  return item_item.closed_form('itemknn', fit, fit_flops, retrain=retrain)


def cosine_neighbours(
  x: scipy.sparse.csr_matrix,
  neighbours: int,
  shrink: float,
  block: int = 1024,
) -> scipy.sparse.csr_matrix:
  """Sparse weights [V, V]: column j holds the nearest neighbours of item j.

  Of equally near ones those with lower numbers are kept.
  """
  norms = np.sqrt(x.getnnz(0).astype(np.float32))
  x_VxU = x.T.tocsr()
  kept = min(neighbours, x.shape[1])
  parts = []
  for start in range(0, x.shape[1], block):
    similar = (x_VxU[start : start + block] @ x).toarray()
    rows = np.arange(start, start + len(similar))
    similar /= norms[rows, None] * norms + np.float32(shrink) + 1e-12
    similar[np.arange(len(similar)), rows] = 0
    near = top_k.places(similar, kept)
    values = np.take_along_axis(similar, near, axis=1)
    part = scipy.sparse.csr_matrix(
      (values.ravel(), near.ravel(), np.arange(len(near) + 1) * kept),
      shape=similar.shape,
    )
    part.eliminate_zeros()
    parts.append(part)
  return scipy.sparse.vstack(parts).T.tocsr()
