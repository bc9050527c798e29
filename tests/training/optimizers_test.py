"""Compares the optimizer with that of Optax; its state has the schedule."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec.training import optimizers


def make_params():
  random = np.random.default_rng(0)
  matrix = jnp.asarray(random.normal(size=(3, 2)), jnp.float32)
  return {'matrix': matrix, 'bias': jnp.ones(2)}


def test_it_is_adamw_along_a_cosine():
  params = make_params()
  tx = optimizers.cosine_adamw(0.01, 5, weight_decay=0.1)
  theirs = optax.adamw(
    optax.cosine_decay_schedule(0.01, 5),
    weight_decay=0.1,
    mask={'matrix': True, 'bias': False},
  )
  state, their_state = tx.init(params), theirs.init(params)
  for step in range(7):
    grads = jax.tree.map(functools.partial(jnp.multiply, step - 2.0), params)
    found, state = tx.update(grads, state, params)
    expected, their_state = theirs.update(grads, their_state, params)
    chex.assert_trees_all_close(found, expected, atol=1e-7)
  assert not any(leaf.any() for leaf in jax.tree.leaves(found))


def test_one_update_serves_runs_of_every_length():
  params = make_params()
  update = jax.jit(optimizers.cosine_adamw(0.0, 0).update)
  for lr, num_steps in ((0.01, 5), (0.1, 50)):
    tx = optimizers.cosine_adamw(lr, num_steps)
    found, _ = update(params, tx.init(params), params)
    expected, _ = tx.update(params, tx.init(params), params)
    chex.assert_trees_all_close(found, expected, atol=1e-7)
    assert abs(found['bias'] + lr).max() < 1e-6
  assert update._cache_size() == 1
