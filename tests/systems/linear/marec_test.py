"""MARec against the paper's formulas, written out in dense NumPy."""

import jax
import numpy as np
import pytest
import scipy.sparse

from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.linear import marec
from tests import makers

KEY = jax.random.key(0)
TRIAL = {'l2': 5.0, 'l2_features': 2.0, 'strength': 3.0, 'percentile': 60.0}


def views(data):
  """Two views that belong to the item, whatever the catalogue's numbering."""
  table = np.stack(
    [np.random.default_rng(int(i)).normal(size=9) for i in data.item_ids]
  )
  return features_lib.unit_views(table, (4,))


def paper(data, *, l2, l2_features, strength, percentile):
  """B, by the formulas as they are printed."""
  x = data.csr().toarray().astype(float)
  first, second = (view @ view.T for view in views(data))
  gs = [first, second, first * first, first * second, second * second]
  gs = [g * (1 - np.eye(len(g))) for g in gs]
  inputs = np.stack([(x @ g).ravel() for g in gs] + [np.ones(x.size)], axis=1)
  weight = np.sqrt(np.where(x.ravel() > 0, 1.0, 0.2))
  mu, *_ = np.linalg.lstsq(
    inputs * weight[:, None], x.ravel() * weight, rcond=None
  )
  g = sum(m * term for m, term in zip(mu, gs, strict=False))
  end = max(1.0, np.percentile(x.sum(0), percentile))
  falling = np.where(x.sum(0) <= end, (end - x.sum(0)) / end, 0)
  a = strength * x @ g @ np.diag(falling)
  fitted = x.T @ x + l2_features * (first + second) / 2 + x.T @ a
  p = np.linalg.inv(fitted + l2 * np.eye(len(g)))
  t = p @ fitted
  return t - p @ np.diag(np.diag(t) / np.diag(p))


def test_weights_are_those_of_the_papers_formulas():
  data = makers.make_data()
  fitted = marec.marec(views, **TRIAL).fit(data, KEY)
  np.testing.assert_allclose(
    fitted.state, paper(data, **TRIAL), rtol=1e-4, atol=1e-5
  )
  assert np.diagonal(fitted.state).max() == 0
  assert fitted.cost.operations > fitted.cost.of_text > 0


def test_strength_without_rare_items_changes_nothing():
  """Where every item has interactions beyond the percentile, D is 0."""
  data = makers.make_data()
  at = {**TRIAL, 'percentile': 0.0}
  weak = marec.marec(views, **{**at, 'strength': 1e-9}).fit(data, KEY)
  strong = marec.marec(views, **{**at, 'strength': 1e3}).fit(data, KEY)
  rarest = data.csr().getnnz(0).min()
  assert rarest > 1
  np.testing.assert_allclose(strong.state, weak.state, atol=1e-6)


def test_rarity_falls_from_one_to_zero():
  x = scipy.sparse.csr_matrix(np.tril(np.ones((11, 11)))[:, ::-1])
  taken = x.getnnz(0)
  rarity = marec.rarity(x, 50.0)
  np.testing.assert_allclose(rarity, np.maximum(0, 1 - taken / 6))
  np.testing.assert_array_equal(
    marec.rarity(scipy.sparse.csr_matrix([[0, 1, 1]]), 0.0), [1, 0, 0]
  )


def test_an_item_that_nobody_took_is_ranked_by_its_text():
  """Features say what kind an item is, and users like their own kind."""
  random = np.random.default_rng(0)
  likes = np.arange(200)[:, None] % 4 == np.arange(60)[None] % 4
  taken = random.random(likes.shape) < 0.03 + 0.4 * likes
  taken[:, 48:] = False
  data = interactions.Interactions(*np.nonzero(taken), 200, 60)
  kinds = lambda part: features_lib.unit_views(  # noqa: E731
    np.eye(4)[part.item_ids % 4]
    + 0.1 * np.random.default_rng(1).normal(size=(60, 4))
  )
  model = marec.marec(kinds, l2=30.0, l2_features=1.0, strength=1.0)
  method = adapting.retrained(model)
  state = method.adapt(method.prepare(data, KEY).state, data, KEY).state
  scores = method.score(state, method_lib.Histories.of(data, np.arange(200)))
  own = scores[:, 48:][likes[:, 48:]]
  other = scores[:, 48:][~likes[:, 48:]]
  assert own.mean() > other.mean() + 2 * other.std()


def test_without_interactions_features_alone_give_weights():
  nothing = makers.make_data().rows([])
  weights = marec.marec(views, **TRIAL).fit(nothing, KEY).state
  assert np.isfinite(weights).all()
  assert np.abs(weights).max() > 0


@pytest.mark.parametrize('name', ['l2', 'l2_features', 'strength'])
def test_settings_that_cannot_be_are_refused(name):
  with pytest.raises(interactions.DataError, match=f'{name}=0.0 must be above'):
    marec.marec(views, **{**TRIAL, name: 0.0})


def test_large_catalogues_are_computed_in_float32(monkeypatch):
  data = makers.make_data(num_users=60)
  double = marec.marec(views, **TRIAL).fit(data, KEY).state
  monkeypatch.setattr(marec, '_MOST_DOUBLE', 10)
  single = marec.marec(views, **TRIAL).fit(data, KEY).state
  assert not np.array_equal(double, single)
  np.testing.assert_allclose(double, single, atol=1e-4)
