"""HyperEASE for users behind the contract: start, learn, condition, refuse."""

import functools

import chex
import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.data import interactions
from hyperrec.systems.hyperease import (
  caution,
  hyperease_user,
  simulated_users,
)
from hyperrec.systems.linear import (
  added_popularity,
  cease,
  ease,
  item_kernel,
  linear_autoencoder,
)
from tests.makers import make_data

# An implementation of random numbers that compiles fast.
KEY = jax.random.key(0, impl='unsafe_rbg')
L2 = 20.0
SMALL = {'l2': L2, 'rank': 4, 'z_dim': 8, 'hidden_dim': 16, 'lr': 1e-2,
         'batch_size': 40, 'dropout': 0.2, 'members': 1}  # fmt: skip
NUM_ITEMS = 24


def model(features=None, **options):
  options = {**SMALL, 'steps': 60, **options}
  return hyperease_user.hyperease_user(features, **options)


def features(part):
  """Unit rows that tell tastes, and noise."""
  table = np.random.default_rng(0).standard_normal((part.num_items, 5))
  table[np.arange(part.num_items), np.arange(part.num_items) % 3] += 3
  return table / np.linalg.norm(table, axis=1, keepdims=True)


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
def fitted():
  return model().fit(data(), KEY)


def prepared():
  return fitted().state


def hit_rate(scores, seen, asked):
  scores = np.where(seen > 0, -np.inf, scores)
  top = np.argsort(-scores, axis=1)[:, :3]
  return np.take_along_axis(asked, top, axis=1).mean()


def test_before_its_training_it_is_ease_with_popularity():
  found = model(steps=0, popularity=0.4)
  rival = added_popularity.added_popularity(ease.ease(l2=L2), 0.4)
  scores = [
    one.score(one.fit(data(), KEY).state, histories(data()))
    for one in (found, rival)
  ]
  np.testing.assert_allclose(*scores, atol=1e-5)


def test_before_its_training_it_is_ease():
  made = model(steps=0)
  start = made.fit(data(), KEY).state
  baseline = ease.ease(l2=L2)
  shared = baseline.fit(data(), KEY).state
  shown = histories(data(seed=1))
  scores = made.score(start, shown)
  assert scores.dtype == np.float32
  np.testing.assert_array_equal(scores, baseline.score(shared, shown))
  for part in start.generators.members[0].generator['coefficients'].values():
    assert (part == 0).all()


def test_on_a_text_base_it_starts_at_cease():
  made = model(steps=0, alpha=2.0, features=features)
  start = made.fit(data(), KEY).state
  baseline = cease.cease(features, l2=L2, alpha=2.0)
  shared = baseline.fit(data(), KEY).state
  shown = histories(data(seed=1))
  scores = made.score(start, shown)
  np.testing.assert_array_equal(
    scores, linear_autoencoder.scores(shown.csr(), start.weights)
  )
  np.testing.assert_allclose(scores, baseline.score(shared, shown), atol=1e-5)
  without = ease.ease(l2=L2).fit(data(), KEY).state
  assert abs(start.weights - without).max() > 0.01


def test_on_a_kernel_base_it_starts_at_cease_on_the_kernels_factor():
  made = model(steps=0, alpha=2.0, sharpness=3.0, features=features)
  start = made.fit(data(), KEY).state
  factor = lambda part: item_kernel.factor(features(part), 3.0)[0]  # noqa: E731
  baseline = cease.cease(factor, l2=L2, alpha=2.0).fit(data(), KEY)
  np.testing.assert_allclose(start.weights, baseline.state, atol=1e-5)
  linear = model(steps=0, alpha=2.0, features=features).fit(data(), KEY).state
  assert abs(start.weights - linear.weights).max() > 1e-3


def test_a_text_base_is_trained_and_needs_features():
  served = model(steps=6, alpha=2.0, features=features)
  state = served.fit(data(), KEY).state
  assert np.isfinite(served.score(state, histories(data(seed=1)))).all()
  with pytest.raises(method_lib.CannotServe, match='reads item features'):
    model(alpha=2.0).fit(data(), KEY)


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
    model().score(prepared(), histories(shown)),
    baseline.score(baseline.fit(data(), KEY).state, histories(shown)),
  )
  own, before = (hit_rate(s, part.toarray(), asked) for s in scores)
  assert own > 1.02 * before


def test_who_has_shown_nothing_gets_popular_items():
  nothing = data().rows(np.array([], int)).take_users([0, 1])
  scores = model().score(prepared(), histories(nothing))
  np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
  popular = np.argsort(-data().item_counts())[:3]
  assert set(np.argsort(-scores[0])[:3]) == set(popular)


def test_new_users_need_a_pass_only():
  new = data(seed=1).take_users([3, 4, 5])
  served = adapting.generated(model())
  shared = adapting.Shared(prepared(), data())
  adapted = served.adapt(shared, new, KEY)
  assert adapted.state is prepared()
  assert adapted.cost.operations == 0
  # The encoder and the factors, each read and written once or a few times.
  assert 2 * NUM_ITEMS * 4 < adapted.cost.per_user < 400 * NUM_ITEMS
  scores = served.score(adapted.state, histories(new))
  one = served.score(adapted.state, histories(new.take_users([1])))
  np.testing.assert_allclose(one[0], scores[1], rtol=1e-4, atol=1e-5)


def test_generated_numbers_are_of_the_user():
  state = prepared()
  shown = data(seed=1).csr()[:3].toarray()
  own, constant = (
    hyperease_user.coefficients(
      hyperease_user.UserConfig(**{**SMALL, 'conditioning': name}),
      state.generators.members[0],
      shown,
      state.generators.strangers,
    )
    for name in ('history', 'constant')
  )
  assert own.factors.shape == (3, 4)
  assert np.ptp(own.bias) > 1e-4
  assert np.ptp(constant.bias * constant.temperature) < 1e-5


