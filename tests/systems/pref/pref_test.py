"""PReF behind the contract, on preferences made of planted factors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.pref import pref
from hyperrec.systems.pref import reward_factorization as rf
from tests import makers

SMALL = {'rank': 3, 'steps': 200, 'per_user': 60, 'batch_size': 256}
KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def rated():
  random = np.random.default_rng(0)
  item_VxJ = random.normal(size=(40, 2))
  user_UxJ = random.normal(size=(80, 2)) + np.array([1.0, 0.0])
  utility = user_UxJ @ item_VxJ.T
  users, items = np.nonzero(random.random(utility.shape) < 0.5)
  values = np.clip(np.round(2 * utility[users, items]) / 2 + 3, 0.5, 5)
  data = interactions.from_columns(users, items, rating=values, name='rated')
  return data, user_UxJ, utility


@pytest.mark.parametrize('base', pref.BASES)
def test_taste_orders_items_as_people_do(rated, base):
  data, _, utility = rated
  features = np.random.default_rng(1).normal(size=(40, 8))
  features[:, :2] = np.linalg.svd(utility)[2][:2].T * 5
  model = pref.pref(
    lambda unused: features, base=base, unseen_share=0.0, **SMALL
  )
  shared = model.fit(data, KEY).state
  assert shared.taste.shape == shared.choice.shape == (40, 10)
  assert np.isfinite(shared.taste).all()
  scores = pref.rewards(shared.taste, shared.prior.mean[None])[0]
  assert np.corrcoef(scores, utility.mean(axis=0))[0, 1] > 0.8
  items, pool = pref.make_pool(shared, 10)
  assert pool.features.shape == (10, 10)
  assert (np.diff(shared.counts[items]) <= 0).all()


def test_one_reward_is_the_papers_form(rated):
  data, *_ = rated
  model = pref.pref(
    base='preferences', consensus=False, separate=False, **SMALL
  )
  shared = model.fit(data, KEY).state
  assert shared.taste.shape == (40, 3)
  np.testing.assert_array_equal(shared.taste, shared.choice)


def test_answers_about_taste_reach_choice_through_the_prior(rated):
  data, *_ = rated
  shared = pref.pref(**SMALL).fit(data, KEY).state
  v = shared.taste[:1] - shared.taste[1:2]
  answers = rf.Answers(v, jnp.ones(1), jnp.ones(1))
  found = rf.posterior(shared.prior, answers)
  moved = shared.choice @ (found.mean - shared.prior.mean)
  assert jnp.abs(moved).max() > 1e-4
  assert (shared.taste * shared.choice).sum() == 0


def test_shown_items_move_the_scores_towards_them(rated):
  data, *_ = rated
  method = adapting.generated(pref.pref(**SMALL))
  shared = method.prepare(data, KEY).state
  nothing = data.rows(np.zeros(0, int))
  adapted = method.adapt(shared, nothing, KEY).state
  items = np.array([[3, 0], [0, 0]], np.int32)
  mask = np.array([[True, False], [False, False]])
  scores = method.score(adapted, method_lib.Histories(items, mask, 40))
  prior = pref.rewards(adapted.choice, adapted.prior.mean[None])[0]
  np.testing.assert_allclose(scores[1], prior, rtol=1e-5, atol=1e-6)
  shift = scores[0] - scores[1]
  assert shift[3] > shift[data.items].mean()


def test_another_catalogue_is_refused(rated):
  data, *_ = rated
  method = adapting.generated(pref.pref(**SMALL))
  shared = method.prepare(data, KEY).state
  other = makers.make_data()
  with pytest.raises(method_lib.CannotServe, match='another one'):
    method.adapt(shared, other, KEY)


def test_operations_of_fitting_grow_with_the_rank(rated):
  data, *_ = rated
  for base in pref.BASES:
    counts = [
      pref.pref(
        lambda data: np.eye(data.num_items), base=base, **{**SMALL, 'rank': r}
      )
      .fit(data, KEY)
      .cost.operations
      for r in (2, 6)
    ]
    assert 0 < counts[0] < counts[1]


def test_a_user_is_paid_for_while_she_is_scored(rated):
  """The more each user has shown, the more answers are explained."""
  data, *_ = rated
  method = adapting.generated(pref.pref(**SMALL))
  shared = method.prepare(data, KEY).state
  half = data.rows(np.arange(0, len(data), 2))
  costs = [
    method.adapt(shared, evidence, KEY).cost
    for evidence in (data.rows([]), half, data)
  ]
  assert {cost.operations for cost in costs} == {0.0}
  assert 0 < costs[0].per_user < costs[1].per_user < costs[2].per_user


def test_data_without_ratings_is_likes():
  shared = pref.pref(**SMALL).fit(makers.make_data(), KEY).state
  assert np.isfinite(shared.prior.mean).all()
  assert jnp.linalg.eigvalsh(shared.prior.precision).min() > 0


def test_of_a_repeated_pair_the_last_row_counts(rated):
  data, *_ = rated
  twice = dataclasses.replace(
    data,
    users=np.concatenate([data.users, data.users]),
    items=np.concatenate([data.items, data.items]),
    ratings=np.concatenate([6 - data.ratings, data.ratings]),
  )
  found, want = pref.rating_matrix(twice), pref.rating_matrix(data)
  assert (found != want).nnz == 0
  fitted, once = (
    pref.pref(**SMALL).fit(each, KEY).state for each in (twice, data)
  )
  np.testing.assert_array_equal(fitted.counts, once.counts)
  np.testing.assert_array_equal(fitted.choice, once.choice)


@pytest.mark.parametrize(
  'wrong, message',
  [
    ({'base': 'magic'}, 'magic'),
    ({'base': 'text'}, 'needs features'),
    ({'rank': 100}, 'rank=100 base functions .* choose a smaller rank'),
  ],
)
def test_mistakes_are_told(wrong, message):
  with pytest.raises(pref.DataError, match=message):
    pref.pref(**wrong).fit(makers.make_data(), KEY)


@pytest.mark.parametrize('base', ['preferences', 'text'])
def test_start_items_must_give_a_pair_for_each_base_function(base):
  message = 'start_items=3 gives 3 pairs .* rank=4 .* choose more start_items'
  with pytest.raises(pref.DataError, match=message):
    pref.PrefConfig(base=base, rank=4, start_items=3)


def test_the_fewest_start_items_that_are_allowed_can_be_fitted(rated):
  data, *_ = rated
  small = {**SMALL, 'rank': 3, 'start_items': 3, 'steps': 2}
  for base in ('preferences', 'text'):
    model = pref.pref(lambda data: np.eye(data.num_items), base=base, **small)
    assert np.isfinite(model.fit(data, KEY).state.choice).all()


def test_start_items_are_not_checked_where_no_joint_fit_uses_them():
  assert pref.PrefConfig(base='ease', start_items=1).start_items == 1
