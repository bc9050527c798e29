"""Feature-aware implicit ALS against dense NumPy; items known by text alone."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.factors import ials_features
from tests import makers

KEY = jax.random.key(0)
TRIAL = {'dim': 5, 'l2': 0.02, 'unobserved': 0.2, 'exponent': 0.7}


def features(data, known=None):
  """Features that belong to the item, whatever the catalogue's numbering."""
  del known
  return np.stack(
    [np.random.default_rng(int(i)).normal(size=6) for i in data.item_ids]
  )


def kinds(data, known=None):
  del known
  return features_lib.unit_blocks(np.eye(4)[data.item_ids % 4])


def kind_data(num_items=60, seed=0, name='kinds'):
  """Users like the items of one kind of four."""
  random = np.random.default_rng(seed)
  likes = np.arange(120)[:, None] % 4 == np.arange(num_items)[None] % 4
  taken = random.random(likes.shape) < 0.03 + 0.4 * likes
  data = interactions.Interactions(*np.nonzero(taken), 120, num_items)
  return data, likes


def separation(scores, likes):
  """How far items of the own kind are above others, in deviations of these."""
  other = scores[~likes]
  return (scores[likes].mean() - other.mean()) / other.std()


def dense_rows(x, columns, mean):
  """The factors of the rows of X, each solved by itself, and their ridges."""
  alpha = TRIAL['unobserved']
  ridge = TRIAL['l2'] * (x.sum(1) + alpha * x.shape[1]) ** TRIAL['exponent']
  solved = []
  for row, r, m in zip(x, ridge, mean, strict=True):
    left = (columns * (row + alpha)[:, None]).T @ columns + r * np.eye(len(m))
    solved.append(np.linalg.solve(left, columns.T @ row + r * m))
  return np.array(solved), ridge


def sweep(x, h, mapped):
  """Users and items after one turn."""
  users, _ = dense_rows(x, h, np.zeros((len(x), h.shape[1])))
  return dense_rows(x.T, users, mapped)


def test_turns_and_maps_are_the_dense_ones_and_cold_items_are_mapped():
  data = makers.make_data()
  data = data.rows(data.items >= 3)
  config = ials_features.IalsFeaturesConfig(l2_map=1.5, **TRIAL)
  table = np.hstack([features(data), np.ones((data.num_items, 1))])
  x, warm = data.csr().toarray().astype(float), np.arange(3, data.num_items)
  items = table @ ials_features._random_map(config, KEY, table)
  items, weights, ridge = items[warm], np.zeros((7, 5)), None
  for _ in range(3):
    items, ridge = sweep(x[:, warm], items, table[warm] @ weights)
    scaled = table[warm] * np.sqrt(ridge)[:, None]
    weights = np.linalg.solve(
      scaled.T @ scaled + 1.5 * np.eye(7),
      scaled.T @ (items * np.sqrt(ridge)[:, None]),
    )
  model = ials_features.ials_features(features, epochs=3, l2_map=1.5, **TRIAL)
  state = model.fit(data, KEY).state
  close = {'rtol': 2e-3, 'atol': 2e-4}
  np.testing.assert_allclose(state.map, weights, **close)
  np.testing.assert_allclose(state.items[warm], items, **close)
  np.testing.assert_allclose(state.items[:3], table[:3] @ weights, **close)
  np.testing.assert_allclose(state.gram, 0.2 * items.T @ items, **close)
  assert state.num_trained == len(warm)


def test_an_item_that_nobody_took_is_ranked_by_its_text():
  data, likes = kind_data()
  data = data.rows(data.items < 48)
  model = ials_features.ials_features(kinds, dim=8, l2=0.01)
  state = model.fit(data, KEY).state
  scores = model.score(state, method_lib.Histories.of(data, np.arange(120)))
  assert separation(scores[:, 48:], likes[:, 48:]) > 2


@pytest.mark.parametrize('num_domains', [1, 2])
def test_a_map_of_the_source_serves_a_new_catalogue_without_interactions(
  num_domains,
):
  sources = tuple(kind_data(60, seed)[0] for seed in range(num_domains))
  source = sources[0] if num_domains == 1 else sources
  target, likes = kind_data(41, 9)
  model = ials_features.ials_features(kinds, dim=8, l2=0.01)
  method = adapting.finetuned(model)
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, target.rows([]), KEY)
  histories = method_lib.Histories.of(target, np.arange(120))
  assert separation(method.score(adapted.state, histories), likes) > 1.5
  assert adapted.cost.operations == adapted.cost.of_text > 0
  looked_up = adapting.frozen(model).adapt(shared.state, target, KEY)
  np.testing.assert_array_equal(adapted.state.items, looked_up.state.items)


