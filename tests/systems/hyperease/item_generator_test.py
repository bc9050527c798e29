"""Trained columns: they start at the closed form, and learn what text tells."""

import jax
import numpy as np
import pytest

from hyperrec import adapting, laboratory
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.features import unit_blocks
from hyperrec.regimes import new_items
from hyperrec.systems.hyperease import (
  hidden_items,
  item_columns,
  item_generator,
)
from tests.makers import made_domain, text_features

KEY = jax.random.key(0)
BASE = {'l2': 20.0, 'l2_kernel': 0.7, 'sharpness': 2.0}
SMALL = {'rank': 6, 'hidden_dim': 16, 'members': 2, 'steps': 4}
SMALL = {**BASE, **SMALL, 'evaluate_every': 2}


@pytest.fixture(scope='module')
def data():
  return made_domain('some', 3, num_users=150, num_items=60)


@pytest.fixture(scope='module')
def features(data):
  lookup = text_features(data)
  return lambda part, known=None: unit_blocks(lookup(part), (), known)


def grown(model, task):
  method = adapting.generated(model)
  shared = method.prepare(task.source, KEY)
  adapted = method.adapt(shared.state, task.test.evidence, KEY)
  return method, shared, adapted


@pytest.mark.parametrize('budget', [0, 5])
def test_without_a_gain_on_validation_it_is_the_closed_form(
  data, features, budget
):
  task = new_items.make_task(data, budget, 0, 20)
  ours = item_generator.item_generator(
    features, **SMALL, caution=1e6, patience=-1e6
  )
  _, shared, outcome = grown(ours, task)
  assert shared.state.state.strength == 0
  _, base, expected = grown(item_columns.item_columns(features, **BASE), task)
  np.testing.assert_allclose(
    outcome.state.weights, expected.state.weights, atol=1e-5
  )
  assert shared.cost.operations > base.cost.operations
  assert outcome.cost.operations > expected.cost.operations


def test_the_network_starts_at_the_closed_form():
  config = item_generator.ItemGeneratorConfig(rank=3, hidden_dim=8)
  random = np.random.default_rng(0)
  draw = lambda *shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
  known = item_generator.Known(draw(7, 5), draw(7, 4))
  tables = item_generator.Tables(known, draw(7, 7), draw(2, 7, 7), draw(7, 3))
  net = item_generator.Net(3, 2, 8, 0.5)
  params = {'net': net.init(KEY, known)['params']}
  items = np.array([1, 4])
  found = item_generator.columns_of(config, params, tables, items)
  np.testing.assert_array_equal(found, tables.columns[items].T)
  moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
  whole = item_generator.columns_of(config, moved, tables, items)
  made = net.apply({'params': moved['net']}, known)
  expected = tables.columns * np.exp(made.scale)[:, None]
  expected = expected + np.einsum('knv,nk->nv', tables.mixed, made.mixing)
  expected = expected + made.coefficients @ tables.loadings.T
  np.testing.assert_allclose(whole, expected[items].T, rtol=1e-4, atol=1e-5)
  assert not np.allclose(whole, found)


def test_it_learns_which_feature_tells_of_popularity():
  """One of 40 features does; the cosine weighs all of them alike."""
  random = np.random.default_rng(1)
  table = random.normal(size=(400, 40))
  likes = np.where(table[:, 0] > 0.8, 0.3, 0.02)
  users, items = np.nonzero(random.random((800, 400)) < likes)
  data = interactions.from_columns(users, items, name='made')
  features = lambda part, known=None: unit_blocks(  # noqa: E731
    table[part.item_ids], (), known
  )
  task = new_items.make_task(data, 0, 0, 100)
  options = {'rank': 8, 'hidden_dim': 32, 'members': 1, 'steps': 200}
  trained = item_generator.item_generator(
    features, **BASE, **options, dropout=0.1, lr=3e-3, evaluate_every=50
  )
  values = []
  for model in (item_columns.item_columns(features, **BASE), trained):
    method, shared, adapted = grown(model, task)
    found = laboratory.judge(method, adapted.state, task.test)
    values.append(found.mean('ndcg@100'))
  assert shared.state.state.strength > 0
  assert values[1] > 1.03 * values[0]


def test_the_key_decides(data, features):
  task = new_items.make_task(data, 0, 0, 20)
  model = item_generator.item_generator(features, **SMALL, caution=0.0)
  first, again = (grown(model, task)[2].state.weights for _ in range(2))
  np.testing.assert_array_equal(first, again)


def test_too_little_to_learn_from_is_said(data, features):
  few = data.take_users([0, 1, 2])
  model = item_generator.item_generator(features, **SMALL)
  with pytest.raises(method_lib.CannotServe, match='3 users with two'):
    model.fit(few, KEY)


def test_a_regression_on_few_items_is_refused(features):
  with pytest.raises(interactions.DataError, match='neighbours=20 must be 0'):
    item_generator.item_generator(features, neighbours=20)


def test_controls_are_told_of_other_items_or_of_none():
  random = np.random.default_rng(0)
  table, facts = random.normal(size=(30, 5)), random.normal(size=(30, 4))
  told = {}
  for what in item_generator.CONDITIONINGS:
    config = item_generator.ItemGeneratorConfig(conditioning=what)
    told[what] = item_generator.tell(config, table, facts)
  np.testing.assert_allclose(told['item'].table, table, rtol=1e-6)
  assert not told['constant'].table.any()
  assert not told['constant'].facts.any()
  moved = told['shuffled']
  assert (moved.facts != facts).any()
  rows = [np.flatnonzero((facts == row).all(1))[0] for row in moved.facts]
  assert sorted(rows) == list(range(30))
  np.testing.assert_allclose(moved.table, table[rows], rtol=1e-6)


def test_a_small_part_needs_less_than_a_large_one():
  config = item_generator.ItemGeneratorConfig()

  def changes(*gains):
    """One member; each strength has a standard error of about 1."""
    noise = np.tile([1.0, -1.0], 50)
    return [
      [
        hidden_items.Change(noise * 0.1 + gain / 100, np.zeros(3), 100)
        for gain in gains
      ]
    ]

  def strength(*gains):
    return item_generator.chosen_strength(config, changes(*gains))

  assert strength(-0.5, -1.0, -1.0) == 0.3
  assert strength(-1.5, -1.5, -1.5) == 0
  assert strength(0.5, 1.5, 1.5) == 0.3
  assert strength(0.5, 2.5, 3.0) == 1.0
  assert strength(0.5, 2.5, 1.5) == 0.6