@pytest.mark.parametrize('name', ['size', 'constant', 'shuffled'])
def test_controls_train_and_score(name):
  control = model(conditioning=name, steps=4, evaluate_every=2)
  state = control.fit(data(), KEY).state
  assert (len(state.generators.strangers) > 0) == (name == 'shuffled')
  scores = control.score(state, histories(data(seed=1)))
  assert np.isfinite(scores).all()


def test_the_same_key_gives_the_same_generator():
  first, second, other = (
    model(steps=6)
    .fit(data(), jax.random.fold_in(KEY, seed))
    .state.generators.members
    for seed in (1, 1, 2)
  )
  chex.assert_trees_all_equal(first, second)
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(first, other)


def test_the_logarithm_of_co_occurrences_gets_a_generated_weight():
  made = model(steps=0)
  state = made.fit(data(), KEY).state
  (params,) = state.generators.members
  # The third number that the generator makes is the weight: let it be 5.
  last = params.generator['coefficients']
  bias = last['bias'].copy()
  bias[2] = 5.0
  generator = {**params.generator, 'coefficients': {**last, 'bias': bias}}
  params = params._replace(generator=generator)
  whole = hyperease_user.Generators(
    (params,), caution.all_kept(), state.generators.strangers
  )
  changed = state._replace(generators=whole)
  shown = histories(data(seed=1))
  x = data().csr().toarray()
  counts_BxV = shown.csr() @ (x.T @ x)
  # Logits are ten times the scores.
  expected = made.score(state, shown) + 0.5 * np.log1p(counts_BxV)
  np.testing.assert_allclose(made.score(changed, shown), expected, atol=1e-4)


def test_co_occurrences_can_be_left_out():
  made = model(steps=4, together=False)
  state = made.fit(data(), KEY).state
  assert state.together is None
  assert np.isfinite(made.score(state, histories(data(seed=1)))).all()


def test_nothing_is_kept_of_a_correction_that_does_not_gain():
  made = model(steps=20, caution=1e6)
  state = made.fit(data(), KEY).state
  assert (state.generators.kept == 0).all()
  baseline = ease.ease(l2=L2)
  shown = histories(data(seed=1))
  np.testing.assert_array_equal(
    made.score(state, shown),
    baseline.score(baseline.fit(data(), KEY).state, shown),
  )
  assert prepared().generators.kept[0] > 0


def test_what_no_program_depends_on_is_compiled_once():
  step = [
    hyperease_user.train_step(
      hyperease_user._network(hyperease_user.UserConfig(**SMALL, **options))
    )
    for options in (
      {},
      {'heldout_share': 0.5, 'evaluate_every': 7, 'together': False},
    )
  ]
  assert step[0] is step[1]


def with_members(state, *members):
  generators = state.generators._replace(members=members)
  return state._replace(generators=generators)


def test_the_mean_of_several_generators_counts():
  made = model(steps=6, members=2)
  state = made.fit(data(), KEY).state
  shown = histories(data(seed=1))
  alone = [
    made.score(with_members(state, each), shown)
    for each in state.generators.members
  ]
  assert abs(alone[0] - alone[1]).max() > 1e-4
  np.testing.assert_allclose(
    made.score(state, shown), np.mean(alone, axis=0), atol=1e-6
  )


def test_what_cannot_be_served_is_refused():
  shared = adapting.Shared(prepared(), data())
  with pytest.raises(method_lib.CannotServe, match='catalogue is another one'):
    adapting.generated(model()).adapt(shared, make_data(), KEY)
  for few in (
    *(data().take_users(range(users)) for users in (1, 2, 3)),
    data().take_items([0]),
  ):
    with pytest.raises(method_lib.CannotServe, match='at least 4 users'):
      model().fit(few, KEY)


@pytest.mark.parametrize('num_users', [4, 7])
def test_few_users_suffice_whatever_share_is_held_out(num_users):
  few = data().take_users(range(num_users))
  made = model(steps=1, heldout_share=0.99)
  scores = made.score(made.fit(few, KEY).state, histories(few))
  assert np.isfinite(scores).all()


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'conditioning': 'histroy'}, 'histroy'),
    ({'dropout': 1.0}, 'dropout=1.0'),
    ({'heldout_share': -0.1}, 'heldout_share=-0.1'),
    ({'members': 0}, 'members=0'),
    ({'l2': 0.0}, 'l2=0.0'),
    ({'rank': 0}, 'rank=0'),
    ({'evaluate_every': 0}, 'evaluate_every=0'),
    ({'batch_size': 0}, 'batch_size=0'),
    ({'lr': float('nan')}, 'lr=nan'),
  ],
)
def test_bad_options_are_told(options, message):
  with pytest.raises(interactions.DataError, match=message):
    model(**options)


def test_flops_are_those_of_the_products():
  counted = fitted().cost.operations
  config = hyperease_user.UserConfig(**{**SMALL, 'steps': 60})
  (params,), strangers = (
    prepared().generators.members,
    prepared().generators.strangers,
  )
  users = simulated_users.Batch(*np.zeros((4, 40, NUM_ITEMS), np.float32))
  step, tx, _ = hyperease_user.train_step(config)
  state = hyperease_user.step_lib.init_state(params, tx, KEY)
  steps = 60 * counts.program(step, state, (users, strangers))
  # Beside the steps: validation users, EASE, and leaving users out.
  assert steps < counted < 2.5 * steps
