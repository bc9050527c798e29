"""Meta-learned strengths: where they start, that they learn, what they cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import sources
from hyperrec.regimes import new_catalogue
from hyperrec.systems.hyperease import (
  hyperease,
  hyperease_learned,
  prior_generator,
)
from hyperrec.systems.hyperease import strength_generator as strengths_lib

KEY = jax.random.key(0)
BASE = {'l2': 30.0, 'trust': 0.9, 'relation': 0.2, 'transfer': 0.2,
        'popularity': 0.2, 'l2_features': 3.0, 'sharpness': 1.0}  # fmt: skip
SMALL = {
  'num_sets': 2,
  'max_users': 20,
  'num_queries': 8,
  'tasks': 2,
  'steps': 4,
}


@pytest.fixture(scope='module')
def data():
  return sources.load('synthetic', num_users=300, num_items=80)


@pytest.fixture(scope='module')
def task(data):
  return new_catalogue.make_task(data, 10, 0, 40)


def catalogues(task, features, config):
  rng = np.random.default_rng(0)
  source = task.source
  domain = hyperease_learned.Domain(source.csr(), features(source))
  unit = prior_generator.Strengths(3.0, 0.0, 0.0, 0.0, 0.0, sharpness=1.0)
  return list(
    hyperease_learned._catalogues(
      [(domain, domain.features)], unit, config, rng
    )
  )


def test_without_training_it_is_hyperease(task, features):
  untrained = {'num_sets': 1, 'steps': 0}
  ours = hyperease_learned.hyperease_learned(features, **BASE, **untrained)
  theirs = hyperease.hyperease(features, **BASE)
  adapted = [
    m.generate(m.fit(task.source, KEY).state, task.test.evidence, KEY).state
    for m in (ours, theirs)
  ]
  np.testing.assert_allclose(*adapted, atol=1e-6)


def test_tasks_keep_evidence_and_judged_users_apart(task, features):
  config = hyperease_learned.LearnedConfig(**SMALL)
  for catalogue in catalogues(task, features, config):
    rng = np.random.default_rng(1)
    drawn = [hyperease_learned.draw(catalogue, config, rng) for _ in range(30)]
    shown = {int(t.x.any(axis=1).sum()) for t in drawn}
    assert 0 in shown
    assert max(shown) <= config.max_users
    for t in drawn:
      assert not (t.histories * t.targets).any()
    total = catalogue.evidence.shape[0] + catalogue.queries.shape[0]
    assert total <= task.source.num_users


def test_training_lowers_the_loss_of_unseen_tasks(task, features):
  """From a base that trusts the features far too little."""
  config = hyperease_learned.LearnedConfig(
    num_sets=2, max_users=20, steps=40, learning_rate=0.05, penalty=0.0
  )
  sets = catalogues(task, features, config)
  base = strengths_lib.Generated(3.0, 0.01, 0.01, 0.01, 0.05)
  network = strengths_lib.StrengthGenerator(base)
  rng = np.random.default_rng(0)
  trained = hyperease_learned.train(network, sets, config, rng, KEY)
  start = {**trained, 'network': network.init(KEY, jnp.zeros(2))['params']}
  fresh = np.random.default_rng(5)
  tests = [hyperease_learned.draw(sets[0], config, fresh) for _ in range(12)]
  losses = [
    np.mean([
      hyperease_learned.task_loss(network, params, sets[0].parts, t, 0.0)
      for t in tests
    ])
    for params in (trained, start)
  ]  # fmt: skip
  assert losses[0] < losses[1] - 0.02


def test_several_domains_teach_too(task, features):
  source = task.source
  halves = tuple(
    source.take_users(users) for users in np.array_split(np.arange(220), 2)
  )
  model = hyperease_learned.hyperease_learned(features, **SMALL)
  fitted = model.fit(halves, KEY)
  weights, cost = model.generate(fitted.state, task.test.evidence, KEY)
  assert np.isfinite(weights).all()
  alone = hyperease.hyperease(features, **BASE).fit(halves, KEY)
  assert fitted.cost.operations > alone.cost.operations
  assert cost.operations > 0


def test_a_source_of_too_few_users_is_refused(task, features):
  model = hyperease_learned.hyperease_learned(features, **SMALL)
  with pytest.raises(method_lib.CannotServe, match='too few'):
    model.fit(task.source.take_users(np.arange(1)), KEY)
