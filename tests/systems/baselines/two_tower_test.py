"""Tests of the two towers: training, transfer and refusals."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.regimes import new_catalogue
from hyperrec.systems.baselines import two_tower

KEY = jax.random.key(0)
SMALL = {'hidden_dim': 16, 'dim': 8, 'batch_size': 50, 'finetune_epochs': 2}


def finetuned(*arguments, **hyperparameters):
  return adapting.finetuned(two_tower.two_tower(*arguments, **hyperparameters))


def run(method, task):
  """Outcomes of `prepare` and `adapt`, and the scores of the test users."""
  shared = method.prepare(task.source, KEY)
  judged = task.test
  adapted = method.adapt(shared.state, judged.evidence, KEY)
  histories = method_lib.Histories.of(
    judged.histories.by_user_and_time(), np.arange(judged.histories.num_users)
  )
  return shared, adapted, method.score(adapted.state, histories), histories


def mean_place(scores, judged, histories):
  """Mean relative rank of the targets among the unseen items; 0 is best."""
  scores = np.where(histories.multi_hot() > 0, -np.inf, scores)
  place = np.argsort(np.argsort(-scores, axis=1), axis=1)
  return place[judged.targets.csr().toarray() > 0].mean() / scores.shape[1]


def test_what_it_learns_serves_items_that_nobody_touched():
  """Features name the kind of an item, and each user likes one kind."""
  likes = np.arange(300)[:, None] % 4 == np.arange(120)[None] % 4
  random = np.random.default_rng(0)
  users, items = np.nonzero(random.random(likes.shape) < 0.02 + 0.4 * likes)
  kind_data = interactions.Interactions(users, items, 300, 120)
  lookup = lambda part: np.eye(4)[part.item_ids % 4]  # noqa: E731
  task = new_catalogue.make_task(kind_data, 0, 0, 50)
  method = finetuned(lookup, steps=100, lr=1e-2, **SMALL)
  _, _, scores, histories = run(method, task)
  assert scores.shape == (50, task.test.evidence.num_items)
  assert mean_place(scores, task.test, histories) < 0.3


def test_evidence_goes_on_training_and_costs_more(data, features):
  method = finetuned(features, steps=5, **SMALL)
  kept = {}
  for budget in (0, 20):
    task = new_catalogue.make_task(data, budget, 0, 50)
    shared, adapted, _, _ = run(method, task)
    moved = [
      np.abs(a - b).max()
      for a, b in zip(
        *map(
          jax.tree.leaves, (shared.state.state.params, adapted.state.params)
        ),
        strict=True,
      )
    ]
    kept[budget] = max(moved)
    kept[budget, 'cost'] = adapted.cost
    assert shared.cost.operations > shared.cost.of_text > 0
  assert kept[0] == 0 < kept[20]
  nothing, some = kept[0, 'cost'], kept[20, 'cost']
  assert 0 < nothing.operations < some.operations
  assert nothing.of_text == some.of_text == nothing.operations


def test_a_catalogue_is_looked_up_as_it_is_without_evidence(data, features):
  task = new_catalogue.make_task(data, 0, 0, 50)
  model = two_tower.two_tower(features, steps=5, **SMALL)
  found = [
    run(policy(model), task)[1:3]
    for policy in (adapting.frozen, adapting.finetuned)
  ]
  (frozen, scores), (tuned, expected) = found
  np.testing.assert_array_equal(scores, expected)
  assert frozen.cost == tuned.cost


def test_a_catalogue_that_it_was_fitted_on_needs_a_product_only(data, features):
  method = adapting.frozen(two_tower.two_tower(features, steps=5, **SMALL))
  shared = method.prepare(data.take_users(np.arange(100)), KEY).state
  new = data.take_users([100, 101])
  adapted = method.adapt(shared, new, KEY)
  assert adapted.cost == method_lib.Cost()
  histories = method_lib.Histories.of(new.by_user_and_time(), np.arange(2))
  assert method.score(adapted.state, histories).std() > 0


def test_several_domains_teach_in_turn(data, features):
  task = new_catalogue.make_task(data, 5, 0, 50)
  halves = tuple(
    task.source.take_users(users) for users in np.array_split(np.arange(200), 2)
  )
  method = finetuned(features, steps=4, **SMALL)
  shared = method.prepare(halves, KEY).state
  assert shared.state.scored is None
  adapted = method.adapt(shared, task.test.evidence, KEY)
  assert np.isfinite(adapted.state.scored).all()


def test_a_source_without_users_is_refused(data, features):
  method = finetuned(features, steps=4, **SMALL)
  with pytest.raises(method_lib.CannotServe, match='two items'):
    method.prepare(data.take_users(np.arange(0)), KEY)
