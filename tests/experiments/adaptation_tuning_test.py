"""How the experiment tunes its arms, and the features that it gives them."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.adaptation.report import tables
from hyperrec import adapting, laboratory, regimes
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions, item_features
from hyperrec.regimes import new_domain
from hyperrec.systems.linear import ease, ease_dynamic
from tests import makers


@pytest.mark.parametrize(
  ('is_oracle', 'num_folds'), [(False, 0), (False, 2), (True, 0)]
)
def test_fair_tuning_sees_no_more_of_the_target_than_its_evidence(
  is_oracle, num_folds
):
  """The target is known by its catalogue's size, its users by their items."""
  target = makers.made_domain('target', 0, num_items=40)
  domains = [
    makers.made_domain(f'd{n}', n, num_items=40 + n) for n in (1, 2, 3)
  ]
  task = new_domain.make_task(target, 6, 0, 10, sources=tuple(domains))
  met, judged = [], []

  def build(scale):
    def fit(source, key):
      del key
      met.extend(domain.num_items for domain in source)
      return method_lib.Outcome(None)

    def generate(state, evidence, key):
      del state, key
      met.append(evidence.num_items)
      return method_lib.Outcome(None)

    def score(state, histories):
      del state
      met.append(histories.num_items)
      if histories.num_items == 40:
        judged.append(histories.csr())
      return np.full((len(histories.items), histories.num_items), scale)

    spy = method_lib.Model(
      'spy',
      {'scale': scale},
      fit,
      score,
      generate=generate,
      generates_catalogues=True,
      takes_domains=True,
    )
    return adapting.generated(spy)

  key = jax.random.key(0)
  stages = [
    laboratory.Stage(
      lambda method, index, source=source: laboratory.prepare(
        method, source, key
      ),
      *others,
    )
    for source, *others in laboratory.tuning_sets(
      task, is_oracle, 0, num_folds=num_folds
    )
  ]
  trials = ({'scale': 1.0}, {'scale': 2.0})
  laboratory.tune_on(build, trials, stages, key)
  meets_target = is_oracle or num_folds > 0
  assert set(met) == ({40, 41, 42, 43} if meets_target else {41, 42, 43})
  if num_folds:
    evidence = task.test.evidence.csr().toarray()
    for row in np.concatenate([x.toarray() for x in judged]):
      assert (evidence >= row).all(axis=1).any()


def test_no_domain_outweighs_another_in_tuning():
  """The second trial gains a tenth where numbers are large, and halves else."""
  values = np.array([[0.80, 0.10, 0.0], [0.88, 0.05, 0.0]])
  alike = np.ones(3)
  assert laboratory.best_trial(values, alike) == 0
  assert laboratory.best_trial(values[:, :1], alike[:1]) == 1
  assert laboratory.best_trial(np.zeros((2, 3)), alike) == 0
  assert laboratory.best_trial(values, np.array([9.0, 1.0, 1.0])) == 1


def test_the_say_of_the_evidence_grows_with_its_users():
  target = makers.made_domain('target', 0)
  domains = tuple(makers.made_domain(f'd{n}', n) for n in (1, 2, 3))
  shares = []
  for budget in (0, 1, 10, 20):
    task = new_domain.make_task(target, budget, 0, 10, sources=domains)
    sets = laboratory.tuning_sets(task, False, 0, 2, num_folds=3)
    weights = np.array([s.weight for s in sets])
    rehearsed = weights[:2].sum()
    shares.append(weights[2:].sum() / (weights[2:].sum() + rehearsed))
    parts = [len(s.parts) for s in sets]
    assert parts == ([1, 1, 3] if budget > 1 else [1, 1])
  assert shares == pytest.approx([0, 0, 1 / 3, 1 / 2])


@pytest.mark.parametrize('encoder', ['tfidf', 'both'])
def test_shared_features_mean_the_same_in_every_domain(monkeypatch, encoder):
  domains = [
    makers.made_domain(name, seed) for name, seed in (('a', 1), ('b', 2))
  ]
  one = domains[0].take_items([0, 1, 2, 3, 4, 5, 6])
  twin = dataclasses.replace(one, name='twin')
  minilm = lambda texts, folder: np.stack(  # noqa: E731
    [np.random.default_rng(len(t)).normal(size=384) for t in texts]
  ).astype(np.float32)
  monkeypatch.setattr(item_features, '_minilm', minilm)
  read = features_lib.read(
    [*domains, twin], encoder, cache_folder=None, num_features=4
  )
  np.testing.assert_array_equal(read.shared(one), read.shared(twin))
  assert read.shared(one).shape == (7, 384 if encoder == 'both' else 4)
  width = read.own(one).shape[1]
  assert width == (388 if encoder == 'both' else 4)
  views = read.views(one)
  assert [v.shape[1] for v in views] == ([384, 4] if encoder == 'both' else [4])
  np.testing.assert_allclose(
    np.concatenate(views, axis=1) / np.sqrt(len(views)), read.units(one)
  )


