"""What else the matrix tells, beside its claims.

How new items rank among all items, how much evidence generated parameters are
worth, and what the number of parameters has to do with quality.
"""

import collections
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from experiments import arm_names, pooled
from experiments.verdict import analysis
from experiments.verdict import cells as cells_lib
from hyperrec.evaluation import results, significance

Key = cells_lib.Key
Cells = cells_lib.Cells


class WholeCatalogue(NamedTuple):
  """New items ranked together with the old ones, on a data set.

  Attributes:
    dataset: name of the data set.
    ours: kind of the generator, in words.
    ratio: its NDCG@100 over that of the rival that validation users of the
      ranking of new items prefer, as a geometric mean over budgets.
    strict: the same over the rival that is best in the whole catalogue.
  """

  dataset: str
  ours: str
  ratio: float
  strict: float


def whole_catalogue(
  sets: dict[Key, dict[int, Cells]],
) -> list[WholeCatalogue]:
  """Generators against all rivals in the whole catalogue, by data set."""
  found = []
  for (regime, name), budgets in sets.items():
    if regime != 'new_items':
      continue
    for kind, ours in analysis.KINDS.items():
      ratios = []
      for cells in budgets.values():
        value = {
          method: pooled.mean_of(rows, results.PRIMARY, 'whole')
          for method, rows in cells.items()
          if cells_lib.served(rows)
        }
        chosen = analysis.best(cells, regime, analysis.of_kind(kind))
        other = analysis.best(cells, regime, analysis.is_rival)
        if chosen is None or other is None:
          continue
        strict = max(
          quality
          for method, quality in value.items()
          if analysis.is_rival(method, regime)
        )
        ratios.append((value[chosen] / value[other], value[chosen] / strict))
      if ratios:
        means = np.exp(np.mean(np.log(ratios), axis=0)).tolist()
        found.append(WholeCatalogue(name, ours, *means))
  return found


class Worth(NamedTuple):
  """What generated parameters are worth in evidence.

  Attributes:
    regime: name of the regime.
    dataset: name of the data set.
    budget: the least evidence with which a generator serves.
    ours: the best generator of its kind there.
    until: the least evidence from which on the best retrained model ranks as
      well, or less than 1% worse; None if it never does.
    budgets: the amounts of evidence that were tried.
  """

  regime: str
  dataset: str
  budget: int
  ours: str
  until: int | None
  budgets: tuple[int, ...]


def worth(sets: dict[Key, dict[int, Cells]]) -> list[Worth]:
  """Evidence that retraining needs to rank as well as a generator at least."""
  found = []
  for (regime, name), budgets in sets.items():
    for kind in analysis.KINDS:
      for budget, cells in budgets.items():
        ours = analysis.best(cells, regime, analysis.of_kind(kind))
        if ours is not None:
          value = pooled.mean_of(cells[ours], results.PRIMARY)
          until = _until(budgets, regime, budget, value)
          found.append(Worth(regime, name, budget, ours, until, tuple(budgets)))
          break
  return found


def _until(
  budgets: dict[int, Cells], regime: str, first: int, value: float
) -> int | None:
  """The least budget from which on the best retrained model has a value."""
  until = None
  for budget in sorted(budgets, reverse=True):
    other = analysis.best(budgets[budget], regime, analysis.is_retrained)
    least = (1 - significance.MIN_EFFECT) * value
    if budget < first or other is None:
      break
    if pooled.mean_of(budgets[budget][other], results.PRIMARY) < least:
      break
    until = budget
  return until


class Oracle(NamedTuple):
  """An oracle arm over the same method, tuned without the target's users.

  Attributes:
    ratio: that of NDCG@100, on the seeds that both have.
  """

  regime: str
  method: str
  dataset: str
  budget: int
  ratio: float


def oracles(rows: Sequence[results.Row]) -> list[Oracle]:
  """The oracle arms among rows, where either arm ranks anything."""
  by_cell = pooled.grouped(rows, 'regime', 'method', 'dataset', 'budget')
  found = []
  for (regime, name, dataset, budget), own in by_cell.items():
    method = arm_names.plain(name)
    fair = by_cell.get((regime, method, dataset, budget))
    if method != name and fair and (ratio := pooled.ratio(own, fair)):
      found.append(Oracle(regime, method, dataset, budget, ratio))
  return found


class Capacity(NamedTuple):
  """How many parameters a method keeps, and how well it ranks.

  Attributes:
    parameters: a fourth of the bytes that scoring needs after an adaptation;
      the geometric mean over cells.
    quality: NDCG@100 over that of the best method of the cell; the mean.
  """

  parameters: float
  quality: float


def capacity(sets: dict[Key, dict[int, Cells]]) -> dict[str, Capacity]:
  """Parameters and quality of each method, over all cells in which it serves.

  Data sets, then regimes, have equal weight.
  """
  found = collections.defaultdict(lambda: collections.defaultdict(list))
  for (regime, _), cells in _sizes(sets):
    best_value = max(quality for _, quality in cells.values())
    for method, (parameters, quality) in cells.items():
      found[method][regime].append((math.log(parameters), quality / best_value))
  means = {
    method: np.mean([np.mean(own, axis=0) for own in regimes.values()], axis=0)
    for method, regimes in found.items()
  }
  return {m: Capacity(math.exp(size), q) for m, (size, q) in means.items()}


class Correlation(NamedTuple):
  """Spearman's correlation of parameters and quality.

  It is computed within each cell and averaged over those of a data set.

  Attributes:
    mean: over data sets.
    low: lower end of the 95% interval (Student's t, data sets as units).
    high: upper end.
    least: that of the data set where it is lowest.
    greatest: that of the data set where it is highest.
  """

  mean: float
  low: float
  high: float
  least: float
  greatest: float


def capacity_correlation(
  sets: dict[Key, dict[int, Cells]],
) -> Correlation | None:
  """How parameters and quality go together; None below two data sets."""
  by_set = collections.defaultdict(list)
  for (_, name), cells in _sizes(sets):
    sizes, qualities = zip(*cells.values(), strict=True)
    by_set[name].append(scipy.stats.spearmanr(sizes, qualities).statistic)
  found = [float(np.mean(own)) for own in by_set.values()]
  if len(found) < 2:
    return None
  mean, error = np.mean(found), scipy.stats.sem(found)
  half = scipy.stats.t.ppf(1 - significance.ALPHA / 2, len(found) - 1) * error
  return Correlation(
    float(mean), float(mean - half), float(mean + half), min(found), max(found)
  )


def _sizes(sets: dict[Key, dict[int, Cells]]):
  """Yields (regime, data set), method -> (parameters, NDCG@100) by cell."""
  for key, budgets in sets.items():
    for cells in budgets.values():
      own = {
        method: (
          np.mean([row['adapt']['state_bytes'] for row in rows]) / 4,
          pooled.mean_of(rows, results.PRIMARY),
        )
        for method, rows in cells.items()
        if cells_lib.served(rows)
      }
      if len(own) > 1:
        yield key, own
