"""VQ-Rec behind the contract: what codes teach carries to items never seen."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.cost import measure
from hyperrec.data import interactions, joining
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import training as vqrec_training
from hyperrec.systems.vqrec import vqrec
from tests.systems.vqrec import kind_data

KEY = jax.random.key(0)


def histories(data, users=None):
  users = np.arange(data.num_users) if users is None else np.array(users)
  return method_lib.Histories.of(data.by_user_and_time(), users)


def kind_hits(model, state, data):
  """How often the best item of all is of the kind that follows."""
  shown = data.rows(data.timestamps < kind_data.LENGTH - 1)
  scores = model.score(state, histories(shown))
  last = data.items.reshape(-1, kind_data.LENGTH)[:, -1]
  found = kind_data.kinds_of(data)[scores.argmax(axis=1)]
  return float((found == kind_data.kinds_of(data)[last]).mean())


@pytest.fixture(scope='module')
def shared():
  """What a frozen or fine-tuned VQ-Rec has learned from its source."""
  return adapting.frozen(learner()).prepare(kind_data.chain(), KEY)


def learner(build=vqrec.vqrec, **changed):
  return build(
    kind_data.features, **{**kind_data.SMALL, 'epochs': 20, **changed}
  )


def looked_up(**changed):
  return adapting.frozen(learner(**changed))


def finetuned(**changed):
  return adapting.finetuned(learner(**changed))


def test_new_items_are_served_without_training(shared):
  method, new = looked_up(), kind_data.chain(first_item=600, seed=1)
  adapted, cost = method.adapt(shared.state, new.rows([]), KEY)
  assert kind_hits(method, adapted, new) > 0.9
  before = shared.state.state
  chex.assert_trees_all_equal(adapted.params, before.params)
  assert 0 < cost.operations < 1e5
  assert cost.of_text == cost.operations
  # What an adaptation keeps: a byte for each code, and the popularity.
  kept = adapted.codes.nbytes + adapted.popularity.nbytes
  assert adapted.codes.nbytes == new.num_items * kind_data.SMALL['num_groups']
  assert kept <= measure.stored_bytes(adapted, before) <= kept + 1000


def test_it_may_learn_from_shuffled_histories():
  data = kind_data.chain()
  in_order, shuffled = (
    vqrec.vqrec(
      kind_data.features, **{**kind_data.SMALL, 'shuffled': choice}
    ).fit(data, KEY)
    for choice in (False, True)
  )
  assert shuffled.cost == in_order.cost
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(shuffled.state.params, in_order.state.params)


def test_shuffled_features_teach_nothing(shared):
  def shuffled(data):
    return kind_data.features(data)[
      np.random.default_rng(0).permutation(data.num_items)
    ]

  method, new = (
    adapting.frozen(vqrec.vqrec(shuffled, **kind_data.SMALL)),
    kind_data.chain(600, seed=1),
  )
  adapted = method.adapt(shared.state, new.rows([]), KEY).state
  assert kind_hits(method, adapted, new) < 0.5


def test_several_domains_teach_one_network():
  domains = (
    kind_data.chain(num_items=18, name='a'),
    kind_data.chain(60, seed=2, name='b'),
  )
  method, new = looked_up(), kind_data.chain(first_item=600, seed=1)
  shared = method.prepare(domains, KEY)
  assert shared.state.state.codes.shape == (48, 2)
  adapted = method.adapt(shared.state, new.rows([]), KEY).state
  assert kind_hits(method, adapted, new) > 0.8
  # The codes of all domains serve none of them.
  one = method.adapt(shared.state, domains[1].rows([]), KEY).state
  assert one.codes.shape == (30, 2)
  assert kind_hits(method, one, domains[1]) > 0.8


def test_another_domain_is_new_even_with_the_same_ids():
  method = adapting.frozen(vqrec.vqrec(kind_data.features, **kind_data.SMALL))
  shared = method.prepare((kind_data.chain(),), KEY).state
  other = kind_data.chain(name='other')
  assert method.adapt(shared, other, KEY).state is not shared.state


def test_known_items_need_no_look_up(shared):
  new = kind_data.chain(seed=5)
  adapted, cost = looked_up().adapt(shared.state, new, KEY)
  assert adapted is shared.state.state
  assert cost == method_lib.Cost()


def test_the_same_key_gives_the_same_network():
  model = vqrec.vqrec(kind_data.features, **kind_data.SMALL)
  first, second = (model.fit(kind_data.chain(), KEY) for _ in range(2))
  chex.assert_trees_all_equal(first.state, second.state)
  other = model.fit(kind_data.chain(), jax.random.key(1)).state
  assert not np.array_equal(first.state.params['codes'], other.params['codes'])


def test_fine_tuning_trains_embeddings_and_input_norm_alone(shared):
  new = kind_data.chain(first_item=600, seed=1)
  source = shared.state.state
  before = jax.tree.map(np.array, source.params)
  adapted = finetuned().adapt(shared.state, new, KEY).state
  chex.assert_trees_all_equal(source.params, before)
  old, tuned = source.params, adapted.params
  assert not np.array_equal(old['codes'], tuned['codes'])
  same = {
    name: chex.assert_trees_all_equal(old['encoder'][name], part)
    for name, part in tuned['encoder'].items()
    if name != 'input_norm'
  }
  assert set(same) == {'places', 'block_0'}
  norms = (p['encoder']['input_norm']['scale'] for p in (old, tuned))
  assert not np.array_equal(*norms)
  assert adapted.index is source.index
  everything = finetuned(finetune_all=True)
  changed = everything.adapt(shared.state, new, KEY).state.params
  assert not np.array_equal(
    old['encoder']['places'], changed['encoder']['places']
  )


def test_fine_tuning_on_known_items_goes_on(shared):
  method = finetuned(index='target', alignment='random')
  adapted, cost = method.adapt(shared.state, kind_data.chain(seed=5), KEY)
  source = shared.state.state
  assert adapted.index is source.index
  np.testing.assert_array_equal(adapted.codes, source.codes)
  np.testing.assert_array_equal(adapted.popularity, source.popularity)
  assert not np.array_equal(adapted.params['codes'], source.params['codes'])
  assert 0 < cost.operations < shared.cost.operations


def test_fine_tuning_without_a_next_item_is_a_look_up(shared):
  new = kind_data.chain(first_item=600, seed=1)
  _, first = np.unique(new.users, return_index=True)
  method, source = finetuned(index='target'), shared.state.state
  for evidence in (new.rows(first), new.rows([])):
    adapted, cost = method.adapt(shared.state, evidence, KEY)
    assert adapted.index is source.index
    chex.assert_trees_all_equal(adapted.params, source.params)
    assert cost == looked_up().adapt(shared.state, evidence, KEY).cost


def test_known_items_without_a_next_item_train_nothing(shared):
  known = kind_data.chain(seed=5)
  _, first = np.unique(known.users, return_index=True)
  for evidence in (known.rows(first), known.rows([])):
    adapted, cost = finetuned().adapt(shared.state, evidence, KEY)
    assert adapted is shared.state.state
    assert cost == method_lib.Cost()


def test_another_index_is_learned_from_the_target(shared):
  new = kind_data.chain(first_item=600, seed=1)
  method = finetuned(index='target', finetune_epochs=20)
  adapted, cost = method.adapt(shared.state, new, KEY)
  source = shared.state.state
  assert not np.array_equal(adapted.index.codebooks, source.index.codebooks)
  assert kind_hits(method, adapted, new) > 0.9
  # The index and the codes depend on the texts alone, the training does not.
  table = kind_data.features(new)
  made = vqrec_index.make(table, KEY, num_groups=2, num_codes=8)
  coded = vqrec_index.encoding_cost(made.state, new.num_items)
  assert cost.of_text == (made.cost + coded).operations
  assert cost.operations > cost.of_text


def scrambled(state, seed=0):
  """`state` with the embeddings of each group's codes in another order."""
  random = np.random.default_rng(seed)
  order = np.stack(
    [random.permutation(kind_data.SMALL['num_codes']) for _ in range(2)]
  )
  codes = np.take_along_axis(
    np.asarray(state.params['codes']), order[..., None], axis=1
  )
  return state._replace(params={**state.params, 'codes': codes})


