"""Analyses result rows: leaders, comparisons and break-even."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from experiments import arm_names
from experiments.adaptation.report import roles
from hyperrec.cost import measure
from hyperrec.evaluation import results, significance

Cell = results.Cell

_NEAR = 0.03


class Judged(NamedTuple):
  """The comparison of a cell with a baseline at the same budget.

  Attributes:
    cell: the cell that is judged.
    against: the baseline.
    comparison: paired over users; without values per user only the two
      differences are known, and the rest is NaN.
    word: the verdict, see `significance.verdict`.
  """

  cell: Cell
  against: Cell
  comparison: significance.Comparison
  word: str


def judge(pairs: list[tuple[Cell, Cell]]) -> list[Judged]:
  """Judges (cell, baseline) pairs, with a Holm correction over all pairs."""
  # The smallest possible p-value must be below alpha after the correction.
  num_resamples = max(2000, math.ceil(2 / significance.ALPHA) * len(pairs))
  found = [_compare(*pair, num_resamples) for pair in pairs]
  tested = [i for i, one in enumerate(found) if not math.isnan(one.p_value)]
  adjusted = np.full(len(pairs), math.nan)
  adjusted[tested] = significance.holm([found[i].p_value for i in tested])
  return [
    Judged(*pair, one, significance.verdict(one, p))
    for pair, one, p in zip(pairs, found, adjusted, strict=True)
  ]


def _compare(
  cell: Cell, other: Cell, num_resamples: int
) -> significance.Comparison:
  seeds = [s for s in cell.seeds if s in cell.per_user and s in other.per_user]
  a = [cell.per_user[seed] for seed in seeds]
  b = [other.per_user[seed] for seed in seeds]
  if seeds and [len(x) for x in a] == [len(x) for x in b]:
    return significance.paired_bootstrap(
      a, b, seed=0, num_resamples=num_resamples
    )
  difference = cell.quality - other.quality
  relative = difference / other.quality if other.quality else math.nan
  return significance.Comparison(difference, relative, *[math.nan] * 3)


def ratio(one: Judged) -> float:
  """Operations per adaptation over the rival's; inf if the rival needs none."""
  own, rival = one.cell.adapt['flops'], one.against.adapt['flops']
  if not rival:
    return math.inf if own else 1.0
  return own / rival


def compare(cells: Iterable[Cell], against: str) -> list[Judged]:
  """Compares every fair method with one, at each budget where both ran."""
  ran = [cell for cell in roles.fair(cells) if cell.quality is not None]
  base = {cell.budget: cell for cell in ran if cell.method == against}
  return judge(
    [
      (cell, base[cell.budget])
      for cell in ran
      if cell.method != against and cell.budget in base
    ]
  )


class Leader(NamedTuple):
  """The best contender at a budget, and the others compared with it."""

  best: Cell
  others: list[Judged]

  @property
  def level(self) -> list[Judged]:
    """Those that are not clearly behind."""
    return [one for one in self.others if one.word in ('tie', 'unclear')]


def leaders(cells: Iterable[Cell]) -> list[Leader]:
  """Returns the leader of every budget and the others, the best first."""
  own = sorted(roles.contenders(cells), key=lambda cell: cell.budget)
  groups = [
    roles.ranked(group)
    for _, group in itertools.groupby(own, lambda c: c.budget)
  ]
  judged = iter(judge([(cell, g[0]) for g in groups for cell in g[1:]]))
  return [
    Leader(group[0], list(itertools.islice(judged, len(group) - 1)))
    for group in groups
  ]


def cheapest_good(leader: Leader) -> Cell:
  """The method with the fewest operations of those that are nearly as good.

  Operations per adaptation count first, then those of preparing. "Nearly as
  good" means within `_NEAR` of the best and not clearly behind it. The second
  condition alone is not enough: with few users, even a much worse method may
  not be clearly worse.
  """
  level = [one for one in leader.level if one.comparison.relative >= -_NEAR]
  good = [leader.best, *(one.cell for one in level)]
  return min(good, key=lambda c: (c.adapt['flops'], c.prepare['flops']))


def contests(
  cells: Iterable[Cell],
  is_champion: Callable[[Cell], bool],
  is_challenger: Callable[[Cell, Cell], bool],
) -> list[Judged]:
  """Compares the best challenger with the best champion at each budget.

  The challenger is selected by its result. Therefore the p-values are corrected
  over all challengers.

  Args:
    cells: all cells of a task.
    is_champion: contender -> whether it is a champion.
    is_challenger: (contender, champion) -> whether it is a challenger.
  """
  own = roles.contenders(cells)
  pairs = []
  for budget in roles.budgets(own):
    here = roles.ranked(cell for cell in own if cell.budget == budget)
    champion = next(filter(is_champion, here), None)
    if champion is not None:
      pairs += [(c, champion) for c in here if is_challenger(c, champion)]
  best = {}
  for one in judge(pairs):
    best.setdefault(one.cell.budget, one)
  return list(best.values())


def _is_other_way(cell: Cell) -> bool:
  return not roles.is_retrained(cell) and not roles.is_hypernetwork(cell)


