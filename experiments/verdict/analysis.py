"""What follows from the matrix: effects on data sets, pooled, with their tests.

A cell is the rows of a regime, data set, budget and method, one for each seed.
The methods of a claim are chosen on validation, for each data set and budget:
the best generator of a kind, and the best of the methods that it is held
against. A data set counts where all cells of its regime are there.
"""

import collections
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from experiments import catalogue, pooled
from experiments.verdict import matrix
from hyperrec.evaluation import results, significance

Row = results.Row
Key = tuple[str, str]
# Method -> rows of all seeds, at one budget of a data set.
Cells = dict[str, list[Row]]
# Whether a method may be chosen in a regime.
Candidate = Callable[[str, str], bool]

TRAINED = 'a generator that is trained'
CLOSED_FORM = 'a generator in closed form'
KINDS = {'trained generator': TRAINED, 'transferred prior': CLOSED_FORM}
RETRAINING = 'full retraining'
CHEAPER = 'the cheaper ways of adapting'
# The rivals that the question names (hypothesis H2), by label.
NAMED = ('PReF', 'VQ-Rec', 'P5', 'EASE', 'Dynamic EASE', 'L3AE')
# Methods without weights: to look at all data again is no retraining.
_WITHOUT_WEIGHTS = ('content_knn', 'popularity')
# Fewest data sets that are pooled.
_FEWEST = 3


class Effect(NamedTuple):
  """One method against another on a data set, at one budget.

  Attributes:
    regime: name of the regime.
    dataset: name of the data set.
    budget: amount of evidence.
    ours: name of the method.
    other: name of the method that it is held against.
    ratio: its NDCG@100 over the other's; NaN where that one finds nothing.
    low: lower end of the 95% interval; people are resampled across seeds.
    high: upper end.
    people: number of people.
    cost: its operations for an adaptation over the other's, with settings that
      are carried over; infinite where the other needs none.
    cost_tuned: the same with the trials on the evidence.
    pays_back: number of adaptations after which the operations that are saved
      make up for those of preparing and of tuning on rehearsals; infinite if
      they never do.
  """

  regime: str
  dataset: str
  budget: int
  ours: str
  other: str
  ratio: float
  low: float
  high: float
  people: int
  cost: float
  cost_tuned: float
  pays_back: float


class Claim(NamedTuple):
  """Effects of one comparison, pooled over data sets.

  Attributes:
    regime: name of the regime; empty for all regimes together.
    ours: what is held against others, in words.
    other: what it is held against, in words.
    effects: all of them.
    pooled: data sets are units; None below three of them.
    p_value: of the nearer of two one-sided tests against the least effect that
      matters, doubled, and corrected over the family of claims (Holm).
  """

  regime: str
  ours: str
  other: str
  effects: tuple[Effect, ...]
  pooled: significance.Pooled | None
  p_value: float = math.nan

  @property
  def word(self) -> str:
    """What the numbers say: better, worse, level or open."""
    if self.pooled is None:
      return 'open'
    if self.p_value < significance.ALPHA:
      return 'better' if self.pooled.ratio > 1 else 'worse'
    least = significance.MIN_EFFECT
    is_level = self.pooled.low > 1 - least and self.pooled.high < 1 + least
    return 'level' if is_level else 'open'


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


def progress(sets: dict[Key, dict[int, Cells]]) -> dict[Key, tuple[int, int]]:
  """(regime, data set) -> number of cells and seeds that are there, and all."""
  found = {}
  for regime, part in matrix.PARTS.items():
    planned = len(part.methods) * len(part.budgets) * matrix.SEEDS
    for name in part.sets:
      budgets = sets.get((regime, name), {})
      there = sum(
        len(rows) for cells in budgets.values() for rows in cells.values()
      )
      found[regime, name] = there, planned
  return found


def complete(
  sets: dict[Key, dict[int, Cells]],
) -> dict[Key, dict[int, Cells]]:
  """The data sets without a hole."""
  return {
    key: sets[key]
    for key, (there, planned) in progress(sets).items()
    if there == planned
  }


def is_rival(method: str, regime: str) -> bool:
  """Whether it is an established method."""
  del regime
  return catalogue.BY_NAME[method].role == 'rival'


def is_refitted(method: str, regime: str) -> bool:
  """Whether its policy is to fit all data again."""
  policy = catalogue.BY_NAME[method].arms[regime].policy
  return getattr(policy, 'func', policy) is catalogue.retrained


def is_retrained(method: str, regime: str) -> bool:
  """Whether it is an established method that is fitted to all data again."""
  has_weights = method not in _WITHOUT_WEIGHTS
  is_fit_again = is_rival(method, regime) and is_refitted(method, regime)
  return is_fit_again and has_weights


def is_adapted_cheaply(method: str, regime: str) -> bool:
  """Whether it is an established method that is not retrained."""
  return is_rival(method, regime) and not is_retrained(method, regime)


def of_kind(kind: str) -> Candidate:
  """Whether a method is a generator of a kind."""
  return lambda method, regime: catalogue.BY_NAME[method].role == kind


