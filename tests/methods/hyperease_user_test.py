"""HyperEASE for users behind the contract: start, learn, condition, refuse."""

import functools

import chex
import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.cost import counts
from hyperrec.methods import ease, hyperease_user
from hyperrec.models import simulated_users
from tests.makers import make_data

# An implementation of random numbers that compiles fast.
KEY = jax.random.key(0, impl='unsafe_rbg')
L2 = 20.0
SMALL = {'l2': L2, 'rank': 4, 'z_dim': 8, 'hidden_dim': 16, 'lr': 1e-2,
         'batch_size': 40, 'dropout': 0.2}  # fmt: skip
NUM_ITEMS = 24


def method(**options):
  return hyperease_user.hyperease_user(**{**SMALL, 'steps': 60, **options})


def histories(data):
  users = np.arange(data.num_users)
  return method_lib.Histories.of(data.by_user_and_time(), users)


@functools.cache
def data(seed=0, num_users=120):
  """Three tastes; the first items of each are popular with everybody."""
  random = np.random.default_rng(seed)
  third = NUM_ITEMS // 3
  rows = []
  for user in range(num_users):
    chance = np.full(NUM_ITEMS, 0.02)
    own = (user % 3) * third
    chance[own : own + third] = 0.6
    chance[::third] = 0.7
    items = np.flatnonzero(random.random(NUM_ITEMS) < chance)
    rows += [(user, item) for item in items]
  return interactions.from_columns(*zip(*rows, strict=True))


@functools.cache
def prepared():
  return method().prepare(data(), KEY)


def hit_rate(scores, seen, asked):
  scores = np.where(seen > 0, -np.inf, scores)
  top = np.argsort(-scores, axis=1)[:, :3]
  return np.take_along_axis(asked, top, axis=1).mean()


def test_before_its_training_it_is_ease():
  made = method(steps=0)
  start = made.prepare(data(), KEY)
  baseline = ease.ease(l2=L2)
  shared = baseline.prepare(data(), KEY)
  shown = histories(data(seed=1))
  scores = made.score(start, shown)
  assert scores.dtype == np.float32
  np.testing.assert_array_equal(scores, baseline.score(shared, shown))
  for part in start.params.generator['coefficients'].values():
    assert (part == 0).all()


def test_it_serves_few_shown_items_better_than_ease():
  new = data(seed=2).csr()
  part = new.copy()
  kept = np.zeros(part.nnz, bool)
  kept[part.indptr[:-1]] = True
  part.data[:] = kept
  part.eliminate_zeros()
  shown = interactions.Interactions(*part.nonzero(), *new.shape)
  asked = (new - part).toarray()
  baseline = ease.ease(l2=L2)
  scores = (
    method().score(prepared(), histories(shown)),
    baseline.score(baseline.prepare(data(), KEY), histories(shown)),
  )
  own, before = (hit_rate(s, part.toarray(), asked) for s in scores)
  assert own > 1.02 * before


def test_who_has_shown_nothing_gets_popular_items():
  nothing = data().rows(np.array([], int)).take_users([0, 1])
  served = method()
  adapted = served.adapt(prepared(), nothing, KEY)
  scores = served.score(adapted, histories(nothing))
  np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
  popular = np.argsort(-data().item_counts())[:3]
  assert set(np.argsort(-scores[0])[:3]) == set(popular)


def test_new_users_need_a_pass_only():
  new = data(seed=1).take_users([3, 4, 5])
  served = method()
  adapted = served.adapt(prepared(), new, KEY)
  assert adapted is prepared()
  assert served.adapt_flops(prepared(), new, adapted) == 0
  scores = served.score(adapted, histories(new))
  one = served.score(adapted, histories(new.take_users([1])))
  np.testing.assert_allclose(one[0], scores[1], rtol=1e-4, atol=1e-5)


def test_generated_numbers_are_of_the_user():
  fitted = prepared()
  shown = data(seed=1).csr()[:3].toarray()
  own, constant = (
    hyperease_user.coefficients(
      hyperease_user.Config(**{**SMALL, 'conditioning': name}),
      fitted.params,
      shown,
      fitted.strangers,
    )
    for name in ('history', 'constant')
  )
  assert own.factors.shape == (3, 4)
  assert np.ptp(own.bias) > 1e-4
  assert np.ptp(constant.bias * constant.temperature) < 1e-5


@pytest.mark.parametrize('name', ['size', 'constant', 'shuffled'])
def test_controls_train_and_score(name):
  control = method(conditioning=name, steps=4, evaluate_every=2)
  fitted = control.prepare(data(), KEY)
  assert (len(fitted.strangers) > 0) == (name == 'shuffled')
  scores = control.score(fitted, histories(data(seed=1)))
  assert np.isfinite(scores).all()


def test_the_same_key_gives_the_same_generator():
  first, second, other = (
    method(steps=6).prepare(data(), jax.random.fold_in(KEY, seed)).params
    for seed in (1, 1, 2)
  )
  chex.assert_trees_all_equal(first, second)
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(first, other)


def test_what_cannot_be_served_is_refused():
  with pytest.raises(method_lib.CannotServe, match='another catalogue'):
    method().adapt(prepared(), make_data(), KEY)
  for few in (data().take_users([0]), data().take_items([0])):
    with pytest.raises(method_lib.CannotServe, match='at least'):
      method().prepare(few, KEY)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'conditioning': 'histroy'}, 'histroy'),
    ({'dropout': 1.0}, 'dropout=1.0'),
    ({'heldout_share': -0.1}, 'heldout_share=-0.1'),
  ],
)
def test_bad_options_are_told(options, message):
  with pytest.raises(ValueError, match=message):
    method(**options)
  with pytest.raises(ValueError, match='l2=0'):
    method(l2=0.0).prepare(data(), KEY)


def test_flops_are_those_of_the_products():
  counted = method().prepare_flops(data(), prepared())
  config = hyperease_user.Config(**{**SMALL, 'steps': 60})
  params, strangers = prepared().params, prepared().strangers
  users = simulated_users.Batch(*np.zeros((3, 40, NUM_ITEMS), np.float32))
  step, tx, _ = hyperease_user.train_step(config)
  state = hyperease_user.step_lib.init_state(params, tx, KEY)
  steps = 60 * counts.program(step, state, (users, strangers))
  # Beside the steps: validation users, EASE, and leaving users out.
  assert steps < counted < 2.5 * steps
