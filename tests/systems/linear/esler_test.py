"""Tests of ESLER and ELSA under the policies."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions, joining
from hyperrec.systems.linear import ease, esler
from tests.makers import make_data

KEY = jax.random.key(0)


def histories(data):
  return method_lib.Histories.of(
    data.by_user_and_time(), np.arange(data.num_users)
  )


def finetuned(model):
  return adapting.finetuned(model, on=adapting.everything)


def scores_of(method, source, evidence, judged):
  shared = method.prepare(source, KEY).state
  adapted = method.adapt(shared, evidence, KEY).state
  return np.asarray(method.score(adapted, histories(judged)))


def full(**changes):
  return esler.esler(**{'l2': 5.0, 'tolerance': 1e-4, **changes})


def low(**changes):
  return esler.elsa(**{'rank': 8, 'epochs': 3, 'batch_size': 10, **changes})


@pytest.mark.parametrize('num_users', [12, 60])
def test_the_fit_is_the_closed_form(num_users):
  data = make_data(num_users)
  found = full().fit(data, KEY).state.dense()
  exact = ease.ease(l2=5.0).fit(data, KEY).state
  exact = exact.dense() if hasattr(exact, 'dense') else exact
  assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)
  np.testing.assert_array_equal(np.diag(found), 0)


def test_adaptation_goes_on_and_ends_at_the_retrained_model():
  data = make_data(60)
  source, new = data.take_users(np.arange(57)), data.take_users([57, 58, 59])
  method = finetuned(full())
  shared = method.prepare(source, KEY).state
  before = np.array(shared.state.weights)
  adapted, cost = method.adapt(shared, new, KEY)
  np.testing.assert_array_equal(shared.state.weights, before)
  scores = np.asarray(method.score(adapted, histories(new)))
  retrained = adapting.retrained(full())
  expected = scores_of(retrained, source, new, new)
  np.testing.assert_allclose(scores, expected, atol=2e-3)
  again = retrained.adapt(retrained.prepare(source, KEY).state, new, KEY)
  assert 0 < cost.operations <= again.cost.operations


def test_items_new_to_the_users_of_the_source_enter():
  data = make_data(60)
  source = data.take_users(np.arange(57))
  source = source.rows(source.items != 7)
  new = data.take_users([57, 58, 59])
  assert 7 in new.items
  everyone = joining.join_users(source, new)
  exact = ease.ease(l2=5.0)
  expected = exact.score(exact.fit(everyone, KEY).state, histories(new))
  found = scores_of(finetuned(full()), source, new, new)
  np.testing.assert_allclose(found, expected, atol=2e-3)


def test_elsa_learns_and_goes_on():
  data = make_data(60)
  source, new = data.take_users(np.arange(50)), data.take_users([50, 51])
  method = finetuned(low())
  shared = method.prepare(source, KEY).state
  before = np.array(shared.state['factors'])
  adapted = method.adapt(shared, new, KEY).state
  np.testing.assert_array_equal(shared.state['factors'], before)
  assert not np.array_equal(adapted['factors'], before)
  scores = method.score(adapted, histories(new))
  assert scores.shape == (2, data.num_items)
  assert scores.dtype == np.float32


def test_elsa_overfits_a_batch():
  rows = [(user, (user % 2) * 5 + i) for user in range(8) for i in range(5)]
  data = interactions.from_columns(*zip(*rows, strict=True))
  model = low(rank=4, epochs=100, batch_size=8)
  scores = model.score(model.fit(data, KEY).state, histories(data))
  seen = data.csr().toarray() > 0
  assert np.where(seen, scores, np.inf).min() > 0.9
  assert np.where(seen, -np.inf, scores).max() < 0.1


def test_elsa_scores_are_those_of_its_module():
  data = make_data()
  model = low()
  params = model.fit(data, KEY).state
  module = esler.gradient_autoencoder.ELSA(data.num_items, 8)
  expected = module.apply({'params': params}, data.csr().toarray())
  found = model.score(params, histories(data))
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('build', [full, low])
def test_retraining_on_a_new_catalogue_is_on_the_evidence_alone(build):
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  model = build()
  found = scores_of(adapting.retrained(model), source, target, target)
  expected = model.score(model.fit(target, KEY).state, histories(target))
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  assert found.shape == (target.num_users, 15)


@pytest.mark.parametrize('build', [full, low])
def test_retraining_prepares_nothing(build):
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = adapting.retrained(build())
  shared = method.prepare(source, KEY)
  assert shared.cost == method_lib.Cost()
  assert method.adapt(shared.state, new, KEY).cost.operations > 0


@pytest.mark.parametrize('build', [full, low])
def test_what_cannot_be_served_is_refused(build):
  data = make_data()
  method = finetuned(build())
  shared = method.prepare(data.take_items(range(15)), KEY).state
  target = data.take_items(range(15, 30))
  with pytest.raises(method_lib.CannotServe, match='retrain it'):
    method.adapt(shared, target, KEY)
  nobody = target.take_users(np.arange(0))
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    adapting.retrained(build()).adapt(shared, nobody, KEY)
  some = data.take_items(range(15))
  shared = method.prepare(some.take_users(range(1, some.num_users)), KEY).state
  silent = some.rows(np.array([], int)).take_users([0])
  with pytest.raises(method_lib.CannotServe, match='empty histories'):
    method.adapt(shared, silent, KEY)


def test_elsa_cannot_be_trained_without_interactions():
  nobody = make_data().take_users(np.arange(0))
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    low().fit(nobody, KEY)


def test_steps_end_at_the_limit():
  data = make_data()
  short, longer = (
    full(tolerance=0.0, max_steps=steps).fit(data, KEY).cost.operations
    for steps in (3, 7)
  )
  products = esler.gradient_autoencoder.descent_flops
  added = products(40, 30, 7) - products(40, 30, 3)
  assert longer - short == pytest.approx(added)


def test_a_penalty_that_is_not_positive_is_refused():
  with pytest.raises(ValueError, match='l2=0'):
    esler.esler(l2=0.0)


def test_elsa_step_flops_are_those_of_the_compiled_step():
  model = esler.gradient_autoencoder.ELSA(400, 50)
  step_fn, tx = esler._elsa_step(model, 0.1)
  state = jax.eval_shape(
    lambda: esler.step_lib.init_state(esler._elsa_init(model, KEY), tx, KEY)
  )
  compiled = step_fn.lower(state, np.ones((100, 400), bool)).compile()
  counted = esler.gradient_autoencoder.elsa_step_flops(400, 50, 100)
  assert compiled.cost_analysis()['flops'] == pytest.approx(counted, rel=0.2)
