"""Tests of packing, truncation and length buckets against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperrec.data import interactions, sequences


def of(histories, num_items=100):
  """`Interactions` from one list of items per user."""
  users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
  return interactions.Interactions(
    users.astype(np.int32),
    np.array([i for h in histories for i in h], np.int32),
    num_users=len(histories),
    num_items=num_items,
    name='made',
  )


def unpacked(packed):
  """The (inputs, targets) of each sequence, and the filled share."""
  found = []
  for inputs, targets, segments, places in zip(*packed, strict=True):
    for number in range(1, segments.max() + 1):
      own = np.flatnonzero(segments == number)
      assert (np.diff(own) == 1).all()
      np.testing.assert_array_equal(places[own], np.arange(len(own)))
      found.append((inputs[own].tolist(), targets[own].tolist()))
  return found


def test_repeats_and_the_order_of_time_are_kept():
  data = interactions.from_columns(
    [7, 7, 7, 7], [3, 5, 3, 4], timestamp=[4, 1, 2, 3], duplicates='keep'
  )
  found = sequences.Sequences.of(data)
  ids = data.item_ids[found.items]
  np.testing.assert_array_equal(ids, [5, 3, 4, 3])
  np.testing.assert_array_equal(found.lengths(), [4])


@settings(max_examples=50, deadline=None)
@given(
  st.lists(st.lists(st.integers(0, 99), max_size=12), min_size=1, max_size=20),
  st.integers(1, 8),
)
def test_packing_holds_every_sequence_once(histories, length):
  expected = sorted(
    (h[-length - 1 : -1], h[-length:][-len(h) + 1 :])
    for h in histories
    if len(h) > 1
  )
  if not expected:
    return
  packed = sequences.pack(sequences.Sequences.of(of(histories)), length)
  assert packed.inputs.shape[1] == length
  assert sorted(unpacked(packed)) == expected


def test_shuffled_users_keep_their_items():
  plain = sequences.Sequences.of(of([range(20), range(20, 50), [], [7]]))
  found = plain.shuffled(np.random.default_rng(0))
  np.testing.assert_array_equal(found.ends, plain.ends)
  assert (found.items != plain.items).any()
  for one, other in zip(
    np.split(found.items, plain.ends),
    np.split(plain.items, plain.ends),
    strict=True,
  ):
    np.testing.assert_array_equal(np.sort(one), other)


def test_places_from_the_end():
  nothing = np.zeros((2, 4), np.int32)
  packed = sequences.PackedRows(
    nothing,
    nothing,
    np.array([[1, 1, 2, 0], [1, 1, 1, 1]]),
    np.array([[0, 1, 0, 0], [0, 1, 2, 3]]),
  )
  np.testing.assert_array_equal(
    packed.from_the_end().places, [[2, 3, 3, 0], [0, 1, 2, 3]]
  )


def test_packing_leaves_hardly_a_gap():
  random = np.random.default_rng(0)
  lengths = 2 + random.geometric(0.15, 2000)
  data = of([random.integers(0, 100, n) for n in lengths])
  packed = sequences.pack(sequences.Sequences.of(data), 50)
  assert (packed.segments > 0).mean() > 0.98


def test_rows_are_taken_together():
  packed = sequences.pack(sequences.Sequences.of(of([[1, 2, 3], [4, 5, 6]])), 2)
  assert packed.inputs.shape == (2, 2)
  part = packed.rows(np.array([1]))
  for name in packed._fields:
    np.testing.assert_array_equal(
      getattr(part, name), getattr(packed, name)[1:]
    )


def test_what_cannot_be_packed_is_told():
  lonely = sequences.Sequences.of(of([[1], [], [2]]))
  with pytest.raises(interactions.DataError, match='no user has two items'):
    sequences.pack(lonely, 5)
  with pytest.raises(interactions.DataError, match='length=0'):
    sequences.pack(lonely, 0)


@pytest.mark.parametrize('length', [1, 3, 10])
def test_last_items_wherever_the_padding_is(length):
  items = np.array([[9, 1, 2, 3, 9], [4, 9, 9, 5, 6], [9, 9, 9, 9, 9]])
  mask = items != 9
  found, sizes = sequences.last_items(items, mask, length)
  assert found.shape == (3, length)
  for row, size, history in zip(
    found, sizes, ([1, 2, 3], [4, 5, 6], []), strict=True
  ):
    assert size == min(length, len(history))
    assert row[:size].tolist() == history[-length:]
    assert not row[size:].any()


def test_buckets_end_at_the_longest():
  assert sequences.buckets(50) == (8, 16, 32, 50)
  assert sequences.buckets(8) == (8,)
  assert sequences.buckets(3) == (3,)


def test_a_repeated_target_is_named():
  histories, targets = of([[1, 2], [3, 4]]), of([[5], [4]])
  with pytest.raises(interactions.DataError, match=r'1 targets .* user 1;'):
    sequences.check_targets_unseen(histories, targets)
  sequences.check_targets_unseen(histories, of([[5], [6]]))