def test_views_are_weighted_by_their_cosines():
  data = makers.made_domain('a', 1)
  read = features_lib.read(
    [data], 'tfidf+chars', cache_folder=None, num_features=4
  )
  words, chars = read.views(data)
  table = features_lib.weighted([words, chars], [3.0, 1.0])
  np.testing.assert_allclose(
    table @ table.T, 0.75 * words @ words.T + 0.25 * chars @ chars.T, atol=1e-6
  )
  np.testing.assert_array_equal(
    features_lib.weighted([words, chars], [1.0, 0.0]), words
  )
  np.testing.assert_array_equal(
    features_lib.weighted([words, chars]), read.units(data)
  )
  with pytest.raises(method_lib.CannotServe, match=r'3 weights .* 2 views'):
    features_lib.weighted([words, chars], [1.0, 1.0, 1.0])


def test_views_are_centred_over_the_known_items():
  data = makers.made_domain('a', 1)
  read = features_lib.read([data], 'tfidf', cache_folder=None, num_features=4)
  known = np.arange(3)
  (view,) = read.views(data, known)
  table = read.own(data)
  centred = table - table[known].mean(axis=0)
  length = np.linalg.norm(centred, axis=1, keepdims=True)
  np.testing.assert_allclose(view, centred / length, atol=1e-6)


def test_without_its_encoder_text_is_read_by_tfidf_and_that_is_said(
  monkeypatch,
):
  monkeypatch.setattr(item_features, '_minilm', lambda texts, folder: None)
  read = features_lib.read(
    [makers.made_domain('a', 1)], 'both', cache_folder=None, num_features=4
  )
  assert read.encoder == 'tfidf'
  rows = [{'seed': 0, 'text_encoder': read.encoder}]
  assert 'encoder of item text</dt><dd>tfidf' in tables.provenance(rows)


def test_features_are_looked_up_by_the_name_of_the_data_set():
  domains = [
    makers.made_domain(name, seed) for name, seed in (('a', 1), ('b', 2))
  ]
  bare = dataclasses.replace(domains[1], item_text=None, name='bare')
  options = {'cache_folder': None, 'num_features': 4}
  read = features_lib.read([*domains, bare], 'tfidf', **options)
  np.testing.assert_array_equal(
    read.own(domains[1].take_items([5, 2])), read.own(domains[1])[[5, 2]]
  )
  with pytest.raises(method_lib.CannotServe, match='bare has no item text'):
    read.shared(bare)
  with pytest.raises(interactions.DataError, match=r"two .* are called 'a'"):
    features_lib.read([domains[0]] * 2, 'tfidf', **options)


@pytest.mark.parametrize('text', ['', 'a', 'same words'])
def test_text_that_says_nothing_leaves_methods_that_need_none(text, caplog):
  data = makers.made_domain('shop', 1)
  dull = dataclasses.replace(
    data, item_text=np.array([text] * data.num_items, object)
  )
  read = features_lib.read([dull], 'tfidf', cache_folder=None, num_features=4)
  assert 'shop: ' in caplog.text
  assert 'is it the right column?' in caplog.text
  assert read.encoder is None
  with pytest.raises(method_lib.CannotServe, match='shop has no item text'):
    read.own(dull)


def test_an_edge_of_the_grid_is_told():
  trials = (
    {'l2': 1.0, 'depth': 2, 'form': 'a', 'is_shared': True, 'rate': 0.1},
    {'l2': 5.0, 'depth': 1, 'form': 'b', 'is_shared': False, 'rate': 0.1},
    {'l2': 9.0, 'depth': 3, 'form': 'b', 'is_shared': False, 'rate': 0.1},
  )
  assert laboratory.at_edge(trials, 0) == ('l2',)
  assert laboratory.at_edge(trials, 1) == ('depth',)
  assert laboratory.at_edge(trials, 2) == ('l2', 'depth')
  assert laboratory.at_edge(trials[:1], 0) == ()
  nested = ({'base': {'epochs': 5}}, {'base': {'epochs': 9}})
  assert laboratory.at_edge(nested, 0) == ()


