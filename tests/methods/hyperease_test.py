"""HyperEASE: what it reduces to, what it teaches, what it refuses."""

import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import item_features, regimes, sources
from hyperrec.methods import hyperease, l3ae

KEY = jax.random.key(0)
OPTIONS = {'l2': 30.0, 'l2_features': 2.0, 'trust': 0.9}


@pytest.fixture(scope='module')
def data():
  return sources.load('synthetic', num_users=400, num_items=120)


@pytest.fixture(scope='module')
def features(data):
  table = item_features.tfidf_svd(data.item_text, num_features=8, seed=0)
  order = np.argsort(data.item_ids)

  def lookup(part):
    places = np.searchsorted(data.item_ids, part.item_ids, sorter=order)
    return table[order[places]]

  return lookup


def adapted_weights(method, task):
  shared = method.prepare(task.source, KEY)
  adapted = method.adapt(shared, task.test.evidence, KEY)
  weights = adapted.weights
  return weights if isinstance(weights, np.ndarray) else weights.dense()


@pytest.mark.parametrize('budget', [0, 10, 100])
def test_without_the_source_it_is_l3ae(data, features, budget):
  task = regimes.make_task(data, 'new_catalogue', budget, 0, 50)
  ours = hyperease.hyperease(features, weight=0.0, **OPTIONS)
  theirs = l3ae.l3ae(features, retrain=True, **OPTIONS)
  np.testing.assert_allclose(
    adapted_weights(ours, task), adapted_weights(theirs, task), atol=1e-5
  )


def test_the_generated_prior_is_what_no_evidence_leaves(data, features):
  task = regimes.make_task(data, 'new_catalogue', 0, 0, 50)
  solved = hyperease.hyperease(features, weight=1.0, **OPTIONS)
  generated = hyperease.hyperease(features, weight=1.0, solve=False, **OPTIONS)
  np.testing.assert_allclose(
    adapted_weights(solved, task), adapted_weights(generated, task), atol=1e-5
  )
  assert (solved.name, generated.name) == ('hyperease', 'hyperease_zero')


def test_weights_have_a_zero_diagonal(data, features):
  task = regimes.make_task(data, 'new_catalogue', 20, 0, 50)
  for solve in (True, False):
    method = hyperease.hyperease(features, weight=1.0, solve=solve, **OPTIONS)
    assert not np.diagonal(adapted_weights(method, task)).any()


def test_much_evidence_falls_back_to_ease(data, features):
  """The more users, the less the prior moves the weights."""
  moved = []
  for budget in (5, 50, 250):
    task = regimes.make_task(data, 'new_catalogue', budget, 0, 50)
    with_prior, without = (
      adapted_weights(
        hyperease.hyperease(
          features, weight=w, l2=30.0, l2_features=2.0, trust=t
        ),
        task,
      )
      for w, t in ((1.0, 0.9), (1e-9, 1e-9))
    )
    moved.append(np.linalg.norm(with_prior - without))
  assert moved[0] > moved[1] > moved[2]


def test_the_known_catalogue_is_refused(data, features):
  task = regimes.make_task(data, 'new_users', 5, 0, 50)
  method = hyperease.hyperease(features, weight=1.0, **OPTIONS)
  with pytest.raises(method_lib.CannotServe, match='its source does not hold'):
    adapted_weights(method, task)


def test_the_ridge_map_has_its_own_name_and_costs(data, features):
  task = regimes.make_task(data, 'new_catalogue', 20, 0, 50)
  method = hyperease.ridge_map(features, l2=30.0, weight=1.0)
  full = hyperease.hyperease(features, weight=1.0, **OPTIONS)
  zero = hyperease.hyperease(features, weight=1.0, solve=False, **OPTIONS)
  assert method.name == 'ridge_map'
  shared = method.prepare(task.source, KEY)
  evidence = task.test.evidence
  costs = [m.adapt_flops(shared, evidence, None) for m in (zero, method, full)]
  assert 0 < costs[0] < costs[2]
  assert costs[1] < costs[2]
  assert method.prepare_flops(task.source, shared) > 0