def test_the_alignment_puts_scrambled_codes_in_order(shared):
  """Learned, it undoes a permutation that identity and random leave."""
  wrong = scrambled(shared.state.state)
  new = kind_data.chain(first_item=600, seed=1)
  hits = {}
  for alignment, noise in (
    ('identity', 0),
    ('random', 0),
    ('learned', 0),
    ('learned', 1),
  ):
    config = vqrec_stages.VqrecConfig(
      **{
        **kind_data.SMALL,
        'alignment': alignment,
        'align_noise': float(noise),
        'align_epochs': 20,
      }
    )
    coded = vqrec_index.look_up(wrong, new, kind_data.features(new)).state
    sequences = vqrec_stages.Sequences.of(new)
    aligned, cost = vqrec_training.align(config, coded, sequences, KEY)
    assert (cost.operations > 0) == (alignment == 'learned')
    hits[alignment, noise] = kind_hits(learner(), aligned, new)
    for group, codes in enumerate(aligned.params['codes']):
      found = sorted(map(tuple, np.asarray(codes)))
      assert found == sorted(map(tuple, wrong.params['codes'][group]))
  others = max(hits['identity', 0], hits['random', 0])
  assert hits['learned', 0] > 0.85
  assert hits['learned', 1] > others + 0.3
  assert others < 0.4