def test_a_single_setting_is_rehearsed_where_there_is_a_stage():
  data = makers.make_data()
  task = regimes.find('new_users').make_task(data, 3, 0, 6)
  key = jax.random.key(0)
  sets = laboratory.tuning_sets(task, False, 0)
  stages = [
    laboratory.Stage(
      lambda method, index, source=source: laboratory.prepare(
        method, source, key
      ),
      *others,
    )
    for source, *others in sets
  ]
  build = lambda **trial: adapting.frozen(ease.ease(**trial))  # noqa: E731
  (trial,) = trials = ({'l2': 5.0},)
  assert laboratory.tune_on(build, trials, (), key).validation is None
  tuned = laboratory.tune_on(build, trials, stages, key)
  ((source, (judged,), *_),) = sets
  method = build(**trial)
  prepared = method.prepare(source, key)
  state = method.adapt(prepared.state, judged.evidence, key).state
  evaluation = laboratory.judge(method, state, judged)
  assert tuned.validation == evaluation.mean(laboratory.PRIMARY)
  assert tuned.flops == prepared.cost.operations > 0


def test_trials_on_the_evidence_are_paid_for_by_every_adaptation():
  data = makers.make_data(num_users=60)
  task = regimes.find('new_catalogue').make_task(data, 12, 0, 8)
  key = jax.random.key(0)
  rehearsed, folds = (
    laboratory.tuning_sets(task, False, 0, num_folds=n) for n in (0, 2)
  )

  def tuned(sets):
    stages = [
      laboratory.Stage(
        lambda method, index, source=source: laboratory.prepare(
          method, source, key
        ),
        *others,
      )
      for source, *others in sets
    ]
    build = lambda **trial: adapting.retrained(ease.ease(**trial))  # noqa: E731
    return laboratory.tune_on(build, ({'l2': 1.0}, {'l2': 9.0}), stages, key)

  assert tuned(rehearsed).flops_of_evidence == 0
  both = tuned(folds)
  assert both.flops == tuned(rehearsed).flops > 0
  assert both.flops_of_evidence > 0


def test_what_was_prepared_in_vain_is_paid_for_once():
  data = makers.make_data(num_users=60)
  task = regimes.find('new_catalogue').make_task(data, 12, 0, 8)
  key = jax.random.key(0)
  *rehearsals, folds = laboratory.tuning_sets(task, False, 0, num_folds=2)
  assert folds.is_of_evidence
  # Preparing costs as told; adapting is free, and serves by the same state.
  method = method_lib.Method(
    'told',
    ease.ease(l2=1.0),
    lambda source, key: method_lib.Outcome(None, method_lib.Cost(7.0)),
    lambda shared, evidence, key: method_lib.Outcome(None),
  )
  method = dataclasses.replace(
    method, model=dataclasses.replace(method.model, score=_by_number)
  )
  stages = [
    laboratory.Stage(
      lambda method, index, source=source: laboratory.prepare(
        method, source, key
      ),
      *others,
    )
    for source, *others in (*rehearsals, folds)
  ]
  found = laboratory.tune_on(
    lambda **trial: method, ({'l2': 1.0}, {'l2': 2.0}, {'l2': 3.0}), stages, key
  )
  # Three trials on each rehearsal, and two that the folds did not choose.
  assert found.flops == 7.0 * (3 * len(rehearsals) + 2)


def _by_number(state, histories):
  """The same scores for every user: later items rank higher."""
  del state
  scores = np.arange(histories.num_items, dtype=np.float32)
  return np.tile(scores, (len(histories.items), 1))


def test_a_row_has_the_value_on_validation_users():
  data = makers.make_data()
  task = regimes.find('new_users').make_task(data, 3, 0, 6)
  key = jax.random.key(0)
  method = adapting.updated(ease_dynamic.ease_dynamic(l2=5.0))
  prepared = laboratory.prepare(method, task.source, key)
  row = laboratory.run_cell(
    method, prepared, task.test, key, repeats=1, max_seconds=0.0,
    validation=task.validation,
  )  # fmt: skip
  state = method.adapt(prepared.state, task.validation.evidence, key).state
  found = laboratory.judge(method, state, task.validation)
  assert row['validation'] == found.mean(laboratory.PRIMARY)
  assert row['metrics'][laboratory.PRIMARY] != row['validation']
  assert row['adapt']['state_bytes'] >= row['adapt']['stored_bytes'] > 0


@pytest.mark.parametrize(('limit', 'is_timed'), [(0.0, False), (1e9, True)])
def test_slow_scoring_is_timed_for_fewer_users(monkeypatch, limit, is_timed):
  monkeypatch.setattr(laboratory, '_MOST_SCORE_SECONDS', limit)
  task = regimes.find('new_users').make_task(makers.make_data(), 3, 0, 6)
  method = adapting.updated(ease_dynamic.ease_dynamic(l2=5.0))
  key = jax.random.key(0)
  row = laboratory.run_cell(
    method, laboratory.prepare(method, task.source, key), task.test, key,
    repeats=1, max_seconds=0.0,
  )  # fmt: skip
  assert row['score']['seconds_64'] > 0
  assert ('seconds_1024' in row['score']) == is_timed
