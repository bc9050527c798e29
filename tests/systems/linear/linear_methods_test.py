"""Tests of every linear method: fitting, policies, refusals and costs."""

import jax
import numpy as np
import pytest
import scipy.sparse

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions, joining
from hyperrec.systems.baselines import popularity
from hyperrec.systems.linear import (
  cease,
  ease,
  ease_dynamic,
  ease_sparse,
  feature_relation,
  item_knn,
  l3ae,
  slim,
  woodbury,
)
from hyperrec.systems.linear import prior as prior_lib
from tests.makers import make_data

KEY = jax.random.key(0)


def features(data):
  """Features that depend on the item's id, not on its number."""
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
    'cease': cease.cease(features, l2=5.0, alpha=1.0),
  }


def dense(weights):
  return weights if isinstance(weights, np.ndarray) else weights.dense()


def run(method, source, evidence, judged):
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, evidence, KEY)
  histories = method_lib.Histories.of(
    judged.by_user_and_time(), np.arange(judged.num_users)
  )
  return shared, adapted, np.asarray(method.score(adapted.state, histories))


@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_new_users_cost_nothing_and_are_scored(name):
  model = {**without_features(), **with_features()}[name]
  data = make_data()
  source, judged = data.take_users(np.arange(30)), data.take_users([30, 31])
  shared, adapted, scores = run(adapting.frozen(model), source, judged, judged)
  assert model.name == name
  assert adapted.state is shared.state.state
  assert adapted.cost == method_lib.Cost()
  assert shared.cost.operations > 0
  assert scores.shape == (2, data.num_items)
  assert np.isfinite(scores).all()
  assert scores.std() > 0


@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_retraining_equals_a_fit_on_everything(name):
  model = {**without_features(), **with_features()}[name]
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  shared, adapted, scores = run(adapting.retrained(model), source, new, new)
  everything = joining.join_users(source, new)
  _, _, expected = run(adapting.frozen(model), everything, new, new)
  np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
  assert shared.cost == method_lib.Cost()
  assert adapted.cost.operations > 0


@pytest.mark.parametrize(
  ('make', 'given', 'wrong'),
  [
    (l3ae.l3ae, {'l2_features': 2.0, 'trust': 0.5}, {'l2': 0.0}),
    (l3ae.l3ae, {'l2': 5.0, 'trust': 0.5}, {'l2_features': -1.0}),
    (l3ae.l3ae, {'l2': 5.0, 'l2_features': 2.0}, {'trust': 1.5}),
    (l3ae.l3ae, {'l2': 5.0, 'l2_features': 2.0}, {'trust': -0.5}),
    (cease.cease, {'alpha': 1.0}, {'l2': 0.0}),
    (ease_dynamic.ease_dynamic, {}, {'l2': 0.0}),
    (ease_sparse.ease_sparse, {'neighbours': 5}, {'l2': 0.0}),
    (slim.slim, {'l1': 1.0}, {'l2': 0.0}),
    (slim.slim, {'l2': 1.0}, {'l1': -1.0}),
  ],
)
def test_numbers_beyond_their_limits_are_refused(make, given, wrong):
  ((name, value),) = wrong.items()
  args = (None,) if make in (l3ae.l3ae, cease.cease) else ()
  with pytest.raises(interactions.DataError, match=f'{name}={value} must be'):
    make(*args, **given, **wrong)


@pytest.mark.parametrize('name', [*without_features(), 'popularity'])
def test_a_catalogue_without_interactions_is_refused(name):
  models = {**without_features(), 'popularity': popularity.popularity()}
  method = adapting.retrained(models[name])
  data = make_data()
  source = data.take_items(np.arange(15))
  nobody = data.take_items(np.arange(15, 30)).take_users(np.arange(0))
  shared = method.prepare(source, KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared.state, nobody, KEY)


@pytest.mark.parametrize('policy', [adapting.frozen, adapting.retrained])
@pytest.mark.parametrize('name', [*without_features(), *with_features()])
def test_users_who_showed_nothing_are_refused(name, policy):
  method = policy({**without_features(), **with_features()}[name])
  data = make_data()
  shared = method.prepare(data.take_users(np.arange(30)), KEY)
  nothing = data.take_users([30, 31]).rows(np.array([], int))
  with pytest.raises(method_lib.CannotServe, match='empty histories'):
    method.adapt(shared.state, nothing, KEY)


@pytest.mark.parametrize('name', list(with_features()))
def test_features_serve_a_catalogue_without_interactions(name):
  method = adapting.retrained(with_features()[name])
  data = make_data()
  source = data.take_items(np.arange(15))
  target = data.take_items(np.arange(15, 30))
  nobody = target.take_users(np.arange(0))
  _, _, scores = run(method, source, nobody, target)
  assert scores.shape == (data.num_users, 15)
  assert scores.std() > 0


def test_what_l3ae_owes_to_text_alone_does_not_grow_with_the_evidence():
  method = adapting.retrained(with_features()['l3ae'])
  data = make_data(80)
  costs = []
  for num_users in (2, 60):
    evidence = data.take_users(np.arange(num_users))
    costs.append(run(method, data.rows([]), evidence, evidence)[1].cost)
  few, many = costs
  assert 0 < few.of_text == many.of_text < few.operations < many.operations


