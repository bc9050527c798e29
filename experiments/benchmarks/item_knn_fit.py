"""Compares fits of ItemKNN with those of implicit and irspack.

  python -m experiments.benchmarks.item_knn_fit

All sides keep the same number of neighbours of each item by the cosine of the
items' users, on the same number of threads. The others count an item as its own
neighbour, so they are asked for one more. Ties may be cut differently; the
script therefore compares the sum of each item's similarities, and fails if one
differs.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse

from experiments import script
from experiments.benchmarks import inputs, machine, measure, peers
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.linear import item_knn

Comparison = measure.Comparison
Csr = scipy.sparse.csr_matrix
Interactions = interactions_lib.Interactions
NEIGHBOURS = 100
PEERS = ('implicit', 'irspack')


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('item_knn_fit', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons of every size."""
  names = [name for name in PEERS if peers.has(name)]
  skipped += [measure.skip(name) for name in PEERS if name not in names]
  return [
    comparison
    for num_items in measure.catalogues((3_000, 10_000))
    for comparison in compare(
      inputs.skewed(5 * num_items, num_items),
      names,
      min(3, measure.repeats()),
    )
  ]


def compare(data: Interactions, names, repeats: int) -> list[Comparison]:
  """Compares the time of a fit.

  Raises:
    AssertionError: the similarities of another library differ.
  """
  sides = fits(data)
  sides = {name: sides[name] for name in ('hyperrec', *names)}
  ours = sums(sides['hyperrec']())
  for name in names:
    np.testing.assert_allclose(
      sums(sides[name]()), ours, rtol=1e-4, atol=1e-5, err_msg=name
    )
  seconds = measure.interleave(sides, repeats)
  case = f'{inputs.describe(data)}, {NEIGHBOURS} neighbours'
  return [
    Comparison(
      case, 'fit', name, 's', seconds['hyperrec'], seconds[name], '>= 1'
    )
    for name in names
  ]


def fits(data: Interactions) -> dict[str, Callable[[], Csr]]:
  """Functions that fit and return the neighbours, an item in each column."""
  x, threads = data.csr(), machine.threads()['cores']
  kept = min(NEIGHBOURS, data.num_items - 1)
  return {
    'hyperrec': lambda: item_knn.cosine_neighbours(x, kept, 0.0),
    'implicit': lambda: _implicit(x, kept + 1, threads),
    'irspack': lambda: _irspack(x, kept + 1, threads),
  }


def _implicit(x: Csr, kept: int, threads: int) -> Csr:
  from implicit.nearest_neighbours import CosineRecommender

  model = CosineRecommender(K=kept, num_threads=threads)
  model.fit(scipy.sparse.csr_matrix(x), show_progress=False)
  return model.similarity.T


def _irspack(x: Csr, kept: int, threads: int) -> Csr:
  from irspack.recommenders import CosineKNNRecommender

  model = CosineKNNRecommender(
    x, shrinkage=0.0, normalize=True, top_k=kept, n_threads=threads
  )
  model.learn()
  return model.W.T  # its neighbours are in the rows


def sums(weights: Csr) -> np.ndarray:
  """The sum of the similarities [V] in each column, without the diagonal."""
  total = np.asarray(weights.sum(axis=0)).ravel()
  return total - weights.diagonal()


if __name__ == '__main__':
  script.run(main)
