"""Policies: what is fitted on what, and when all of them refuse."""

import dataclasses

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from tests.makers import make_data, pairs

KEY = jax.random.key(0)
Cost = method_lib.Cost
Outcome = method_lib.Outcome
POLICIES = ('frozen', 'retrained', 'finetuned', 'updated', 'generated')


def model(**more):
  """Its states tell what was done, with which data, from which start."""

  def fit(data, key, start=None, run=None):
    del key, run
    return Outcome(('fit', data, start), Cost(10.0))

  return method_lib.Model(
    'spy',
    {},
    fit,
    lambda state, histories: (state, histories),
    carry=lambda state, data, key: Outcome(('carry', state, data), Cost(1.0)),
    update=lambda state, source, new: Outcome((state, source, new), Cost(2.0)),
    **{
      'generate': lambda state, data, key: Outcome((state, data), Cost(3.0)),
      'look_up': lambda state, data: Outcome((state, data), Cost(4.0)),
      'generates_catalogues': True,
      **more,
    },
  )


def under(policy, made=None, **options):
  return getattr(adapting, policy)(made or model(), **options)


@pytest.fixture
def data():
  return make_data()


@pytest.fixture
def source(data):
  return data.take_users(np.arange(30))


@pytest.fixture
def new(data):
  return data.take_users([30, 31])


@pytest.fixture
def other(data):
  """Of a catalogue of its own."""
  halves = data.take_items(np.arange(15))
  return dataclasses.replace(halves, item_ids=halves.item_ids + 1000)


def test_what_is_frozen_serves_as_it_is(source, new, other):
  method = under('frozen')
  shared, cost = method.prepare(source, KEY)
  assert shared.state == ('fit', source, None)
  assert cost == Cost(10.0)
  assert method.adapt(shared, new, KEY) == (shared.state, Cost())
  looked_up = method.adapt(shared, other, KEY)
  assert looked_up == ((shared.state, other), Cost(4.0))
  bound = under('frozen', model(look_up=None))
  with pytest.raises(method_lib.CannotServe, match='retrain or fine-tune'):
    bound.adapt(shared, other, KEY)


def test_retraining_learns_nothing_before_and_fits_all_data(source, new, other):
  method = under('retrained')
  shared, cost = method.prepare(source, KEY)
  assert cost == Cost()
  (_, fitted, start), cost = method.adapt(shared, new, KEY)
  assert start is None
  assert pairs(fitted) == pairs(source) | pairs(new)
  assert cost == Cost(10.0)
  (_, fitted, _), _ = method.adapt(shared, other, KEY)
  assert fitted is other


def test_fine_tuning_goes_on_from_the_source(source, new, other):
  method = under('finetuned')
  shared = method.prepare(source, KEY).state
  (_, fitted, start), cost = method.adapt(shared, new, KEY)
  assert fitted is new
  assert start == shared.state
  assert cost == Cost(10.0)
  (_, fitted, start), cost = method.adapt(shared, other, KEY)
  assert start == ('carry', shared.state, other)
  assert cost == Cost(11.0)
  nothing = new.rows([])
  assert method.adapt(shared, nothing, KEY) == (shared.state, Cost())


@pytest.mark.parametrize('policy', ['finetuned', 'generated'])
def test_a_known_catalogue_may_be_served_by_more_than_the_evidence(
  policy, data, source
):
  again = data.take_users([3, 31])
  earlier = source.rows(np.arange(0, len(source), 2))
  expected = {
    adapting.evidence_alone: pairs(again),
    adapting.everything: pairs(earlier) | pairs(again),
    adapting.changed_users: pairs(again)
    | {(u, i) for u, i in pairs(earlier) if u == source.user_ids[3]},
  }
  for on, rows in expected.items():
    method = under(policy, on=on)
    shared = method.prepare(earlier, KEY).state
    state = method.adapt(shared, again, KEY).state
    assert pairs(state[1]) == rows


def test_an_update_is_given_source_and_evidence(source, new, other):
  method = under('updated')
  shared = method.prepare(source, KEY).state
  updated = method.adapt(shared, new, KEY)
  assert updated == ((shared.state, source, new), Cost(2.0))
  with pytest.raises(method_lib.CannotServe, match='nothing to update'):
    method.adapt(shared, other, KEY)


