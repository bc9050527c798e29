"""Tests of hypernetworks, with the forms of the library and of experiments."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.new_users import written_forms
from hyperrec.systems.hypernetwork import (
  conditioning,
  hypernetwork,
  output_forms,
)

# An implementation of random numbers that compiles fast.
KEY = jax.random.key(0, impl='unsafe_rbg')
F, D = 4, 5
FORMS = {
  'film': written_forms.Film(),
  'mixture': written_forms.Mixture(num_bases=3),
  'low_rank': written_forms.LowRank(rank=2),
  'chunked': written_forms.Chunked(chunk_size=16, embedding_dim=16),
  'full': output_forms.Full(),
}
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, D)).astype(np.float32)
TASKS = RANDOM.normal(size=(2, F)).astype(np.float32)
all_forms = pytest.mark.parametrize('form', FORMS)


class Target(nn.Module):
  """Leaves of one, two and three axes."""

  @nn.compact
  def __call__(self, x):
    x = nn.LayerNorm(name='norm')(nn.Dense(4, name='encoder')(x))
    return nn.DenseGeneral((2, 3), name='decoder')(x)


MODULE = Target()
PATHS = (
  ('norm', 'scale'), ('norm', 'bias'), ('encoder', 'kernel'),
  ('encoder', 'bias'), ('decoder', 'kernel'), ('decoder', 'bias'),
)  # fmt: skip


@functools.cache
def template():
  return jax.eval_shape(MODULE.init, KEY, X)['params']


@functools.cache
def base():
  return noise(template(), 0.5)


def noise(shapes, std):
  random = np.random.default_rng(1)
  draw = lambda leaf: std * random.normal(size=leaf.shape)  # noqa: E731
  return jax.tree.map(lambda leaf: jnp.float32(draw(leaf)), shapes)


def network(form, **options):
  encoder = conditioning.VectorEncoder(F, z_dim=6, hidden_dim=7)
  return hypernetwork.Hypernetwork(encoder, FORMS[form], **options)


@functools.cache
def fresh(form):
  return hypernetwork.init(network(form), KEY, TASKS[0], base())


@functools.cache
def moved(form):
  """Parameters away from their start, as after some training."""
  create = functools.partial(hypernetwork.init, network(form), KEY)
  shapes = jax.eval_shape(create, TASKS[0], base())
  return noise(shapes, 0.3)


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
  for leaf, start in zip(*map(jax.tree.leaves, (made, base())), strict=True):
    assert float(jnp.abs(leaf - start).max()) > 1e-3
  assert MODULE.apply({'params': made}, X).shape == (8, 2, 3)


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


def test_the_types_are_those_of_the_base():
  half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base())
  made = generate('film', moved('film'), TASKS[0], half)
  chex.assert_trees_all_equal_shapes_and_dtypes(made, half)


@all_forms
def test_training_starts_at_the_base_bit_for_bit(form):
  for task in TASKS:
    made = generate(form, fresh(form), task, base())
    chex.assert_trees_all_equal(made, base())


@all_forms
def test_gradients_reach_every_part(form):
  def loss(theta, task, start):
    made = generate(form, theta, task, start)
    products = jax.tree.map(jnp.vdot, made, noise(template(), 1.0))
    return sum(jax.tree.leaves(products))

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
  for leaf in jax.tree.leaves(gradient(moved(form), TASKS[0], base())):
    assert np.abs(leaf).max() > 0
    assert np.isfinite(leaf).all()
  # At the start too, each part can be moved by some parameter of its own.
  at_start = gradient(fresh(form), TASKS[0], base())[0]['form']
  for name in map('.'.join, PATHS):
    own = [g for leaf, g in at_start.items() if leaf.startswith(name)]
    assert max(np.abs(g).max() for g in own) > 0


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
  def train(start):
    state = start, tx.init(start)
    (theta, _), _ = jax.lax.scan(step, state, length=300)
    return loss(start, TASKS), loss(theta, TASKS), loss(theta, TASKS[::-1])

  at_start, own, swapped = train(fresh(form))
  assert float(own) < 0.03 * float(at_start)
  assert float(swapped) > 20 * float(own)


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
  is_base = (made['decoder']['kernel'] == expected[None]).all(axis=(1, 2, 3))
  assert 0.35 < float(is_base.mean()) < 0.65
  kept = hypernetwork.generate(half, moved('full'), TASKS[0], base())
  others = made['decoder']['kernel'][~is_base]
  np.testing.assert_allclose(others[0], kept['decoder']['kernel'], rtol=1e-4)


def test_an_empty_support_set_gives_the_base():
  encoder = conditioning.InteractionEncoder(F, z_dim=6, hidden_dim=7)
  full = network('full').clone(encoder=encoder)
  empty = conditioning.MaskedSet(jnp.arange(3), jnp.zeros(3, bool))
  theta = hypernetwork.init(full, KEY, empty, base())
  theta['form'] = jax.tree.map(jnp.ones_like, theta['form'])
  made = hypernetwork.generate(full, theta, empty, base())
  assert is_equal(made, base())
  shown = empty._replace(mask=jnp.ones(3, bool))
  made = hypernetwork.generate(full, theta, shown, base())
  assert not is_equal(made, base())


def test_equal_networks_are_one_static_argument():
  pair = [
    hypernetwork.Hypernetwork(
      conditioning.VectorEncoder(F), written_forms.LowRank(rank=3)
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
  with pytest.raises(ValueError, match='selects a part that the target lacks'):
    hypernetwork.init(network('full'), KEY, TASKS[0], base(), lambda p: False)


@all_forms
def test_another_template_is_an_error(form):
  wider = jax.eval_shape(MODULE.init, KEY, jnp.ones((1, 50)))['params']
  if form == 'film':
    wider = {**wider, 'decoder': {'kernel': jnp.ones((4, 2, 9))}}
  with pytest.raises(ValueError, match='another template'):
    hypernetwork.generate(network(form), moved(form), TASKS[0], wider)
  more = {**base(), 'extra': {'kernel': jnp.ones((2, 2))}}
  with pytest.raises(ValueError, match=r'extra\.kernel'):
    hypernetwork.generate(network(form), moved(form), TASKS[0], more)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_conditioning_that_is_not_finite_is_located(bad):
  task = np.where(np.arange(F) == 2, bad, TASKS[0])
  with pytest.raises(ValueError, match=r'not finite at \[2\]'):
    hypernetwork.generate(network('full'), moved('full'), task, base())
  rows = conditioning.MaskedSet(jnp.ones((3, F)).at[1, 2].set(bad), None)
  with pytest.raises(ValueError, match=r'members is not finite at \[1, 2\]'):
    hypernetwork.generate(network('full'), moved('full'), rows, base())


def test_conditioning_of_another_width_is_an_error():
  with pytest.raises(ValueError, match=r'width 3 .* encoder of width 4'):
    hypernetwork.generate(network('full'), moved('full'), jnp.ones(3), base())
