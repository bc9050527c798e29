"""ItemKNN: shrunk cosine similarity between items; keeps the nearest ones."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec import method as method_lib
from hyperrec import top_k
from hyperrec.cost import counts
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome

_WORKERS = min(4, os.cpu_count() or 1)
# Numbers of X'X that are held at once: 1 GiB.
_MOST_COUNTS = 2**28


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
  block: int = 256,
) -> scipy.sparse.csr_matrix:
  """Sparse weights [V, V]: column j holds the nearest neighbours of item j.

  Among ties, the neighbours with the lowest item numbers are kept. Blocks of
  items are computed on several threads, as their work releases Python's lock.
  """
  num_items = x.shape[1]
  norms = np.sqrt(x.getnnz(0).astype(np.float32))
  kept = min(neighbours, num_items)
  counts_of = _co_counts(x)

  def nearest(start):
    rows = np.arange(start, min(start + block, num_items))
    similar = counts_of(rows)
    divisors = norms[rows, None] * norms
    divisors += np.float32(shrink)
    divisors += np.float32(1e-12)
    similar /= divisors
    similar[np.arange(len(rows)), rows] = 0
    near = top_k.places(similar, kept)
    values = np.take_along_axis(similar, near, axis=1)
    part = scipy.sparse.csr_matrix(
      (values.ravel(), near.ravel(), np.arange(len(near) + 1) * kept),
      shape=similar.shape,
    )
    part.eliminate_zeros()
    return part

  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    parts = list(pool.map(nearest, range(0, num_items, block)))
  return scipy.sparse.vstack(parts).T.tocsr()


def _co_counts(
  x: scipy.sparse.csr_matrix,
) -> Callable[[Int[np.ndarray, ' B']], Float[np.ndarray, 'B V']]:
  """A function from neighbouring items to their rows of X'X, in new memory.

  The whole matrix takes half the time, since it is symmetric, if it fits.
  """
  if x.shape[1] ** 2 <= _MOST_COUNTS:
    whole = linear_autoencoder.gram(x)
    return lambda rows: whole[rows[0] : rows[-1] + 1].copy()
  x_VxU = x.T.tocsr()
  return lambda rows: (x_VxU[rows[0] : rows[-1] + 1] @ x).toarray()
