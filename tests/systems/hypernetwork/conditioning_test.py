"""Tests of hyperrec.systems.hypernetwork.conditioning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.hypernetwork import conditioning

# An implementation of random numbers that compiles fast.
KEY = jax.random.key(0, impl='unsafe_rbg')
V, F, L, Z = 9, 3, 6, 8
MASK = np.array([True, True, False, True, False, False])
ITEMS = np.array([4, 1, 0, 7, 0, 0])
ROWS = np.random.default_rng(0).normal(size=(L, F)).astype(np.float32)


def _items(items=ITEMS, mask=MASK):
  return conditioning.MaskedSet(jnp.asarray(items), jnp.asarray(mask))


ENCODERS = {
  'vector': (conditioning.VectorEncoder(F, Z), jnp.asarray(ROWS[0])),
  'interactions': (conditioning.InteractionEncoder(V, Z), _items()),
}


@functools.cache
def _params(name):
  encoder, example = ENCODERS[name]
  return jax.jit(encoder.init)(KEY, example)


@functools.partial(jax.jit, static_argnums=0)
def _apply_with(encoder, params, x):
  return encoder.apply(params, x)


def _apply(name, x):
  return _apply_with(ENCODERS[name][0], _params(name), x)


@pytest.mark.parametrize('name', ENCODERS)
def test_encodings_have_constant_norm(name):
  z = _apply(name, ENCODERS[name][1])
  assert z.shape == (Z,)
  np.testing.assert_allclose(jnp.linalg.norm(z), np.sqrt(Z), rtol=1e-5)


def test_the_length_of_a_vector_does_not_matter():
  x = ENCODERS['vector'][1]
  np.testing.assert_allclose(
    _apply('vector', 1000 * x), _apply('vector', x), rtol=1e-4, atol=1e-5
  )


def test_constant_norm_of_zero_is_zero_with_a_gradient():
  total = lambda x: conditioning.constant_norm(x).sum()  # noqa: E731
  gradient = jax.jit(jax.grad(total))(jnp.zeros(3))
  np.testing.assert_array_equal(gradient, np.zeros(3))
  # So is a rounding error, whose gradient would not be finite.
  for size in (1e-18, 1e-14, 1e-11, 1e-9):
    gradient = jax.jit(jax.grad(total))(jnp.full(3, size))
    assert np.isfinite(gradient).all()
  norms = jnp.linalg.norm(conditioning.constant_norm(1e-6 * ROWS), axis=1)
  np.testing.assert_allclose(norms, np.sqrt(F), rtol=1e-5)


def test_numbers_on_the_quarter_circle():
  encoded = conditioning.cos_sin(jnp.array([0.0, 1.0, 0.3]))
  np.testing.assert_allclose(jnp.linalg.norm(encoded), np.sqrt(6), rtol=1e-6)
  ends = np.sqrt(2) * np.array([1, 0, 0, 1])
  np.testing.assert_allclose(encoded[np.array([0, 1, 3, 4])], ends, atol=1e-6)


def test_order_and_padding_do_not_matter():
  name, make, members = 'interactions', _items, ITEMS
  z = _apply(name, make())
  order = np.array([5, 3, 1, 0, 4, 2])
  shuffled = _apply(name, make(members[order], MASK[order]))
  np.testing.assert_allclose(shuffled, z, rtol=1e-5, atol=1e-5)
  garbage = members.copy()
  garbage[~MASK] = 2
  np.testing.assert_allclose(_apply(name, make(garbage)), z, atol=1e-6)
  mask = np.append(MASK, [False] * L)
  longer = make(np.concatenate([members, members]), mask)
  np.testing.assert_allclose(_apply(name, longer), z, rtol=1e-5, atol=1e-5)
  fewer = _apply(name, make(members, MASK & (np.arange(L) > 0)))
  assert float(jnp.abs(fewer - z).max()) > 1e-2


def test_an_empty_set_is_zero_with_finite_gradients():
  name = 'interactions'
  empty = _items(ITEMS, np.zeros(L, bool))
  np.testing.assert_array_equal(_apply(name, empty), np.zeros(Z))
  encoder = ENCODERS[name][0]
  total = lambda params: encoder.apply(params, empty).sum()  # noqa: E731
  grads = jax.jit(jax.grad(total))(_params(name))
  assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_the_size_of_a_set_is_seen():
  one = _items([1] * L, np.arange(L) < 1)
  many = _items([1] * L, np.arange(L) < 6)
  difference = _apply('interactions', one) - _apply('interactions', many)
  assert float(jnp.abs(difference).max()) > 1e-2


def test_multi_hot_rows_are_sets():
  x = np.zeros((2, V), bool)
  x[0, ITEMS[MASK]] = True
  x[1, :3] = True
  batch = conditioning.MaskedSet(jnp.arange(V), jnp.asarray(x))
  encode = functools.partial(_apply, 'interactions')
  axes = conditioning.MaskedSet(None, 0)
  z = jax.vmap(encode, in_axes=(axes,))(batch)
  second = _items(np.arange(L), np.arange(L) < 3)
  for row, one in zip(z, (_items(), second), strict=True):
    np.testing.assert_allclose(row, encode(one), rtol=1e-4, atol=1e-5)


def test_a_wrong_width_is_named():
  with pytest.raises(ValueError, match=f'encoder of width {F}'):
    _apply('vector', jnp.ones(F + 1))
