"""New items: what is new, who is judged, what is known, what is ranked."""

import dataclasses

import numpy as np
import pytest

from hyperrec import regimes
from hyperrec.data import interactions, near_duplicates
from hyperrec.regimes import new_items
from tests.makers import made_domain, make_data, pairs


def timeless(data):
  """The data without times, and with a text of its own for each item."""
  text = np.array([f'word{i} other{i}' for i in range(data.num_items)], object)
  return dataclasses.replace(data, timestamps=None, item_text=text)


def task_of(data, budget=2, seed=1):
  return new_items.make_task(data, budget, seed, num_heldout=8)


def new_ids(task, data):
  return set(data.item_ids) - set(task.source.item_ids)


def test_the_items_that_appear_last_are_new():
  data = make_data()
  task = task_of(data)
  first = {
    item: data.timestamps[data.items == place].min()
    for place, item in enumerate(data.item_ids)
  }
  new = new_ids(task, data)
  assert len(new) == task.num_arriving == 6
  assert min(first[i] for i in new) > max(
    first[i] for i in task.source.item_ids
  )
  assert new_ids(task_of(data, seed=7), data) == new


def test_without_times_new_items_are_drawn_and_never_those_of_rehearsals():
  data = timeless(made_domain('some', 3, num_users=200, num_items=100))
  tests, rehearsed = [], []
  for seed in range(4):
    task = task_of(data, seed=seed)
    tests.append(new_ids(task, data))
    (rehearsal,) = regimes.rehearsals(task, seed)
    rehearsed.append(new_ids(rehearsal, task.source))
  assert len(set(map(frozenset, tests))) == 4
  assert all(found == rehearsed[0] for found in rehearsed)
  assert not any(found & rehearsed[0] for found in tests)


def test_test_users_are_in_no_training_data():
  data = make_data()
  task = task_of(data)
  test = set(task.test.targets.user_ids)
  validation = set(task.validation.targets.user_ids)
  assert not test & validation
  for known in (task.source, task.test.evidence):
    assert not (test | validation) & set(known.user_ids)


def test_budgets_are_nested_and_count_for_each_item():
  data = make_data()
  tasks = [task_of(data, n) for n in (0, 1, 5, 1000)]
  found = [pairs(task.test.evidence) for task in tasks]
  assert not found[0]
  assert found[0] < found[1] < found[2] < found[3]
  new = new_ids(tasks[0], data)
  assert {item for _, item in found[3]} == new
  assert tasks[2].test.evidence.item_counts().max() == 5
  users = set(tasks[0].source.user_ids)
  everything = {(u, i) for u, i in pairs(data) if u in users and i in new}
  assert found[3] == everything
  for task in tasks:
    assert pairs(task.test.targets) == pairs(tasks[0].test.targets)
    assert pairs(task.source) == pairs(tasks[0].source)


def test_the_first_interactions_are_known_first():
  data = make_data()
  evidence = task_of(data, 1).test.evidence
  known = data.take_users(
    np.flatnonzero(np.isin(data.user_ids, evidence.user_ids))
  )
  for item, time in zip(evidence.items, evidence.timestamps, strict=True):
    assert time == known.timestamps[known.items == item].min()


def test_what_is_ranked():
  data = make_data()
  task = task_of(data)
  new = new_ids(task, data)
  assert set(data.item_ids[task.test.candidates]) == new
  assert {item for _, item in pairs(task.test.targets)} <= new
  assert not {item for _, item in pairs(task.test.histories)} & new
  views = task.views
  of_new, of_old = (pairs(views[f'whole, {k}'].targets) for k in ('new', 'old'))
  assert of_new == pairs(task.test.targets)
  assert of_old
  assert not {item for _, item in of_old} & new
  assert pairs(views['whole'].targets) == of_new | of_old
  assert views['whole'].candidates is None
  assert not pairs(task.test.histories) & of_old


def test_near_duplicates_of_old_items_do_not_count():
  data = timeless(made_domain('some', 3, num_users=200, num_items=100))
  plain = task_of(data)
  place = {item: i for i, item in enumerate(data.item_ids.tolist())}
  old = place[plain.source.item_ids[0]]
  copied = plain.test.candidates[0]
  text = data.item_text.copy()
  text[copied] = text[old]
  task = task_of(dataclasses.replace(data, item_text=text))
  assert copied not in task.test.candidates
  assert copied in task.views['with near-duplicates'].candidates
  assert copied not in task.test.targets.items


def test_where_all_new_items_are_near_duplicates_they_count():
  data = timeless(make_data())
  text = np.full(data.num_items, 'the same', object)
  task = task_of(dataclasses.replace(data, item_text=text))
  assert len(task.test.candidates) == task.num_arriving


def test_texts_that_repeat_one_another():
  others = ['red cotton mug for tea and coffee', 'blue lamp']
  texts = ['coffee and tea mug red cotton for', 'green lamp', '']
  found = near_duplicates.are_near(texts, others)
  assert found.tolist() == [True, False, False]
  assert not near_duplicates.are_near(['', ''], ['']).any()


def test_too_little_data_are_refused():
  data = make_data(num_users=3, num_items=4)
  with pytest.raises(interactions.DataError, match='new_items'):
    task_of(data)
  with pytest.raises(interactions.DataError, match='negative'):
    task_of(make_data(), budget=-1)
