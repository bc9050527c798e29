"""The regimes: nested budgets, fixed targets, no leak, rehearsal in source."""

import dataclasses

import numpy as np
import pytest

from hyperrec import regimes
from hyperrec.data import interactions
from hyperrec.regimes import new_catalogue, new_domain, new_users
from tests.makers import make_data, pairs


def test_new_users_show_nested_budgets_of_the_same_task():
  data = make_data()
  tasks = [
    new_users.make_task(data, k, seed=1, num_heldout=8) for k in (0, 1, 5)
  ]
  shown = [pairs(task.test.histories) for task in tasks]
  assert len(shown[0]) == 0
  assert shown[0] <= shown[1] <= shown[2]
  assert tasks[2].test.histories.user_counts().max() == 5
  for task in tasks:
    assert pairs(task.test.targets) == pairs(tasks[0].test.targets)
    assert pairs(task.test.histories) <= pairs(task.test.seen)
    assert not pairs(task.test.seen) & pairs(task.test.targets)
    assert not set(task.source.user_ids) & set(task.test.histories.user_ids)


def test_new_catalogue_shares_no_item_with_the_source():
  data = make_data()
  task = new_catalogue.make_task(data, 5, seed=1, num_heldout=8)
  target = task.test.evidence
  assert not set(task.source.item_ids) & set(target.item_ids)
  assert target.num_users == 5
  assert (target.user_counts() > 0).all()
  for judged in (task.validation, task.test):
    users = set(judged.histories.user_ids)
    assert not users & set(task.source.user_ids)
    assert not users & set(target.user_ids)
    np.testing.assert_array_equal(judged.targets.item_ids, target.item_ids)
  assert not set(task.validation.histories.user_ids) & set(
    task.test.histories.user_ids
  )


def test_new_catalogue_budgets_are_nested():
  data = make_data()
  tasks = [
    new_catalogue.make_task(data, k, seed=1, num_heldout=8) for k in (0, 3, 9)
  ]
  users = [set(task.test.evidence.user_ids.tolist()) for task in tasks]
  assert users[0] == set()
  assert users[0] <= users[1] <= users[2]


def domain(name, seed, **sizes):
  """A data set of its own; ids are numbers as those of all the others."""
  return dataclasses.replace(make_data(seed=seed, **sizes), name=name)


def domains():
  return domain('target', 0), (
    domain('a', 1),
    domain('b', 2, num_users=90),
    domain('c', 3, num_items=20),
  )


def names_of(task):
  """The data sets that a task shows or judges by."""
  parts = [*task.source, *task.validation[:4], *task.test[:4]]
  return {part.name for part in parts}


def test_new_domain_shares_neither_users_nor_items_with_a_source():
  target, sources = domains()
  task = new_domain.make_task(target, 5, seed=1, num_heldout=8, sources=sources)
  assert task.source == sources
  held_out = []
  for judged in (task.validation, task.test):
    assert {part.name for part in judged[:4]} == {'target'}
    for part in judged[:4]:
      np.testing.assert_array_equal(part.item_ids, target.item_ids)
    assert judged.evidence.num_users == 5
    held_out.append(set(judged.histories.user_ids.tolist()))
    assert len(held_out[-1]) == 8
    assert not held_out[-1] & set(judged.evidence.user_ids.tolist())
    assert not pairs(judged.histories) & pairs(judged.targets)
    assert pairs(judged.histories) | pairs(judged.targets) <= pairs(target)
  assert not held_out[0] & held_out[1]


def test_new_domain_budgets_are_nested_and_judge_the_same_users():
  target, sources = domains()
  tasks = [
    new_domain.make_task(target, k, seed=1, num_heldout=8, sources=sources)
    for k in (0, 3, 9)
  ]
  shown = [pairs(task.test.evidence) for task in tasks]
  assert shown[0] == set()
  assert shown[0] < shown[1] < shown[2]
  assert len({frozenset(pairs(task.test.targets)) for task in tasks}) == 1


def test_evidence_users_have_rows():
  target, sources = domains()
  silent = target.rows(target.users % 2 == 0)
  task = new_domain.make_task(silent, 6, seed=0, num_heldout=8, sources=sources)
  assert (task.test.evidence.user_counts() > 0).all()


def test_a_domain_is_given_once():
  target, sources = domains()
  with pytest.raises(interactions.DataError, match="called 'a' and share"):
    new_domain.make_task(target, 1, 0, 8, sources=(*sources, sources[0]))
  with pytest.raises(interactions.DataError, match="called 'target' and share"):
    new_domain.make_task(target, 1, 0, 8, sources=(target.take_users([0, 1]),))
  with pytest.raises(interactions.DataError, match='no source domains'):
    new_domain.make_task(target, 1, 0, 8, sources=())


def test_halves_of_one_set_are_two_domains():
  data = make_data()
  users, items = np.arange(40), np.arange(30)
  one = data.take_users(users[:20]).take_items(items[:15])
  other = data.take_users(users[20:]).take_items(items[15:])
  assert new_domain.make_task(one, 2, 0, 5, sources=(other,)).source == (other,)


