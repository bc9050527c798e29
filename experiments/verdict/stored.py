"""The committed rows of the matrix."""

import collections
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

  All methods have the same seeds there, and every budget. A data set is left
  out until each method of the verdict has run on it, and a further method until
  it has.

  Args:
    regime: a key of `matrix.PARTS`.
  """
  part = matrix.PARTS[regime]
  cells = collections.defaultdict(list)
  for row in pooled.read(FOLDER / regime):
    if row['seed'] < matrix.FURTHER_SEEDS and row['budget'] in part.budgets:
      cells[row['dataset'], row['method']].append(row)
  planned = len(part.budgets) * matrix.FURTHER_SEEDS
  found = []
  for name in part.sets:
    has_run = {
      method: len(cells[name, method]) == planned
      for method in (*part.methods, *part.further)
    }
    if all(has_run[method] for method in part.methods):
      for method in filter(has_run.get, has_run):
        found += sorted(
          cells[name, method], key=lambda r: (r['budget'], r['seed'])
        )
  return found
