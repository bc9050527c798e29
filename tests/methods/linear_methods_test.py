"""Every linear method behind the contract: fit, adapt, score, refuse, cost."""

import jax
import numpy as np
import pytest
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.methods import (
  ease,
  ease_dynamic,
  item_knn,
  l3ae,
  popularity,
  slim,
)
from tests.makers import make_data

KEY = jax.random.key(0)


def features(data):
  """Features that belong to the item, whatever the catalogue's numbering."""
  return np.stack(
    [np.random.default_rng(int(i)).normal(size=6) for i in data.item_ids]
  )


def without_features():
  return {
    'ease': ease.ease(l2=5.0),
    'itemknn': item_knn.item_knn(neighbours=5, shrink=1.0),
    'slim': slim.slim(l1=0.1, l2=5.0),
  }


def with_features():
  return {
    'l3ae': l3ae.l3ae(features, l2=5.0, l2_features=2.0, trust=0.5),
    'cease': l3ae.cease(features, l2=5.0, alpha=1.0),
    'cease:add': l3ae.add_ease(features, l2=5.0, l2_features=2.0, alpha=0.3),
  }


def run(method, source, evidence, judged):
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared, evidence, KEY)
  histories = method_lib.Histories.of(
    judged.by_user_and_time(), np.arange(judged.num_users)
  )
  return shared, adapted, np.asarray(method.score(adapted, histories))


@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_new_users_cost_nothing_and_are_scored(name):
  method = {**without_features(), **with_features()}[name]
  data = make_data()
  source, judged = data.take_users(np.arange(30)), data.take_users([30, 31])
  shared, adapted, scores = run(method, source, judged, judged)
  assert method.name == name
  assert adapted is shared
  assert method.adapt_flops(shared, judged, adapted) == 0
  assert method.prepare_flops(source, shared) > 0
  assert scores.shape == (2, data.num_items)
  assert np.isfinite(scores).all()
  assert scores.std() > 0


@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_retraining_equals_a_fit_on_everything(name):
  builders = {
    'ease': lambda **k: ease.ease(l2=5.0, **k),
    'itemknn': lambda **k: item_knn.item_knn(neighbours=5, shrink=1.0, **k),
    'slim': lambda **k: slim.slim(l1=0.1, l2=5.0, **k),
    'l3ae': lambda **k: l3ae.l3ae(
      features, l2=5.0, l2_features=2.0, trust=0.5, **k
    ),
    'cease': lambda **k: l3ae.cease(features, l2=5.0, alpha=1.0, **k),
    'cease:add': lambda **k: l3ae.add_ease(
      features, l2=5.0, l2_features=2.0, alpha=0.3, **k
    ),
  }
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  retrained = builders[name](retrain=True)
  shared, adapted, scores = run(retrained, source, new, new)
  everything = interactions.join_users(source, new)
  _, _, expected = run(builders[name](), everything, new, new)
  np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
  assert retrained.prepare_flops(source, shared) == 0
  assert retrained.adapt_flops(shared, new, adapted) > 0


