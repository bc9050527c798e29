"""The regimes: nested budgets, fixed targets, no leak, rehearsal in source."""

import numpy as np
import pytest

from hyperrec.data import interactions, regimes
from tests.makers import make_data, pairs


def test_new_users_show_nested_budgets_of_the_same_task():
  data = make_data()
  tasks = [regimes.new_users(data, k, seed=1, num_heldout=8) for k in (0, 1, 5)]
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
  task = regimes.new_catalogue(data, 5, seed=1, num_heldout=8)
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
    regimes.new_catalogue(data, k, seed=1, num_heldout=8) for k in (0, 3, 9)
  ]
  users = [set(task.test.evidence.user_ids.tolist()) for task in tasks]
  assert users[0] == set()
  assert users[0] <= users[1] <= users[2]


@pytest.mark.parametrize('regime', list(regimes.REGIMES))
def test_rehearsal_sees_the_source_only(regime):
  data = make_data(num_users=60)
  task = regimes.make_task(data, regime, 4, seed=2, num_heldout=8)
  inner = regimes.rehearsal(task, seed=2)
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
    regimes.new_catalogue(data, 1000, seed=0, num_heldout=8)
  with pytest.raises(interactions.DataError, match='budget=-1'):
    regimes.new_users(data, -1, seed=0, num_heldout=8)
  with pytest.raises(interactions.DataError, match="'drifty' is unknown"):
    regimes.make_task(data, 'drifty', 1, 0, 8)