def test_retraining_equals_training_on_everyone():
  source, new = kind_data.chain(), kind_data.chain(seed=5)
  new = dataclasses.replace(new, user_ids=np.arange(160, 320))
  model = vqrec.vqrec_from_scratch(kind_data.features, **kind_data.SMALL)
  method = adapting.retrained(model)
  adapted = method.adapt(method.prepare(source, KEY).state, new, KEY)
  expected = model.fit(joining.join_users(source, new), KEY)
  chex.assert_trees_all_equal(adapted.state, expected.state)
  assert adapted.cost == expected.cost
  assert adapted.cost.operations > 0


def test_retraining_learns_a_new_catalogue_from_scratch():
  new = kind_data.chain(first_item=600, seed=1)
  method = adapting.retrained(learner(vqrec.vqrec_from_scratch))
  shared = method.prepare(kind_data.chain(), KEY).state
  adapted = method.adapt(shared, new, KEY).state
  assert kind_hits(method, adapted, new) > 0.9


def test_evidence_without_a_next_item_cannot_train():
  new = kind_data.chain(first_item=600)
  method = adapting.retrained(
    vqrec.vqrec_from_scratch(kind_data.features, **kind_data.SMALL)
  )
  shared = method.prepare(kind_data.chain(), KEY).state
  with pytest.raises(method_lib.CannotServe, match='two items or more'):
    method.adapt(shared, new.rows([]), KEY)


def test_who_has_shown_nothing_gets_the_popular(shared):
  data = kind_data.chain()
  nothing = histories(data.take_users([0, 1]).rows([]))
  scores = learner().score(shared.state.state, nothing)
  expected = np.log1p(data.item_counts())
  np.testing.assert_allclose(scores, [expected, expected], rtol=1e-6)


