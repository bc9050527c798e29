"""Returning users: known before, judged on what they took up last."""

import dataclasses

import numpy as np
import pytest

from hyperrec import adapting, laboratory, regimes
from hyperrec.data import interactions, joining
from hyperrec.regimes import returning_users
from hyperrec.systems.linear import ease
from tests.makers import make_data, pairs


def task_of(data, seed=0, num_heldout=10):
  return returning_users.make_task(data, 0, seed, num_heldout)


@pytest.fixture(params=[True, False], ids=['times', 'no times'])
def data(request):
  return make_data(num_users=60, timestamps=request.param)


def test_all_but_the_targets_is_known(data):
  task = task_of(data)
  hidden = pairs(task.test.targets) | pairs(task.validation.targets)
  assert hidden
  assert not hidden & pairs(task.source)
  assert hidden | pairs(task.source) == pairs(data)
  np.testing.assert_array_equal(task.source.item_ids, data.item_ids)
  assert task.test.candidates is None


def test_histories_are_the_source_rows_of_the_judged_users(data):
  task = task_of(data)
  for judged in (task.validation, task.test):
    names = set(judged.histories.user_ids.tolist())
    assert len(names) == 10
    known = {pair for pair in pairs(task.source) if pair[0] in names}
    assert pairs(judged.histories) == pairs(judged.seen) == known
    assert not known & pairs(judged.targets)


def test_a_fifth_of_each_users_items_are_targets(data):
  task = task_of(data)
  for judged in (task.validation, task.test):
    hidden = judged.targets.user_counts()
    whole = hidden + judged.histories.user_counts()
    np.testing.assert_array_equal(hidden, whole // 5)
    assert (hidden > 0).all()


def test_the_evidence_holds_the_judged_users_without_rows(data):
  task = task_of(data)
  for judged in (task.validation, task.test):
    assert len(judged.evidence) == 0
    np.testing.assert_array_equal(
      judged.evidence.user_ids, judged.histories.user_ids
    )
    np.testing.assert_array_equal(judged.evidence.item_ids, data.item_ids)


def test_validation_and_test_users_are_other_users_and_drawn_by_the_seed(data):
  tests = []
  for seed in range(3):
    task = task_of(data, seed)
    tests.append(frozenset(task.test.histories.user_ids.tolist()))
    assert not tests[-1] & set(task.validation.histories.user_ids.tolist())
  assert len(set(tests)) == 3
  assert pairs(task_of(data, 1).test.targets) == (
    pairs(task_of(data, 1).test.targets)
  )


@pytest.mark.parametrize('is_order_only', [False, True])
def test_targets_come_last(is_order_only):
  data = dataclasses.replace(
    make_data(num_users=60), is_order_only=is_order_only
  )
  task = task_of(data)
  for judged in (task.validation, task.test):
    for user in range(judged.targets.num_users):
      shown = judged.histories.timestamps[judged.histories.users == user]
      hidden = judged.targets.timestamps[judged.targets.users == user]
      assert shown.max() < hidden.min()


def test_rows_of_other_users_may_be_later_than_a_target():
  task = task_of(make_data(num_users=60))
  assert task.source.timestamps.max() > task.test.targets.timestamps.min()


def test_without_times_the_targets_are_drawn_by_the_seed():
  data = make_data(num_users=60, timestamps=False)
  everybody = [task_of(data, seed, num_heldout=30) for seed in range(2)]
  hidden = [
    pairs(task.test.targets) | pairs(task.validation.targets)
    for task in everybody
  ]
  assert hidden[0] != hidden[1]


def test_users_with_few_items_are_never_judged_and_stay_whole():
  """Their items count, not their rows."""
  long = make_data(num_users=20)
  short = interactions.from_columns(
    [100] * 8 + [101] * 4,
    [0, 0, 0, 0, 1, 2, 3, 3, 0, 1, 2, 3],
    timestamp=range(12),
    duplicates='keep',
    name='made',
  )
  padded = dataclasses.replace(
    short, num_items=long.num_items, item_ids=long.item_ids
  )
  data = joining.join_users(long, padded)
  task = task_of(data, num_heldout=100)
  judged = {
    *task.test.histories.user_ids.tolist(),
    *task.validation.histories.user_ids.tolist(),
  }
  assert not judged & {100, 101}
  assert pairs(padded) <= pairs(task.source)


def test_half_of_the_users_are_judged_at_most():
  task = task_of(make_data(num_users=21), num_heldout=100)
  for judged in (task.validation, task.test):
    assert judged.histories.num_users == 10


@pytest.mark.parametrize('timestamps', [True, False])
def test_what_a_user_repeats_is_never_history_and_target(timestamps):
  once = make_data(num_users=60)
  order = np.random.default_rng(3).permutation(2 * len(once)) % len(once)
  times = np.arange(2 * len(once)) if timestamps else None
  often = dataclasses.replace(once.rows(order), timestamps=times)
  task = task_of(often)
  for judged in (task.validation, task.test):
    assert len(judged.targets) > 0
    assert not pairs(judged.targets) & pairs(judged.histories)
  assert not pairs(task.test.targets) & pairs(task.source)


def test_a_repeat_after_the_cut_is_left_out():
  """Of five items the last new one is the target, whatever is repeated."""
  items = [0, 1, 0, 2, 3, 4, 1, 4]
  data = interactions.from_columns(
    ['a'] * 8 + ['b'] * 8,
    items * 2,
    timestamp=[*range(8), *range(8)],
    duplicates='keep',
    name='made',
  )
  task = task_of(data, num_heldout=1)
  for judged in (task.validation, task.test):
    assert judged.histories.items.tolist() == [0, 1, 0, 2, 3]
    assert judged.targets.items.tolist() == [4, 4]
  assert len(task.source) == 10


def test_a_rehearsal_judges_the_validation_users_by_the_same_source():
  task = task_of(make_data(num_users=60))
  (inner,) = regimes.rehearsals(task, seed=0)
  assert inner.source is task.source
  assert inner.test is task.validation
  assert regimes.evidence_folds(task, 3, seed=0) == ()


def test_what_cannot_be_cut_is_said():
  data = make_data()
  with pytest.raises(regimes.BudgetError, match=r'budget=1.* use budget=0'):
    returning_users.make_task(data, 1, seed=0, num_heldout=5)
  with pytest.raises(regimes.DataError, match='num_heldout=0 must be at least'):
    task_of(data, num_heldout=0)
  few = data.take_users([0]), data.take_items(np.arange(4))
  for small, count in zip(few, (1, 0), strict=True):
    with pytest.raises(regimes.DataError, match=rf'is {count}; .* more data'):
      task_of(small)


def test_known_users_are_served_without_evidence():
  data = make_data(num_users=60)
  method = adapting.frozen(ease.ease(l2=10.0))
  found = laboratory.evaluate(method, data, regime='returning_users')
  assert found['ndcg@100'] > 0
  assert found['adapt_operations'] == 0
