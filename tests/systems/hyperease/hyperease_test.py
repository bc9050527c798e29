"""HyperEASE: what it reduces to, what it teaches, what it refuses."""

import dataclasses

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import joining, splits
from hyperrec.regimes import new_catalogue, new_users
from hyperrec.systems.hyperease import hyperease
from hyperrec.systems.linear import ease, l3ae
from hyperrec.systems.linear import prior as prior_lib

KEY = jax.random.key(0)
OWN = {'l2': 30.0, 'l2_features': 2.0, 'trust': 0.9}
LEARNED = {'relation': 0.2, 'transfer': 0.2, 'popularity': 0.15}
OPTIONS = OWN | LEARNED


def dense(weights):
  return weights if isinstance(weights, np.ndarray) else weights.dense()


def adapted_weights(method, task):
  shared = method.prepare(task.source, KEY)
  return dense(method.adapt(shared.state, task.test.evidence, KEY).state)


def generated(*args, **kwargs):
  return adapting.generated(hyperease.hyperease(*args, **kwargs))


@pytest.mark.parametrize('budget', [0, 10, 100])
def test_without_the_source_it_is_l3ae(data, features, budget):
  task = new_catalogue.make_task(data, budget, 0, 50)
  ours = generated(features, **OWN, **dict.fromkeys(LEARNED, 0.0))
  theirs = adapting.retrained(l3ae.l3ae(features, **OWN))
  np.testing.assert_allclose(
    adapted_weights(ours, task), adapted_weights(theirs, task), atol=1e-5
  )


def test_without_learned_parts_it_learns_nothing(data, features):
  task = new_catalogue.make_task(data, 10, 0, 50)
  options = OWN | dict.fromkeys(LEARNED, 0.0) | {'sharpness': 1.0}
  method = generated(features, **options)
  shared = method.prepare(task.source, KEY)
  assert shared.state.state is None
  assert shared.cost == method_lib.Cost()
  adapted = method.adapt(shared.state, task.test.evidence, KEY)
  assert adapted.cost.operations > 0


@pytest.mark.parametrize('budget', [0, 10, 250])
def test_without_learned_parts_it_is_l3ae_with_a_kernel(data, features, budget):
  task = new_catalogue.make_task(data, budget, 0, 50)
  options = {**OWN, 'sharpness': 1.5}
  ours = generated(features, **options, **dict.fromkeys(LEARNED, 0.0))
  theirs = adapting.retrained(l3ae.l3ae(features, **options))
  np.testing.assert_array_equal(
    adapted_weights(ours, task), adapted_weights(theirs, task)
  )


@pytest.mark.parametrize('budget', [10, 250])
def test_without_any_prior_it_is_ease(data, features, budget):
  task = new_catalogue.make_task(data, budget, 0, 50)
  nothing = dict.fromkeys(LEARNED, 0.0) | {'l2_features': 2.0, 'trust': 0.0}
  ours = generated(features, l2=30.0, **nothing)
  theirs = adapting.retrained(ease.ease(l2=30.0))
  np.testing.assert_allclose(
    adapted_weights(ours, task), adapted_weights(theirs, task), atol=1e-5
  )


@pytest.mark.parametrize('sharpness', [0.0, 1.0])
def test_a_catalogue_of_one_item_has_no_weights(data, features, sharpness):
  task = new_catalogue.make_task(data, 20, 0, 50)
  one = task.test.evidence.take_items([3])
  method = generated(features, **OPTIONS, sharpness=sharpness)
  shared = method.prepare(task.source, KEY)
  weights = method.adapt(shared.state, one, KEY).state
  np.testing.assert_array_equal(dense(weights), [[0.0]])


@pytest.mark.parametrize('sharpness', [0.0, 1.0])
def test_the_prior_is_what_no_evidence_leaves(data, features, sharpness):
  task = new_catalogue.make_task(data, 0, 0, 50)
  options = {**OPTIONS, 'sharpness': sharpness}
  solved = generated(features, **options)
  prior = generated(features, solve=False, **options)
  np.testing.assert_allclose(
    adapted_weights(solved, task), adapted_weights(prior, task), atol=1e-5
  )


def test_weights_have_a_zero_diagonal(data, features):
  task = new_catalogue.make_task(data, 20, 0, 50)
  for solve in (True, False):
    method = generated(features, solve=solve, **OPTIONS)
    assert not np.diagonal(adapted_weights(method, task)).any()


def test_much_evidence_falls_back_to_ease(data, features):
  """The more users, the less the prior moves the weights."""
  moved = []
  for budget in (5, 50, 250):
    task = new_catalogue.make_task(data, budget, 0, 50)
    with_prior, without = (
      adapted_weights(generated(features, **OPTIONS | options), task)
      for options in ({}, dict.fromkeys(LEARNED, 0.0) | {'trust': 1e-9})
    )
    moved.append(np.linalg.norm(with_prior - without))
  assert moved[0] > moved[1] > moved[2]


def test_of_a_known_catalogue_source_and_evidence_are_solved(data, features):
  task = new_users.make_task(data, 5, 0, 50)
  model = hyperease.hyperease(features, **OPTIONS)
  grown = adapting.generated(model, on=adapting.everything)
  everything = joining.join_users(task.source, task.test.evidence)
  generator = model.fit(task.source, KEY).state
  expected = model.generate(generator, everything, KEY).state
  np.testing.assert_array_equal(adapted_weights(grown, task), dense(expected))


def test_without_a_kernel_the_diagonal_stays_zero(data, features):
  task = new_catalogue.make_task(data, 5, 0, 50)
  method = generated(features, constrained=False, **OPTIONS)
  with pytest.raises(
    method_lib.CannotServe, match='diagonal cannot be dropped'
  ):
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
  method = generated(
    own, features, solve=False, **OPTIONS | {'transfer': 0.0, 'popularity': 0.0}
  )
  shared = method.prepare(tuple(sources_), KEY)
  relation = shared.state.state.relation
  assert len(relation) == features(target).shape[1]
  weights = method.adapt(shared.state, target, KEY).state.dense()
  c = prior_lib.from_features(own(target), 2.0, 0.9)
  table = features(target) - features(target).mean(axis=0)
  expected = c.left @ c.right + 0.2 * table @ relation @ table.T
  np.fill_diagonal(expected, 0)
  np.testing.assert_allclose(weights, expected, atol=1e-5)
  one = method.prepare(sources_[0], KEY)
  assert 0 < one.cost.operations < shared.cost.operations


def test_what_each_part_costs(data, features):
  task = new_catalogue.make_task(data, 20, 0, 50)
  costs = []
  for model in (
    hyperease.hyperease(features, solve=False, **OPTIONS),
    hyperease.ridge_map(features, l2=30.0, relation=0.2),
    hyperease.hyperease(features, **OPTIONS),
  ):
    fitted = model.fit(task.source, KEY)
    assert fitted.cost.operations > 0
    cost = model.generate(fitted.state, task.test.evidence, KEY).cost
    assert 0 < cost.of_text < cost.operations
    costs.append(cost.operations)
  assert 0 < costs[0] < costs[2]
  assert costs[1] < costs[2]
