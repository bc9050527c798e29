"""VQ-Rec behind the contract: what codes teach carries to items never seen."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.cost import measure
from hyperrec.data import interactions
from hyperrec.methods import (
  vqrec,
  vqrec_index,
  vqrec_stages,
  vqrec_training,
)
from tests.methods import kind_data

KEY = jax.random.key(0)


def histories(data, users=None):
  users = np.arange(data.num_users) if users is None else np.array(users)
  return method_lib.Histories.of(data.by_user_and_time(), users)


def kind_hits(method, adapted, data):
  """How often the best item of all is of the kind that follows."""
  shown = data.rows(data.timestamps < kind_data.LENGTH - 1)
  scores = method.score(adapted, histories(shown))
  last = data.items.reshape(-1, kind_data.LENGTH)[:, -1]
  found = kind_data.kinds_of(data)[scores.argmax(axis=1)]
  return float((found == kind_data.kinds_of(data)[last]).mean())


@pytest.fixture(scope='module')
def shared():
  return learner().prepare(kind_data.chain(), KEY)


def learner(build=vqrec.vqrec, **changed):
  return build(
    kind_data.features, **{**kind_data.SMALL, 'epochs': 20, **changed}
  )


def test_new_items_are_served_without_training(shared):
  method, new = learner(), kind_data.chain(first_item=600, seed=1)
  adapted = method.adapt(shared, new.rows([]), KEY)
  assert kind_hits(method, adapted, new) > 0.9
  chex.assert_trees_all_equal(adapted.params, shared.params)
  assert method.adapt_flops(shared, new, adapted) < 1e5
  # What an adaptation keeps: a byte for each code, and the popularity.
  kept = adapted.codes.nbytes + adapted.popularity.nbytes
  assert adapted.codes.nbytes == new.num_items * kind_data.SMALL['num_groups']
  assert kept <= measure.stored_bytes(adapted, shared) <= kept + 1000


def test_it_may_learn_from_shuffled_histories():
  data = kind_data.chain()
  in_order, shuffled = (
    vqrec.vqrec(
      kind_data.features, **{**kind_data.SMALL, 'shuffled': choice}
    ).prepare(data, KEY)
    for choice in (False, True)
  )
  assert shuffled.flops == in_order.flops
  with pytest.raises(AssertionError):
    chex.assert_trees_all_equal(shuffled.params, in_order.params)


def test_shuffled_features_teach_nothing(shared):
  def shuffled(data):
    return kind_data.features(data)[
      np.random.default_rng(0).permutation(data.num_items)
    ]

  method, new = (
    vqrec.vqrec(shuffled, **kind_data.SMALL),
    kind_data.chain(600, seed=1),
  )
  adapted = method.adapt(shared, new.rows([]), KEY)
  assert kind_hits(method, adapted, new) < 0.5


def test_several_domains_teach_one_network():
  domains = (
    kind_data.chain(num_items=18, name='a'),
    kind_data.chain(60, seed=2, name='b'),
  )
  method, new = learner(), kind_data.chain(first_item=600, seed=1)
  shared = method.prepare(domains, KEY)
  assert shared.codes.shape == (48, 2)
  assert shared.item_ids is None
  adapted = method.adapt(shared, new.rows([]), KEY)
  assert kind_hits(method, adapted, new) > 0.8


def test_another_domain_is_new_even_with_the_same_ids():
  method = vqrec.vqrec(kind_data.features, **kind_data.SMALL)
  shared = method.prepare((kind_data.chain(),), KEY)
  other = kind_data.chain(name='other')
  assert method.adapt(shared, other, KEY) is not shared


def test_known_items_need_no_look_up(shared):
  method = learner()
  new = kind_data.chain(seed=5)
  adapted = method.adapt(shared, new, KEY)
  assert adapted is shared
  assert method.adapt_flops(shared, new, adapted) == 0


def test_the_same_key_gives_the_same_network():
  method = vqrec.vqrec(kind_data.features, **kind_data.SMALL)
  first, second = (method.prepare(kind_data.chain(), KEY) for _ in range(2))
  chex.assert_trees_all_equal(first, second)
  other = method.prepare(kind_data.chain(), jax.random.key(1))
  assert not np.array_equal(first.params['codes'], other.params['codes'])


def test_fine_tuning_trains_embeddings_and_input_norm_alone(shared):
  method = learner(vqrec.vqrec_finetune)
  new = kind_data.chain(first_item=600, seed=1)
  before = jax.tree.map(np.array, shared.params)
  adapted = method.adapt(shared, new, KEY)
  chex.assert_trees_all_equal(shared.params, before)
  old, tuned = shared.params, adapted.params
  assert not np.array_equal(old['codes'], tuned['codes'])
  same = {
    name: chex.assert_trees_all_equal(old['encoder'][name], part)
    for name, part in tuned['encoder'].items()
    if name != 'input_norm'
  }
  assert set(same) == {'places', 'block_0'}
  norms = (p['encoder']['input_norm']['scale'] for p in (old, tuned))
  assert not np.array_equal(*norms)
  assert adapted.index is shared.index
  everything = learner(vqrec.vqrec_finetune, finetune_all=True)
  changed = everything.adapt(shared, new, KEY).params
  assert not np.array_equal(
    old['encoder']['places'], changed['encoder']['places']
  )


def test_fine_tuning_on_known_items_goes_on(shared):
  method = learner(vqrec.vqrec_finetune, index='target', alignment='random')
  adapted = method.adapt(shared, kind_data.chain(seed=5), KEY)
  assert adapted.index is shared.index
  np.testing.assert_array_equal(adapted.codes, shared.codes)
  np.testing.assert_array_equal(adapted.popularity, shared.popularity)
  assert 0 < adapted.flops < shared.flops


def test_fine_tuning_without_a_next_item_is_a_look_up(shared):
  new = kind_data.chain(first_item=600, seed=1)
  _, first = np.unique(new.users, return_index=True)
  method = learner(vqrec.vqrec_finetune, index='target')
  for evidence in (new.rows(first), new.rows([])):
    adapted = method.adapt(shared, evidence, KEY)
    assert adapted.index is shared.index
    chex.assert_trees_all_equal(adapted.params, shared.params)


def test_another_index_is_learned_from_the_target(shared):
  new = kind_data.chain(first_item=600, seed=1)
  method = learner(vqrec.vqrec_finetune, index='target', finetune_epochs=20)
  adapted = method.adapt(shared, new, KEY)
  assert not np.array_equal(adapted.index.codebooks, shared.index.codebooks)
  assert kind_hits(method, adapted, new) > 0.9


def scrambled(shared, seed=0):
  """`shared` with the embeddings of each group's codes in another order."""
  random = np.random.default_rng(seed)
  order = np.stack(
    [random.permutation(kind_data.SMALL['num_codes']) for _ in range(2)]
  )
  codes = np.take_along_axis(
    np.asarray(shared.params['codes']), order[..., None], axis=1
  )
  return shared._replace(params={**shared.params, 'codes': codes})


