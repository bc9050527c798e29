"""Tests of hyperrec.models.hypernetwork and of its output forms."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import FrozenDict

from hyperrec.models import conditioning, hypernetwork, output_forms

KEY = jax.random.key(0)
F, D = 4, 5
FORMS = {
  'film': output_forms.Film(),
  'mixture': output_forms.Mixture(num_bases=3),
  'low_rank': output_forms.LowRank(rank=2),
  'chunked': output_forms.Chunked(chunk_size=16, embedding_dim=8),
  'full': output_forms.Full(),
}
X = jax.random.normal(jax.random.key(1), (8, D))
TASKS = jax.random.normal(jax.random.key(2), (2, F))
all_forms = pytest.mark.parametrize('form', FORMS)


class Target(nn.Module):
  """Kernels, biases, a norm's scale and a leaf of three axes."""

  @nn.compact
  def __call__(self, x):
    x = nn.LayerNorm(name='norm')(nn.Dense(6, name='encoder')(x))
    x = nn.DenseGeneral((2, 3), name='heads')(jnp.tanh(x))
    return nn.Dense(3, name='decoder')(x.reshape(*x.shape[:-2], 6))


MODULE = Target()
PATHS = {
  ('norm', 'scale'), ('norm', 'bias'), ('encoder', 'kernel'),
  ('encoder', 'bias'), ('heads', 'kernel'), ('heads', 'bias'),
  ('decoder', 'kernel'), ('decoder', 'bias'),
}  # fmt: skip


@functools.cache
def template():
  return jax.eval_shape(MODULE.init, KEY, X)['params']


@functools.cache
def base():
  return jax.jit(MODULE.init)(KEY, X)['params']


def network(form, **options):
  encoder = conditioning.VectorEncoder(F, z_dim=6, hidden_dim=7)
  return hypernetwork.Hypernetwork(encoder, FORMS[form], **options)


@functools.cache
def fresh(form):
  return hypernetwork.init(network(form), KEY, TASKS[0], base())


@functools.cache
def moved(form):
  """Parameters away from their start, as after some training."""
  leaves, tree = jax.tree.flatten(fresh(form))
  keys = jax.random.split(jax.random.key(3), len(leaves))
  noise = lambda key, leaf: leaf + 0.3 * jax.random.normal(key, leaf.shape)  # noqa: E731
  return tree.unflatten(map(noise, keys, leaves))


@functools.partial(jax.jit, static_argnames=('form', 'parts'))
def generate(form, theta, task, start, parts=hypernetwork.everything):
  return hypernetwork.generate(network(form), theta, task, start, parts)


def is_equal(first, second):
  same = jax.tree.map(lambda a, b: bool((a == b).all()), first, second)
  return all(jax.tree.leaves(same))


@all_forms
def test_what_is_generated_is_the_template(form):
  made = generate(form, moved(form), TASKS[0], base())
  chex.assert_trees_all_equal_shapes_and_dtypes(made, template())
  assert not any(
    bool((a == b).any())
    for a, b in zip(
      jax.tree.leaves(made)[2:3], jax.tree.leaves(base())[2:3], strict=True
    )
  )
  assert MODULE.apply({'params': made}, X).shape == (8, 3)


def test_a_template_stands_for_zeros():
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), template())
  theta = hypernetwork.init(network('full'), KEY, TASKS[0], template())
  chex.assert_trees_all_equal(theta, fresh('full'))
  arguments = network('full'), moved('full'), TASKS[0]
  chex.assert_trees_all_close(
    hypernetwork.generate(*arguments, template()),
    generate('full', *arguments[1:], zeros),
    rtol=1e-5,
    atol=1e-6,
  )


@all_forms
def test_the_types_are_those_of_the_base(form):
  half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base())
  made = generate(form, moved(form), TASKS[0], half)
  chex.assert_trees_all_equal_shapes_and_dtypes(made, half)


@all_forms
def test_training_starts_at_the_base_bit_for_bit(form):
  for task in TASKS:
    made = generate(form, fresh(form), task, base())
    for leaf, expected in zip(
      jax.tree.leaves(made), jax.tree.leaves(base()), strict=True
    ):
      np.testing.assert_array_equal(leaf, expected)


