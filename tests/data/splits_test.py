"""Tests that every split follows its protocol and leaks nothing."""

import itertools

import numpy as np
import pytest

from hyperrec.data import interactions, splits
from hyperrec.regimes import new_catalogue
from tests.makers import make_data, pairs


def published_protocol(users, items, num_heldout, seed=98765):
  """The split of Liang et al.'s notebook, rewritten for original ids."""
  state = np.random.RandomState(seed)
  unique = np.unique(users)
  unique = unique[state.permutation(len(unique))]
  train_users = unique[: len(unique) - 2 * num_heldout]
  known = set(items[np.isin(users, train_users)].tolist())
  parts = []
  for chosen in (
    unique[len(unique) - 2 * num_heldout : len(unique) - num_heldout],
    unique[len(unique) - num_heldout :],
  ):
    state = np.random.RandomState(seed)
    shown, hidden = set(), set()
    for user in np.sort(chosen):
      rows = [i for i in items[users == user].tolist() if i in known]
      drawn = np.zeros(len(rows), bool)
      if len(rows) >= 5:
        size = int(0.2 * len(rows))
        index = state.choice(len(rows), size=size, replace=False)
        drawn[index.astype('int64')] = True
      for row, is_hidden in zip(rows, drawn, strict=True):
        (hidden if is_hidden else shown).add((user, row))
    parts.append((shown, hidden))
  return train_users, known, parts


def test_strong_generalization_is_the_published_protocol():
  data = make_data()
  split = splits.strong_generalization(data, 8)
  users = data.user_ids[data.users]
  items = data.item_ids[data.items]
  train_users, known, parts = published_protocol(users, items, 8)
  assert set(split.train.user_ids.tolist()) == set(train_users.tolist())
  assert set(split.train.item_ids.tolist()) == known
  for held, (shown, hidden) in zip(split[1:], parts, strict=True):
    assert pairs(held.histories) == shown
    assert pairs(held.targets) == hidden


def test_strong_generalization_catalogue_is_in_order_of_first_appearance():
  data = make_data()
  split = splits.strong_generalization(data, 8)
  rows = np.isin(data.user_ids[data.users], split.train.user_ids)
  seen = list(dict.fromkeys(data.item_ids[data.items[rows]].tolist()))
  assert split.train.item_ids.tolist() == seen


def test_strong_generalization_leaks_nothing():
  split = splits.strong_generalization(make_data(), 8)
  train = set(split.train.user_ids.tolist())
  validation = set(split.validation.histories.user_ids.tolist())
  test = set(split.test.histories.user_ids.tolist())
  assert not (train & validation or train & test or validation & test)
  for held in split[1:]:
    assert not pairs(held.histories) & pairs(held.targets)
    assert held.histories.num_items == split.train.num_items


def test_too_many_held_out_users():
  with pytest.raises(interactions.DataError, match=r'num_heldout in 1\.\.19'):
    splits.strong_generalization(make_data(), 20)


def test_two_users_are_too_few_to_hold_any_out():
  data = interactions.from_columns([0, 0, 1], [0, 1, 0], name='two')
  for cut in (
    lambda: splits.strong_generalization(data, 1),
    lambda: new_catalogue.make_task(data, 0, 0, 1),
  ):
    with pytest.raises(interactions.DataError, match='at least 3 users are'):
      cut()


def test_leave_one_out_takes_the_last_two_by_time():
  data = make_data()
  split = splits.leave_one_out(data)
  ordered = data.by_user_and_time()
  for user in range(data.num_users):
    items = ordered.items[ordered.users == user].tolist()
    if len(items) < 3:
      continue
    of = lambda d, u=user: d.items[d.users == u].tolist()  # noqa: E731
    assert of(split.test.targets) == items[-1:]
    assert of(split.test.histories) == items[:-1]
    assert of(split.validation.targets) == items[-2:-1]
    assert of(split.validation.histories) == items[:-2]
    assert of(split.train) == items[:-2]


def test_leave_one_out_keeps_short_users_in_training_only():
  data = interactions.from_columns(
    [1, 1, 2, 2, 2], [5, 6, 5, 6, 7], timestamp=[0, 1, 0, 1, 2]
  )
  split = splits.leave_one_out(data)
  assert pairs(split.train) == {(1, 5), (1, 6), (2, 5)}
  assert pairs(split.test.targets) == {(2, 7)}


def test_item_halves_are_disjoint_and_complete():
  data = make_data()
  first, second = splits.item_halves(data, seed=3)
  a, b = set(first.item_ids.tolist()), set(second.item_ids.tolist())
  assert not a & b
  assert a | b == set(data.item_ids.tolist())
  assert pairs(first) | pairs(second) == pairs(data)
  assert abs(len(a) - len(b)) <= 1


def test_the_second_half_of_the_items_appeared_last():
  data = make_data()
  first, second = splits.item_halves(data, seed=3)
  assert first.first_times().max() <= second.first_times().min()
  assert second.item_ids.tolist() == (
    splits.item_halves(data, seed=4)[1].item_ids.tolist()
  )


def test_without_times_the_halves_are_random():
  data = make_data(timestamps=False)
  halves = [splits.item_halves(data, seed)[1].item_ids for seed in (3, 4)]
  assert set(halves[0].tolist()) != set(halves[1].tolist())


def test_chronological_slices_never_look_ahead():
  data = make_data()
  slices = splits.chronological_slices(data, 4)
  assert sum(len(s) for s in slices) == len(data)
  for before, after in itertools.pairwise(slices):
    assert before.timestamps.max() < after.timestamps.min()


def test_chronological_slices_need_times():
  with pytest.raises(interactions.DataError, match='need timestamps'):
    splits.chronological_slices(make_data(timestamps=False), 3)


def test_fixed_split_counts_what_training_never_saw():
  train = interactions.Interactions(
    np.array([0, 1]), np.array([0, 1]), num_users=2, num_items=4
  )
  test = interactions.Interactions(
    np.array([0, 1, 1]), np.array([1, 2, 3]), num_users=2, num_items=4
  )
  held, unseen = splits.fixed(train, test)
  assert unseen == 2
  assert held.targets is test


def test_repeats_of_a_pair_are_hidden_or_shown_together():
  once = make_data()
  order = np.random.default_rng(0).permutation(3 * len(once)) % len(once)
  often = once.rows(order)
  for seed in range(3):
    held = splits.fold_in(often, seed)
    assert len(held.targets) > 0
    assert len(held.histories) + len(held.targets) == len(often)
    assert not pairs(held.histories) & pairs(held.targets)
    whole = splits.fold_in(once, seed)
    for user in range(once.num_users):
      size = (whole.targets.users == user).sum()
      found = {i for u, i in pairs(held.targets)
               if u == held.targets.user_ids[user]}  # fmt: skip
      assert len(found) == size


def test_the_most_popular_items_and_the_users_who_know_enough_of_them():
  """Items and users keep their order; users beyond a number are drawn."""
  data = interactions.from_columns(
    np.repeat(np.arange(4), [4, 5, 6, 7]),
    [*range(3, 7), *range(2, 7), *range(1, 7), *range(7)],
    name='made',
  )
  cut = splits.most_popular(data, 5, 5)
  assert cut.item_ids.tolist() == [2, 3, 4, 5, 6]
  assert cut.user_ids.tolist() == [1, 2, 3]
  assert len(cut) == 15
  assert len(splits.most_popular(data, 7, 0)) == len(data)
  assert splits.most_popular(data, 5, 5, num_users=2).num_users == 2
