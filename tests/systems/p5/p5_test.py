"""P5 behind the contract, on sequences that have a rule."""

import dataclasses

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.p5 import p5, prompt_tasks, prompts, tokenizer
from hyperrec.systems.p5 import training as p5_training

pytest.importorskip('sentencepiece')
SMALL = {
  'dim': 16,
  'head_dim': 8,
  'num_layers': 1,
  'vocab_size': 400,
  'num_whole_words': 16,
  'source_length': 24,
  'batch_size': 32,
  'max_history': 4,
  'dropout': 0.0,
}
NUM_ITEMS = 12
WORDS = ('red', 'blue', 'green', 'small', 'large', 'round')


def in_a_circle(num_users=60, *, first_id=0, text=True):
  """Each user takes items one after another, from a random start."""
  random = np.random.default_rng(0)
  start = random.integers(NUM_ITEMS, size=num_users)
  items = (start[:, None] + np.arange(6)[None]) % NUM_ITEMS
  users = np.repeat(np.arange(num_users), 6)
  names = [f'{a} {b} thing' for a in WORDS for b in WORDS[:2]]
  return interactions.from_columns(
    users,
    items.ravel() + first_id,
    timestamp=np.tile(np.arange(6), num_users),
    item_text=dict(enumerate(names, first_id)) if text else None,
    name='circle',
  )


@pytest.fixture(scope='module')
def by_number():
  model = p5.p5(**SMALL, names='random', num_steps=400, lr=0.01)
  method = adapting.frozen(model)
  return method, method.prepare(in_a_circle(), jax.random.key(0))


@pytest.fixture(scope='module')
def by_text():
  method = adapting.frozen(p5.p5(**SMALL, names='text', num_steps=2))
  return method, method.prepare(in_a_circle(), jax.random.key(0))


def histories(*rows, num_items=NUM_ITEMS):
  length = max(1, *map(len, rows))
  mask = np.arange(length) < np.array([[len(row)] for row in rows])
  items = np.zeros(mask.shape, np.int32)
  items[mask] = [item for row in rows for item in row]
  return method_lib.Histories(items, mask, num_items)


def test_the_rule_of_the_sequences_is_learned(by_number):
  method, shared = by_number
  rows = [[(i + j) % NUM_ITEMS for j in range(3)] for i in range(NUM_ITEMS)]
  scores = method.score(shared.state.state, histories(*rows))
  expected = (np.arange(NUM_ITEMS) + 3) % NUM_ITEMS
  assert (scores.argmax(axis=1) == expected).mean() > 0.9


def test_scores_are_a_distribution_over_the_catalogue(by_number):
  method, shared = by_number
  scores = method.score(
    shared.state.state, histories([], [3], [1, 2, 3, 4, 5, 6])
  )
  assert scores.shape == (3, NUM_ITEMS)
  np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-4)


def test_users_do_not_depend_on_each_other(by_number):
  method, shared = by_number
  together = method.score(shared.state.state, histories([3, 4], [5], []))
  np.testing.assert_allclose(
    method.score(shared.state.state, histories([5])), together[1:2], atol=1e-4
  )


def test_only_the_last_items_of_a_history_are_read(by_number):
  method, shared = by_number
  found = method.score(
    shared.state.state, histories([9, 1, 2, 3, 4], [1, 2, 3, 4])
  )
  np.testing.assert_allclose(found[0], found[1], atol=1e-4)


@pytest.mark.parametrize('item', [-1, NUM_ITEMS])
def test_an_unknown_item_of_a_history_is_named(by_number, item):
  method, shared = by_number
  with pytest.raises(
    interactions.DataError, match=f'item={item} .* none of the 12 items'
  ):
    method.score(shared.state.state, histories([1, item]))


def test_nothing_is_paid_where_the_catalogue_is_known(by_number):
  method, shared = by_number
  data = in_a_circle()
  adapted, cost = method.adapt(shared.state, data, jax.random.key(1))
  assert adapted is shared.state.state
  assert cost == method_lib.Cost()
  assert shared.cost.operations > 1e8


def test_numbers_mean_nothing_elsewhere(by_number):
  method, shared = by_number
  with pytest.raises(method_lib.CannotServe, match='another catalogue'):
    method.adapt(shared.state, in_a_circle(first_id=100), jax.random.key(1))
  with pytest.raises(method_lib.CannotServe, match='another domain'):
    method.prepare((in_a_circle(), in_a_circle()), jax.random.key(1))


def test_new_items_are_known_by_their_text(by_text):
  method, shared = by_text
  new = in_a_circle(first_id=100)
  nothing = new.rows([])
  adapted, cost = method.adapt(shared.state, nothing, jax.random.key(1))
  assert adapted.params is shared.state.state.params
  assert cost == method_lib.Cost()
  scores = method.score(adapted, histories([], [2, 3]))
  np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-4)
  with pytest.raises(method_lib.CannotServe, match='no item text'):
    method.adapt(
      shared.state, in_a_circle(first_id=100, text=False), jax.random.key(1)
    )


def test_several_domains_teach_one_model(by_text):
  method, _ = by_text
  domains = in_a_circle(), in_a_circle(30, first_id=50)
  shared = method.prepare(domains, jax.random.key(0)).state
  assert shared.state.catalogue is None
  nothing = domains[0].rows([])
  adapted = method.adapt(shared, nothing, jax.random.key(1)).state
  assert method.score(adapted, histories([1])).shape == (1, NUM_ITEMS)


