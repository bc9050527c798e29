"""What every method of the comparison promises, whatever it is made of.

Each system of `experiments.catalogue` is built in each of its regimes, with
short trainings, on tiny made-up data. A method may refuse with `CannotServe`;
anything else that it raises is a mistake.
"""

import copy
import dataclasses
import functools

import jax
import numpy as np
import pytest
import scipy.sparse

from experiments import catalogue
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems import states
from hyperrec.systems.baselines import blended
from tests import makers, storing

KEY = jax.random.key(0)
NUM_ITEMS = 24
# Trainings that take no time; a field counts where a model has it.
SHORT = {
  'epochs': 1,
  'finetune_epochs': 1,
  'steps': 2,
  'members': 1,
  'num_steps': 2,
  'num_sets': 1,
  'num_tasks': 3,
  'base_steps': 1,
  'num_codes': 4,
  'num_groups': 2,
  'rank': 4,
  'dim': 8,
  'head_dim': 8,
  'hidden_dim': 8,
  'latent_dim': 4,
  'vocab_size': 300,
  'batch_size': 16,
}
# Who has weights for a catalogue that nobody has touched.
ZERO_SHOT = {
  'cease',
  'l3ae',
  'l3ae:kernel',
  'hyperease_catalogue',
  'marec',
  'alpharec',
  'ials_features',
  'vqrec_lookup',
  'vqrec_finetune',
  'p5',
  'p5:long',
  'ridge_map',
  'two_tower',
}
# They stop where the error is small, which more evidence may reach sooner.
ITERATIVE = {'SLIM', 'ESLER'}


@functools.cache
def domains():
  """Four sets with text, times and ratings; the first is the target."""
  return tuple(
    makers.made_domain(name, seed, num_users=60, num_items=NUM_ITEMS)
    for seed, name in enumerate(('target', 'other', 'third', 'fourth'))
  )


@functools.cache
def features():
  return features_lib.read(
    domains(), 'tfidf', cache_folder=None, num_features=8
  )


@functools.cache
def situation(regime):
  """Source and evidence of a regime."""
  target = domains()[0]
  if regime == 'new_users':
    return target.take_users(range(45)), target.take_users(range(45, 60))
  if regime == 'new_domain':
    return domains()[1:3], target.take_users(range(30))
  if regime == 'returning_users':
    return target, target.rows([]).take_users(range(45, 60))
  if regime == 'drift':
    cut = np.quantile(target.timestamps, 0.7)
    later = target.timestamps > cut
    return target.rows(~later), target.rows(later)
  if regime == 'new_items':
    known = target.take_users(range(45))
    is_new = known.items >= NUM_ITEMS - 6
    return known.take_items(range(NUM_ITEMS - 6)), known.rows(is_new)
  half = NUM_ITEMS // 2
  old = target.take_items(range(half)).take_users(range(45))
  return old, target.take_items(range(half, target.num_items)).take_users(
    range(20)
  )


def shortened(system, regime):
  """The method with a training that takes no time."""
  arm = system.arms[regime]
  trial = dict(arm.trials[0])
  asked = {'num_questions': 2} if system.interviews else {}
  build = functools.partial(system.build, regime, features(), **asked)
  config = build(**trial).config
  if isinstance(config, blended.BlendConfig):  # its trials are of the first
    config = config.first
  names = {f.name for f in dataclasses.fields(config)} if config else set()
  if 'base' in trial and isinstance(trial['base'], dict):
    trial['base'] = {**trial['base'], 'epochs': 1, 'batch_size': 16}
  short = {k: v for k, v in SHORT.items() if k in names}
  if system.label == 'HyperEASE for users':
    short.pop('epochs', None)
  return build(**{**trial, **short})


def shown_in(regime):
  """The rows that judged users have shown, over the evidence's catalogue."""
  source, evidence = situation(regime)
  if regime == 'returning_users':
    return source.take_users(range(45, 60))
  return evidence


def histories(data):
  users = np.arange(min(5, data.num_users))
  return method_lib.Histories.of(data.by_user_and_time(), users)


def scores_of(method, state, shown):
  return np.asarray(method.score(state, shown))


ARMS = [
  (regime, system.name)
  for system in catalogue.SYSTEMS
  for regime in system.arms
  if system.name != 'p5:long'  # p5 with other numbers
]


def arrays(shared):
  """The arrays of what is shared; sparse ones in full."""
  leaves = jax.tree.leaves(shared.state.state)
  return [
    leaf.toarray() if scipy.sparse.issparse(leaf) else np.asarray(leaf)
    for leaf in leaves
    if scipy.sparse.issparse(leaf) or isinstance(leaf, np.ndarray | jax.Array)
  ]


@functools.lru_cache(maxsize=1)
def adapted(regime, name):
  """A method, what it has prepared, and what it has adapted to."""
  method = shortened(catalogue.BY_NAME[name], regime)
  source, evidence = situation(regime)
  shared = method.prepare(source, KEY)
  before = copy.deepcopy(arrays(shared))
  try:
    outcome = method.adapt(shared.state, evidence, KEY)
  except method_lib.CannotServe:
    outcome = None
  return method, shared, before, outcome


def each_arm(test):
  return pytest.mark.parametrize(('regime', 'name'), ARMS)(test)


@each_arm
def test_a_method_keeps_its_promises(regime, name, tmp_path):
  """One test for each arm, since what is compiled serves all of it."""
  method, shared, before, outcome = adapted(regime, name)
  restored = _check_storable(shared.state, tmp_path)
  if outcome is None:
    assert (regime, name) == ('new_catalogue', 'ease_dynamic')
    return
  shown = histories(shown_in(regime))
  _check_scores(method, outcome, shown)
  _check_costs(method, shared, outcome)
  _check_inputs(shared, before)
  _check_same_again(method, shared, outcome, regime)
  served = _check_storable(outcome.state, tmp_path)
  _check_scores_after_files(method, outcome, served, restored, regime)