def test_generation_is_paid_by_the_adaptation(source, new, other):
  method = under('generated')
  shared = method.prepare(source, KEY).state
  for evidence in (new, other):
    generated = method.adapt(shared, evidence, KEY)
    assert generated == ((shared.state, evidence), Cost(3.0))
  bound = under('generated', model(generates_catalogues=False))
  with pytest.raises(method_lib.CannotServe, match='catalogue is another one'):
    bound.adapt(shared, other, KEY)


@pytest.mark.parametrize('policy', POLICIES)
def test_users_with_empty_histories(policy, source, new):
  nothing = new.rows([])
  served = under(policy)
  served.adapt(served.prepare(source, KEY).state, nothing, KEY)
  method = under(policy, model(needs_history=True))
  shared = method.prepare(source, KEY).state
  with pytest.raises(method_lib.CannotServe, match=r'spy .* empty histories'):
    method.adapt(shared, nothing, KEY)


@pytest.mark.parametrize('policy', POLICIES)
def test_users_whose_history_is_in_the_source_need_no_evidence(policy, source):
  nothing = source.rows([]).take_users([4, 2])
  method = under(policy, model(needs_history=True))
  method.adapt(method.prepare(source, KEY).state, nothing, KEY)
  silent = source.rows(~np.isin(source.users, [4, 2]))
  shared = method.prepare(silent, KEY).state
  with pytest.raises(method_lib.CannotServe, match='empty histories'):
    method.adapt(shared, nothing, KEY)


def test_generation_for_users_of_the_source_reads_their_histories(data, source):
  evidence = data.rows(data.items < 3).take_users([31, 4])
  earlier = source.rows(source.items >= 3)
  method = under('generated', on=adapting.evidence_users)
  shared = method.prepare(earlier, KEY).state
  read = method.adapt(shared, evidence, KEY).state[1]
  assert read.user_ids.tolist() == evidence.user_ids.tolist()
  assert pairs(read) == pairs(evidence) | {
    (u, i) for u, i in pairs(earlier) if u == data.user_ids[4]
  }


@pytest.mark.parametrize('policy', sorted(set(POLICIES) - {'updated'}))
def test_catalogues_without_interactions(policy, source, other):
  nobody = other.take_users([])
  method = under(policy)
  shared = method.prepare(source, KEY).state
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared, nobody, KEY)
  served = under(policy, model(needs_interactions=False))
  served.adapt(shared, nobody, KEY)


def test_several_domains_teach_models_that_take_them(source, new, other):
  domains = source, dataclasses.replace(other, name='other')
  for policy in set(POLICIES) - {'retrained'}:
    with pytest.raises(method_lib.CannotServe, match='source is 2 domains'):
      under(policy).prepare(domains, KEY)
    one = under(policy).prepare((source,), KEY).state
    assert one.state == ('fit', source, None)
    both = under(policy, model(takes_domains=True)).prepare(domains, KEY).state
    assert both.state[1] is domains
  assert under('retrained').prepare(domains, KEY).cost == Cost()


def test_of_several_domains_a_catalogue_is_known_by_its_name_too(source, new):
  """Two data sets may number their items alike."""
  method = under('retrained')
  twin = dataclasses.replace(source, name='twin')
  shared = method.prepare((twin, source), KEY).state
  joined = method.adapt(shared, new, KEY).state[1]
  assert pairs(joined) == pairs(source) | pairs(new)
  stranger = dataclasses.replace(new, name='stranger')
  assert method.adapt(shared, stranger, KEY).state[1] is stranger


def test_what_several_domains_teach_serves_none_of_them_as_it_is(source, new):
  domains = source, dataclasses.replace(source, name='twin')
  for policy, step in (('frozen', None), ('finetuned', 'carry')):
    method = under(policy, model(takes_domains=True))
    shared = method.prepare(domains, KEY).state
    adapted = method.adapt(shared, new, KEY)
    looked_up = (shared.state, new) if step is None else None
    carried = ('fit', new, ('carry', shared.state, new))
    assert adapted.state == (looked_up or carried)
    # Of one domain, the catalogue is its own.
    shared = method.prepare((source,), KEY).state
    adapted = method.adapt(shared, new, KEY)
    own = ('fit', new, shared.state)
    assert adapted.state == (shared.state if step is None else own)


