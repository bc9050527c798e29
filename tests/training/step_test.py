"""Tests of hyperrec.training.step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec.training import step as step_lib


def _loss(params, batch, key, step):
  noise = jax.random.normal(key, ())
  error = batch['x'] @ params['w'] - batch['y']
  loss = jnp.mean(error**2) + 0 * noise
  return loss, {'noise': noise, 'seen': step.astype(jnp.float32)}


def _batch():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(8, 3)).astype(np.float32)
  return {'x': x, 'y': x @ np.array([1.0, -2.0, 0.5], np.float32)}


def _state(tx, step=0):
  params = {'w': jnp.zeros(3)}
  return step_lib.init_state(params, tx, jax.random.key(1), step)


def test_overfits_one_batch():
  tx = optax.adam(0.1)
  step = step_lib.make_train_step(_loss, tx)
  state = _state(tx)
  for _ in range(200):
    state, metrics = step(state, _batch())
  assert float(metrics['loss']) < 1e-3
  assert int(state.step) == 200
  assert state.step.dtype == jnp.int32


def test_jit_equals_no_jit():
  tx = optax.sgd(0.1)
  step = step_lib.make_train_step(_loss, tx)
  jitted, _ = step(_state(tx), _batch())
  with jax.disable_jit():
    plain, _ = step(_state(tx), _batch())
  chex.assert_trees_all_close(jitted.params, plain.params, rtol=1e-5)


def test_first_step_is_the_hand_computed_one():
  tx = optax.sgd(0.5)
  step = step_lib.make_train_step(
    lambda p, b, k, s: (jnp.sum((p - b) ** 2), {}), tx
  )
  state = step_lib.init_state(jnp.array([1.0, 2.0]), tx, jax.random.key(0))
  state, metrics = step(state, np.array([0.0, 4.0], np.float32))
  assert float(metrics['loss']) == 5.0
  np.testing.assert_allclose(state.params, [0.0, 4.0])


def test_every_step_has_its_own_key_and_number():
  tx = optax.sgd(0.0)
  step = step_lib.make_train_step(_loss, tx)
  state, first = step(_state(tx, step=7), _batch())
  state, second = step(state, _batch())
  assert float(first['seen']) == 7
  assert float(second['seen']) == 8
  assert float(first['noise']) != float(second['noise'])


def test_one_trace():
  chex.clear_trace_counter()
  tx = optax.adam(0.1)
  step = step_lib.make_train_step(chex.assert_max_traces(_loss, n=1), tx)
  state = _state(tx)
  for _ in range(4):
    state, _ = step(state, _batch())
