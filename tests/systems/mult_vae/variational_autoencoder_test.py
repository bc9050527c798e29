"""Tests of hyperrec.systems.mult_vae.variational_autoencoder."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.mult_vae import variational_autoencoder as vae

B, V = 5, 11
KEY = jax.random.key(0)
RNGS = {'dropout': jax.random.key(1), 'sample': jax.random.key(2)}


def _models():
  return {
    'vae': vae.MultVAE(V, hidden_dim=8, latent_dim=3),
    'dae': vae.MultDAE(V, latent_dim=3),
  }


def _rows():
  rows = np.random.default_rng(0).random((B, V)) < 0.4
  rows[:, 0] = True
  return rows


@functools.partial(jax.jit, static_argnums=0)
def _params(model):
  return model.init(KEY, jnp.zeros((1, model.num_items)), train=False)['params']


def _apply(model, params, x, train=False, rngs=RNGS):
  return model.apply({'params': params}, x, train=train, rngs=rngs)


_jitted = jax.jit(_apply, static_argnums=(0, 3))


@pytest.mark.parametrize('name', ['vae', 'dae'])
@pytest.mark.parametrize('train', [False, True])
def test_shapes_and_types(name, train):
  model = _models()[name]
  out = _jitted(model, _params(model), _rows(), train)
  chex.assert_shape(out.logits, (B, V))
  chex.assert_shape(out.kl, (B,))
  chex.assert_type([out.logits, out.kl], jnp.float32)
  chex.assert_tree_all_finite(out)


@pytest.mark.parametrize('name', ['vae', 'dae'])
def test_jit_equals_no_jit(name):
  model = _models()[name]
  params = _params(model)
  jitted = _jitted(model, params, _rows(), True)
  plain = _apply(model, params, _rows(), True)
  chex.assert_trees_all_close(jitted, plain, rtol=1e-5, atol=1e-6)


def test_forward_pass_by_hand():
  model = _models()['vae']
  params = jax.tree.map(np.asarray, _params(model))
  layer = lambda name, x: x @ params[name]['kernel'] + params[name]['bias']  # noqa: E731
  x = _rows() / np.linalg.norm(_rows(), axis=1, keepdims=True)
  moments = layer('moments', np.tanh(layer('hidden_in', x)))
  mean, logvar = moments[:, :3], moments[:, 3:]
  kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(1)
  logits = layer('logits', np.tanh(layer('hidden_out', mean)))
  out = _apply(model, params, _rows())
  np.testing.assert_allclose(out.logits, logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(out.kl, kl, rtol=1e-3, atol=1e-5)


def test_initial_weights_are_xavier_and_biases_tiny():
  model = vae.MultVAE(500, hidden_dim=300, latent_dim=100)
  params = _params(model)
  assert vae.layer_sizes(params) == (
    (500, 300),
    (300, 200),
    (100, 300),
    (300, 500),
  )
  limit = np.sqrt(6 / 800)
  kernel = params['hidden_in']['kernel']
  assert 0.99 * limit < float(jnp.abs(kernel).max()) <= limit
  bias = params['logits']['bias']
  assert 0.0005 < float(bias.std()) < 0.001
  assert float(jnp.abs(bias).max()) <= 0.002


def test_an_empty_row_is_scored_without_nan():
  model = _models()['vae']
  params = _params(model)
  empty = np.zeros((B, V), bool)
  grads = jax.grad(lambda p: _jitted(model, p, empty).logits.sum())(params)
  chex.assert_tree_all_finite(grads)


def test_noise_and_dropout_only_in_training():
  model = _models()['vae']
  params = _params(model)
  other = {'dropout': jax.random.key(8), 'sample': jax.random.key(9)}
  for train in (False, True):
    first = _jitted(model, params, _rows(), train).logits
    second = _jitted(model, params, _rows(), train, other)
    assert bool(jnp.allclose(first, second.logits)) != train


def test_dropout_keeps_the_share_and_the_mean():
  x = jnp.ones((50, 1001))
  for rate in (0.5, 0.2):
    out = np.asarray(vae.byte_dropout(KEY, x, rate))
    assert abs((out == 0).mean() - rate) < 0.01
    assert abs(out.mean() - 1) < 0.02
    assert len(np.unique(out)) == 2


def test_nll_of_a_hand_made_row():
  logits = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
  x = jnp.array([[1.0, 1.0, 0.0]])
  np.testing.assert_allclose(
    vae.multinomial_nll(logits, x), [np.log(2) + np.log(4)], rtol=1e-6
  )


def test_penalty_is_on_kernels_only():
  params = {
    'a': {'kernel': jnp.array([[1.0, 2.0]]), 'bias': jnp.array([9.0])},
    'b': {'kernel': jnp.array([[3.0]]), 'bias': jnp.array([9.0])},
  }
  assert float(vae.kernel_penalty(params)) == 14.0


def test_inner_layers_move_to_another_catalogue():
  trained = _params(_models()['vae'])
  other = vae.MultVAE(6, hidden_dim=8, latent_dim=3)
  shapes = jax.eval_shape(lambda: _params(other))
  fresh = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
  moved = vae.keep_inner_layers(trained, fresh)
  assert vae.layer_sizes(moved) == ((6, 8), (8, 6), (3, 8), (8, 6))
  for name in ('moments', 'hidden_out'):
    np.testing.assert_array_equal(
      moved[name]['kernel'], trained[name]['kernel']
    )
  np.testing.assert_array_equal(
    moved['logits']['kernel'], fresh['logits']['kernel']
  )
  chex.assert_shape(_apply(other, moved, np.ones((2, 6))).logits, (2, 6))


def test_flops_of_a_hand_counted_step():
  # Layers 2 x 3 and 3 x 2, a batch of 1: the forward pass takes 6 + 6
  # multiply-adds, the backward pass 6 and 6 + 6.
  assert vae.train_step_flops(((2, 3), (3, 2)), 1) == 2 * 30 + 14 * 12
