"""The committed rows of the matrix."""

import pathlib

from experiments import pooled
from experiments.verdict import matrix
from hyperrec.evaluation import results

FOLDER = pathlib.Path('experiments/verdict/results')


def every_row() -> list[results.Row]:
  """All rows of the matrix, one folder for each regime."""
  return [
    row for regime in matrix.PARTS for row in pooled.read(FOLDER / regime)
  ]


def of_experiment(regime: str) -> list[results.Row]:
  """The rows of the experiment of a regime, further methods included.

  All methods have the same seeds there. A data set is left out until each of
  them has run on it with every budget and seed.

  Args:
    regime: a key of `matrix.PARTS`.
  """
  part = matrix.PARTS[regime]
  methods = (*part.methods, *part.further)
  planned = len(methods) * len(part.budgets) * matrix.FURTHER_SEEDS
  by_set = {name: [] for name in part.sets}
  for row in pooled.read(FOLDER / regime):
    is_asked = row['method'] in methods and row['budget'] in part.budgets
    if is_asked and row['seed'] < matrix.FURTHER_SEEDS:
      by_set[row['dataset']].append(row)
  return [
    row
    for rows in by_set.values()
    if len(rows) == planned
    for row in sorted(
      rows,
      key=lambda r: (methods.index(r['method']), r['budget'], r['seed']),
    )
  ]
