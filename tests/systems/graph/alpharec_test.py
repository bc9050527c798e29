"""AlphaRec: its graph against dense NumPy, and whom its map of text serves."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.graph import alpharec, light_convolution
from tests import makers

KEY = jax.random.key(0)
SMALL = {'hidden_dim': 16, 'dim': 8, 'batch_size': 64, 'num_negatives': 20}


def kinds(data):
  return features_lib.unit_blocks(np.eye(4)[data.item_ids % 4])


def kind_data(num_items=60, seed=0):
  """Users like the items of one kind of four."""
  random = np.random.default_rng(seed)
  likes = np.arange(120)[:, None] % 4 == np.arange(num_items)[None] % 4
  taken = random.random(likes.shape) < 0.03 + 0.4 * likes
  data = interactions.Interactions(*np.nonzero(taken), 120, num_items)
  return data, likes


def separation(scores, likes):
  """How far items of the own kind are above others."""
  return scores[likes].mean() - scores[~likes].mean()


def histories_of(data):
  return method_lib.Histories.of(
    data.by_user_and_time(), np.arange(data.num_users)
  )


def test_layers_are_those_of_the_dense_normalised_graph():
  x = makers.make_data().csr()
  random = np.random.default_rng(0)
  users, items = random.normal(size=(40, 3)), random.normal(size=(30, 3))
  dense = x.toarray()
  adjacency = np.block(
    [[np.zeros((40, 40)), dense], [dense.T, np.zeros((30, 30))]]
  )
  scale = 1 / np.sqrt(adjacency.sum(1))
  adjacency = scale[:, None] * adjacency * scale
  table = np.concatenate([users, items])
  found = light_convolution.layers(light_convolution.edges(x), users, items, 2)
  expected = np.stack([table, adjacency @ table, adjacency @ adjacency @ table])
  np.testing.assert_allclose(
    np.concatenate(found, axis=1), expected, rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize('num_layers', [0, 1, 2])
def test_a_user_who_joins_the_graph_is_scored_as_one_who_was_there(num_layers):
  data = makers.make_data()
  table = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
  model = alpharec.alpharec(
    lambda part: table, num_layers=num_layers, steps=2, **SMALL
  )
  state = model.fit(data, KEY).state
  dense = data.csr().toarray()
  mean = dense @ table / dense.sum(1, keepdims=True)

  params = jax.tree.map(np.asarray, state.params)

  def mapped(text):
    hidden = text @ params['hidden']['kernel'] + params['hidden']['bias']
    hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    return hidden @ params['out']['kernel'] + params['out']['bias']

  graph = dense / np.sqrt(np.outer(dense.sum(1), dense.sum(0)))
  users, items = [mapped(mean)], [mapped(table)]
  for _ in range(num_layers):
    users, items = (
      [*users, graph @ items[-1]],
      [*items, graph.T @ users[-1]],
    )
  user, item = np.mean(users, axis=0), np.mean(items, axis=0)
  user /= np.linalg.norm(user, axis=1, keepdims=True)
  item /= np.linalg.norm(item, axis=1, keepdims=True)
  np.testing.assert_allclose(
    model.score(state, histories_of(data)), user @ item.T, atol=1e-4
  )


def test_an_item_that_nobody_took_is_ranked_by_its_text():
  data, likes = kind_data()
  data = data.rows(data.items < 48)
  model = alpharec.alpharec(kinds, steps=60, **SMALL)
  state = model.fit(data, KEY).state
  scores = model.score(state, histories_of(data))
  assert separation(scores[:, 48:], likes[:, 48:]) > 0.3
  assert state.degrees[48:].max() == 0


def test_items_are_drawn_only_where_somebody_could_take_them():
  data = makers.make_data()
  data = data.rows(data.items >= 10)
  config = alpharec.AlpharecConfig(batch_size=100, num_negatives=50)
  domain = alpharec._domain(data.csr(), np.ones((30, 2)))
  batch = alpharec._sampler(config, domain, seed=0)(3)
  assert set(np.unique(batch['drawn'])) == set(range(10, 30))
  x = data.csr().toarray() > 0
  taken = x[batch['users'][:, None], batch['drawn']]
  np.testing.assert_array_equal(batch['is_taken'], taken)
  assert x[batch['users'], batch['items']].all()


def test_drawn_items_have_the_same_scores_in_large_catalogues(monkeypatch):
  random = np.random.default_rng(0)
  users, items = random.normal(size=(5, 3)), random.normal(size=(9, 3))
  drawn = random.integers(9, size=(5, 4))
  small = alpharec._scores_of(users, items, drawn)
  monkeypatch.setattr(alpharec, '_GATHER_BEYOND', 1)
  large = alpharec._scores_of(users, items, drawn)
  expected = np.take_along_axis(users @ items.T, drawn, axis=1)
  np.testing.assert_allclose(small, expected, rtol=1e-5)
  np.testing.assert_allclose(large, expected, rtol=1e-5)


@pytest.mark.parametrize('num_domains', [1, 2])
def test_its_map_serves_a_new_catalogue_without_interactions(num_domains):
  sources = tuple(kind_data(60 + seed, seed)[0] for seed in range(num_domains))
  source = sources[0] if num_domains == 1 else sources
  target, likes = kind_data(41, 9)
  method = adapting.finetuned(alpharec.alpharec(kinds, steps=60, **SMALL))
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, target.rows([]), KEY)
  scores = method.score(adapted.state, histories_of(target))
  assert separation(scores, likes) > 0.3
  assert adapted.cost.operations >= adapted.cost.of_text > 0


def test_evidence_goes_on_training_and_costs_more():
  data, _ = kind_data()
  model = alpharec.alpharec(kinds, steps=5, finetune_epochs=2, **SMALL)
  first = model.fit(data, KEY)
  more = model.fit(data, KEY, first.state)
  few = model.fit(data.rows(np.arange(64)), KEY, first.state)
  assert more.cost.operations > few.cost.operations
  moved = jax.tree.map(
    lambda a, b: float(np.abs(a - b).max()), first.state.params,
    more.state.params,
  )  # fmt: skip
  assert min(jax.tree.leaves(moved)) > 0


def test_texts_that_say_nothing_leave_the_loss_finite():
  data = makers.make_data()
  model = alpharec.alpharec(lambda part: np.zeros((30, 4)), steps=3, **SMALL)
  state = model.fit(data, KEY).state
  assert np.isfinite(model.score(state, histories_of(data))).all()


def test_it_cannot_be_trained_without_interactions():
  model = alpharec.alpharec(kinds, **SMALL)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    model.fit(makers.make_data().rows([]), KEY)
