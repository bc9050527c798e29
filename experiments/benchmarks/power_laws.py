"""Power laws of time and memory over the size of a catalogue.

The law of a part is fitted to the sizes that have been measured: a straight
line through the logarithms. The parts of a run are predicted apart, since they
grow differently, and are added.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# Predictions must be met within this factor.
FACTOR = 1.5
# Sizes of which the exponents are said, and by which the next is predicted.
_FITTED, _RECENT = 4, 3
# The parts of a run that build the weights; the others rank and update.
BUILD = (
  'groups', 'neighbours', 'kernel columns', 'shared users', 'weights',
  'sparse matrix',
)  # fmt: skip


class Law(NamedTuple):
  """value = factor * size^exponent."""

  factor: float
  exponent: float

  def __call__(self, size: float) -> float:
    """The value at a size."""
    return self.factor * size**self.exponent


def fit(sizes: Sequence[float], values: Sequence[float]) -> Law:
  """The law nearest to positive values, by squares of their logarithms.

  Raises:
    ValueError: there are fewer than two sizes.
  """
  if len(sizes) < 2:
    raise ValueError(f'{len(sizes)} sizes do not tell an exponent; measure two')
  slope, start = np.polyfit(np.log(sizes), np.log(values), 1)
  return Law(float(np.exp(start)), float(slope))


def predict(
  rows: Sequence[Mapping[str, Any]], size: int
) -> dict[str, float] | None:
  """What a catalogue of a size will take, by the three largest smaller ones.

  Args:
    rows: what `size_worker` measured, in any order.
    size: number of items.

  Returns:
    `seconds`, `core_seconds` and `peak_bytes`; None with fewer than two smaller
    sizes.
  """
  smaller = sorted(
    (row for row in rows if row['items'] < size), key=lambda row: row['items']
  )[-_RECENT:]
  if len(smaller) < 2:
    return None
  sizes = [row['items'] for row in smaller]
  return {
    **{
      unit: sum(
        fit(sizes, [row['phases'][name][unit] for row in smaller])(size)
        for name in smaller[-1]['phases']
      )
      for unit in ('seconds', 'core_seconds')
    },
    'peak_bytes': smaller[-1]['base_bytes']
    + fit(sizes, [_growth(row) for row in smaller])(size),
  }


def exponents(rows: Sequence[Mapping[str, Any]]) -> dict[str, Law]:
  """Laws of the core seconds and the memory of the four largest made sizes.

  Args:
    rows: what `size_worker` measured, at least two of them.
  """
  largest = sorted(rows, key=lambda row: row['items'])[-_FITTED:]
  sizes = [row['items'] for row in largest]
  return {
    'core_seconds': fit(sizes, [total(row, 'core_seconds') for row in largest]),
    'peak_bytes': fit(sizes, [_growth(row) for row in largest]),
  }


def total(row: Mapping[str, Any], unit: str) -> float:
  """The sum of `seconds` or `core_seconds` over the parts of a run."""
  return sum(phase[unit] for phase in row['phases'].values())


def measured(row: Mapping[str, Any]) -> dict[str, float]:
  """What a run took, by the names of a prediction."""
  return {
    **{unit: total(row, unit) for unit in ('seconds', 'core_seconds')},
    'peak_bytes': row['peak_bytes'],
  }


def is_met(predicted: float, found: float) -> bool:
  """Whether a prediction is within the factor of what was measured."""
  return 1 / FACTOR <= found / predicted <= FACTOR


def _growth(row: Mapping[str, Any]) -> float:
  """Peak bytes beyond those of the libraries and the compiled programs."""
  return row['peak_bytes'] - row['base_bytes']