def _is_cheaper(cell: Cell, retrained: Cell) -> bool:
  fewer = cell.adapt['flops'] < retrained.adapt['flops']
  return fewer and not roles.is_retrained(cell)


def _is_generated(cell: Cell, champion: Cell) -> bool:
  del champion
  return roles.is_hypernetwork(cell)


def _is_cheaply_generated(cell: Cell, retrained: Cell) -> bool:
  return roles.is_hypernetwork(cell) and _is_cheaper(cell, retrained)


class Analysis(NamedTuple):
  """All numbers that the report shows of a task.

  Attributes:
    cells: cells of all arms.
    leaders: one leader for each budget.
    cheaper: the best adaptation with fewer operations than full retraining,
      compared with it; one for each budget.
    generated: the best hypernetwork against full retraining.
    generated_cheaper: the best of those that take fewer operations than it.
    generated_others: the best hypernetwork against the best of the rest.
    against: baseline -> every fair method against it.
    break_even: at the largest budget; empty without evidence.
    has_evidence: whether there is evidence; otherwise the only budget is 0.
  """

  cells: list[Cell]
  leaders: list[Leader]
  cheaper: list[Judged]
  generated: list[Judged]
  generated_cheaper: list[Judged]
  generated_others: list[Judged]
  against: dict[str, list[Judged]]
  break_even: list['BreakEven']
  has_evidence: bool = True


def analyse(cells: list[Cell], *, has_evidence: bool = True) -> Analysis:
  """Returns all numbers that the report derives from the cells of a task.

  Args:
    cells: cells of all arms.
    has_evidence: see `Regime.has_evidence`.
  """
  names = baselines(cells)
  return Analysis(
    cells=cells,
    leaders=leaders(cells),
    cheaper=contests(cells, roles.is_retrained, _is_cheaper),
    generated=contests(cells, roles.is_retrained, _is_generated),
    generated_cheaper=contests(
      cells, roles.is_retrained, _is_cheaply_generated
    ),
    generated_others=contests(cells, _is_other_way, _is_generated),
    against={name: compare(cells, name) for name in names},
    break_even=break_even(cells, names) if has_evidence else [],
    has_evidence=has_evidence,
  )


def baselines(cells: Iterable[Cell]) -> list[str]:
  """Full retraining of each family, then the best other way of adapting.

  The best other way is the best one at the largest budget.
  """
  own = roles.contenders(cells)
  names = []
  for name in roles.BASELINES:
    arm = [
      c
      for c in own
      if arm_names.family(c.method) == name and roles.is_retrained(c)
    ]
    arm.sort(key=lambda cell: 'retrain' not in arm_names.suffixes(cell.method))
    names += [cell.method for cell in arm[:1]]
  others = [c for c in own if _is_other_way(c)]
  largest = max((cell.budget for cell in others), default=None)
  best = roles.ranked(cell for cell in others if cell.budget == largest)
  return [*names, *(cell.method for cell in best[:1])]


class BreakEven(NamedTuple):
  """Number of adaptations that recover preparing and tuning; None is never."""

  method: str
  baseline: str
  budget: int
  flops: float | None
  seconds: float | None


def break_even(cells: Iterable[Cell], names: list[str]) -> list[BreakEven]:
  """Break-even of all contenders that prepare, at the largest budget."""
  own = roles.contenders(cells)
  largest = max((cell.budget for cell in own), default=None)
  here = {cell.method: cell for cell in own if cell.budget == largest}
  paid = {method: paid_once(own, method) for method in here}
  return [
    BreakEven(
      cell.method,
      name,
      cell.budget,
      *(
        measure.break_even(
          paid[cell.method][u], here[name].adapt[u], cell.adapt[u]
        )
        for u in ('flops', 'seconds')
      ),
    )
    for cell in here.values()
    for name in names
    if name in here and cell.method != name and cell.prepare['flops'] > 0
  ]


def paid_once(cells: Iterable[Cell], method: str) -> dict[str, float]:
  """Costs of a method before its first adaptation: preparing and tuning.

  The time of tuning is the total over all budgets, since later budgets reuse
  the states that earlier ones prepared. The operations of tuning are estimated
  as one preparation per trial, which is an upper bound if the source rehearses
  itself.
  """
  own = [cell for cell in cells if cell.method == method]
  last = max(own, key=lambda cell: cell.budget)
  trials = last.tuning.get('trials', 1)
  tuned = sum(cell.tuning.get('seconds', 0.0) for cell in own)
  return {
    'flops': last.prepare['flops'] * (1 + (trials if trials > 1 else 0)),
    'seconds': last.prepare['seconds'] + tuned,
  }


def pareto_front(costs: Iterable[float], qualities: Iterable[float]):
  """Whether each point is on the Pareto front of cost and quality: bool [n]."""
  costs, qualities = np.array([*costs], float), np.array([*qualities], float)
  cheaper = costs[None] <= costs[:, None]
  better = qualities[None] >= qualities[:, None]
  strictly = (costs[None] < costs[:, None]) | (
    qualities[None] > qualities[:, None]
  )
  return ~(cheaper & better & strictly).any(axis=1)
