"""The cells of the matrix, and how many of them are there.

A cell is the rows of a regime, data set, budget and method, one for each seed.
A data set counts with the seeds for which all cells of its regime are there, if
these are enough.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments.verdict import matrix
from hyperrec.evaluation import results

Row = results.Row
# Regime and data set.
Key = tuple[str, str]
# Method -> rows of all seeds, at one budget of a data set.
Cells = dict[str, list[Row]]


def by_set(rows: Iterable[Row]) -> dict[Key, dict[int, Cells]]:
  """(regime, data set) -> budget -> cells, of methods of the matrix."""
  found = collections.defaultdict(
    lambda: collections.defaultdict(lambda: collections.defaultdict(list))
  )
  for row in rows:
    part = matrix.PARTS.get(row['regime'])
    if part is None or row['method'] not in part.methods:
      continue
    if row['seed'] < matrix.SEEDS and row['budget'] in part.budgets:
      budgets = found[row['regime'], row['dataset']]
      budgets[row['budget']][row['method']].append(row)
  return {
    key: {b: dict(budgets[b]) for b in sorted(budgets)}
    for key, budgets in found.items()
  }


class Progress(NamedTuple):
  """How much of a regime is there on a data set.

  Attributes:
    rows: number of cells and seeds that are there.
    planned: number of those that the matrix asks for.
    seeds: the seeds with which every method has run with every budget.
    people: the fewest and the most test users of a seed; (0, 0) without rows.
  """

  rows: int
  planned: int
  seeds: frozenset[int]
  people: tuple[int, int]

  @property
  def is_enough(self) -> bool:
    """Whether the data set counts."""
    return len(self.seeds) >= matrix.FEWEST_SEEDS


def progress(sets: dict[Key, dict[int, Cells]]) -> dict[Key, Progress]:
  """(regime, data set) -> how much of it is there, for the whole matrix."""
  found = {}
  for regime, part in matrix.PARTS.items():
    for name in part.sets:
      budgets = sets.get((regime, name), {})
      seeds = [
        {row['seed'] for row in budgets.get(budget, {}).get(method, ())}
        for budget in part.budgets
        for method in part.methods
      ]
      people = [
        len(row['people'])
        for cells in budgets.values()
        for rows in cells.values()
        for row in rows
        if 'cannot' not in row
      ]
      found[regime, name] = Progress(
        sum(map(len, seeds)),
        len(seeds) * matrix.SEEDS,
        frozenset.intersection(*map(frozenset, seeds)),
        (min(people, default=0), max(people, default=0)),
      )
  return found


def complete(
  sets: dict[Key, dict[int, Cells]],
) -> dict[Key, dict[int, Cells]]:
  """The data sets with enough seeds, without the seeds that have a hole."""
  return {
    key: {
      budget: {
        method: [row for row in rows if row['seed'] in there.seeds]
        for method, rows in cells.items()
      }
      for budget, cells in sets[key].items()
    }
    for key, there in progress(sets).items()
    if there.is_enough
  }


def rows_of(sets: dict[Key, dict[int, Cells]]) -> list[Row]:
  """All rows of some data sets, one after another."""
  return [
    row
    for budgets in sets.values()
    for cells in budgets.values()
    for own in cells.values()
    for row in own
  ]


def served(rows: Sequence[Row]) -> bool:
  """Whether the method serves at this amount of evidence."""
  return not any('cannot' in row for row in rows)
