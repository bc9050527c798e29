"""Tests of hyperrec.models.conditioning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.models import conditioning

KEY = jax.random.key(0)
V, F, L, Z = 9, 3, 6, 8
MASK = np.array([True, True, False, True, False, False])
ITEMS = np.array([4, 1, 0, 7, 0, 0])
ROWS = np.random.default_rng(0).normal(size=(L, F)).astype(np.float32)


def _items(items=ITEMS, mask=MASK):
  return conditioning.MaskedSet(jnp.asarray(items), jnp.asarray(mask))


def _rows(rows=ROWS, mask=MASK):
  return conditioning.MaskedSet(jnp.asarray(rows), jnp.asarray(mask))


ENCODERS = {
  'vector': (conditioning.VectorEncoder(F, Z), jnp.asarray(ROWS[0])),
  'statistics': (
    conditioning.StatisticsEncoder((0.0, 1.0, 2.0), (1.0, 2.0, 0.0), Z),
    jnp.asarray(ROWS[0]),
  ),
  'features': (conditioning.FeatureSetEncoder(F, Z), _rows()),
  'interactions': (conditioning.InteractionEncoder(V, Z), _items()),
}
SETS = {'features': (_rows, ROWS), 'interactions': (_items, ITEMS)}


def _apply(name, x):
  encoder, example = ENCODERS[name]
  return encoder.apply(jax.jit(encoder.init)(KEY, example), x)


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
  gradient = jax.jacobian(conditioning.constant_norm)(jnp.zeros(3))
  np.testing.assert_array_equal(gradient, np.zeros((3, 3)))
  norms = jnp.linalg.norm(conditioning.constant_norm(1e-6 * ROWS), axis=1)
  np.testing.assert_allclose(norms, np.sqrt(F), rtol=1e-5)


def test_numbers_on_the_quarter_circle():
  encoded = conditioning.cos_sin(jnp.array([0.0, 1.0, 0.3]))
  np.testing.assert_allclose(jnp.linalg.norm(encoded), np.sqrt(6), rtol=1e-6)
  ends = np.sqrt(2) * np.array([1, 0, 0, 1])
  np.testing.assert_allclose(encoded[np.array([0, 1, 3, 4])], ends, atol=1e-6)


def test_statistics_are_standardised_and_saturate():
  far = _apply('statistics', jnp.array([1e3, -1e4, 2.0]))
  further = _apply('statistics', jnp.array([1e6, -1e9, 2.0]))
  np.testing.assert_allclose(far, further, atol=1e-6)
  x = jnp.array([0.5, 2.0, 2.0])
  without_std = _apply('statistics', x.at[2].set(99.0))
  np.testing.assert_allclose(without_std, _apply('statistics', x), atol=1e-6)
  other = conditioning.StatisticsEncoder((10.0,) * 3, (4.0,) * 3, Z)
  same = conditioning.StatisticsEncoder((0.0,) * 3, (1.0,) * 3, Z)
  params = jax.jit(same.init)(KEY, x)
  np.testing.assert_allclose(
    other.apply(params, 10 + 4 * x), same.apply(params, x), atol=1e-5
  )


@pytest.mark.parametrize('name', SETS)
def test_order_and_padding_do_not_matter(name):
  make, members = SETS[name]
  z = _apply(name, make())
  order = np.array([5, 3, 1, 0, 4, 2])
  shuffled = _apply(name, make(members[order], MASK[order]))
  np.testing.assert_allclose(shuffled, z, rtol=1e-5, atol=1e-5)
  garbage = members.copy()
  garbage[~MASK] = 2
  np.testing.assert_allclose(_apply(name, make(garbage)), z, atol=1e-6)
  longer = make(
    np.concatenate([members, members]), np.append(MASK, [False] * L)
  )
  np.testing.assert_allclose(_apply(name, longer), z, rtol=1e-5, atol=1e-5)
  fewer = _apply(name, make(members, MASK & (np.arange(L) > 0)))
  assert float(jnp.abs(fewer - z).max()) > 1e-2


@pytest.mark.parametrize('name', SETS)
def test_an_empty_set_is_zero_with_finite_gradients(name):
  make, members = SETS[name]
  encoder, example = ENCODERS[name]
  params = jax.jit(encoder.init)(KEY, example)
  empty = make(members, np.zeros(L, bool))
  np.testing.assert_array_equal(encoder.apply(params, empty), np.zeros(Z))
  grads = jax.grad(lambda p: encoder.apply(p, empty).sum())(params)
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
  encoder, example = ENCODERS['interactions']
  params = jax.jit(encoder.init)(KEY, example)
  encode = lambda members: encoder.apply(params, members)  # noqa: E731
  axes = conditioning.MaskedSet(None, 0)
  z = jax.vmap(encode, in_axes=(axes,))(batch)
  np.testing.assert_allclose(z[0], encode(example), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
    z[1], encode(_items([0, 1, 2], [True] * 3)), rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize(
  ('name', 'wrong'),
  [
    ('vector', jnp.ones(F + 1)),
    ('statistics', jnp.ones(F - 1)),
    ('features', _rows(np.ones((L, F + 2), np.float32))),
  ],
)
def test_a_wrong_width_is_named(name, wrong):
  with pytest.raises(ValueError, match=f'encoder of width {F}'):
    _apply(name, wrong)