def test_scores_are_cosines_and_do_not_depend_on_the_batch(shared):
  data = kind_data.chain()
  model, state = learner(), shared.state.state
  whole = model.score(state, histories(data))
  assert whole.dtype == np.float32
  assert np.abs(whole).max() <= 1 + 1e-5
  part = model.score(state, histories(data, [5, 0, 3]))
  np.testing.assert_allclose(part, whole[[5, 0, 3]], atol=1e-5)


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path):
  model = vqrec.vqrec_from_scratch(kind_data.features, **kind_data.SMALL)
  whole = model.fit(kind_data.chain(), KEY).state
  asked = []

  def evaluate(state):
    asked.append(model.score(state, histories(kind_data.chain(), [0])).shape)
    if len(asked) == 2:
      raise KeyboardInterrupt
    return {'quality': float(len(asked))}

  run = method_lib.Run(
    evaluate=evaluate,
    workdir=tmp_path,
    checkpoint_every=5,
    evaluate_every=10,
    best_metric='quality',
  )
  with pytest.raises(KeyboardInterrupt):
    model.fit(kind_data.chain(), KEY, run=run)
  resumed = model.fit(kind_data.chain(), KEY, run=run).state
  chex.assert_trees_all_equal(resumed.params, whole.params)


def test_equal_stages_are_compiled_once():
  config = vqrec_stages.VqrecConfig(**kind_data.SMALL)
  stage = vqrec_stages.pretraining(config)
  step = vqrec_stages.train_step(stage.loss, config.encoder(), stage.options)
  before = step._cache_size()
  for seed, epochs in enumerate((1, 3)):
    other = dataclasses.replace(config, epochs=epochs, lr=1e-2 / epochs)
    model = vqrec.vqrec(kind_data.features, **dataclasses.asdict(other))
    model.fit(kind_data.chain(), jax.random.key(seed))
  assert step._cache_size() - before <= 1


def test_a_small_or_wordless_catalogue_is_told():
  small = {**kind_data.SMALL, 'num_codes': 64}
  with pytest.raises(method_lib.CannotServe, match='30 items are too few'):
    vqrec.vqrec(kind_data.features, **small).fit(kind_data.chain(), KEY)
  same = vqrec.vqrec(
    lambda data: np.ones((data.num_items, 4)), **kind_data.SMALL
  )
  with pytest.raises(method_lib.CannotServe, match='1 distinct vectors'):
    same.fit(kind_data.chain(), KEY)


def test_codes_of_another_model_are_told(shared):
  shown = histories(kind_data.chain())
  model, state = learner(), shared.state.state
  for codes, told in (
    (state.codes[:, :1], 'every item needs 2 codes'),
    (state.codes + 8, 'is outside 0..7'),
    (state.codes[:5], 'codes of 5 items'),
  ):
    with pytest.raises(interactions.DataError, match=told):
      model.score(state._replace(codes=codes), shown)


def test_an_index_may_be_made_elsewhere():
  made = []

  def make_index(table, key):
    made.append(
      vqrec_index.make(table, jax.random.key(9), num_groups=2, num_codes=8)
    )
    return made[-1]

  model = vqrec.vqrec(kind_data.features, make_index, **kind_data.SMALL)
  fitted = model.fit(kind_data.chain(), KEY)
  assert fitted.state.index is made[0].state
  assert fitted.cost.operations > made[0].cost.operations


@pytest.mark.parametrize(
  ('wrong', 'told'),
  [
    ({'epochs': 0}, 'epochs=0 must be at least 1'),
    ({'dropout': 1.0}, 'dropout=1.0 must be at least 0 and below 1'),
    ({'replaced': 1.5}, 'replaced=1.5 must be at least 0 and at most 1'),
    ({'align_lr': 0.0}, 'align_lr=0.0 must be above 0'),
    ({'temperature': -1.0}, 'temperature=-1.0 must be above 0'),
    ({'dim': 10, 'num_heads': 3}, 'num_heads=3 must divide dim=10'),
    ({'alignment': 'none'}, "alignment='none' must be one of"),
    ({'index': 'own'}, "index='own' must be one of"),
    ({'start': 'zero'}, "start='zero' must be one of"),
  ],
)
def test_wrong_hyper_parameters_are_told(wrong, told):
  with pytest.raises(interactions.DataError, match=told):
    vqrec.vqrec(kind_data.features, **wrong)
