"""Graph filters against their formulas in dense float64 NumPy."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions, joining
from hyperrec.systems.graph import cheby_cf, gf_cf, turbo_cf
from tests.makers import make_data

KEY = jax.random.key(0)


class Dense:
  """What the formulas are made of, in float64."""

  def __init__(self, data):
    self.x_UxV = data.csr().toarray().astype(np.float64)
    self.users_U = self.x_UxV.sum(1)
    self.items_V = self.x_UxV.sum(0)
    self.r_UxV = self.x_UxV / np.sqrt(self.users_U[:, None] * self.items_V)

  def low_pass(self, rank):
    _, _, vectors = np.linalg.svd(self.r_UxV)
    return vectors[:rank].T @ vectors[:rank]


def scores_of(model, data):
  """Scores of all users of the data that the model is fitted on."""
  fitted = model.fit(data, KEY)
  assert fitted.cost.operations > 0
  shown = method_lib.Histories.of(
    data.by_user_and_time(), np.arange(data.num_users)
  )
  return np.asarray(model.score(fitted.state, shown))


def test_gf_cf_is_its_formula():
  data = make_data()
  dense = Dense(data)
  root = np.sqrt(dense.items_V)
  smooth = (dense.x_UxV / root) @ dense.low_pass(5) * root
  expected = dense.x_UxV @ dense.r_UxV.T @ dense.r_UxV + 0.7 * smooth
  found = scores_of(gf_cf.gf_cf(rank=5, low_pass=0.7), data)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_cheby_cf_is_its_formula():
  data = make_data()
  dense = Dense(data)
  settings = {'order': 5, 'flatness': 2.0, 'degree_power': 0.3}
  found = scores_of(cheby_cf.cheby_cf(**settings, rank=4, low_pass=0.6), data)
  coefficients = cheby_cf.plateau_coefficients(5, 2.0)
  values, vectors = np.linalg.eigh(dense.r_UxV.T @ dense.r_UxV)
  # Chebyshev polynomials by their cosines, on each eigenvalue.
  angles = np.arccos(np.clip(1 - 2 * values, -1, 1))
  gains = sum(c * np.cos(k * angles) for k, c in enumerate(coefficients))
  kernel = (vectors * gains) @ vectors.T + 0.6 * dense.low_pass(4)
  power = dense.items_V**0.3
  expected = (dense.x_UxV / power) @ kernel * power
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('order', [1, 2, 3])
def test_turbo_cf_is_its_formula(order):
  data = make_data()
  dense = Dense(data)
  normalised = dense.x_UxV / dense.users_U[:, None] ** 0.6
  normalised /= dense.items_V**0.4
  p = (normalised.T @ normalised) ** 0.7
  polynomial = {
    1: p,
    2: 2 * p - p @ p,
    3: p + 0.01 * (-p @ p @ p + 10 * p @ p - 29 * p),
  }[order]
  model = turbo_cf.turbo_cf(user_power=0.6, power=0.7, order=order)
  np.testing.assert_allclose(
    scores_of(model, data), dense.x_UxV @ polynomial, rtol=1e-4, atol=1e-4
  )


def test_the_plateau_falls_from_one_to_zero():
  coefficients = cheby_cf.plateau_coefficients(8, 1.5)
  at = np.polynomial.chebyshev.chebval
  np.testing.assert_allclose(at(0, coefficients), 0.5, atol=1e-12)
  roots = -np.cos((np.arange(9) + 0.5) * np.pi / 9)
  values = at(roots, coefficients)
  assert (np.diff(values) < 0).all()
  np.testing.assert_allclose(values[[0, -1]], [1, 0], atol=1e-12)
  np.testing.assert_allclose(values + values[::-1], 1, atol=1e-12)
  # The authors' program, which rounds the plateau to three decimals.
  np.testing.assert_allclose(
    coefficients[[1, 3, 5]], [-0.4927, -0.0323, 0.0211], atol=4e-4
  )


def test_a_user_scores_the_same_alone_and_among_many():
  data = make_data(num_users=150)
  model = cheby_cf.cheby_cf(rank=4)
  state = model.fit(data, KEY).state
  rows = data.by_user_and_time()
  every = method_lib.Histories.of(rows, np.arange(150))
  one = method_lib.Histories.of(rows, np.array([140]))
  np.testing.assert_allclose(
    model.score(state, every)[140], model.score(state, one)[0], rtol=1e-4,
    atol=1e-6,
  )  # fmt: skip


@pytest.mark.parametrize(
  ('build', 'settings'),
  [
    (gf_cf.gf_cf, {'rank': 0}),
    (gf_cf.gf_cf, {'low_pass': -0.1}),
    (cheby_cf.cheby_cf, {'order': 0}),
    (cheby_cf.cheby_cf, {'flatness': 0.0}),
    (turbo_cf.turbo_cf, {'user_power': 1.1}),
    (turbo_cf.turbo_cf, {'order': 4}),
  ],
)
def test_an_unusable_setting_is_named(build, settings):
  (name,) = settings
  with pytest.raises(interactions.DataError, match=name):
    build(**settings)


MODELS = {
  'gf_cf': gf_cf.gf_cf(rank=4),
  'cheby_cf': cheby_cf.cheby_cf(rank=4),
  'turbo_cf': turbo_cf.turbo_cf(),
}


@pytest.mark.parametrize('name', MODELS)
def test_items_without_interactions_score_nothing(name):
  data = make_data()
  kept = data.rows(data.items != 3)
  scores = scores_of(MODELS[name], kept)
  assert np.isfinite(scores).all()
  assert (scores[:, 3] == 0).all()
  assert (scores[:, 4] != 0).any()


@pytest.mark.parametrize('name', MODELS)
def test_retraining_fits_the_source_and_the_evidence(name):
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = adapting.retrained(MODELS[name])
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, new, KEY)
  whole = MODELS[name].fit(joining.join_users(source, new), KEY)
  histories = method_lib.Histories.of(new.by_user_and_time(), np.arange(2))
  np.testing.assert_array_equal(
    method.score(adapted.state, histories),
    MODELS[name].score(whole.state, histories),
  )
  assert adapted.cost == whole.cost
  with pytest.raises(method_lib.CannotServe, match='empty histories'):
    method.adapt(shared.state, new.rows([]), KEY)
