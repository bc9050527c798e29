"""The generated head under its policy: start, learn, condition, refuse."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.data import interactions
from hyperrec.systems.hypernetwork import generated_head
from hyperrec.systems.mult_vae import mult_vae, variational_autoencoder
from hyperrec.training import step as step_lib
from tests.makers import make_data

# An implementation of random numbers that compiles fast.
KEY = jax.random.key(0, impl='unsafe_rbg')
BASE = {'hidden_dim': 16, 'latent_dim': 4, 'epochs': 20, 'batch_size': 20}
GENERATOR = {'z_dim': 8, 'hidden_dim': 16, 'batch_size': 20, 'lr': 1e-2}
NUM_ITEMS = 20


def config(**options):
  base = mult_vae.MultVaeConfig(**BASE)
  return generated_head.HeadConfig(base=base, **{**GENERATOR, **options})


def method(**options):
  model = generated_head.generated_head(base=BASE, **{**GENERATOR, **options})
  return adapting.generated(model)


def histories(data, users=None):
  users = np.arange(data.num_users) if users is None else users
  return method_lib.Histories.of(data.by_user_and_time(), users)


@functools.cache
def communities(seed=0):
  """Users who touch one half of the catalogue only, by their parity."""
  random = np.random.default_rng(seed)
  half = NUM_ITEMS // 2
  rows = [
    (user, item + (user % 2) * half)
    for user in range(60)
    for item in random.permutation(half)[:6]
  ]
  return interactions.from_columns(*zip(*rows, strict=True))


@functools.cache
def shared():
  return method(epochs=20).prepare(communities(), KEY)


def prepared():
  """Its base and its generator."""
  return shared().state.state


def test_before_its_training_it_is_its_mult_vae():
  data = communities()
  base = prepared().base
  start, cost = generated_head.fit_generator(config(epochs=0), base, data, KEY)
  expected = mult_vae.score(
    mult_vae.MultVaeConfig(**BASE), base, histories(data)
  )
  scores = generated_head.score(config(), start, histories(data))
  assert scores.dtype == np.float32
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
  assert cost.operations == 0


def test_the_generator_learns_and_its_conditioning_matters():
  new = communities(seed=1).csr(bool).toarray()
  shown = new & (np.arange(NUM_ITEMS) % 2 == 0)
  asked = jnp.asarray(new & ~shown, jnp.float32)
  own, base = prepared(), prepared().base
  users = jnp.arange(len(new))

  @jax.jit
  def loss(theta, other):
    """The base reads a user, the generator another one."""

    def logits(x_V, other_V):
      params = generated_head.generate(config(), theta, base, other_V)
      return generated_head.apply(config(), params, x_V)

    logits_UxV = jax.vmap(logits)(shown, jnp.asarray(shown)[other])
    return variational_autoencoder.multinomial_nll(logits_UxV, asked).mean()

  start = jax.tree.map(jnp.zeros_like, own.theta)
  trained = float(loss(own.theta, users))
  assert trained < 0.98 * float(loss(start, users))
  # A user of the other half of the catalogue.
  assert float(loss(own.theta, jnp.roll(users, 1))) > 1.05 * trained


def test_new_users_need_a_pass_only():
  new = communities(seed=1).take_users([3, 4, 5])
  served = method(epochs=20)
  adapted, cost = served.adapt(shared().state, new, KEY)
  assert adapted is prepared()
  assert cost.operations == 0
  assert cost.per_user > 0
  scores = served.score(adapted, histories(new))
  assert scores.shape == (3, NUM_ITEMS)
  one = served.score(adapted, histories(new, np.array([1])))
  np.testing.assert_allclose(one[0], scores[1], rtol=1e-4, atol=1e-5)


def test_an_empty_history_gets_the_base():
  nothing = communities().rows(np.array([], int)).take_users([0])
  scores = generated_head.score(config(), prepared(), histories(nothing))
  expected = mult_vae.score(
    mult_vae.MultVaeConfig(**BASE), prepared().base, histories(nothing)
  )
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
  assert scores.std() > 0


def test_only_the_named_layer_is_the_users_own():
  first, second = histories(communities(), np.array([0, 1])).multi_hot() > 0
  base = prepared().base
  made = [
    generated_head.generate(config(), prepared().theta, base, x)
    for x in (first, second)
  ]
  for layer in base:
    same = bool((made[0][layer]['kernel'] == made[1][layer]['kernel']).all())
    assert same == (layer != 'hidden_out')


def test_other_parts():
  parts = (('logits', 'kernel'), ('hidden_out',))
  options = {'parts': parts}
  data = communities()
  base = prepared().base
  trained = generated_head.fit_generator(
    config(epochs=2, **options), base, data, KEY
  ).state
  scores = generated_head.score(config(**options), trained, histories(data))
  before = mult_vae.score(mult_vae.MultVaeConfig(**BASE), base, histories(data))
  assert np.isfinite(scores).all()
  assert abs(scores - before).max() > 1e-4


def test_the_same_key_gives_the_same_generator():
  data = communities()
  first, second, other = (
    generated_head.fit_generator(
      config(epochs=20), prepared().base, data, jax.random.fold_in(KEY, seed)
    ).state.theta
    for seed in (1, 1, 2)
  )
  chex.assert_trees_all_equal(first, second)
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(first, other)


def test_another_catalogue_is_refused():
  other = make_data()
  with pytest.raises(method_lib.CannotServe, match='train its generator'):
    method().adapt(shared().state, other, KEY)
  nobody = communities().take_users(np.arange(0))
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method().prepare(nobody, KEY)


def test_the_cost_is_of_base_and_generator():
  step_fn, tx = generated_head.train_step(config(epochs=20), NUM_ITEMS, 60)
  state = step_lib.init_state(prepared().theta, tx, KEY)
  batch = {'x': np.zeros((20, NUM_ITEMS), bool), 'base': prepared().base}
  expected = 60 * counts.program(step_fn, state, batch)
  base_key, _ = jax.random.split(KEY)
  base = mult_vae.fit(config().base, communities(), base_key)
  chex.assert_trees_all_equal(base.state, prepared().base)
  assert shared().cost.operations == base.cost.operations + expected


def test_a_user_costs_the_network_that_is_generated():
  """The products of the last layer of the generator are the most of it."""
  new = communities(seed=1).take_users([3])
  cost = method(epochs=20).adapt(shared().state, new, KEY).cost
  generated = sum(
    leaf.size for leaf in jax.tree.leaves(prepared().base['hidden_out'])
  )
  assert cost.per_user > 2 * GENERATOR['z_dim'] * generated


def test_a_base_without_a_generated_layer_is_refused():
  with pytest.raises(ValueError, match='variational'):
    generated_head.generated_head(base={'variational': False})
  with pytest.raises(TypeError, match='widht'):
    generated_head.generated_head(widht=3)
  with pytest.raises(ValueError, match='decodr'):
    generated_head.fit_generator(
      config(parts=(('decodr',),)), prepared().base, communities(), KEY
    )
