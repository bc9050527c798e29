"""Drift: time never runs backwards, budgets are nested, users keep rows."""

import numpy as np
import pytest

from hyperrec import regimes
from hyperrec.data import interactions, joining
from hyperrec.regimes import drift
from tests.makers import make_data, pairs


def test_the_past_is_known_and_the_next_slice_is_ranked():
  data = make_data(num_users=60)
  task = drift.make_task(data, 2, seed=0, num_heldout=10)
  last = task.source.timestamps.max()
  assert task.test.evidence.timestamps.min() > last
  assert task.test.targets.timestamps.min() > (
    task.test.evidence.timestamps.max()
  )
  assert len(task.source) == pytest.approx(len(data) / 2, abs=6)
  for judged in (task.validation, task.test):
    assert not pairs(judged.histories) & pairs(judged.targets)
    assert (judged.targets.user_counts() > 0).all()
    for user in range(judged.targets.num_users):
      shown = judged.histories.timestamps[judged.histories.users == user]
      hidden = judged.targets.timestamps[judged.targets.users == user]
      assert shown.max() < hidden.min()
  assert not set(task.validation.histories.user_ids) & set(
    task.test.histories.user_ids
  )


def test_more_slices_hold_those_of_fewer():
  data = make_data(num_users=60)
  tasks = [drift.make_task(data, k, seed=0, num_heldout=10) for k in (0, 1, 3)]
  rows = [pairs(task.test.evidence) for task in tasks]
  assert not rows[0]
  assert rows[0] < rows[1] < rows[2]
  assert pairs(tasks[0].source) == pairs(tasks[2].source)


def test_a_user_may_come_again_in_the_evidence():
  task = drift.make_task(make_data(num_users=60), 2, seed=0, num_heldout=10)
  evidence = task.test.evidence
  both = joining.join_users(task.source, evidence)
  assert both.num_users < task.source.num_users + evidence.num_users
  assert pairs(both) == pairs(task.source) | pairs(evidence)
  grown = joining.grown_users(task.source, evidence)
  assert set(grown.user_ids) == set(evidence.user_ids)
  assert pairs(grown) == {
    pair for pair in pairs(both) if pair[0] in set(evidence.user_ids)
  }


def test_a_rehearsal_is_the_same_regime_in_the_past():
  task = drift.make_task(make_data(num_users=80), 2, seed=0, num_heldout=10)
  (inner,) = regimes.rehearsals(task, seed=0)
  assert inner.regime == 'drift'
  assert inner.test.targets.timestamps.max() <= task.source.timestamps.max()
  assert not pairs(inner.test.targets) & pairs(inner.test.evidence)


def test_what_cannot_be_cut_is_said():
  with pytest.raises(interactions.DataError, match='choose at most 4'):
    drift.make_task(make_data(), 5, seed=0, num_heldout=5)
  with pytest.raises(interactions.DataError, match='timestamps'):
    drift.make_task(make_data(timestamps=False), 1, seed=0, num_heldout=5)
  with pytest.raises(interactions.DataError, match='must not be negative'):
    drift.make_task(make_data(), -1, seed=0, num_heldout=5)


def test_new_ids_are_numbered_after_the_known():
  first = interactions.from_columns(['a', 'b'], ['x', 'y'])
  second = first.take_users(np.array([1]))
  joined = joining.join_users(second, first)
  assert joined.user_ids.tolist() == ['b', 'a']
  assert joined.num_users == 2
