"""DropoutNet: its scores in dense NumPy, and items known by text alone."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.factors import dropoutnet, ials
from tests import makers

KEY = jax.random.key(0)
SMALL = {'dim': 8, 'hidden_dim': 16, 'l2': 0.01}


def kinds(data, known=None):
  del known
  return features_lib.unit_blocks(np.eye(4)[data.item_ids % 4])


def kind_data():
  """Users like the items of one kind of four; nobody took the last 12."""
  random = np.random.default_rng(0)
  likes = np.arange(120)[:, None] % 4 == np.arange(60)[None] % 4
  taken = random.random(likes.shape) < 0.03 + 0.4 * likes
  taken[:, 48:] = False
  return interactions.Interactions(*np.nonzero(taken), 120, 60), likes


def histories_of(data):
  return method_lib.Histories.of(
    data.by_user_and_time(), np.arange(data.num_users)
  )


def test_an_item_that_nobody_took_is_ranked_by_its_text():
  data, likes = kind_data()
  model = dropoutnet.dropoutnet(kinds, steps=150, **SMALL)
  state = model.fit(data, KEY).state
  assert np.abs(state.factors.items[48:]).max() < 1e-6
  scores = model.score(state, histories_of(data))
  cold, own = scores[:, 48:], likes[:, 48:]
  assert cold[own].mean() > cold[~own].mean() + 0.2


def test_without_dropout_it_gives_back_the_scores_of_the_factors():
  data, _ = kind_data()
  model = dropoutnet.dropoutnet(
    kinds, steps=600, dropout=0.0, weight_decay=0.0, **SMALL
  )
  fitted = model.fit(data, KEY)
  config = dropoutnet.DropoutnetConfig(**SMALL)
  histories = histories_of(data)
  expected = ials.score(config, fitted.state.factors, histories)[:, :48]
  found = model.score(fitted.state, histories)[:, :48]
  assert np.abs(found - expected).mean() < 0.2 * expected.std()


def test_a_new_user_is_folded_in_and_read_by_the_network():
  data = makers.make_data()
  table = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
  model = dropoutnet.dropoutnet(
    lambda part, known=None: table, steps=3, **SMALL
  )
  source, new = data.take_users(range(35)), data.take_users(range(35, 40))
  method = adapting.updated(model)
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, new, KEY)
  state = shared.state.state
  params = jax.tree.map(np.asarray, state.params)
  config = dropoutnet.DropoutnetConfig(**SMALL)
  histories = histories_of(new)

  def network(of, inputs):
    hidden, out = params[f'{of}_hidden'], params[f'{of}_out']
    inner = np.tanh(inputs @ hidden['kernel'] + hidden['bias'])
    return inner @ out['kernel'] + out['bias']

  users = network('user', ials.users_of(config, state.factors, histories))
  items = network('item', np.hstack([state.factors.items, table]))
  np.testing.assert_allclose(
    method.score(adapted.state, histories), users @ items.T, atol=1e-4
  )
  plain = ials.fold_in(config, state.factors, new).cost
  assert adapted.cost.per_user > plain.per_user > 0


def test_only_known_items_teach():
  """Features of items that nobody took do not change the networks."""
  data, _ = kind_data()
  other = lambda part: kinds(part) * (part.item_ids < 48)[:, None]  # noqa: E731
  states = [
    dropoutnet.dropoutnet(features, steps=5, **SMALL).fit(data, KEY).state
    for features in (kinds, other)
  ]
  same = jax.tree.map(np.array_equal, states[0].params, states[1].params)
  assert all(jax.tree.leaves(same))
  assert not np.array_equal(states[0].items[48:], states[1].items[48:])


def test_fine_tuning_goes_on_from_the_factors_and_the_networks():
  data, _ = kind_data()
  model = dropoutnet.dropoutnet(
    kinds, steps=5, epochs=8, finetune_epochs=2, **SMALL
  )
  first = model.fit(data, KEY)
  more = model.fit(data, KEY, first.state)
  assert 0 < more.cost.operations < first.cost.operations
  change = np.abs(more.state.factors.items - first.state.factors.items).max()
  assert change < np.abs(first.state.factors.items).max()


def test_a_catalogue_without_interactions_is_refused():
  data, _ = kind_data()
  method = adapting.retrained(dropoutnet.dropoutnet(kinds, **SMALL))
  shared = method.prepare(data.take_items(range(20)), KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared.state, data.take_items([50, 51]).rows([]), KEY)


def test_an_item_that_arrives_costs_a_pass_and_leaves_the_others():
  data, likes = kind_data()
  random = np.random.default_rng(1)
  takes = (random.random(likes.shape) < 0.4) & likes
  old = np.arange(48)
  source = data.take_items(old)
  model = dropoutnet.dropoutnet(kinds, steps=150, **SMALL)
  method = adapting.updated(model)
  shared = method.prepare(source, KEY)
  nothing = data.rows([])
  outcome = method.adapt(shared.state, nothing, KEY)
  before, state = shared.state.state, outcome.state
  np.testing.assert_array_equal(state.items[old], before.items)
  np.testing.assert_array_equal(state.factors.items[48:], 0)
  assert outcome.cost.operations == dropoutnet.net_flops(
    model.config, 12, model.config.dim + 4
  )
  scores = method.score(state, histories_of(data))
  cold, own = scores[:, 48:], likes[:, 48:]
  assert cold[own].mean() > cold[~own].mean() + 0.2
  # Half of the users have taken up the first new item.
  users = np.flatnonzero(takes[:60, 48])
  taken = interactions.Interactions(
    users, np.full(len(users), 48), 120, 60, name=data.name
  )
  warm = method.adapt(shared.state, taken, KEY)
  assert np.abs(warm.state.items[48] - state.items[48]).max() > 0.01
  np.testing.assert_allclose(warm.state.items[49:], state.items[49:], rtol=1e-5)
  factors = ials.users_of(model.config, before.factors, histories_of(source))
  read = dropoutnet._items(
    dropoutnet.Networks(model.config.hidden_dim, model.config.dim),
    before.params,
    factors[users].mean(axis=0, keepdims=True),
    kinds(data)[48:49].astype(np.float32),
  )
  np.testing.assert_allclose(
    warm.state.items[48], read[0], rtol=1e-4, atol=1e-5
  )
  assert warm.cost.operations > outcome.cost.operations