@pytest.mark.parametrize('name', [*without_features(), 'popularity'])
def test_a_catalogue_without_interactions_is_refused(name):
  methods = {**without_features(), 'popularity': popularity.popularity()}
  data = make_data()
  source = data.take_items(np.arange(15))
  nobody = data.take_items(np.arange(15, 30)).take_users(np.arange(0))
  shared = methods[name].prepare(source, KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    methods[name].adapt(shared, nobody, KEY)


@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_users_who_showed_nothing_are_refused(name):
  method = {**without_features(), **with_features()}[name]
  data = make_data()
  shared = method.prepare(data.take_users(np.arange(30)), KEY)
  nothing = data.take_users([30, 31]).rows(np.array([], int))
  with pytest.raises(method_lib.CannotServe, match='has shown'):
    method.adapt(shared, nothing, KEY)


@pytest.mark.parametrize('name', list(with_features()))
def test_features_serve_a_catalogue_without_interactions(name):
  method = with_features()[name]
  data = make_data()
  source = data.take_items(np.arange(15))
  target = data.take_items(np.arange(15, 30))
  nobody = target.take_users(np.arange(0))
  _, _, scores = run(method, source, nobody, target)
  assert scores.shape == (data.num_users, 15)
  assert scores.std() > 0


def test_dynamic_ease_equals_a_refit():
  data = make_data(80)
  source, new = data.take_users(np.arange(78)), data.take_users([78, 79])
  _, _, dynamic = run(ease_dynamic.ease_dynamic(l2=5.0), source, new, new)
  _, _, refit = run(ease.ease(l2=5.0, retrain=True), source, new, new)
  np.testing.assert_allclose(dynamic, refit, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('num_more', [3, 30])
def test_users_who_come_again_keep_one_row(num_more):
  """Updated by pairs of old and new rows, or refitted where that is cheaper."""
  data = make_data(num_users=80)
  cut = data.timestamps < np.median(data.timestamps)
  source, later = (
    data.rows(cut),
    data.rows(~cut).take_users(np.arange(num_more)),
  )
  both = interactions.join_users(source, later)
  assert both.num_users == 80
  _, _, expected = run(ease.ease(l2=5.0), both, later, later)
  _, _, refitted = run(ease.ease(l2=5.0, retrain=True), source, later, later)
  _, _, updated = run(ease_dynamic.ease_dynamic(l2=5.0), source, later, later)
  np.testing.assert_allclose(refitted, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(updated, expected, rtol=1e-3, atol=1e-4)


def test_dynamic_ease_refits_when_the_rank_makes_an_update_dearer():
  data = make_data(200)
  method = ease_dynamic.ease_dynamic(l2=5.0)
  few, many = data.take_users([0]), data.take_users(np.arange(1, 150))
  shared = method.prepare(data.take_users(np.arange(150, 200)), KEY)
  assert not ease_dynamic.is_refit_cheaper(shared, few)
  assert ease_dynamic.is_refit_cheaper(shared, many)
  updates = [
    method.adapt_flops(shared, e, method.adapt(shared, e, KEY))
    for e in (few, many)
  ]
  assert updates[0] < updates[1]


def test_dynamic_ease_refuses_a_foreign_catalogue():
  data = make_data()
  method = ease_dynamic.ease_dynamic(l2=5.0)
  shared = method.prepare(data.take_items(np.arange(15)), KEY)
  with pytest.raises(method_lib.CannotServe, match='known catalogue'):
    method.adapt(shared, data.take_items(np.arange(15, 30)), KEY)


def test_ablations_of_ease():
  data = make_data()
  source = data.take_users(np.arange(30))
  clipped = ease.ease(l2=5.0, nonnegative=True).prepare(source, KEY)
  assert (clipped.weights >= 0).all()
  free = ease.ease(l2=5.0, constrained=False).prepare(source, KEY)
  assert np.abs(np.diagonal(free.weights)).min() > 0
  plain = ease.ease(l2=5.0).prepare(source, KEY).weights
  denoised = ease.ease(l2=5.0, dropout=0.5).prepare(source, KEY).weights
  assert np.abs(plain - denoised).max() > 1e-3


def test_popularity_counts_new_evidence():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  _, adapted, scores = run(popularity.popularity(), source, new, new)
  expected = source.item_counts() + new.item_counts()
  np.testing.assert_array_equal(scores[0], expected)
  np.testing.assert_array_equal(adapted.counts, expected)


def test_item_knn_keeps_the_nearest_by_cosine():
  data = make_data()
  weights = item_knn.cosine_neighbours(data.csr(), 4, 0.0, block=7).toarray()
  x = data.csr().toarray()
  cosine = (x.T @ x) / np.outer(
    np.linalg.norm(x, axis=0), np.linalg.norm(x, axis=0)
  )
  np.fill_diagonal(cosine, 0)
  assert (np.count_nonzero(weights, axis=0) == 4).all()
  for item in range(data.num_items):
    near = np.sort(cosine[:, item])[-4:]
    np.testing.assert_allclose(np.sort(weights[:, item])[-4:], near, rtol=1e-4)


def test_item_knn_keeps_the_first_of_equally_near_items():
  # 40 items of 4 kinds: in each kind all are taken by the same users.
  kinds = np.random.default_rng(0).random((30, 4)) < 0.5
  x = np.repeat(kinds, 10, axis=1).astype(np.float32)
  weights = item_knn.cosine_neighbours(
    scipy.sparse.csr_matrix(x), 15, 0.0, block=7
  ).toarray()
  counts = x.sum(axis=0)
  cosine = (x.T @ x) / (np.sqrt(counts)[:, None] * np.sqrt(counts) + 1e-12)
  np.fill_diagonal(cosine, 0)
  for item in range(40):
    near = np.argsort(-cosine[:, item], kind='stable')[:15]
    assert set(np.flatnonzero(weights[:, item])) == set(near)