def is_generator(method: str, regime: str) -> bool:
  """Whether it generates parameters, trained or in closed form."""
  del regime
  return catalogue.BY_NAME[method].is_hypernetwork


def of_label(label: str) -> Candidate:
  """Whether a method is one of a published system's arms."""

  def candidate(method: str, regime: str) -> bool:
    is_one = catalogue.BY_NAME[method].label == label
    return is_one and is_rival(method, regime)

  return candidate


def effects(
  sets: dict[Key, dict[int, Cells]], ours: Candidate, other: Candidate
) -> list[Effect]:
  """The chosen method against the chosen other one, wherever both serve."""
  found = []
  for (regime, name), budgets in sets.items():
    for budget, cells in budgets.items():
      chosen = [best(cells, regime, each) for each in (ours, other)]
      if all(chosen) and chosen[0] != chosen[1]:
        place = regime, name, budget
        found.append(effect(place, cells, *chosen))
  return found


def best(cells: Cells, regime: str, candidate: Candidate) -> str | None:
  """The candidate with the best mean validation value; None without one."""
  values = {}
  for method, rows in cells.items():
    served = all(row.get('validation') is not None for row in rows)
    if served and candidate(method, regime):
      values[method] = float(np.mean([row['validation'] for row in rows]))
  return max(values, key=values.__getitem__) if values else None


def effect(
  place: tuple[str, str, int], cells: Cells, ours: str, other: str
) -> Effect:
  """Compares two methods on the people of all seeds.

  Args:
    place: regime, data set and budget.
    cells: the cells there.
    ours: name of the method.
    other: name of the other method.

  Raises:
    ResultError: they were judged on different people.
  """
  sides = [sorted(cells[m], key=lambda row: row['seed']) for m in (ours, other)]
  people = [row['people'] for row in sides[0]]
  if people != [row['people'] for row in sides[1]]:
    raise results.ResultError(
      f'{place}: {ours} and {other} were judged on different people'
    )
  values = [[np.array(row['per_user']) for row in side] for side in sides]
  found = significance.people_bootstrap(*values, people, seed=0)
  carried, tuned = (
    [np.mean([cost(row) for row in side]) for side in sides]
    for cost in (carried_over, with_tuning)
  )
  return Effect(
    *place,
    ours,
    other,
    1 + found.relative if math.isfinite(found.relative) else math.nan,
    1 + found.low,
    1 + found.high,
    len(set().union(*people)),
    *(_over(*costs) for costs in (carried, tuned)),
    _pays_back([np.mean([once(row) for row in side]) for side in sides], tuned),
  )


def _pays_back(
  paid_once: Sequence[float], adaptations: Sequence[float]
) -> float:
  """Number of adaptations; both arguments are (own, other) operations."""
  more = paid_once[0] - paid_once[1]
  saved = adaptations[1] - adaptations[0]
  if saved <= 0:
    return math.inf
  return float(max(0.0, more / saved))


def _over(own: float, other: float) -> float:
  if other:
    return float(own / other)
  return math.inf if own else 1.0


def carried_over(row: Row) -> float:
  """Operations of an adaptation whose hyperparameters are known."""
  return row['adapt']['flops']


def with_tuning(row: Row) -> float:
  """Operations of an adaptation with the trials on its evidence."""
  return row['adapt']['flops'] + row['tuning']['flops_of_evidence']


def once(row: Row) -> float:
  """Operations of preparing, and of all trials on rehearsals."""
  return row['prepare']['flops'] + row['tuning']['flops']


def pool(found: Sequence[Effect]) -> significance.Pooled | None:
  """Pools effects; each data set has the mean over its regimes and budgets."""
  logs = collections.defaultdict(lambda: collections.defaultdict(list))
  for one in found:
    if math.isfinite(one.ratio) and one.ratio > 0:
      logs[one.dataset][one.regime].append(math.log(one.ratio))
  ratios = [
    math.exp(np.mean([np.mean(own) for own in regimes.values()]))
    for regimes in logs.values()
  ]
  return significance.pooled(ratios) if len(ratios) >= _FEWEST else None


class Worth(NamedTuple):
  """What generated parameters are worth in evidence.

  Attributes:
    regime: name of the regime.
    dataset: name of the data set.
    budget: the least evidence with which a generator serves.
    ours: the best generator there.
    until: the least evidence with which the best retrained model ranks as well;
      None if it never does.
    most: the most evidence that was tried.
  """

  regime: str
  dataset: str
  budget: int
  ours: str
  until: int | None
  most: int


def worth(sets: dict[Key, dict[int, Cells]]) -> list[Worth]:
  """Evidence that retraining needs to rank as well as a generator at least."""
  found = []
  for (regime, name), budgets in sets.items():
    for budget, cells in budgets.items():
      ours = best(cells, regime, is_generator)
      if ours is not None:
        value = pooled.mean_of(cells[ours], results.PRIMARY)
        until = [
          b
          for b, others in budgets.items()
          if b >= budget
          and (other := best(others, regime, is_retrained))
          and pooled.mean_of(others[other], results.PRIMARY) >= value
        ]
        first = min(until, default=None)
        found.append(Worth(regime, name, budget, ours, first, max(budgets)))
        break
  return found


