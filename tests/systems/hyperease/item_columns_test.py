"""Generated columns: the formula, the update, what is left as it was."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.sparse

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.cost import memory
from hyperrec.data import joining
from hyperrec.features import unit_blocks
from hyperrec.regimes import new_items
from hyperrec.systems.hyperease import (
  column_update,
  hidden_columns,
  item_columns,
  local_columns,
  old_ranking,
)
from hyperrec.systems.linear import ease, linear_autoencoder
from tests.makers import made_domain, text_features

KEY = jax.random.key(0)
OPTIONS = {'l2': 50.0, 'l2_kernel': 0.7, 'sharpness': 2.0, 'identity': 0.3}


@pytest.fixture(scope='module')
def data():
  return made_domain('some', 3, num_users=150, num_items=60)


@pytest.fixture(scope='module')
def features(data):
  lookup = text_features(data)
  return lambda part, known=None: unit_blocks(lookup(part), (), known)


def grown(features, task, **more):
  model = item_columns.item_columns(features, **{**OPTIONS, **more})
  method = adapting.generated(model)
  shared = method.prepare(task.source, KEY)
  return shared, method.adapt(shared.state, task.test.evidence, KEY), method


def task_of(data, budget=0):
  return new_items.make_task(data, budget, 0, 20)


def dense_columns(features, task, use_weights=True):
  """The formula, with plain inverses."""
  evidence = task.test.evidence
  place = {item: i for i, item in enumerate(evidence.item_ids.tolist())}
  known = np.array([place[i] for i in task.source.item_ids.tolist()])
  new = np.setdiff1d(np.arange(evidence.num_items), known)
  table = features(evidence, known).astype(np.float64)
  kernel = lambda a, b: np.exp(OPTIONS['sharpness'] * (a @ b.T - 1))  # noqa: E731
  inverse = np.linalg.inv(
    kernel(table[known], table[known])
    + OPTIONS['l2_kernel'] * np.eye(len(known))
  )
  shares = inverse @ kernel(table[known], table[new])
  if not use_weights:
    return known, new, shares
  x = task.source.csr(np.float64)
  precision = np.linalg.inv((x.T @ x).toarray() + 50.0 * np.eye(x.shape[1]))
  b = np.eye(len(known)) - precision / np.diag(precision)
  return known, new, (OPTIONS['identity'] * np.eye(len(known)) + b) @ shares


@pytest.mark.parametrize('use_weights', [True, False])
def test_columns_follow_the_formula(data, features, use_weights):
  task = task_of(data)
  _, outcome, _ = grown(features, task, use_weights=use_weights)
  known, new, columns = dense_columns(features, task, use_weights)
  np.testing.assert_array_equal(outcome.state.known, known)
  found = outcome.state.weights[:, new]
  factor = np.linalg.norm(found) / np.linalg.norm(columns)
  np.testing.assert_allclose(found, factor * columns, atol=2e-5, rtol=1e-3)


def test_old_columns_stay_and_new_ones_get_their_length(data, features):
  task = task_of(data)
  shared, outcome, _ = grown(features, task, scale=0.5, most_lost=0.99)
  weights, known = outcome.state
  np.testing.assert_array_equal(weights[:, known], shared.state.state.weights)
  old = adapting.frozen(ease.ease(l2=50.0)).prepare(task.source, KEY).state
  np.testing.assert_allclose(
    shared.state.state.weights, np.asarray(old.state), atol=1e-5
  )
  lengths = np.linalg.norm(weights, axis=0)
  new = np.setdiff1d(np.arange(len(lengths)), known)
  np.testing.assert_allclose(
    np.median(lengths[new]), 1.5 * np.median(lengths[known]), rtol=1e-5
  )


def test_an_update_is_ridge_regression_around_the_column(data, features):
  task = task_of(data, budget=3)
  evidence = task.test.evidence
  joined = joining.join_users(
    joining.over_catalogue(task.source, evidence), evidence
  )
  known, new, columns = dense_columns(features, task)
  x = joined.csr(np.float64).toarray()
  columns = np.array(columns)
  column_update.update(
    columns, joined.csr()[:, known], joined.csr()[:, new], 4.0
  )
  _, _, before = dense_columns(features, task)
  for place, item in enumerate(new):
    rows = x[x[:, item] > 0][:, known]
    expected = before[:, place]
    if len(rows):
      inverse = np.linalg.inv(rows.T @ rows + 4.0 * np.eye(len(known)))
      expected = inverse @ (rows.sum(axis=0) + 4.0 * expected)
    np.testing.assert_allclose(columns[:, place], expected, atol=1e-6)


@pytest.mark.parametrize('weight', [0.1, 1.0])
def test_absent_users_weigh_less_in_an_update(data, features, weight):
  l2 = 4.0
  task = task_of(data, budget=3)
  shared, outcome, _ = grown(
    features, task, absent_weight=weight, l2_update=l2, most_lost=0.9
  )
  evidence = task.test.evidence
  joined = joining.join_users(
    joining.over_catalogue(task.source, evidence), evidence
  )
  known, new, before = dense_columns(features, task)
  x = joined.csr(np.float64).toarray()
  columns = np.array(before)
  column_update.update_with_absent(
    columns,
    joined.csr()[:, known],
    joined.csr()[:, new],
    shared.state.state.absent,
    weight=weight,
    l2=l2,
  )
  for place, item in enumerate(new):
    weights = np.where(x[:, item] > 0, 1.0, weight)
    system = x[:, known].T @ (weights[:, None] * x[:, known])
    system += l2 * np.eye(len(known))
    right = x[:, known].T @ x[:, item] + l2 * before[:, place]
    expected = np.linalg.solve(system, right)
    if not x[:, item].any():
      expected = before[:, place]
    np.testing.assert_allclose(columns[:, place], expected, atol=1e-5)
  _, plain, _ = grown(features, task, l2_update=l2, most_lost=0.9)
  assert outcome.cost.operations > plain.cost.operations


@pytest.mark.parametrize('weight', [0.0, 0.5, 1.0])
def test_an_item_with_more_users_than_old_items_needs_a_small_system(
  monkeypatch, weight
):
  """Its users alone would need a system of 90 x 90."""
  random = np.random.default_rng(0)
  x = (random.random((120, 12)) < 0.3).astype(np.float32)
  x[:, -1] = np.arange(120) < 90
  known = scipy.sparse.csr_matrix(x[:, :-1])
  new = scipy.sparse.csr_matrix(x[:, -1:])
  before = random.standard_normal((11, 1))
  required = []
  monkeypatch.setattr(
    memory, 'check_memory', lambda bytes_, *_: required.append(bytes_)
  )
  columns = before.copy()
  if weight:
    absent, _ = column_update.inverse(known, weight, 4.0)
    operations = column_update.update_with_absent(
      columns, known, new, absent, weight=weight, l2=4.0
    )
  else:
    operations = column_update.update(columns, known, new, 4.0)
  weights = np.where(x[:, -1] > 0, 1.0, weight)
  system = x[:, :-1].T @ (weights[:, None] * x[:, :-1]) + 4.0 * np.eye(11)
  right = x[:, :-1].T @ x[:, -1] + 4.0 * before[:, 0]
  np.testing.assert_allclose(
    columns[:, 0], np.linalg.solve(system, right), atol=1e-5
  )
  assert 0 < operations < 90**3 / 3
  assert max(required) < 8 * 90**2


def test_a_system_that_does_not_fit_is_refused(monkeypatch):
  monkeypatch.setattr(memory, 'available_bytes', lambda: 10)
  ones = scipy.sparse.csr_matrix(np.ones((3, 2), np.float32))
  with pytest.raises(memory.InsufficientMemoryError, match='3 interactions'):
    column_update.update(np.zeros((2, 2)), ones, ones, 1.0)
  with pytest.raises(memory.InsufficientMemoryError, match='3 interactions'):
    local_columns.update(ones.T.tocsr()[:, :2], ones, ones, 1.0)


@pytest.mark.parametrize('num_more', [3, 200])
def test_users_who_come_after_the_fit_weigh_as_others(data, features, num_more):
  weight, l2 = 0.5, 4.0
  random = np.random.default_rng(0)
  task = task_of(data)
  known, new, before = dense_columns(features, task)
  model = item_columns.item_columns(
    features,
    **{**OPTIONS, 'absent_weight': weight, 'l2_update': l2, 'most_lost': 0.99},
  )
  method = adapting.generated(model)
  shared = method.prepare(task.source, KEY).state
  # Some users are new, and one of the fit takes up more, of old items, too.
  users, items = np.nonzero(random.random((num_more, data.num_items)) < 0.3)
  names = [f'new{user}' for user in users]
  evidence = dataclasses.replace(
    task.test.evidence,
    users=np.append(users, num_more).astype(np.int32),
    items=np.append(items, [known[5]]).astype(np.int32),
    num_users=num_more + 1,
    user_ids=np.array([*dict.fromkeys(names), task.source.user_ids[0]], object),
    ratings=None,
    timestamps=None,
  )
  joined = joining.join_users(
    joining.over_catalogue(task.source, evidence), evidence
  )
  x = joined.csr(np.float64).toarray()
  found = method.adapt(shared, evidence, KEY).state.weights[:, new]
  start = before * item_columns._scale(shared.state.weights, before, 1.0)
  expected = start.copy()
  for place, item in enumerate(new):
    if not x[:, item].any():
      continue
    weights = np.where(x[:, item] > 0, 1.0, weight)
    system = x[:, known].T @ (weights[:, None] * x[:, known])
    system += l2 * np.eye(len(known))
    right = x[:, known].T @ x[:, item] + l2 * start[:, place]
    expected[:, place] = np.linalg.solve(system, right)
  factor = np.linalg.norm(found) / np.linalg.norm(expected)
  np.testing.assert_allclose(found, factor * expected, atol=2e-5)


def test_interactions_cost_an_update_and_move_only_their_columns(
  data, features
):
  few, many = task_of(data, 0), task_of(data, 3)
  _, cold, _ = grown(features, few)
  _, warm, _ = grown(features, many)
  _, same, _ = grown(features, many, updates=False)
  np.testing.assert_array_equal(same.state.weights, cold.state.weights)
  assert cold.cost == same.cost
  assert warm.cost.operations > cold.cost.operations > cold.cost.of_text > 0


def test_new_items_are_scored_from_old_histories(data, features):
  task = task_of(data)
  _, outcome, method = grown(features, task)
  rows = task.test.histories.by_user_and_time()
  shown = method_lib.Histories.of(rows, np.arange(5))
  scores = method.score(outcome.state, shown)
  x = shown.multi_hot()[:, outcome.state.known]
  # Scores are sums of single precision that may nearly cancel.
  expected = x @ outcome.state.weights
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-7)
  assert (scores[:, task.test.candidates] != 0).any()


@pytest.mark.parametrize('use_weights', [True, False])
def test_a_hidden_item_has_the_column_of_a_catalogue_without_it(
  data, features, use_weights
):
  config = item_columns.ItemColumnsConfig(**OPTIONS, use_weights=use_weights)
  table = features(data).astype(np.float64)
  x = data.csr(np.float64)
  size = data.num_items
  ridge = np.full(size, 50.0)
  precision = linear_autoencoder.precision(x, ridge, np.float64)
  columns, _, operations = hidden_columns.generate(config, precision, table)
  assert operations > 0
  for item in (0, 17, size - 1):
    known = np.setdiff1d(np.arange(size), [item])
    state = item_columns.Catalogue(
      linear_autoencoder.solve(x[:, known], ridge[1:]),
      item_columns.kernel_factor(
        table[known], config.sharpness, config.l2_kernel
      ),
      None,
    )
    expected = item_columns.generate(
      config, state, table[known], table[[item]]
    ).columns
    np.testing.assert_allclose(
      columns[known, item], expected[:, 0], atol=2e-5, rtol=1e-3
    )
  np.testing.assert_array_equal(np.diagonal(columns), 0)


def test_all_neighbours_are_the_dense_form(data, features):
  task = task_of(data, budget=3)
  _, dense, _ = grown(features, task)
  shared, local, _ = grown(features, task, neighbours=10_000)
  assert shared.state.state.factor is None
  np.testing.assert_allclose(
    local.state.weights, dense.state.weights, atol=2e-5
  )


def test_old_items_lose_as_much_as_is_allowed(data, features):
  """On the users who are watched, and no more than that."""
  task = task_of(data)
  lost = []
  for most_lost in (0.0, 0.05, 0.2):
    shared, outcome, _ = grown(features, task, most_lost=most_lost)
    watched = shared.state.state.watched
    weights, known = outcome.state
    new = np.setdiff1d(np.arange(weights.shape[1]), known)
    scores = watched.histories @ weights[:, new]
    above = [
      (scores[user] >= score).sum()
      for user, score in zip(watched.users, watched.scores, strict=True)
    ]
    gains = [
      old_ranking._gain(watched, np.array(above) * times) for times in (0, 1)
    ]
    lost.append(1 - gains[1] / gains[0])
    assert lost[-1] <= most_lost + 1e-3
  # The smallest factor is not 0, and float32 rounds.
  assert lost[2] > 0.15 > lost[1] > 0.03


def test_watched_users_are_left_out_of_the_weights(data):
  x = data.csr()
  ridge = np.full(x.shape[1], 50.0)
  precision = linear_autoencoder.precision(x, ridge, np.float64)
  watched, operations = old_ranking.watch(x, precision)
  assert operations > 0
  for row in (0, 3):
    shown = watched.histories[[row]].toarray()[0]
    # The row of X that holds what is shown and what is hidden.
    (others,) = np.nonzero((x.toarray() >= shown).all(axis=1))
    hidden = watched.users == row
    found = []
    for user in others:
      rest = np.delete(x.toarray(), user, axis=0)
      inverse = np.linalg.inv(rest.T @ rest + 50.0 * np.eye(x.shape[1]))
      weights = np.eye(x.shape[1]) - inverse / np.diag(inverse)
      scores = np.where(shown > 0, -np.inf, shown @ weights)
      items = np.flatnonzero((x.toarray()[user] > 0) & (shown == 0))
      if len(items) == hidden.sum():
        ranks = [(scores >= scores[item]).sum() for item in items]
        found.append((np.sort(scores[items]), sorted(ranks)))
    assert any(
      np.allclose(scores, np.sort(watched.scores[hidden]), atol=1e-5)
      and ranks == sorted(watched.ranks[hidden])
      for scores, ranks in found
    )


def test_nobody_to_watch_leaves_the_length():
  lonely = scipy.sparse.identity(4, format='csr', dtype=np.float32)
  watched, _ = old_ranking.watch(lonely, np.eye(4) / 2)
  assert old_ranking.longest(watched, np.ones((4, 2)), 0.02, 3.0)[0] == 1
