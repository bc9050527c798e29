"""What follows from the matrix: effects on data sets, pooled, with their tests.

The methods of a claim are chosen on validation users, for each data set and
budget: the best generator of a kind, and the best of the methods that it is
held against. Beside that stands the method that is best on the test users.
"""

import collections
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from experiments import catalogue, pooled
from experiments.verdict import cells as cells_lib
from experiments.verdict import matrix
from hyperrec.evaluation import results, significance

Row = results.Row
Key = cells_lib.Key
Cells = cells_lib.Cells
# Whether a method may be chosen in a regime.
Candidate = Callable[[str, str], bool]

TRAINED = 'a generator that is trained'
CLOSED_FORM = 'a generator in closed form'
KINDS = {'trained generator': TRAINED, 'transferred prior': CLOSED_FORM}
RETRAINING = 'full retraining'
CHEAPER = 'the cheaper ways of adapting'
# The generator that reads no text. It is held against EASE in a claim of its
# own, since all other generators know more than EASE does.
_WITHOUT_TEXT = 'hyperease_user'
# Methods without weights: to look at all data again is no retraining.
_WITHOUT_WEIGHTS = ('content_knn', 'popularity')
# One new item takes all of their work, since it changes the whole graph.
_WHOLE_GRAPH = ('alpharec',)
# Those that are fitted step by step. To fit the others again is one solve,
# which is one of the cheaper ways as well as a retraining.
_STEP_BY_STEP = ('mult_vae', 'sasrec', 'ials_features')


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
    cost_alone: the same as `cost`, where one user or one item arrives alone.
    pays_back: number of adaptations after which the operations that are saved
      make up for those of preparing and of tuning on rehearsals; infinite if
      they never do. -n means that it needs fewer in all until adaptation n.
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
  cost_alone: float
  pays_back: float


class Claim(NamedTuple):
  """Effects of one comparison, pooled over data sets.

  The p-values are one-sided and corrected over the family of claims (Holm).

  Attributes:
    regime: name of the regime; empty for all regimes together.
    ours: what is held against others, in words.
    other: what it is held against, in words.
    effects: all of them, with the other method chosen on validation users.
    pooled: data sets are units; None below three of them.
    strict: the same with the other method that is best on the test users.
    p_better: of "at most 1% better", the larger one of both comparisons.
    p_no_worse: of "at least 1% worse", the larger one of both comparisons.
    p_worse: of "at most 1% worse".
  """

  regime: str
  ours: str
  other: str
  effects: tuple[Effect, ...]
  pooled: significance.Pooled | None
  strict: significance.Pooled | None = None
  p_better: float = math.nan
  p_no_worse: float = math.nan
  p_worse: float = math.nan

  @property
  def word(self) -> str:
    """What the numbers say."""
    for word, p_value in (
      ('better', self.p_better),
      ('worse', self.p_worse),
      ('no worse', self.p_no_worse),
    ):
      if p_value < significance.ALPHA:
        return word
    return 'undecided'

  @property
  def sets(self) -> list[str]:
    """The data sets on which both serve."""
    return list(dict.fromkeys(one.dataset for one in self.effects))


def claim(
  regime: str,
  ours: str,
  other: str,
  found: Sequence[Effect],
  strict: Sequence[Effect] | None = None,
) -> Claim:
  """A claim before the correction of its p-values.

  Args:
    regime: see `Claim`.
    ours: see `Claim`.
    other: see `Claim`.
    found: the effects.
    strict: those over the method that is best on the test users; by default the
      same.
  """
  both = [pool(found), pool(found if strict is None else strict)]
  if None in both:
    return Claim(regime, ours, other, tuple(found), *both)
  return Claim(
    regime, ours, other, tuple(found), *both,
    p_better=max(one.p_better for one in both),
    p_no_worse=max(1 - one.p_worse for one in both),
    p_worse=both[0].p_worse,
  )  # fmt: skip


def is_rival(method: str, regime: str) -> bool:
  """Whether it is an established method."""
  del regime
  return catalogue.BY_NAME[method].role == 'rival'


