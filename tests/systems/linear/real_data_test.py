"""Tests on MovieLens: ESLER reaches EASE, and EASE beats popularity."""

import functools

import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import sources, splits
from hyperrec.evaluation import ranking
from hyperrec.systems.baselines import popularity
from hyperrec.systems.linear import ease, esler, item_knn

KEY = jax.random.key(0)


@functools.lru_cache
def real_split():
  data = sources.load(
    'movielens_small',
    min_rating=4,
    min_user_interactions=5,
    min_item_interactions=20,
  )
  return splits.strong_generalization(data, 100)


def ndcg(model, state):
  held = real_split().test
  histories = held.histories.by_user_and_time()
  found = ranking.evaluate(
    lambda users: model.score(state, method_lib.Histories.of(histories, users)),
    held.histories.csr(),
    held.targets.csr(),
    metrics=('ndcg@100',),
  )
  return found.mean('ndcg@100')


def test_esler_reaches_the_closed_form():
  train = real_split().train
  by_gradient, closed = esler.esler(l2=50.0), ease.ease(l2=50.0)
  trained = by_gradient.fit(train, KEY).state
  solved = closed.fit(train, KEY).state
  weights, expected = (
    found if isinstance(found, np.ndarray) else found.dense()
    for found in (trained, solved)
  )
  weights = weights.copy()
  np.fill_diagonal(weights, 0)
  error = np.linalg.norm(weights - expected) / np.linalg.norm(expected)
  assert error < 1e-3
  assert ndcg(by_gradient, trained) == pytest.approx(
    ndcg(closed, solved), abs=5e-4
  )


def test_personal_methods_beat_popularity_by_far():
  train = real_split().train
  values = {}
  for model in (
    popularity.popularity(),
    item_knn.item_knn(neighbours=100, shrink=10.0),
    ease.ease(l2=100.0),
  ):
    values[model.name] = ndcg(model, model.fit(train, KEY).state)
  assert values['itemknn'] > 1.2 * values['popularity']
  assert values['ease'] > 1.2 * values['popularity']