def test_the_alignment_puts_scrambled_codes_in_order(shared):
  """Learned, it undoes a permutation that identity and random leave."""
  wrong, new = scrambled(shared), kind_data.chain(first_item=600, seed=1)
  hits = {}
  for alignment, noise in (
    ('identity', 0),
    ('random', 0),
    ('learned', 0),
    ('learned', 1),
  ):
    config = vqrec_stages.Config(
      **{
        **kind_data.SMALL,
        'alignment': alignment,
        'align_noise': float(noise),
        'align_epochs': 20,
      }
    )
    looked_up = vqrec_index.look_up(wrong, new, kind_data.features(new))
    sequences = vqrec_stages.Sequences.of(new)
    aligned = vqrec_training.align(config, looked_up, sequences, KEY)
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
  method = vqrec.vqrec_retrain(kind_data.features, **kind_data.SMALL)
  adapted = method.adapt(method.prepare(source, KEY), new, KEY)
  both = interactions.join_users(source, new)
  config = vqrec_stages.Config(**kind_data.SMALL)
  expected = vqrec_training.from_scratch(
    config, both, kind_data.features(both), KEY
  )
  chex.assert_trees_all_equal(adapted, expected)
  assert method.adapt_flops(source, new, adapted) > 0


def test_retraining_learns_a_new_catalogue_from_scratch():
  new = kind_data.chain(first_item=600, seed=1)
  method = learner(vqrec.vqrec_retrain)
  adapted = method.adapt(method.prepare(kind_data.chain(), KEY), new, KEY)
  assert kind_hits(method, adapted, new) > 0.9