@all_forms
def test_gradients_reach_every_part(form):
  def loss(theta, task, start):
    made = generate(form, theta, task, start)
    weights = MODULE.apply({'params': made}, X)
    return jnp.sum(weights * jnp.cos(jnp.arange(24.0)).reshape(8, 3))

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
  for leaf in jax.tree.leaves(gradient(moved(form), TASKS[0], base())):
    assert float(jnp.abs(leaf).max()) > 0
    assert bool(jnp.isfinite(leaf).all())
  # At the start too, each part can be moved by some parameter of its own.
  at_start = gradient(fresh(form), TASKS[0], base())[0]['form']
  names = ['.'.join(path) for path in PATHS]
  for name in names:
    own = [g for leaf, g in at_start.items() if leaf.startswith(name)]
    assert max(float(jnp.abs(g).max()) for g in own) > 0


@all_forms
def test_many_at_once_equal_one_by_one(form):
  def run(task):
    made = hypernetwork.generate(network(form), moved(form), task, base())
    return MODULE.apply({'params': made}, X)

  together = jax.jit(jax.vmap(run))(TASKS)
  for row, task in zip(together, TASKS, strict=True):
    made = generate(form, moved(form), task, base())
    expected = MODULE.apply({'params': made}, X)
    np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)
  assert float(jnp.abs(together[0] - together[1]).max()) > 1e-2


@pytest.mark.parametrize('width', [8, 48, 200])
@pytest.mark.parametrize('form', ['mixture', 'low_rank', 'chunked', 'full'])
def test_generated_weights_start_as_the_targets_own(form, width):
  layer = nn.Dense(width, bias_init=nn.initializers.normal(0.3))
  own = jax.jit(layer.init)(KEY, jnp.ones((1, 100)))['params']
  zeros, spread = hypernetwork.hyperfan(own)
  z = conditioning.constant_norm(jax.random.normal(KEY, (64, 12)))
  writer = FORMS[form].clone(spread=spread)

  def change(key, z_Z):
    return writer.apply(writer.init(key, z_Z, zeros), z_Z, zeros)

  made = jax.jit(jax.vmap(change))(jax.random.split(KEY, 64), z)
  assert float(made['kernel'].std()) == pytest.approx(0.1, rel=0.05)
  assert float(made['kernel'].std()) == pytest.approx(
    spread['kernel'], rel=0.05
  )
  assert float(made['bias'].std()) == pytest.approx(spread['bias'], rel=0.15)
  assert abs(float(made['kernel'].mean())) < 0.005


def test_a_generated_network_starts_as_a_fresh_one():
  """Also where a leaf has no spread: the scale of a norm stays 1."""
  means, spread = hypernetwork.hyperfan(base())
  encoder = conditioning.VectorEncoder(F)
  full = hypernetwork.Hypernetwork(encoder, output_forms.Full(spread))
  theta = hypernetwork.init(full, KEY, TASKS[0], means)
  made = hypernetwork.generate(full, theta, TASKS[0], means)
  np.testing.assert_array_equal(made['norm']['scale'], np.ones(6))
  np.testing.assert_array_equal(made['norm']['bias'], np.zeros(6))
  kernel = made['encoder']['kernel']
  assert float(kernel.std()) == pytest.approx(5**-0.5, rel=0.3)
  out = MODULE.apply({'params': made}, X)
  assert 0.2 < float(out.std() / MODULE.apply({'params': base()}, X).std()) < 5


@all_forms
def test_two_tasks_are_learned_and_the_conditioning_matters(form):
  y = MODULE.apply({'params': base()}, X)
  wanted = jnp.stack([2 * y, -y])
  tx = optax.adam(1e-2)

  def loss(theta, tasks):
    def run(task):
      made = hypernetwork.generate(network(form), theta, task, base())
      return MODULE.apply({'params': made}, X)

    return jnp.mean((jax.vmap(run)(tasks) - wanted) ** 2)

  def step(state, _):
    theta, opt_state = state
    updates, opt_state = tx.update(jax.grad(loss)(theta, TASKS), opt_state)
    return (optax.apply_updates(theta, updates), opt_state), None

  @jax.jit
  def train(theta):
    (theta, _), _ = jax.lax.scan(step, (theta, tx.init(theta)), length=300)
    return loss(theta, TASKS), loss(theta, TASKS[::-1])

  at_start = loss(fresh(form), TASKS)
  own, swapped = train(fresh(form))
  assert float(own) < 0.01 * float(at_start)
  assert float(swapped) > 50 * float(own)