def test_equal_ids_in_another_domain_are_other_items(by_text):
  method, _ = by_text
  source = in_a_circle()
  shared = method.prepare((source,), jax.random.key(0)).state
  text = np.array([f'other {text}' for text in source.item_text], object)
  target = dataclasses.replace(source, item_text=text, name='other')
  adapted = method.adapt(shared, target, jax.random.key(1)).state
  config = p5.P5Config(**SMALL, names='text')
  expected = p5.name_items(config, target, shared.state.tokenizer, 0)
  assert list(adapted.catalogue.names) == expected


def test_equal_titles_are_told_apart():
  pieces = tokenizer.train(['red thing', 'blue thing, old'] * 20, 300)
  texts = np.array(['red thing. a', 'red thing. b', 'red thing', ''], object)
  data = dataclasses.replace(
    in_a_circle(text=False).take_items(np.arange(4)), item_text=texts
  )
  config = p5.P5Config(names='text')
  names = p5.name_items(config, data, pieces, 0)
  assert len(set(names)) == 4
  assert pieces.decode(names[1]) == 'red thing 2'


def test_a_name_too_long_to_write_is_refused():
  model = p5.p5(**SMALL, names='random', num_steps=1, target_length=1)
  with pytest.raises(
    interactions.DataError, match='target_length=1 must be at'
  ):
    model.fit(in_a_circle(), jax.random.key(0))


def test_training_goes_on_from_a_start(by_number):
  """What was learned is not learned again, nor are names and pieces."""
  _, shared = by_number
  start = shared.state.state
  model = p5.p5(**SMALL, names='random', num_steps=1, lr=1e-6)
  asked = []

  def evaluate(state):
    asked.append(model.score(state, histories([0, 1, 2])).argmax())
    return {'quality': 1.0}

  run = method_lib.Run(evaluate=evaluate, best_metric='quality')
  key = jax.random.key(1)
  state, cost = model.fit(in_a_circle(), key, start, run)
  assert asked == [3]
  assert state.catalogue is start.catalogue
  assert state.tokenizer is start.tokenizer
  assert cost.operations == shared.cost.operations / 400
  # A start without parameters gives names and pieces alone.
  fresh = model.fit(in_a_circle(), key, start._replace(params=None)).state
  assert fresh.catalogue is start.catalogue
  rows = histories(*([i, i + 1] for i in range(NUM_ITEMS - 1)))
  known, unknown = (model.score(each, rows) for each in (state, fresh))
  assert known.max(axis=1).mean() > unknown.max(axis=1).mean() + 0.5


def test_families_of_prompts_are_chosen():
  """Users are named only where they have numbers."""
  data = in_a_circle()
  found = {}
  for families, seed in (
    (('sequential',), None),
    (('sequential',), 0),
    (('sequential', 'direct'), 0),
  ):
    model = p5.p5(
      **SMALL, names='random', num_steps=1, families=families, user_seed=seed
    )
    found[families, seed] = model.fit(data, jax.random.key(0)).state.params
  first, *others = map(jax.tree.leaves, found.values())
  for other in others:
    assert not all(map(np.array_equal, first, other))
  model = p5.p5(**SMALL, names='random', families=('direct',))
  with pytest.raises(interactions.DataError, match='has no user'):
    model.fit(data, jax.random.key(0))


def test_prompts_of_one_length_share_a_step():
  data = in_a_circle()
  config = p5.P5Config(
    **{**SMALL, 'batch_size': 4}, steps_alike=8, target_length=8, name_tokens=4
  )
  pieces = tokenizer.train(prompt_tasks.corpus(data), 400)
  names = p5.name_items(config, data, pieces, 0)
  tasks = prompt_tasks.Tasks(data, names, pieces, prompt_tasks.PromptConfig())
  template = prompts.Template('x-1', '{history}', '{item}')
  batch_at = p5_training.batches(config, [tasks], pieces, [template], 0)
  lengths = [batch_at(step).tokens.shape[1] for step in range(8)]
  assert len(set(lengths)) > 1
  assert set(lengths) <= {4, 8, 16, 24}
  np.testing.assert_array_equal(batch_at(9).tokens, batch_at(9).tokens)
  np.testing.assert_array_equal(batch_at(0).tokens, batch_at(0).tokens)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'names': 'by_colour'}, "names='by_colour' must be one of"),
    ({'num_steps': 0}, 'num_steps=0 must be at least 1'),
    ({'lr': -1.0}, r'lr=-1\.0 must be at least 0'),
    ({'dropout': 1.0}, r'dropout=1\.0 must be at least 0 and below 1'),
    ({'dim': 100}, 'head_dim=32 must divide dim=100'),
    (
      {'names': 'text', 'target_length': 8},
      'target_length=8 has no room for name_tokens=8',
    ),
    ({'steps_alike': 0}, 'steps_alike=0 must be at least 1'),
  ],
)
def test_hyper_parameters_that_no_network_can_have(change, message):
  with pytest.raises(interactions.DataError, match=message):
    p5.P5Config(**change)