def is_retrained(method: str, regime: str) -> bool:
  """Whether it is an established method that is fitted to all data again."""
  has_weights = is_rival(method, regime) and method not in _WITHOUT_WEIGHTS
  return has_weights and catalogue.is_refitted(method, regime)


def is_adapted_cheaply(method: str, regime: str) -> bool:
  """Whether it is an established method that is not retrained step by step.

  Closed forms that are solved again belong here, as well as to retraining.
  """
  is_slow = method.partition(':')[0] in _STEP_BY_STEP
  is_retrained_slowly = is_slow and is_retrained(method, regime)
  return is_rival(method, regime) and not is_retrained_slowly


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
  sets: dict[Key, dict[int, Cells]],
  ours: Candidate,
  other: Candidate,
  *,
  is_strict: bool = False,
) -> list[Effect]:
  """The chosen method against the chosen other one, wherever both serve.

  Args:
    sets: the cells.
    ours: whether a method may be the one that is held against others.
    other: whether a method may be the one that it is held against.
    is_strict: whether the other method is the best on the test users.
  """
  found = []
  for (regime, name), budgets in sets.items():
    for budget, cells in budgets.items():
      chosen = (
        best(cells, regime, ours),
        best(cells, regime, other, on_test=is_strict),
      )
      if all(chosen) and chosen[0] != chosen[1]:
        place = regime, name, budget
        found.append(effect(place, cells, *chosen))
  return found


def best(
  cells: Cells, regime: str, candidate: Candidate, *, on_test: bool = False
) -> str | None:
  """The candidate with the best mean value; None if none serves.

  Args:
    cells: the cells of a data set and budget.
    regime: name of the regime.
    candidate: whether a method may be chosen.
    on_test: whether the test users choose, instead of the validation users.
  """
  values = {}
  for method, rows in cells.items():
    if cells_lib.served(rows) and candidate(method, regime):
      values[method] = float(
        np.mean(
          [
            row['metrics'][results.PRIMARY] if on_test else row['validation']
            for row in rows
          ]
        )
      )
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
  carried, tuned, alone = (
    [np.mean([cost(row) for row in side]) for side in sides]
    for cost in (carried_over, with_tuning, of_one)
  )
  return Effect(
    *place,
    ours,
    other,
    1 + found.relative if math.isfinite(found.relative) else math.nan,
    1 + found.low,
    1 + found.high,
    len(set().union(*people)),
    *(_over(*costs) for costs in (carried, tuned, alone)),
    _pays_back([np.mean([once(row) for row in side]) for side in sides], tuned),
  )


def _pays_back(
  paid_once: Sequence[float], adaptations: Sequence[float]
) -> float:
  """Number of adaptations; both arguments are (own, other) operations."""
  more = paid_once[0] - paid_once[1]
  saved = adaptations[1] - adaptations[0]
  if saved > 0:
    return float(max(0.0, more / saved))
  is_ahead = more < 0 and saved < 0
  return -float(more / saved) if is_ahead else math.inf


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


def of_one(row: Row) -> float:
  """Operations where a single new user or new item arrives.

  A model whose weights are fitted anew is paid for in full. All others cost as
  much for each user or item of a batch, but for fine-tuning, which then costs
  more.
  """
  method = row['method']
  has_refit = catalogue.is_refitted(method, row['regime'])
  if (has_refit and method not in _WITHOUT_WEIGHTS) or method in _WHOLE_GRAPH:
    return carried_over(row)
  return carried_over(row) / batch_size(row)


def batch_size(row: Row) -> int:
  """How many users or items an adaptation of a row is for."""
  if row['regime'] == 'new_users':
    return len(row['per_user'])
  return row.get('num_arriving', 1)


def once(row: Row) -> float:
  """Operations of preparing, and of all trials on rehearsals."""
  return row['prepare']['flops'] + row['tuning']['flops']


def pool(found: Sequence[Effect]) -> significance.Pooled | None:
  """Pools effects; None below three data sets."""
  ratios = list(ratios_of_sets(found).values())
  return (
    significance.pooled(ratios) if len(ratios) >= pooled.FEWEST_SETS else None
  )