def test_a_method_is_named_after_its_model_and_policy(source):
  names = {under(policy).name for policy in POLICIES}
  assert names == {
    'spy, frozen',
    'spy, retrained',
    'spy, fine-tuned',
    'spy, updated',
    'spy, generated',
  }
  histories = method_lib.Histories.of(source.by_user_and_time(), np.arange(2))
  assert under('frozen').score('state', histories) == ('state', histories)
  assert under('frozen').config == {}


@pytest.fixture
def small(source):
  """The source before items 25 to 29 arrived."""
  return source.take_items(np.arange(24, -1, -1))


@pytest.fixture
def arrived(source):
  """What the source's users did with the items that arrived."""
  return source.rows(source.items >= 25)


def test_a_grown_catalogue_is_served_by_its_old_items(small, arrived):
  method = under('frozen', model(look_up=None))
  shared = method.prepare(small, KEY).state
  part, cost = method.adapt(shared, arrived, KEY)
  assert part.state == shared.state
  np.testing.assert_array_equal(arrived.item_ids[part.items], small.item_ids)
  assert cost == Cost()


@pytest.mark.parametrize('policy', ['frozen', 'retrained', 'generated'])
@pytest.mark.parametrize('takes_domains', [False, True])
def test_a_tuple_of_one_domain_of_the_same_name_is_that_domain(
  small, arrived, new, policy, takes_domains
):
  on = {'on': adapting.everything} if policy == 'generated' else {}
  method = under(policy, model(takes_domains=takes_domains), **on)
  for evidence in (arrived, new.take_items(np.arange(24, -1, -1))):
    alone, wrapped = (
      method.adapt(method.prepare(source, KEY).state, evidence, KEY).state
      for source in (small, (small,))
    )
    assert told(alone) == told(wrapped)


def told(state):
  """The state, with pairs for data; a tuple of one domain is its data."""
  if isinstance(state, interactions.Interactions):
    return pairs(state)
  if isinstance(state, tuple):
    return told(state[0]) if len(state) == 1 else [*map(told, state)]
  return state.tolist() if isinstance(state, np.ndarray) else state


def test_a_grown_catalogue_is_looked_up_refitted_or_carried_with_all_rows(
  small, arrived
):
  everything = pairs(small) | pairs(arrived)
  for policy, on in (
    ('frozen', {}),
    ('retrained', {}),
    ('finetuned', {'on': adapting.everything}),
    ('generated', {'on': adapting.everything}),
  ):
    method = under(policy, **on)
    shared = method.prepare(small, KEY).state
    state = method.adapt(shared, arrived, KEY).state
    assert pairs(state[1]) == everything, policy
    np.testing.assert_array_equal(state[1].item_ids, arrived.item_ids)


def test_of_new_items_without_interactions_only_features_tell(small, arrived):
  nothing = arrived.rows([])
  for known in ({'needs_interactions': False}, {'scores_new_items': True}):
    method = under('retrained', model(**known))
    shared = method.prepare(small, KEY).state
    assert pairs(method.adapt(shared, nothing, KEY).state[1]) == pairs(small)
  for policy, on in (
    ('retrained', {}),
    ('finetuned', {'on': adapting.everything}),
  ):
    method = under(policy, **on)
    shared = method.prepare(small, KEY).state
    with pytest.raises(adapting.CannotServe, match='no weights for new items'):
      method.adapt(shared, nothing, KEY)


def test_new_items_are_generated_where_a_model_can(small, arrived, source):
  made = model(
    generate=None,
    grow=lambda state, data, known: Outcome((state, data, known), Cost(5.0)),
  )
  method = under('generated', made)
  shared = method.prepare(small, KEY).state
  (state, data, known), cost = method.adapt(shared, arrived, KEY)
  assert state == shared.state
  assert pairs(data) == pairs(small) | pairs(arrived)
  np.testing.assert_array_equal(data.item_ids[known], small.item_ids)
  assert cost == Cost(5.0)
  same = dataclasses.replace(small.take_users([0]))
  assert method.adapt(shared, same, KEY) == (shared.state, Cost())


def test_another_set_with_more_items_has_not_grown(small, arrived):
  method = under('frozen', model(look_up=None))
  shared = method.prepare(small, KEY).state
  other = dataclasses.replace(arrived, name='another')
  with pytest.raises(method_lib.CannotServe, match='another one'):
    method.adapt(shared, other, KEY)
