"""HyperEASE: what it reduces to, what it teaches, what it refuses."""

import dataclasses

import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import splits
from hyperrec.methods import ease, hyperease, l3ae
from hyperrec.models import linear_autoencoder
from hyperrec.regimes import new_catalogue, new_users

KEY = jax.random.key(0)
OWN = {'l2': 30.0, 'l2_features': 2.0, 'trust': 0.9}
LEARNED = {'relation': 0.2, 'transfer': 0.2, 'popularity': 0.15}
OPTIONS = OWN | LEARNED


def adapted_weights(method, task):
  shared = method.prepare(task.source, KEY)
  adapted = method.adapt(shared, task.test.evidence, KEY)
  weights = adapted.weights
  return weights if isinstance(weights, np.ndarray) else weights.dense()


@pytest.mark.parametrize('budget', [0, 10, 100])
def test_without_the_source_it_is_l3ae(data, features, budget):
  task = new_catalogue.make_task(data, budget, 0, 50)
  ours = hyperease.hyperease(features, **OWN, **dict.fromkeys(LEARNED, 0.0))
  theirs = l3ae.l3ae(features, retrain=True, **OWN)
  np.testing.assert_allclose(
    adapted_weights(ours, task), adapted_weights(theirs, task), atol=1e-5
  )


def test_without_learned_parts_it_learns_nothing(data, features):
  task = new_catalogue.make_task(data, 10, 0, 50)
  options = OWN | dict.fromkeys(LEARNED, 0.0) | {'sharpness': 1.0}
  method = hyperease.hyperease(features, **options)
  shared = method.prepare(task.source, KEY)
  assert shared.generator is None
  assert method.prepare_flops(task.source, shared) == 0
  adapted = method.adapt(shared, task.test.evidence, KEY)
  assert method.adapt_flops(shared, task.test.evidence, adapted) > 0


@pytest.mark.parametrize('budget', [10, 250])
def test_without_any_prior_it_is_ease(data, features, budget):
  task = new_catalogue.make_task(data, budget, 0, 50)
  nothing = dict.fromkeys(LEARNED, 0.0) | {'l2_features': 2.0, 'trust': 0.0}
  ours = hyperease.hyperease(features, l2=30.0, **nothing)
  theirs = ease.ease(l2=30.0, retrain=True)
  np.testing.assert_allclose(
    adapted_weights(ours, task), adapted_weights(theirs, task), atol=1e-5
  )


@pytest.mark.parametrize('sharpness', [0.0, 1.0])
def test_a_catalogue_of_one_item_has_no_weights(data, features, sharpness):
  task = new_catalogue.make_task(data, 20, 0, 50)
  one = task.test.evidence.take_items([3])
  method = hyperease.hyperease(features, **OPTIONS, sharpness=sharpness)
  shared = method.prepare(task.source, KEY)
  weights = method.adapt(shared, one, KEY).weights
  if sharpness == 0.0:
    weights = weights if isinstance(weights, np.ndarray) else weights.dense()
  np.testing.assert_array_equal(weights, [[0.0]])


@pytest.mark.parametrize('sharpness', [0.0, 1.0])
def test_the_prior_is_what_no_evidence_leaves(data, features, sharpness):
  task = new_catalogue.make_task(data, 0, 0, 50)
  options = {**OPTIONS, 'sharpness': sharpness}
  solved = hyperease.hyperease(features, **options)
  generated = hyperease.hyperease(features, solve=False, **options)
  np.testing.assert_allclose(
    adapted_weights(solved, task), adapted_weights(generated, task), atol=1e-5
  )
  assert (solved.name, generated.name) == ('hyperease', 'hyperease_zero')


def test_weights_have_a_zero_diagonal(data, features):
  task = new_catalogue.make_task(data, 20, 0, 50)
  for solve in (True, False):
    method = hyperease.hyperease(features, solve=solve, **OPTIONS)
    assert not np.diagonal(adapted_weights(method, task)).any()


def test_much_evidence_falls_back_to_ease(data, features):
  """The more users, the less the prior moves the weights."""
  moved = []
  for budget in (5, 50, 250):
    task = new_catalogue.make_task(data, budget, 0, 50)
    with_prior, without = (
      adapted_weights(hyperease.hyperease(features, **OPTIONS | options), task)
      for options in ({}, dict.fromkeys(LEARNED, 0.0) | {'trust': 1e-9})
    )
    moved.append(np.linalg.norm(with_prior - without))
  assert moved[0] > moved[1] > moved[2]


def test_the_known_catalogue_is_refused(data, features):
  task = new_users.make_task(data, 5, 0, 50)
  method = hyperease.hyperease(features, **OPTIONS)
  with pytest.raises(method_lib.CannotServe, match='its source does not hold'):
    adapted_weights(method, task)


@pytest.fixture(scope='module')
def domains(data):
  """Two source domains and a target, of unlike names."""
  source, target = splits.item_halves(data, 0)
  users = np.split(np.arange(400), [100, 300])
  parts = (source, source, target)
  return tuple(
    dataclasses.replace(part.take_users(of), name=name)
    for part, of, name in zip(parts, users, 'abc', strict=True)
  )


def test_domains_teach_by_the_features_that_they_share(features, domains):
  """C is made of the target's own features, M of those in common."""
  *sources_, target = domains
  own = lambda part: features(part)[:, :5]  # noqa: E731
  method = hyperease.hyperease(
    own, features, solve=False, **OPTIONS | {'transfer': 0.0, 'popularity': 0.0}
  )
  shared = method.prepare(tuple(sources_), KEY)
  assert len(shared.generator.relation) == features(target).shape[1]
  weights = method.adapt(shared, target, KEY).weights.dense()
  c = linear_autoencoder.feature_prior(own(target), 2.0, 0.9)
  table = features(target) - features(target).mean(axis=0)
  expected = (
    c.left @ c.right + 0.2 * table @ shared.generator.relation @ table.T
  )
  np.fill_diagonal(expected, 0)
  np.testing.assert_allclose(weights, expected, atol=1e-5)
  one, both = (
    method.prepare_flops(s, shared) for s in (sources_[0], tuple(sources_))
  )
  assert 0 < one < both


def test_a_catalogue_is_known_by_its_name_and_its_ids(features, domains):
  """Two data sets may number their items alike."""
  one, other, target = domains
  method = hyperease.ridge_map(features, l2=30.0, relation=0.2)
  shared = method.prepare((one, other), KEY)
  with pytest.raises(method_lib.CannotServe, match='its source does not hold'):
    method.adapt(shared, other, KEY)
  renamed = dataclasses.replace(other, name='d')
  for served in (renamed, target):
    assert method.adapt(shared, served, KEY).weights.any()


def test_the_ridge_map_has_its_own_name_and_costs(data, features):
  task = new_catalogue.make_task(data, 20, 0, 50)
  method = hyperease.ridge_map(features, l2=30.0, relation=0.2)
  full = hyperease.hyperease(features, **OPTIONS)
  zero = hyperease.hyperease(features, solve=False, **OPTIONS)
  assert method.name == 'ridge_map'
  shared = method.prepare(task.source, KEY)
  evidence = task.test.evidence
  costs = [m.adapt_flops(shared, evidence, None) for m in (zero, method, full)]
  assert 0 < costs[0] < costs[2]
  assert costs[1] < costs[2]
  assert method.prepare_flops(task.source, shared) > 0
