"""Measures how many users per second a recommender serves.

  python -m experiments.benchmarks.throughput

All users are asked for at once, and each gets the 20 best items of the whole
catalogue. The weights are random, of the sizes and forms of fitted ones, since
the time does not depend on their values. Every model is served in two or three
ways: batch by batch by the fitted recommender (`Recommender.recommend_to_all`);
exported, by its program; and for linear kinds exported, by NumPy and SciPy, as
`export.load` serves them.
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
from hyperrec import adapting, export, method, ranker, recommender, scorers
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
  counts = users.item_counts().astype(np.float32)
  rows = []
  for name, model, state in made(users):
    exported = exports.of(model, state, counts)
    sides = {
      side: lambda found=found: found.recommend(histories, K)
      for side, found in served(exported, users).items()
    }
    whole = fitted(model, state, users)
    sides['batches'] = lambda whole=whole: list(whole.recommend_to_all(K))
    seconds = measure.interleave(sides, repeats)
    rate = {
      side: len(histories) / statistics.median(times)
      for side, times in seconds.items()
    }
    row = {
      'case': inputs.describe(users),
      'method': name,
      'kind': exported.kind,
      'seconds': seconds,
      'users_per_second': rate,
    }
    rows.append(row)
    print(name, *(f'{side}: {value:,.0f}' for side, value in rate.items()))
  return rows


def made(users) -> Iterator[tuple[str, method.Model, Any]]:
  """Yields the name of each method, its model and a state of random weights."""
  size, random = users.num_items, np.random.default_rng(0)
  key = jax.random.key(0)
  yield (
    'popularity',
    popularity.popularity(),
    users.item_counts().astype(np.float32),
  )
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
  yield 'sparse EASE', model, sparse
  weights = random.random((size, size), np.float32)
  yield 'EASE', ease.ease(l2=1.0), weights
  model = mult_vae.mult_vae(epochs=1)
  yield 'Mult-VAE', model, model.fit(users, key).state
  model = hyperease_user.hyperease_user()
  params = hyperease_user.init(model.config, users.csr(), key)
  generators = hyperease_user.Generators(
    (params,) * model.config.members,
    caution.all_kept(),
    np.zeros((0, size), bool),
  )
  state = hyperease_user.UserState(
    weights, np.zeros(len(weights), np.float32), weights, generators
  )
  yield 'HyperEASE for users', model, state


def served(model: export.Model, users) -> dict[str, ranker.Ranker]:
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
    side: ranker.Ranker({'kind': model.kind}, items, score)
    for side, score in scores.items()
  }


def fitted(model: method.Model, state: Any, users) -> recommender.Recommender:
  """The recommender of a model's state, as if it had been fitted."""
  parts = recommender.Fitted(
    data=users,
    num_fitted=(users.num_users, users.num_items, len(users)),
    state=state,
    adapted=None,
    encoding=None,
    seed=0,
  )
  return recommender.Recommender(lambda _: adapting.frozen(model), parts)


if __name__ == '__main__':
  script.run(main)