def test_each_source_domain_rehearses_and_the_target_never_does():
  target, sources = domains()
  task = new_domain.make_task(
    target, 30, seed=1, num_heldout=5, sources=sources
  )
  inner = regimes.rehearsals(task, seed=1)
  assert [t.test.evidence.name for t in inner] == ['a', 'b', 'c']
  assert [t.regime for t in inner] == ['new_domain'] * 3
  for place, rehearsal in enumerate(inner):
    assert rehearsal.source == sources[:place] + sources[place + 1 :]
    assert names_of(rehearsal) == {'a', 'b', 'c'}
    assert rehearsal.test.histories.num_users == 5
  assert [t.budget for t in inner] == [30, 30, 30]
  (first,) = regimes.rehearsals(task, seed=1, num_domains=1)
  assert first.test.evidence.name == 'a'


def test_a_rehearsal_has_no_more_users_than_there_are():
  target, sources = domains()
  small = domain('small', 4, num_users=12)
  task = new_domain.make_task(target, 20, 0, 8, sources=(small, *sources))
  inner = regimes.rehearsals(task, seed=0)[0]
  assert inner.test.histories.num_users == 3
  assert inner.budget == inner.test.evidence.num_users == 9


def test_one_domain_alone_cannot_rehearse():
  target, sources = domains()
  task = new_domain.make_task(target, 2, 0, 8, sources=sources[:1])
  with pytest.raises(interactions.DataError, match='takes two domains'):
    regimes.rehearsals(task, seed=0)
  task = new_domain.make_task(target, 2, 0, 8, sources=sources)
  with pytest.raises(interactions.DataError, match='num_domains=0'):
    regimes.rehearsals(task, seed=0, num_domains=0)


@pytest.mark.parametrize('regime', ['new_users', 'new_catalogue'])
def test_rehearsal_sees_the_source_only(regime):
  data = make_data(num_users=60)
  task = regimes.find(regime).make_task(data, 4, seed=2, num_heldout=8)
  (inner,) = regimes.rehearsals(task, seed=2)
  judged = set(task.test.histories.user_ids) | set(
    task.validation.histories.user_ids
  )
  assert inner.regime == regime
  for part in (inner.source, inner.test.histories, inner.test.evidence):
    assert not set(part.user_ids) & judged
    assert set(part.item_ids) <= set(task.source.item_ids)


def test_impossible_budgets_are_named():
  data = make_data()
  with pytest.raises(interactions.DataError, match='budget=1000'):
    new_catalogue.make_task(data, 1000, seed=0, num_heldout=8)
  target, sources = domains()
  with pytest.raises(interactions.DataError, match=r'budget=25 .* only 24'):
    new_domain.make_task(target, 25, seed=0, num_heldout=8, sources=sources)
  with pytest.raises(interactions.DataError, match='num_heldout=20'):
    new_domain.make_task(target, 1, 0, 20, sources=sources)
  with pytest.raises(interactions.DataError, match='budget=-1'):
    new_users.make_task(data, -1, seed=0, num_heldout=8)
  with pytest.raises(interactions.DataError, match="'drifty' is unknown"):
    regimes.find('drifty')


def test_every_user_of_the_evidence_is_judged_once_by_the_others():
  target, sources = domains()
  task = new_domain.make_task(target, 7, seed=1, num_heldout=8, sources=sources)
  folds = regimes.evidence_folds(task, 3, seed=0)
  assert len(folds) == 3
  whole = pairs(task.test.evidence)
  judged = []
  for fold in folds:
    own, others = set(fold.histories.user_ids), set(fold.evidence.user_ids)
    assert not own & others
    assert own | others == set(task.test.evidence.user_ids)
    assert not pairs(fold.histories) & pairs(fold.targets)
    assert (
      pairs(fold.histories) | pairs(fold.targets) | pairs(fold.evidence)
      == whole
    )
    judged.extend(own)
  assert sorted(judged) == sorted(task.test.evidence.user_ids)


def test_fewer_than_two_users_or_another_regime_have_no_folds():
  target, sources = domains()
  for budget in (0, 1):
    task = new_domain.make_task(
      target, budget, seed=1, num_heldout=8, sources=sources
    )
    assert regimes.evidence_folds(task, 5, seed=0) == ()
  task = new_domain.make_task(target, 3, seed=1, num_heldout=8, sources=sources)
  assert len(regimes.evidence_folds(task, 5, seed=0)) == 3
  assert regimes.evidence_folds(task, 1, seed=0) == ()
  task = new_users.make_task(target, 3, seed=1, num_heldout=8)
  assert regimes.evidence_folds(task, 5, seed=0) == ()


@pytest.mark.parametrize('regime', ['new_users', 'new_catalogue', 'drift'])
def test_what_a_user_repeats_is_never_history_and_target(regime):
  once = make_data(num_users=60)
  order = np.random.default_rng(3).permutation(2 * len(once)) % len(once)
  often = dataclasses.replace(
    once.rows(order), timestamps=np.arange(2 * len(once))
  )
  for budget in (1, 3):
    task = regimes.find(regime).make_task(often, budget, seed=1, num_heldout=9)
    for judged in (task.validation, task.test):
      assert len(judged.targets) > 0
      assert not pairs(judged.targets) & pairs(judged.histories)
      assert not pairs(judged.targets) & pairs(judged.seen)
