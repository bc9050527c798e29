"""Tests of hyperrec.systems.linear.gradient_autoencoder."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.linear import gradient_autoencoder as ga

U, V, L2 = 40, 12, 3.0
MODEL = ga.ESLER(V)


def _x():
  return (np.random.default_rng(0).random((U, V)) < 0.4).astype(np.float32)


def _datas():
  x = _x()
  return {
    'rows': ga.Rows(jnp.asarray(x)),
    'gram': ga.Gram(jnp.asarray(x.T @ x)),
  }


def _closed_form():
  x = _x().astype(np.float64)
  precision = np.linalg.inv(x.T @ x + L2 * np.eye(V))
  weights = -precision / np.diag(precision)
  np.fill_diagonal(weights, 0)
  return weights


def _random_params():
  weights = np.random.default_rng(1).normal(size=(V, V))
  return {'weights': jnp.asarray(weights, jnp.float32)}


def _loss(params, data):
  return MODEL.apply({'params': params}, data, L2, method=MODEL.loss)


_step = jax.jit(ga.descend, static_argnums=0)


def _descend(data, steps, params=None):
  params = params or {'weights': jnp.zeros((V, V))}
  memory = ga.start_descent(MODEL, params, data, L2)
  history = []
  for _ in range(steps):
    params, memory, metrics = _step(MODEL, params, memory, data, L2)
    history.append(metrics)
  return params, history


def _error(params):
  difference = np.asarray(params['weights']) - _closed_form()
  return np.linalg.norm(difference) / np.linalg.norm(_closed_form())


def test_an_item_never_scores_itself():
  scores = MODEL.apply({'params': _random_params()}, jnp.eye(V))
  np.testing.assert_array_equal(np.diag(scores), 0)
  chex.assert_shape(scores, (V, V))
  chex.assert_type(scores, jnp.float32)


@pytest.mark.parametrize('form', ['rows', 'gram'])
def test_gradient_is_that_of_the_objective(form):
  params = _random_params()
  weights = np.asarray(params['weights'], np.float64)
  np.fill_diagonal(weights, 0)
  x = _x().astype(np.float64)
  expected = x.T @ (x @ weights - x) + L2 * weights
  np.fill_diagonal(expected, 0)
  grads = jax.grad(_loss)(params, _datas()[form])['weights']
  np.testing.assert_allclose(grads, expected, rtol=1e-4, atol=1e-3)


def test_both_forms_differ_by_a_constant():
  datas = _datas()
  zero, some = {'weights': jnp.zeros((V, V))}, _random_params()
  differences = [
    float(_loss(p, datas['rows']) - _loss(p, datas['gram']))
    for p in (zero, some)
  ]
  np.testing.assert_allclose(differences, 0.5 * _x().sum(), rtol=1e-4)


@pytest.mark.parametrize('form', ['rows', 'gram'])
def test_reaches_the_closed_form(form):
  params, history = _descend(_datas()[form], steps=15)
  assert _error(params) < 1e-4
  np.testing.assert_array_equal(np.diag(params['weights']), 0)
  losses = [float(metrics['loss']) for metrics in history]
  assert losses == sorted(losses, reverse=True)
  np.testing.assert_allclose(
    losses[-1], float(_loss(params, _datas()[form])), rtol=1e-4
  )


def test_goes_on_from_any_weights():
  start = _random_params()
  weights = start['weights'] * (1 - jnp.eye(V))
  params, _ = _descend(_datas()['gram'], 15, {'weights': weights})
  assert _error(params) < 1e-4


def test_the_error_bound_holds():
  params = None
  for steps in (1, 3, 6):
    params, history = _descend(_datas()['gram'], steps)
    distance = np.linalg.norm(params['weights'] - _closed_form())
    error = distance / np.linalg.norm(params['weights'])
    assert error <= float(history[-1]['error_bound'])


def test_an_item_without_users_stays_at_zero():
  x = _x()
  x[:, 4] = 0
  data = ga.Gram(jnp.asarray(x.T @ x))
  params, history = _descend(data, 20)
  weights = np.asarray(params['weights'])
  assert np.isfinite(weights).all()
  assert not weights[4].any()
  assert not weights[:, 4].any()
  assert np.isfinite(float(history[-1]['loss']))


def test_jit_equals_no_jit():
  data = _datas()['gram']
  params = {'weights': jnp.zeros((V, V))}
  memory = ga.start_descent(MODEL, params, data, L2)
  chex.assert_trees_all_close(
    _step(MODEL, params, memory, data, L2),
    ga.descend(MODEL, params, memory, data, L2),
    rtol=1e-4,
    atol=1e-4,
  )


@pytest.mark.parametrize('users', [20, 200])
def test_flops_are_those_of_the_compiled_step(users):
  items = 100
  model = ga.ESLER(items)
  assert ga.is_rows_cheaper(users, items) == (users == 20)
  data = ga.Gram(jnp.ones((items, items)))
  if ga.is_rows_cheaper(users, items):
    data = ga.Rows(jnp.ones((users, items)))
  params = {'weights': jnp.zeros((items, items))}
  memory = ga.start_descent(model, params, data, L2)
  compiled = _step.lower(model, params, memory, data, L2).compile()
  counted = ga.descent_flops(users, items, 0)
  assert compiled.cost_analysis()['flops'] == pytest.approx(counted, rel=0.15)


def test_elsa_has_a_zero_diagonal_and_is_symmetric():
  model = ga.ELSA(V, rank=3)
  params = model.init(jax.random.key(0), jnp.zeros((1, V)))
  scores = np.asarray(model.apply(params, jnp.eye(V)))
  np.testing.assert_allclose(np.diag(scores), 0, atol=1e-6)
  np.testing.assert_allclose(scores, scores.T, atol=1e-6)
  assert params['params']['factors'].shape == (V, 3)


def test_normalised_squared_error_by_hand():
  scores = jnp.array([[3.0, 4.0], [0.0, 2.0]])
  x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
  # Unit vectors (.6, .8) and (1, 0): error .16 + .64; the second row has none.
  loss = ga.normalised_squared_error(scores, x)
  np.testing.assert_allclose(loss, 0.4, rtol=1e-6)


def test_normalised_error_of_an_empty_row_has_a_gradient():
  grads = jax.grad(ga.normalised_squared_error)(
    jnp.zeros((2, 3)), jnp.zeros((2, 3))
  )
  assert np.isfinite(grads).all()


def test_elsa_by_items_has_the_loss_and_gradient_of_the_scores():
  random = np.random.default_rng(0)
  mask = np.arange(6) < np.array([[1], [3], [6], [2]])
  items = np.stack([random.permutation(V)[:6] for _ in mask])
  x = np.zeros((len(mask), V), np.float32)
  x[np.nonzero(mask)[0], items[mask]] = 1
  model = ga.ELSA(V, rank=3)
  params = model.init(jax.random.key(0), x)['params']

  def by_scores(params):
    scores = model.apply({'params': params}, x)
    return ga.normalised_squared_error(scores, x)

  by_items = lambda params: ga.elsa_loss_of_items(params, items, mask)  # noqa: E731
  expected, found = (
    jax.jit(jax.value_and_grad(loss))(params) for loss in (by_scores, by_items)
  )
  np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
  chex.assert_trees_all_close(found[1], expected[1], atol=1e-5)
