"""Measures how many users per second an exported recommender serves.

  python -m experiments.benchmarks.throughput

All users are asked for at once, and each gets the 20 best items of the whole
catalogue. The weights are random, of the sizes and forms of fitted ones, since
the time does not depend on their values. Every model is served as `export.load`
serves it: linear kinds by NumPy and SciPy, networks by their program. Linear
kinds are measured by their program as well.
"""

import pathlib
import statistics
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import scipy.sparse

from experiments import script
from experiments.benchmarks import inputs, measure
from hyperrec import export, recommender, scorers
from hyperrec.cost import memory
from hyperrec.systems import exports
from hyperrec.systems.baselines import popularity
from hyperrec.systems.hyperease import caution, hyperease_user
from hyperrec.systems.linear import ease, ease_sparse
from hyperrec.systems.mult_vae import mult_vae

NUM_USERS, K = 1_000, 20
# Weights of each item in the sparse model.
NEIGHBOURS = 100


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.write('throughput', run)


def run() -> dict[str, Any]:
  """Returns the rows of every size."""
  rows = []
  for num_items in measure.catalogues((20_000,)):
    users = inputs.skewed(NUM_USERS, num_items, seed=1)
    rows += compare(users, measure.repeats())
  return {'k': K, 'rows': rows}


def compare(users, repeats: int) -> list[dict[str, Any]]:
  """Measures each method on the histories of some users.

  Raises:
    InsufficientMemoryError: two matrices [V, V] do not fit twice.
  """
  memory.check_memory(
    4 * 4 * users.num_items**2, f'the weights of {users.num_items} items'
  )
  histories = [row.indices.tolist() for row in users.csr()]
  rows = []
  for name, model in made(users):
    sides = {
      side: lambda found=found: found.recommend(histories, K)
      for side, found in served(model, users).items()
    }
    seconds = measure.interleave(sides, repeats)
    rate = {
      side: len(histories) / statistics.median(times)
      for side, times in seconds.items()
    }
    row = {
      'case': inputs.describe(users),
      'method': name,
      'kind': model.kind,
      'seconds': seconds,
      'users_per_second': rate,
    }
    rows.append(row)
    print(name, *(f'{side}: {value:,.0f}' for side, value in rate.items()))
  return rows


def made(users) -> Iterator[tuple[str, export.Model]]:
  """Yields the name of each method, and its model of random weights."""
  size, random = users.num_items, np.random.default_rng(0)
  counts = users.item_counts().astype(np.float32)
  key = jax.random.key(0)
  yield 'popularity', exports.of(popularity.popularity(), counts)
  neighbours = min(NEIGHBOURS, size)
  columns = random.integers(0, size, size * neighbours, dtype=np.int32)
  sparse = scipy.sparse.csr_matrix(
    (
      random.random(len(columns), np.float32),
      columns,
      np.arange(0, len(columns) + 1, neighbours),
    ),
    shape=(size, size),
  )
  model = ease_sparse.ease_sparse(l2=1.0, neighbours=neighbours)
  yield 'sparse EASE', exports.of(model, sparse, counts)
  weights = random.random((size, size), np.float32)
  yield 'EASE', exports.of(ease.ease(l2=1.0), weights, counts)
  model = mult_vae.mult_vae(epochs=1)
  yield 'Mult-VAE', exports.of(model, model.fit(users, key).state, counts)
  model = hyperease_user.hyperease_user()
  params = hyperease_user.init(model.config, users.csr(), key)
  generators = hyperease_user.Generators(
    (params,) * model.config.members,
    caution.all_kept(),
    np.zeros((0, size), bool),
  )
  state = hyperease_user.UserState(weights, weights, generators)
  yield 'HyperEASE for users', exports.of(model, state, counts)


def served(model: export.Model, users) -> dict[str, recommender.Recommender]:
  """The recommender as `export.load` makes it, and for linear kinds another.

  The other one, `program`, scores by the program.
  """
  size = users.num_items
  items = {
    'ids': [str(item) for item in range(size)],
    'titles': None,
    'counts': model.counts.tolist(),
  }
  scores = {}
  if model.kind != 'network':
    scores['numpy'] = scorers.linear(model.kind, model.tensors, size)
  scores['program'] = scorers.network(
    model.program, model.tensors, model.length, size, pathlib.Path('program')
  )
  return {
    side: recommender.Recommender({'kind': model.kind}, items, score)
    for side, score in scores.items()
  }


if __name__ == '__main__':
  script.run(main)