def test_fine_tuning_keeps_to_the_map_of_the_source_where_it_is_trusted():
  """A high ridge of the map leaves it; a low one gives it up."""
  source, _ = kind_data(60, 0)
  target, _ = kind_data(41, 9)
  given = 1 + 0.1 * np.random.default_rng(0).normal(size=(5, 8))
  moved = []
  for l2_map in (1e6, 1e-3):
    model = ials_features.ials_features(
      kinds, dim=8, l2_map=l2_map, finetune_epochs=12
    )
    start = model.fit(source, KEY).state._replace(map=given)
    carried = model.carry(start, target, KEY).state
    state = model.fit(target, KEY, carried).state
    moved.append(np.abs(state.map - given).max())
  assert moved[0] < 0.01
  assert moved[1] > 0.5


def test_the_penalty_of_fine_tuning_holds_items_and_users():
  source, _ = kind_data(60, 0)
  target, _ = kind_data(41, 9)
  given = {'dim': 8, 'l2': 0.01}
  first = ials_features.ials_features(kinds, **given)
  held = ials_features.ials_features(kinds, finetune_l2=1e4, **given)
  start = first.carry(first.fit(source, KEY).state, target, KEY).state
  state = held.fit(target, KEY, start).state
  np.testing.assert_array_equal(
    held.fit(source, KEY).state.items, first.fit(source, KEY).state.items
  )
  np.testing.assert_allclose(
    state.items, held.look_up(state, target).state.items, atol=1e-3
  )
  histories = method_lib.Histories.of(target, np.arange(120))
  assert np.abs(held.score(state, histories)).max() < 1e-2


def test_without_any_interaction_a_map_cannot_be_fitted():
  model = ials_features.ials_features(features, **TRIAL)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    model.fit(makers.make_data().rows([]), KEY)


def test_many_steps_of_conjugate_gradients_find_the_exact_turns():
  """The steps start from the factors of each domain, and heed the map."""
  sources = makers.make_data(), makers.make_data(seed=1)
  exact, stepped = (
    ials_features.ials_features(features, epochs=3, cg_steps=cg_steps, **TRIAL)
    .fit(sources, KEY)
    .state.map
    for cg_steps in (0, 20)
  )
  np.testing.assert_allclose(stepped, exact, atol=1e-4)
  assert np.abs(exact).max() > 0.01


def test_new_items_are_solved_for_and_old_ones_stay():
  data = makers.make_data()
  old = np.arange(3, data.num_items)
  source = data.take_items(old)
  evidence = data.rows(data.items == 1)
  model = ials_features.ials_features(features, epochs=3, l2_map=1.5, **TRIAL)
  method = adapting.updated(model)
  shared = method.prepare(source, KEY).state
  before, outcome = shared.state, method.adapt(shared, evidence, KEY)
  state = outcome.state
  table = np.hstack([features(data), np.ones((data.num_items, 1))])
  mapped = table @ before.map
  np.testing.assert_array_equal(state.items[old], before.items)
  np.testing.assert_allclose(state.items[[0, 2]], mapped[[0, 2]], rtol=1e-5)
  # The new item that users took up, in its own dense system.
  x = source.csr().toarray().astype(float)
  users, _ = dense_rows(x, before.items, np.zeros((len(x), 5)))
  takers = users[np.unique(evidence.users)]
  ridge = 0.02 * (len(takers) + 0.2 * data.num_users) ** 0.7
  left = before.gram_of_users + takers.T @ takers + ridge * np.eye(5)
  expected = np.linalg.solve(left, takers.sum(0) + ridge * mapped[1])
  close = {'rtol': 2e-3, 'atol': 2e-4}
  np.testing.assert_allclose(state.items[1], expected, **close)
  of_new = 0.2 * np.outer(expected, expected)
  np.testing.assert_allclose(state.gram, before.gram + of_new, **close)
  assert state.num_trained == len(old) + 1
  assert outcome.cost.operations > outcome.cost.of_text > 0
  # Without interactions they are mapped, and nothing else is paid for.
  cold = method.adapt(shared, data.rows([]), KEY)
  np.testing.assert_allclose(cold.state.items[:3], mapped[:3], rtol=1e-5)
  assert cold.cost.operations == cold.cost.of_text