class Capacity(NamedTuple):
  """How many parameters a method keeps, and how well it ranks.

  Attributes:
    parameters: bytes that are kept after an adaptation over four; the geometric
      mean over cells.
    quality: NDCG@100 over that of the best method of the cell; the mean.
  """

  parameters: float
  quality: float


def capacity(sets: dict[Key, dict[int, Cells]]) -> dict[str, Capacity]:
  """Parameters and quality of each method, over all cells in which it serves.

  Data sets, then regimes, have equal weight.
  """
  found = collections.defaultdict(lambda: collections.defaultdict(list))
  for regime, cells in _served(sets):
    best_value = max(quality for _, quality in cells.values())
    for method, (parameters, quality) in cells.items():
      found[method][regime].append((math.log(parameters), quality / best_value))
  means = {
    method: np.mean([np.mean(own, axis=0) for own in regimes.values()], axis=0)
    for method, regimes in found.items()
  }
  return {m: Capacity(math.exp(size), q) for m, (size, q) in means.items()}


def capacity_correlation(sets: dict[Key, dict[int, Cells]]) -> float | None:
  """Spearman's correlation of parameters and quality, the mean over cells.

  None without a cell.
  """
  found = []
  for _, cells in _served(sets):
    sizes, qualities = zip(*cells.values(), strict=True)
    found.append(scipy.stats.spearmanr(sizes, qualities).statistic)
  return float(np.mean(found)) if found else None


def _served(sets: dict[Key, dict[int, Cells]]):
  """Yields regime and method -> (parameters, NDCG@100), for each cell.

  Methods that keep nothing, such as a table of popularity that is looked up,
  have no number of parameters and are left out.
  """
  for (regime, _), budgets in sets.items():
    for cells in budgets.values():
      own = {}
      for method, rows in cells.items():
        if any('cannot' in row for row in rows):
          continue
        kept = np.mean([row['adapt']['stored_bytes'] for row in rows]) / 4
        if kept:
          own[method] = kept, pooled.mean_of(rows, results.PRIMARY)
      if len(own) > 1:
        yield regime, own


def family(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """The claims of the first screen, corrected together.

  Of each regime and kind of generator: against retraining (H1), and against the
  best of the cheaper ways of adapting.
  """
  others = {RETRAINING: is_retrained, CHEAPER: is_adapted_cheaply}
  claims = []
  for regime in matrix.PARTS:
    own = {key: value for key, value in sets.items() if key[0] == regime}
    for kind, ours in KINDS.items():
      for name, other in others.items():
        found = tuple(effects(own, of_kind(kind), other))
        if found:
          claims.append(Claim(regime, ours, name, found, pool(found)))
  return corrected(claims)


def corrected(claims: Sequence[Claim]) -> list[Claim]:
  """The claims with p-values that are corrected over all of them."""
  raw = [_p_value(claim.pooled) for claim in claims]
  tested = [i for i, p in enumerate(raw) if not math.isnan(p)]
  adjusted = np.full(len(raw), math.nan)
  if tested:
    adjusted[tested] = significance.holm([raw[i] for i in tested])
  return [
    claim._replace(p_value=float(p))
    for claim, p in zip(claims, adjusted, strict=True)
  ]


def _p_value(found: significance.Pooled | None) -> float:
  if found is None:
    return math.nan
  return min(1.0, 2 * min(found.p_better, found.p_worse))


def named_rivals(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """H2: the best generator against each rival that the question names."""
  claims = []
  for label in NAMED:
    found = tuple(effects(sets, is_generator, of_label(label)))
    claims.append(Claim('', 'a generator', label, found, pool(found)))
  return corrected(claims)


def zero_diagonal(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """H3: methods with a zero diagonal against the same without it."""
  names = sorted({
    method.partition(':')[0]
    for part in matrix.PARTS.values()
    for method in part.methods
    if method.endswith(':unconstrained')
  })  # fmt: skip
  claims = []
  for name in names:
    free, found = f'{name}:unconstrained', []
    for (regime, dataset), budgets in sets.items():
      bound = _counterpart(name, free, regime)
      for budget, cells in budgets.items():
        if _all_served(cells, bound, free):
          place = regime, dataset, budget
          found.append(effect(place, cells, bound, free))
    claims.append(
      Claim('', name, f'{name} without its zero diagonal', tuple(found),
            pool(found))
    )  # fmt: skip
  return corrected(claims)


def _counterpart(name: str, free: str, regime: str) -> str:
  """The arm of a method that is adapted as its ablation is."""
  arms = catalogue.BY_NAME[free].arms
  if regime in arms and is_refitted(free, regime):
    retrain = f'{name}:retrain'
    if retrain in matrix.PARTS[regime].methods:
      return retrain
  return name


def _all_served(cells: Cells, *methods: str) -> bool:
  return all(
    method in cells and not any('cannot' in row for row in cells[method])
    for method in methods
  )