def _check_scores(method, outcome, shown):
  scores = scores_of(method, outcome.state, shown)
  assert scores.shape == (len(shown.items), shown.num_items)
  assert np.issubdtype(scores.dtype, np.floating)
  assert np.isfinite(scores).all()
  one = method_lib.Histories(
    shown.items[2:3], shown.mask[2:3], shown.num_items, shown.users[2:3]
  )
  alone = scores_of(method, outcome.state, one)
  np.testing.assert_allclose(alone[0], scores[2], rtol=2e-3, atol=2e-3)


def _check_costs(method, shared, outcome):
  """Somebody has worked, and has counted it."""
  for cost in (shared.cost, outcome.cost):
    assert cost.operations >= cost.of_text >= 0
    assert cost.per_user >= 0
  works = shared.cost.operations + outcome.cost.operations
  assert works + outcome.cost.per_user > 0, method.name


def _check_inputs(shared, before):
  """An adaptation leaves what is shared as it was."""
  for old, new in zip(before, arrays(shared), strict=True):
    np.testing.assert_array_equal(old, new)


def _check_same_again(method, shared, outcome, regime):
  """Equal keys give equal scores and costs."""
  source, evidence = situation(regime)
  again = method.prepare(source, KEY)
  assert again.cost == shared.cost
  repeated = method.adapt(again.state, evidence, KEY)
  assert repeated.cost == outcome.cost
  shown = histories(shown_in(regime))
  np.testing.assert_array_equal(
    scores_of(method, outcome.state, shown),
    scores_of(method, repeated.state, shown),
  )


def _check_storable(state, folder):
  """Returns the state from files, in which it stays the same."""
  restored = storing.written_and_read(state, folder, states.STATES)
  storing.assert_same(state, restored)
  return restored


def _check_scores_after_files(method, outcome, served, restored, regime):
  """States from files score to the last bit as those that were written.

  Args:
    method: the method.
    outcome: what it has adapted.
    served: the adapted state, from files.
    restored: the shared state, from files; it is adapted again.
    regime: name of the regime.
  """
  _, evidence = situation(regime)
  again = method.adapt(restored, evidence, KEY)
  assert again.cost == outcome.cost
  shown = histories(shown_in(regime))
  scores = scores_of(method, outcome.state, shown)
  for state in (served, again.state):
    found = scores_of(method, state, shown)
    np.testing.assert_array_equal(found, scores, strict=True)


@each_arm
def test_without_evidence_it_serves_or_refuses(regime, name):
  method, shared, _, _ = adapted(regime, name)
  _, evidence = situation(regime)
  nothing = evidence.rows([])
  nothing = dataclasses.replace(
    nothing, ratings=np.zeros(0), timestamps=np.zeros(0)
  )
  try:
    outcome = method.adapt(shared.state, nothing, KEY)
  except method_lib.CannotServe as refusal:
    assert len(str(refusal)) > 20
    assert regime != 'returning_users'
    if regime in ('new_catalogue', 'new_domain'):
      assert name not in ZERO_SHOT
    return
  scores = scores_of(method, outcome.state, histories(nothing))
  assert np.isfinite(scores).all()


@each_arm
def test_more_evidence_costs_no_less(regime, name):
  method, shared, _, outcome = adapted(regime, name)
  if outcome is None or catalogue.BY_NAME[name].label in ITERATIVE:
    return
  _, evidence = situation(regime)
  few = evidence.take_users(range(4))
  try:
    less = method.adapt(shared.state, few, KEY)
  except method_lib.CannotServe:
    return
  totals = [
    c.operations + c.per_user * e.num_users
    for c, e in ((less.cost, few), (outcome.cost, evidence))
  ]
  assert totals[0] <= totals[1]


# Each model under each policy once: regimes make no difference here.
DISTINCT = list(
  {
    (
      catalogue.BY_NAME[name].label,
      repr(catalogue.BY_NAME[name].arms[regime].policy),
      catalogue.BY_NAME[name].arms[regime].model is None,
    ): (regime, name)
    for regime, name in ARMS
  }.values()
)


def each_model(test):
  return pytest.mark.parametrize(('regime', 'name'), DISTINCT)(test)


@each_model
def test_several_domains_teach_or_are_refused(regime, name):
  method = shortened(catalogue.BY_NAME[name], regime)
  target = domains()[0].take_users(range(20))
  try:
    shared = method.prepare(domains()[1:3], KEY)
    outcome = method.adapt(shared.state, target, KEY)
  except method_lib.CannotServe as refusal:
    assert len(str(refusal)) > 20
    return
  scores = scores_of(method, outcome.state, histories(target))
  assert scores.shape[1] == target.num_items
  assert np.isfinite(scores).all()


@each_model
@pytest.mark.parametrize('what', ['one user', 'one item'])
def test_the_smallest_data_serve_or_are_refused(regime, name, what):
  method = shortened(catalogue.BY_NAME[name], regime)
  target = domains()[0]
  tiny = (
    target.take_items([3]) if what == 'one item' else target.take_users([3])
  )
  try:
    shared = method.prepare(tiny, KEY)
    outcome = method.adapt(shared.state, tiny, KEY)
  except (method_lib.CannotServe, interactions.DataError) as refusal:
    assert len(str(refusal)) > 20
    return
  scores = scores_of(method, outcome.state, histories(tiny))
  assert scores.shape == (len(histories(tiny).items), tiny.num_items)
  assert np.isfinite(scores).all()


def test_every_system_is_here():
  assert {name for _, name in ARMS} == set(catalogue.BY_NAME) - {'p5:long'}
