"""Attention against a loop; what a block may see, shown by gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.nn import transformer

B, L, D, H = 2, 5, 8, 2


def random_input():
  x = np.random.default_rng(0).normal(size=(B, L, D))
  return jnp.asarray(x, jnp.float32)


def random_params(module, allowed):
  """Random parameters; not `init`, whose compilation takes a second."""
  random = np.random.default_rng(1)
  init = functools.partial(module.init, jax.random.key(0))
  return jax.tree.map(
    lambda form: jnp.asarray(random.normal(size=form.shape), form.dtype) / 2,
    jax.eval_shape(init, random_input(), allowed),
  )


def make(norm_first, mask, causal):
  """A block's parameters and its pass over [B, L, D] under a mask."""
  block = transformer.Block(num_heads=H, hidden_dim=16, norm_first=norm_first)
  allowed = transformer.attention_mask(jnp.asarray(mask), causal=causal)
  params = random_params(block, allowed)
  return params, jax.jit(lambda x: block.apply(params, x, allowed))


def all_real():
  return np.ones((B, L), bool)


def influence(apply, x):
  """[b, q, k]: the size of d output[b, q] / d input[b, k]."""
  jacobian = jax.jit(jax.jacobian(apply))(x)
  sizes = jnp.abs(jacobian).sum(axis=(2, 5))
  return np.asarray(jnp.einsum('bqbk->bqk', sizes))


def test_attention_mask():
  mask = jnp.array([[True, True, False]])
  np.testing.assert_array_equal(
    transformer.attention_mask(mask), [[[1, 1, 0]] * 3]
  )
  np.testing.assert_array_equal(
    transformer.attention_mask(mask, causal=True),
    [[[1, 0, 0], [1, 1, 0], [1, 1, 0]]],
  )


def test_attention_is_the_formula():
  layer = transformer.Attention(num_heads=H)
  x = random_input()
  mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
  allowed = transformer.attention_mask(jnp.asarray(mask))
  variables = random_params(layer, allowed)
  found = jax.jit(layer.apply)(variables, x, allowed)
  params, x = jax.tree.map(np.asarray, (variables['params'], x))

  def dense(name, h):
    return h @ params[name]['kernel'] + params[name]['bias']

  for b in range(B):
    mixed = []
    for part in np.split(np.arange(D), H):
      q, k, v = (
        dense(name, x[b])[:, part] for name in ('query', 'key', 'value')
      )
      weights = np.exp(q @ k.T / np.sqrt(D // H)) * mask[b]
      mixed.append(weights / weights.sum(axis=1, keepdims=True) @ v)
    expected = dense('out', np.concatenate(mixed, axis=1))
    np.testing.assert_allclose(found[b], expected, atol=1e-5)


@pytest.mark.parametrize('norm_first', [False, True])
def test_causal_blocks_see_no_later_position(norm_first):
  _, apply = make(norm_first, all_real(), causal=True)
  seen = influence(apply, random_input())
  np.testing.assert_array_equal(seen > 0, np.tril(np.ones((B, L, L), bool)))


def test_what_is_masked_is_not_seen():
  mask = all_real()
  mask[0, 3:] = False
  _, apply = make(False, mask, causal=False)
  seen = influence(apply, random_input()) > 0
  assert not seen[0, :3, 3:].any()
  assert seen[0, :3, :3].all()
  assert seen[1].all()


def test_padding_changes_nothing():
  mask = all_real()
  mask[:, 3:] = False
  params, apply = make(True, mask, causal=False)
  x = random_input()
  block = transformer.Block(num_heads=H, hidden_dim=16, norm_first=True)
  short = transformer.attention_mask(jnp.ones((B, 3), bool))
  np.testing.assert_allclose(
    apply(x)[:, :3], jax.jit(block.apply)(params, x[:, :3], short), atol=1e-5
  )


def test_jit_changes_nothing():
  _, apply = make(True, all_real(), causal=True)
  x = random_input()
  with jax.disable_jit():
    plain = apply(x)
  np.testing.assert_allclose(apply(x), plain, atol=1e-5)


def test_order_is_not_seen_without_positions():
  _, apply = make(False, all_real(), causal=False)
  x = random_input()
  order = np.array([3, 0, 4, 1, 2])
  np.testing.assert_allclose(apply(x[:, order]), apply(x)[:, order], atol=1e-5)


def test_where_the_norm_stands():
  x = 7 + random_input()
  params, apply = make(False, all_real(), causal=False)
  norm = jax.tree.map(np.asarray, params['params']['net_norm'])
  left = (np.asarray(apply(x)) - norm['bias']) / norm['scale']
  np.testing.assert_allclose(left.mean(axis=-1), 0, atol=1e-4)
  np.testing.assert_allclose(left.std(axis=-1), 1, atol=1e-3)
  block = transformer.Block(num_heads=H, hidden_dim=16, norm_first=True)
  silent = jax.tree.map(jnp.zeros_like, params)
  allowed = transformer.attention_mask(jnp.asarray(all_real()))
  np.testing.assert_array_equal(block.apply(silent, x, allowed), x)


def test_a_position_that_sees_nothing_is_finite():
  mask = all_real()
  mask[0] = False
  _, apply = make(False, mask, causal=False)
  x = random_input()
  assert np.isfinite(apply(x)).all()
  assert np.isfinite(jax.jit(jax.grad(lambda x: apply(x).sum()))(x)).all()


def test_heads_that_do_not_fit():
  layer = transformer.Attention(num_heads=3)
  allowed = transformer.attention_mask(jnp.ones((B, L), bool))
  with pytest.raises(ValueError, match='num_heads=3 must divide the width 8'):
    random_params(layer, allowed)


def test_sequences_of_a_row_do_not_see_each_other():
  segments = jnp.array([[1, 1, 2, 0]])
  np.testing.assert_array_equal(
    transformer.segment_mask(segments),
    [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]],
  )


def test_dropout_is_for_training_and_adds_no_parameter():
  allowed = transformer.attention_mask(jnp.ones((B, L), bool))
  x = random_input()
  plain, dropping = (
    transformer.Block(H, hidden_dim=16, norm_first=True, dropout=share)
    for share in (0.0, 0.5)
  )
  params = random_params(plain, allowed)
  np.testing.assert_array_equal(
    plain.apply(params, x, allowed), dropping.apply(params, x, allowed)
  )
  first, second = (
    dropping.apply(
      params, x, allowed, train=True, rngs={'dropout': jax.random.key(seed)}
    )
    for seed in range(2)
  )
  assert abs(first - second).max() > 0.1
