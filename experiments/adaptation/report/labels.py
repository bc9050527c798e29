"""Places labels beside points and lines without overlaps; units are points."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize

# Width of a letter over the font size; it is above the mean of common fonts.
_LETTER_WIDTH = 0.62
_LINE_HEIGHT = 1.25
_SIXTEENTHS = (0, 2, -2, 1, -1, 3, -3, 8, 7, -7, 6, -6, 5, -5, 4, -4)
_DIRECTIONS = [math.pi * d / 8 for d in _SIXTEENTHS]


class Box(NamedTuple):
  """A rectangle on the page."""

  left: float
  bottom: float
  right: float
  top: float

  def overlaps(self, other: 'Box') -> bool:
    """Whether the two share more than an edge."""
    return (
      self.left < other.right
      and other.left < self.right
      and self.bottom < other.top
      and other.bottom < self.top
    )

  def inside(self, other: 'Box') -> bool:
    """Whether it lies within the other."""
    return (
      self.left >= other.left
      and self.right <= other.right
      and self.bottom >= other.bottom
      and self.top <= other.top
    )


def text_width(text: str, font_size: float) -> float:
  """Estimates the width of a text."""
  return _LETTER_WIDTH * font_size * len(text)


def spread(
  wanted: Sequence[float], gap: float, low: float, high: float
) -> np.ndarray:
  """Returns places at least `gap` apart, as near to `wanted` as possible.

  Args:
    wanted: [n] wanted places in any order; the result has the same order.
    gap: smallest distance; it is reduced if `low` to `high` is too short.
    low: no place is below it.
    high: no place is above it.
  """
  wanted = np.asarray(wanted, float)
  gap = min(gap, (high - low) / max(1, len(wanted) - 1))
  order = np.argsort(wanted, kind='stable')
  steps = gap * np.arange(len(wanted))
  free = scipy.optimize.isotonic_regression(wanted[order] - steps).x
  places = np.empty(len(wanted))
  places[order] = np.clip(free, low, high - steps.max(initial=0)) + steps
  return places


def place(
  points: Sequence[tuple[float, float]],
  texts: Sequence[str],
  font_size: float,
  page: Box,
  *,
  marker: float = 4.5,
  obstacles: Sequence[Box] = (),
) -> list[Box | None]:
  """Returns a box for each text near its point; earlier texts choose first.

  Args:
    points: [n] (x, y).
    texts: [n].
    font_size: font size of the texts.
    page: box that contains all labels.
    marker: half the width of a point's marker; no text covers one.
    obstacles: further boxes that no text may cover.

  Returns:
    [n] boxes that overlap neither each other nor a marker; None where there
    is no space.
  """
  taken = [Box(x - marker, y - marker, x + marker, y + marker)
           for x, y in points]  # fmt: skip
  taken += obstacles
  height = _LINE_HEIGHT * font_size
  boxes = []
  for point, text in zip(points, texts, strict=True):
    width = text_width(text, font_size)
    box = next(
      (
        box
        for box in _candidates(point, width, height, marker)
        if box.inside(page) and not any(map(box.overlaps, taken))
      ),
      None,
    )
    boxes.append(box)
    taken += [] if box is None else [box]
  return boxes


def _candidates(point, width: float, height: float, marker: float):
  """Yields boxes around a point, the nearest first."""
  x, y = point
  for distance, angle in itertools.product(
    np.arange(marker + 1, 30 * marker, 1.5 * marker), _DIRECTIONS
  ):
    near_x = x + distance * math.cos(angle)
    near_y = y + distance * math.sin(angle)
    # The side of the box that faces the point is at this distance.
    left = near_x - width * (1 - math.cos(angle)) / 2
    bottom = near_y - height * (1 - math.sin(angle)) / 2
    yield Box(left, bottom, left + width, bottom + height)