def test_evidence_without_a_next_item_cannot_train():
  new = kind_data.chain(first_item=600)
  method = vqrec.vqrec_retrain(kind_data.features, **kind_data.SMALL)
  with pytest.raises(method_lib.CannotServe, match='two items or more'):
    method.adapt(kind_data.chain(), new.rows([]), KEY)


def test_who_has_shown_nothing_gets_the_popular(shared):
  data = kind_data.chain()
  scores = learner().score(shared, histories(data.take_users([0, 1]).rows([])))
  expected = np.log1p(data.item_counts())
  np.testing.assert_allclose(scores, [expected, expected], rtol=1e-6)


def test_scores_are_cosines_and_do_not_depend_on_the_batch(shared):
  data = kind_data.chain()
  method = learner()
  whole = method.score(shared, histories(data))
  assert whole.dtype == np.float32
  assert np.abs(whole).max() <= 1 + 1e-5
  part = method.score(shared, histories(data, [5, 0, 3]))
  np.testing.assert_allclose(part, whole[[5, 0, 3]], atol=1e-5)


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path):
  config = vqrec_stages.Config(**kind_data.SMALL)
  table = kind_data.features(kind_data.chain())
  whole = vqrec_training.from_scratch(config, kind_data.chain(), table, KEY)
  asked = []

  def evaluate(fitted):
    asked.append(fitted.codes.shape)
    if len(asked) == 2:
      raise KeyboardInterrupt
    return {'quality': float(len(asked))}

  run = {
    'evaluate': evaluate,
    'workdir': tmp_path,
    'loop': {
      'checkpoint_every': 5,
      'evaluate_every': 10,
      'best_metric': 'quality',
    },
  }
  with pytest.raises(KeyboardInterrupt):
    vqrec_training.from_scratch(config, kind_data.chain(), table, KEY, **run)
  resumed = vqrec_training.from_scratch(
    config, kind_data.chain(), table, KEY, **run
  )
  chex.assert_trees_all_equal(resumed.params, whole.params)


def test_equal_stages_are_compiled_once():
  config = vqrec_stages.Config(**kind_data.SMALL)
  stage = vqrec_stages.pretraining(config)
  step = vqrec_stages.train_step(stage.loss, config.encoder(), stage.options)
  before = step._cache_size()
  for seed, epochs in enumerate((1, 3)):
    other = dataclasses.replace(config, epochs=epochs, lr=1e-2 / epochs)
    vqrec_training.pretrain(
      other,
      [kind_data.chain()],
      [kind_data.features(kind_data.chain())],
      jax.random.key(seed),
    )
  assert step._cache_size() - before <= 1


def test_a_small_or_wordless_catalogue_is_told():
  small = {**kind_data.SMALL, 'num_codes': 64}
  with pytest.raises(method_lib.CannotServe, match='30 items cannot teach'):
    vqrec.vqrec(kind_data.features, **small).prepare(kind_data.chain(), KEY)
  same = vqrec.vqrec(
    lambda data: np.ones((data.num_items, 4)), **kind_data.SMALL
  )
  with pytest.raises(method_lib.CannotServe, match='1 distinct vectors'):
    same.prepare(kind_data.chain(), KEY)


def test_codes_of_another_model_are_told(shared):
  shown = histories(kind_data.chain())
  method = learner()
  for codes, told in (
    (shared.codes[:, :1], '2 codes an item are needed'),
    (shared.codes + 8, 'is outside 0..7'),
    (shared.codes[:5], 'codes of 5 items'),
  ):
    with pytest.raises(interactions.DataError, match=told):
      method.score(shared._replace(codes=codes), shown)


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
