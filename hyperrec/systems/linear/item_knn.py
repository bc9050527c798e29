"""ItemKNN: shrunk cosine similarity between items; keeps the nearest ones."""

import concurrent.futures
import dataclasses
import os
from typing import Any

import numpy as np
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec import top_k
from hyperrec.cost import counts
from hyperrec.systems.linear import item_item

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome

_WORKERS = min(4, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class ItemKnnConfig:
  """Hyperparameters of ItemKNN.

  Attributes:
    neighbours: Number of similarities kept per item (column of the weights).
    shrink: Term added to the denominator of the cosine; it lowers the weights
      of items with few interactions (Dacrema et al., 2019).
  """

  neighbours: int
  shrink: float


def item_knn(**hyperparameters: Any) -> Model:
  """ItemKNN (Sarwar et al., WWW 2001) with cosine c_ij / (|i| |j| + shrink).

  Args:
    **hyperparameters: fields of `ItemKnnConfig`.
  """
  config = ItemKnnConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    weights = cosine_neighbours(x_UxV, config.neighbours, config.shrink)
    return Outcome(weights, Cost(counts.gram(x_UxV.getnnz(1))))

  return item_item.closed_form('itemknn', config, fit)


def cosine_neighbours(
  x: scipy.sparse.csr_matrix,
  neighbours: int,
  shrink: float,
  block: int = 1024,
) -> scipy.sparse.csr_matrix:
  """Sparse weights [V, V]: column j holds the nearest neighbours of item j.

  Among ties, the neighbours with the lowest item numbers are kept.
  """
  norms = np.sqrt(x.getnnz(0).astype(np.float32))
  x_VxU = x.T.tocsr()
  kept = min(neighbours, x.shape[1])

  def nearest(start):
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
    return part

  # The product and the choice of the nearest release Python's lock.
  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    parts = list(pool.map(nearest, range(0, x.shape[1], block)))
  return scipy.sparse.vstack(parts).T.tocsr()
