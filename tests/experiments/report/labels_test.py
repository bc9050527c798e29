"""Labels never overlap."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.adaptation.report import labels

PAGE = labels.Box(0, 0, 230, 190)


def test_spread_keeps_order_and_distance():
  places = labels.spread([5, 5, 1, 9], 2, 0, 20)
  assert places == pytest.approx([4, 6, 1, 9])
  assert labels.spread([0, 0, 0], 2, 0, 20) == pytest.approx([0, 2, 4])
  assert labels.spread([20, 20], 2, 0, 20) == pytest.approx([18, 20])
  assert labels.spread([], 2, 0, 20).tolist() == []


@given(st.lists(st.floats(-5, 25), min_size=1, max_size=40))
def test_spread_stays_in_bounds(wanted):
  places = labels.spread(wanted, 1.5, 0, 20)
  gap = min(1.5, 20 / max(1, len(wanted) - 1))
  assert np.diff(np.sort(places)).min(initial=gap) >= gap - 1e-6
  assert places.min() >= -1e-6
  assert places.max() <= 20 + 1e-6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_texts_cover_neither_each_other_nor_a_marker(seed):
  random = np.random.default_rng(seed)
  points = random.uniform((5, 5), (225, 185), (14, 2))
  points[:5] = points[0]
  wall = labels.Box(100, 0, 102, 190)
  texts = [f'method_{i}:retrain'[: 4 + i] for i in range(14)]
  found = labels.place(points, texts, 8, PAGE, obstacles=[wall])
  boxes = [box for box in found if box is not None]
  assert len(boxes) == len(points)
  for one, other in itertools.combinations(boxes, 2):
    assert not one.overlaps(other)
  for box in boxes:
    assert box.inside(PAGE)
    assert not box.overlaps(wall)
    for x, y in points:
      marker = labels.Box(x - 4.5, y - 4.5, x + 4.5, y + 4.5)
      assert not box.overlaps(marker)


def test_no_room_is_no_label():
  tiny = labels.Box(0, 0, 10, 10)
  assert labels.place([(5, 5)], ['a long name'], 8, tiny) == [None]