@pytest.mark.parametrize('sharpness', [0.0, 2.0])
def test_counts_tilt_the_relation_of_features(sharpness):
  """As (D^-k C D^k) with D the counts, which the ridge pulls towards."""
  data = make_data(80)
  table = features(data)
  counts_V = data.csr().getnnz(0) + 2.0
  shared = {'l2_features': 2.0, 'trust': 0.5, 'sharpness': sharpness}

  def fitted(popularity, l2):
    model = l3ae.l3ae(
      features, l2=l2, popularity=popularity, prior_count=2.0, **shared
    )
    return model.fit(data, jax.random.key(0)).state

  prior = feature_relation.relation(table, 2.0, 0.5, sharpness).prior
  plain = dense(prior_lib.as_weights(prior))
  tilted = plain * counts_V**0.3 / (counts_V**0.3)[:, None]
  # So large a ridge leaves the prior as it is.
  np.testing.assert_allclose(dense(fitted(0.0, 1e9)), plain, atol=1e-5)
  np.testing.assert_allclose(dense(fitted(0.3, 1e9)), tilted, atol=1e-5)
  assert not np.allclose(dense(fitted(0.3, 5.0)), dense(fitted(0.0, 5.0)))


def updated():
  return adapting.updated(ease_dynamic.ease_dynamic(l2=5.0))


def refitted():
  return adapting.retrained(ease.ease(l2=5.0))


def test_dynamic_ease_equals_a_refit():
  data = make_data(80)
  source, new = data.take_users(np.arange(78)), data.take_users([78, 79])
  _, _, dynamic = run(updated(), source, new, new)
  _, _, refit = run(refitted(), source, new, new)
  np.testing.assert_allclose(dynamic, refit, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('num_more', [3, 30])
def test_users_who_come_again_keep_one_row(num_more):
  """P is updated with old and new rows, or refitted if that is cheaper."""
  data = make_data(num_users=80)
  cut = data.timestamps < np.median(data.timestamps)
  source, later = (
    data.rows(cut),
    data.rows(~cut).take_users(np.arange(num_more)),
  )
  both = joining.join_users(source, later)
  assert both.num_users == 80
  _, _, expected = run(adapting.frozen(ease.ease(l2=5.0)), both, later, later)
  _, _, again = run(refitted(), source, later, later)
  _, _, dynamic = run(updated(), source, later, later)
  np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(dynamic, expected, rtol=1e-3, atol=1e-4)


def test_dynamic_ease_refits_when_the_rank_makes_an_update_dearer(monkeypatch):
  data = make_data(200)
  few, many = data.take_users([0]), data.take_users(np.arange(1, 150))
  source = data.take_users(np.arange(150, 200))
  updates = []
  real = woodbury.update
  monkeypatch.setattr(
    woodbury, 'update', lambda *args: updates.append(1) or real(*args)
  )
  _, one, _ = run(updated(), source, few, few)
  assert len(updates) == 1
  _, refit, _ = run(updated(), source, many, many)
  assert len(updates) == 1
  assert one.cost.operations < refit.cost.operations
  both = joining.join_users(source, many)
  fitted = ease_dynamic.ease_dynamic(l2=5.0).fit(both, KEY)
  assert refit.cost == fitted.cost


def test_an_update_that_drifted_pays_for_the_refit_too():
  data = make_data(80)
  source, new = data.take_users(np.arange(78)), data.take_users([78, 79])
  strict = adapting.updated(ease_dynamic.ease_dynamic(l2=5.0, max_drift=0.0))
  _, adapted, _ = run(strict, source, new, new)
  both = joining.join_users(source, new)
  fitted = ease_dynamic.ease_dynamic(l2=5.0).fit(both, KEY)
  np.testing.assert_array_equal(adapted.state.weights, fitted.state.weights)
  _, cheap, _ = run(updated(), source, new, new)
  assert adapted.cost.operations > fitted.cost.operations
  assert adapted.cost.operations < (
    fitted.cost.operations + cheap.cost.operations
  )


def test_dynamic_ease_refuses_a_foreign_catalogue():
  data = make_data()
  shared = updated().prepare(data.take_items(np.arange(15)), KEY)
  with pytest.raises(method_lib.CannotServe, match='nothing to update'):
    updated().adapt(shared.state, data.take_items(np.arange(15, 30)), KEY)


def test_ablations_of_ease():
  data = make_data()
  source = data.take_users(np.arange(30))
  clipped = ease.ease(l2=5.0, nonnegative=True).fit(source, KEY).state
  assert (clipped >= 0).all()
  free = ease.ease(l2=5.0, constrained=False).fit(source, KEY).state
  assert np.abs(np.diagonal(free)).min() > 0
  plain = ease.ease(l2=5.0).fit(source, KEY).state
  denoised = ease.ease(l2=5.0, dropout=0.5).fit(source, KEY).state
  assert np.abs(plain - denoised).max() > 1e-3


def test_popularity_counts_new_evidence():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = adapting.updated(popularity.popularity())
  _, adapted, scores = run(method, source, new, new)
  expected = source.item_counts() + new.item_counts()
  np.testing.assert_array_equal(scores[0], expected)
  np.testing.assert_array_equal(adapted.state, expected)


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
  # 40 items of 4 kinds; all items of a kind are taken by the same users.
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