def ratios_of_sets(found: Sequence[Effect]) -> dict[str, float]:
  """The mean ratio on each data set, over its regimes and budgets."""
  logs = collections.defaultdict(lambda: collections.defaultdict(list))
  for one in found:
    if math.isfinite(one.ratio) and one.ratio > 0:
      logs[one.dataset][one.regime].append(math.log(one.ratio))
  return {
    name: math.exp(np.mean([np.mean(own) for own in regimes.values()]))
    for name, regimes in logs.items()
  }


def typical_spread(claims: Sequence[Claim]) -> float:
  """The median standard deviation of a claim's log ratios over data sets."""
  logs = [np.log([*ratios_of_sets(one.effects).values()]) for one in claims]
  return float(np.median([own.std(ddof=1) for own in logs]))


def least_shown(spread: float, num_sets: int, num_tests: int) -> float:
  """The least mean ratio that the strictest test of a family calls better.

  Args:
    spread: standard deviation of the log ratios over data sets.
    num_sets: number of data sets.
    num_tests: number of tests in the family.
  """
  level = significance.ALPHA / num_tests
  quantile = scipy.stats.t.ppf(1 - level, num_sets - 1)
  least = np.log1p(significance.MIN_EFFECT)
  return float(np.exp(least + quantile * spread / np.sqrt(num_sets)))


def family(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """The claims by regime and kind of generator, not yet corrected.

  They are held against retraining (H1), and against the best of the cheaper
  ways of adapting.
  """
  others = {RETRAINING: is_retrained, CHEAPER: is_adapted_cheaply}
  claims = []
  for regime in matrix.PARTS:
    own = {key: value for key, value in sets.items() if key[0] == regime}
    for kind, ours in KINDS.items():
      for name, other in others.items():
        found, strict = (
          effects(own, of_kind(kind), other, is_strict=is_strict)
          for is_strict in (False, True)
        )
        if found:
          claims.append(claim(regime, ours, name, found, strict))
  return claims


def named_rivals(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """H2: the best generator against each rival that the question names."""
  compared = [
    ('a generator', is_generator, label, label)
    for label in catalogue.NAMED_RIVALS
  ]
  compared.append(
    (
      _WITHOUT_TEXT,
      lambda method, regime: method == _WITHOUT_TEXT,
      'EASE',
      'EASE where neither reads text',
    )
  )
  claims = []
  for name, ours, label, told in compared:
    found, strict = (
      effects(sets, ours, of_label(label), is_strict=is_strict)
      for is_strict in (False, True)
    )
    claims.append(claim('', name, told, found, strict))
  return claims


def parts(sets: dict[Key, dict[int, Cells]]) -> list[Claim]:
  """H3: methods against the same without a part, where both serve.

  The p-values are not yet corrected.
  """
  claims = []
  for regimes, whole, without, what in matrix.PAIRS:
    found = [
      effect((regime, name, budget), cells, whole, without)
      for (regime, name), budgets in sets.items()
      if regime in regimes
      for budget, cells in budgets.items()
      if all(
        method in cells and cells_lib.served(cells[method])
        for method in (whole, without)
      )
    ]
    claims.append(claim('', f'{whole} over {without}', what, found))
  return claims


def corrected(claims: Sequence[Claim]) -> list[Claim]:
  """The claims with p-values that are corrected over all of them (Holm).

  "No worse" and "better" are one chain of tests: where a claim is not even the
  first, it is not the second. "Worse" is a test of its own.
  """
  tested = [c for c in claims if c.pooled is not None and c.strict is not None]
  chains = [[c.p_no_worse, c.p_better] for c in tested]
  adjusted = significance.holm_chains([*chains, *([c.p_worse] for c in tested)])
  found = {
    id(one): one._replace(p_no_worse=no_worse, p_better=better, p_worse=worse)
    for one, (no_worse, better), (worse,) in zip(
      tested, adjusted, adjusted[len(tested) :], strict=False
    )
  }
  return [found.get(id(one), one) for one in claims]
