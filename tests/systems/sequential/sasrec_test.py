"""Tests of SASRec under the policies: frozen, retrained and fine-tuned."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions, joining, sequences
from hyperrec.evaluation import ranking
from hyperrec.systems.baselines import popularity
from hyperrec.systems.sequential import (
  next_item,
  sasrec,
  sequential_recommender,
)
from hyperrec.training import loop, run_log
from tests.makers import make_data

KEY = jax.random.key(0)
# The tests use few shapes, so that little is compiled.
SMALL = {
  'length': 8,
  'dim': 8,
  'num_layers': 1,
  'num_heads': 1,
  'epochs': 2,
  'finetune_epochs': 2,
  'batch_size': 4,
  'lr': 1e-2,
}


def histories(data, users=None):
  users = np.arange(data.num_users) if users is None else np.array(users)
  return method_lib.Histories.of(data.by_user_and_time(), users)


def chain(num_users=200, num_items=30, length=6, seed=0):
  """Walks along a fixed permutation; every eighth step is random."""
  random = np.random.default_rng(seed)
  follows = np.random.default_rng(7).permutation(num_items)
  items = np.empty((num_users, length), int)
  items[:, 0] = random.integers(0, num_items, num_users)
  for step in range(1, length):
    astray = random.random(num_users) < 1 / 8
    stray = random.integers(0, num_items, num_users)
    items[:, step] = np.where(astray, stray, follows[items[:, step - 1]])
  return interactions.Interactions(
    np.repeat(np.arange(num_users), length),
    items.reshape(-1),
    num_users,
    num_items,
    timestamps=np.tile(np.arange(length), num_users),
  )


def hits(model, data):
  """Hit rate at 1 of the last item; seen items stay among the candidates."""
  last = data.timestamps == data.timestamps.max()
  shown = data.rows(~last)
  state = model.fit(shown, KEY).state
  found = ranking.evaluate(
    lambda users: model.score(state, histories(shown, users)),
    shown.csr(),
    data.rows(last).csr(),
    metrics=('hr@1',),
    seen=shown.csr() * 0,
  )
  return found.mean('hr@1')


@pytest.mark.parametrize('num_negatives', [0, 8])
def test_learns_an_order_that_popularity_cannot(num_negatives):
  sizes = {**SMALL, 'dim': 32, 'dropout': 0.1, 'epochs': 40}
  model = sasrec.sasrec(**sizes, num_negatives=num_negatives)
  data = chain()
  assert hits(model, data) > 0.75
  assert hits(popularity.popularity(), data) < 0.2


def test_the_same_key_gives_the_same_network():
  model = sasrec.sasrec(**SMALL)
  first, second = (model.fit(chain(), KEY).state for _ in range(2))
  chex.assert_trees_all_equal(first.params, second.params)
  other = model.fit(chain(), jax.random.key(1)).state
  assert not np.array_equal(first.params['items'], other.params['items'])


def test_new_users_need_a_pass_only():
  data = chain()
  method = adapting.frozen(sasrec.sasrec(**SMALL))
  shared = method.prepare(data.take_users(np.arange(150)), KEY).state
  new = data.take_users([150, 151])
  adapted = method.adapt(shared, new, KEY)
  assert adapted.state is shared.state
  assert adapted.cost == method_lib.Cost()
  scores = method.score(adapted.state, histories(new))
  assert scores.shape == (2, 30)
  assert scores.dtype == np.float32


def test_who_has_shown_nothing_gets_the_popular():
  data = chain()
  model = sasrec.sasrec(**SMALL)
  state = model.fit(data, KEY).state
  nothing = data.take_users([0, 1]).rows(np.array([], int))
  scores = model.score(state, histories(nothing))
  expected = np.log1p(data.item_counts())
  np.testing.assert_allclose(scores, [expected, expected], rtol=1e-6)


def test_scores_do_not_depend_on_the_batch():
  random = np.random.default_rng(0)
  rows = [
    (user, item)
    for user, count in enumerate([1, 3, 8, 9, 20, 2])
    for item in random.integers(0, 30, count)
  ]
  data = interactions.from_columns(
    *zip(*rows, strict=True), timestamp=range(len(rows)), duplicates='keep'
  )
  model = sasrec.sasrec(**{**SMALL, 'length': 12})
  state = model.fit(data, KEY).state
  whole = model.score(state, histories(data))
  for users in ([3], [4, 0, 3], [5, 5, 1, 2]):
    part = model.score(state, histories(data, users))
    np.testing.assert_allclose(part, whole[users], atol=1e-5)


def test_only_the_last_items_count():
  data = chain(length=12)
  model = sasrec.sasrec(**SMALL)
  state = model.fit(data, KEY).state
  recent = data.rows(data.timestamps >= 4)
  np.testing.assert_allclose(
    model.score(state, histories(data)),
    model.score(state, histories(recent)),
    atol=1e-5,
  )


def test_retraining_equals_training_on_everyone():
  data = chain()
  source = data.take_users(np.arange(150))
  new = data.take_users(np.arange(150, 200))
  model = sasrec.sasrec(**SMALL)
  method = adapting.retrained(model)
  shared = method.prepare(source, KEY)
  assert shared.cost == method_lib.Cost()
  adapted = method.adapt(shared.state, new, KEY)
  expected = model.fit(joining.join_users(source, new), KEY)
  chex.assert_trees_all_equal(adapted.state, expected.state)
  assert adapted.cost == expected.cost
  assert adapted.cost.operations > 0


def test_retraining_on_a_new_catalogue_is_on_the_evidence_alone():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  model = sasrec.sasrec(**SMALL)
  method = adapting.retrained(model)
  adapted = method.adapt(method.prepare(source, KEY).state, target, KEY).state
  chex.assert_trees_all_equal(adapted, model.fit(target, KEY).state)
  scores = method.score(adapted, histories(target))
  assert scores.shape == (target.num_users, 15)


def test_a_new_catalogue_is_refused_without_retraining():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  method = adapting.frozen(sasrec.sasrec(**SMALL))
  shared = method.prepare(source, KEY).state
  with pytest.raises(method_lib.CannotServe, match='retrain or fine-tune'):
    method.adapt(shared, target, KEY)


@pytest.mark.parametrize('policy', [adapting.frozen, adapting.finetuned])
def test_several_source_domains_are_refused(policy):
  method = policy(sasrec.sasrec(**SMALL))
  with pytest.raises(method_lib.CannotServe, match='2 domains'):
    method.prepare((make_data(), make_data()), KEY)


def test_items_without_an_order_are_refused():
  model = sasrec.sasrec(**SMALL)
  with pytest.raises(method_lib.CannotServe, match='no timestamps'):
    model.fit(make_data(timestamps=False), KEY)


def test_shuffled_it_needs_no_order_and_learns_none():
  data = chain(length=8)
  options = {**SMALL, 'epochs': 30, 'dim': 16}
  timeless = dataclasses.replace(data, timestamps=None)
  shuffled = sasrec.sasrec(shuffled=True, **options)
  assert shuffled.fit(timeless, KEY).cost.operations > 0
  assert hits(shuffled, data) < 0.5 * hits(sasrec.sasrec(**options), data)


def test_shuffled_it_learns_what_goes_together():
  random = np.random.default_rng(0)
  half = random.integers(0, 2, (200, 1))
  items = 15 * half + random.integers(0, 15, (200, 6))
  data = interactions.Interactions(
    np.repeat(np.arange(200), 6), items.reshape(-1), 200, 30
  )
  model = sasrec.sasrec(shuffled=True, **SMALL | {'epochs': 20})
  state = model.fit(data, KEY).state
  scores = model.score(state, histories(data, [0, 1, 2, 3, 4, 5]))
  means = np.stack([scores[:, :15], scores[:, 15:]]).mean(axis=2)
  np.testing.assert_array_equal(means.argmax(axis=0), half[:6, 0])


def test_a_shuffled_pass_has_every_user_once():
  """This also holds for a batch that spans two passes."""
  users = sequences.Sequences.of(chain(num_users=9))
  made = next_item.batches(users, length=5, from_the_end=False, batch_size=6,
                           epochs=2, key=KEY, shuffled=True)  # fmt: skip
  assert (made.num_steps, made.size) == (3, 6)
  batches = [made.at(step) for step in range(3)]
  np.testing.assert_array_equal(batches[1].inputs, made.at(1).inputs)
  whole = np.concatenate(
    [np.hstack([b.inputs, b.targets[:, -1:]]) for b in batches]
  )
  expected = sorted(map(sorted, users.items.reshape(9, 6).tolist()))
  for rows in (whole[:9], whole[9:]):
    assert sorted(map(sorted, rows.tolist())) == expected
  orders = [sorted(rows.tolist()) for rows in (whole[:9], whole[9:])]
  assert orders[0] != orders[1]


def test_fine_tuning_goes_on_from_the_source():
  data = chain()
  source = data.take_users(np.arange(150))
  new = data.take_users(np.arange(150, 200))
  method = adapting.finetuned(sasrec.sasrec(**{**SMALL, 'lr': 1e-4}))
  shared = method.prepare(source, KEY).state
  start = shared.state
  before = jax.tree.map(np.array, start.params)
  adapted = method.adapt(shared, new, KEY).state
  chex.assert_trees_all_equal(start.params, before)
  # Adam moves a weight by at most about lr per step, and there are 25 steps:
  # two passes over 50 rows, 4 rows per step.
  chex.assert_trees_all_close(adapted.params, start.params, atol=2e-4 * 25)
  assert not np.array_equal(adapted.params['items'], start.params['items'])
  np.testing.assert_array_equal(adapted.popularity, start.popularity)
  _, first = np.unique(new.users, return_index=True)
  for evidence in (new.rows(first), new.rows([])):
    unchanged = method.adapt(shared, evidence, KEY)
    assert unchanged.state is start
    assert unchanged.cost == method_lib.Cost()


def test_fine_tuning_on_a_new_catalogue_keeps_all_but_the_items():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  method = adapting.finetuned(sasrec.sasrec(**{**SMALL, 'lr': 1e-6}))
  shared = method.prepare(source, KEY).state
  start = shared.state
  adapted = method.adapt(shared, target, jax.random.key(1)).state
  for name in ('places', 'block_0', 'norm'):
    chex.assert_trees_all_close(
      adapted.params[name], start.params[name], atol=1e-4
    )
  assert abs(adapted.params['items'] - start.params['items']).max() > 1e-2
  expected = np.log1p(target.item_counts())
  np.testing.assert_allclose(adapted.popularity, expected, rtol=1e-6)


@pytest.mark.parametrize('policy', [adapting.retrained, adapting.finetuned])
def test_a_catalogue_without_a_next_item_is_refused(policy):
  method = policy(sasrec.sasrec(**SMALL))
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  _, first = np.unique(target.users, return_index=True)
  shared = method.prepare(source, KEY).state
  with pytest.raises(method_lib.CannotServe, match='two items or more'):
    method.adapt(shared, target.rows(first), KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared, target.rows([]), KEY)


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path):
  model = sasrec.sasrec(**SMALL)
  whole = model.fit(chain(), KEY)
  shown = histories(chain(), [0, 1])
  validated = []

  def evaluate(state):
    assert model.score(state, shown).shape == (2, 30)
    validated.append(len(validated))
    if len(validated) == 3:
      raise KeyboardInterrupt
    return {'quality': float(len(validated))}

  run = loop.Run(
    evaluate=evaluate,
    evaluate_every=30,
    best_metric='quality',
    workdir=tmp_path,
    checkpoint_every=30,
  )
  with pytest.raises(KeyboardInterrupt):
    model.fit(chain(), KEY, run=run)
  assert not (tmp_path / 'checkpoints' / '100').exists()
  resumed = model.fit(chain(), KEY, run=run)
  assert (tmp_path / 'checkpoints' / '100').exists()
  chex.assert_trees_all_equal(resumed.state, whole.state)
  assert resumed.cost == whole.cost
  records = run_log.read_metrics(tmp_path / 'metrics.jsonl')
  validations = [r['step'] for r in records if 'quality' in r]
  assert validations == [30, 60, 90, 100]


def test_equal_models_are_compiled_once():
  config = sasrec.SasrecConfig(**SMALL, dropout=0.4)
  step_fn = sasrec.train_step(sasrec.make_model(config, 30), 0.0, 0, True, 0.0)
  for seed, epochs in enumerate((1, 1, 3)):
    options = {**SMALL, 'dropout': 0.4, 'epochs': epochs, 'lr': 1e-2 / epochs}
    sasrec.sasrec(**options).fit(chain(), jax.random.key(seed))
  assert step_fn._cache_size() == 1


def test_one_trace_for_each_length_of_history():
  model = sasrec.sasrec(**{**SMALL, 'length': 32})
  state = model.fit(chain(), KEY).state
  before = sasrec._last_hidden._cache_size()
  for seed in range(3):
    random = np.random.default_rng(seed)
    items = random.integers(0, 30, (12, 40)).astype(np.int32)
    sizes = np.repeat([3, 9, 20], 4) + random.integers(0, 5, 12)
    mask = np.arange(40)[None] < sizes[:, None]
    shown = method_lib.Histories(items, mask, 30)
    assert np.isfinite(model.score(state, shown)).all()
  assert sasrec._last_hidden._cache_size() - before <= 3


def test_the_cost_is_of_the_steps_done():
  """There are two passes over 200 rows, 4 rows per step."""
  model = sasrec.sasrec(**SMALL)
  operations = model.fit(chain(), KEY).cost.operations
  network = sasrec.make_model(model.config, 30)
  forward = sequential_recommender.forward_flops(network, 4, 8, 30)
  assert operations == 100 * 3 * forward
  sampled = sasrec.sasrec(**SMALL, num_negatives=4)
  assert sampled.fit(chain(), KEY).cost.operations < operations


@pytest.mark.parametrize(
  ('wrong', 'told'),
  [
    ({'epochs': 0}, 'epochs=0 must be at least 1'),
    ({'dropout': 1.0}, 'dropout=1.0 must be at least 0 and below 1'),
    (
      {'item_dropout': -0.1},
      'item_dropout=-0.1 must be at least 0 and below 1',
    ),
    ({'sees_padding': True}, 'sees_padding needs from_the_end'),
    ({'dim': 10, 'num_heads': 3}, 'num_heads=3 must divide dim=10'),
    ({'num_negatives': -1}, 'num_negatives=-1 must be at least 0'),
  ],
)
def test_wrong_hyper_parameters_are_told(wrong, told):
  with pytest.raises(interactions.DataError, match=told):
    sasrec.sasrec(**wrong)


def test_an_unknown_hyper_parameter_is_named():
  with pytest.raises(TypeError, match='widht'):
    sasrec.sasrec(widht=3)