def test_only_the_named_parts_are_generated():
  parts = (('decoder', 'kernel'), ('norm',))
  made = generate('full', moved('full'), TASKS[0], base(), parts)
  named = {('decoder', 'kernel'), ('norm', 'scale'), ('norm', 'bias')}
  for layer, name in PATHS:
    same = is_equal(made[layer][name], base()[layer][name])
    assert same == ((layer, name) not in named)
  by_predicate = generate(
    'full', moved('full'), TASKS[0], base(), named.__contains__
  )
  chex.assert_trees_all_equal(by_predicate, made)
  theta = hypernetwork.init(network('full'), KEY, TASKS[0], base(), parts)
  assert set(theta['form']) == {'.'.join(path) for path in named}


def test_dropped_conditioning_gives_the_base():
  half = network('full', dropout=0.5)

  def run(key):
    return hypernetwork.generate(
      half, moved('full'), TASKS[0], base(), dropout_key=key
    )

  made = jax.jit(jax.vmap(run))(jax.random.split(KEY, 200))
  expected = base()['decoder']['kernel']
  is_base = (made['decoder']['kernel'] == expected[None]).all(axis=(1, 2))
  assert 0.35 < float(is_base.mean()) < 0.65
  kept = hypernetwork.generate(half, moved('full'), TASKS[0], base())
  others = made['decoder']['kernel'][~is_base]
  np.testing.assert_allclose(others[0], kept['decoder']['kernel'], rtol=1e-4)


def test_an_empty_support_set_gives_the_base():
  encoder = conditioning.FeatureSetEncoder(F)
  full = hypernetwork.Hypernetwork(encoder, output_forms.Full())
  empty = conditioning.MaskedSet(jnp.zeros((3, F)), jnp.zeros(3, bool))
  theta = hypernetwork.init(full, KEY, empty, base())
  theta['form'] = jax.tree.map(jnp.ones_like, theta['form'])
  made = hypernetwork.generate(full, theta, empty, base())
  assert is_equal(made, base())
  shown = empty._replace(members=jnp.ones((3, F)), mask=jnp.ones(3, bool))
  made = hypernetwork.generate(full, theta, shown, base())
  assert not is_equal(made, base())


def test_equal_networks_are_one_static_argument():
  spread = FrozenDict({'decoder.kernel': 0.1})
  pair = [
    hypernetwork.Hypernetwork(
      conditioning.VectorEncoder(F), output_forms.Full(spread)
    )
    for _ in range(2)
  ]
  assert pair[0] == pair[1]
  assert hash(pair[0]) == hash(pair[1])


@pytest.mark.parametrize(
  'parts', [(('decodr',),), (('decoder', 'kernel'), ('x',)), ('decoder',)]
)
def test_an_unknown_part_is_named(parts):
  with pytest.raises(ValueError, match=r"it has \['decoder.bias'"):
    hypernetwork.init(network('full'), KEY, TASKS[0], base(), parts)


def test_a_predicate_that_selects_nothing_is_an_error():
  with pytest.raises(ValueError, match='selects what the target has not'):
    hypernetwork.init(network('full'), KEY, TASKS[0], base(), lambda p: False)


@all_forms
def test_another_template_is_an_error(form):
  wider = jax.eval_shape(MODULE.init, KEY, jnp.ones((1, 50)))['params']
  if form == 'film':
    wider = {**wider, 'decoder': {'kernel': jnp.ones((6, 9))}}
  with pytest.raises(ValueError, match='another template'):
    hypernetwork.generate(network(form), moved(form), TASKS[0], wider)
  more = {**base(), 'extra': {'kernel': jnp.ones((2, 2))}}
  with pytest.raises(ValueError, match='extra.kernel'):
    hypernetwork.generate(network(form), moved(form), TASKS[0], more)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_conditioning_that_is_not_finite_is_located(bad):
  task = TASKS[0].at[2].set(bad)
  with pytest.raises(ValueError, match=r'not finite at \[2\]'):
    hypernetwork.generate(network('full'), moved('full'), task, base())
  rows = conditioning.MaskedSet(jnp.ones((3, F)).at[1, 2].set(bad), None)
  with pytest.raises(ValueError, match=r'members is not finite at \[1, 2\]'):
    hypernetwork.generate(network('full'), moved('full'), rows, base())


def test_conditioning_of_another_width_is_an_error():
  with pytest.raises(ValueError, match='width 3 .* encoder of width 4'):
    hypernetwork.generate(network('full'), moved('full'), jnp.ones(3), base())
