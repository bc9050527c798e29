"""One recommendation for each case, from the rows of its cells."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.recommend import cases as cases_lib
from hyperrec.evaluation import results, significance

Case = cases_lib.Case
Cell = results.Cell
Comparison = significance.Comparison

# A method is nearly as good as the best one down to this share below it. With
# few users even a much worse one may not be told apart.
_NEAR = 0.03
# Beyond this relative difference no percentage is told.
_MANY_TIMES = 10


class Rank(NamedTuple):
  """A method in a case.

  Attributes:
    method: its name.
    quality: mean of the primary metric over the budgets that are compared.
    interval: 95% interval of the quality.
    operations: of preparing and of one adaptation, the mean over budgets.
    seconds: of the same.
    by_budget: budget -> cell.
  """

  method: str
  quality: float
  interval: tuple[float, float]
  operations: float
  seconds: float
  by_budget: dict[int, Cell]


class Advice(NamedTuple):
  """The recommendation for a case.

  Attributes:
    case: the case.
    budgets: amounts of evidence over which methods are compared.
    ranks: the methods that serve all of these, the best first.
    use: the method to use: the cheapest one that is nearly as good as the best
      and not told apart from it. None if there is none.
    over_popularity: `use` compared with popularity.
    over_cheaper: (method, comparison) of `use` with the best cheaper method.
    not_better: (method, comparison) of the costlier methods that are not told
      apart from `use`, with `use`.
    others: budget -> the methods that serve there, where few do.
    unserved: budget -> why methods refused it, where none serves.
  """

  case: Case
  budgets: tuple[int, ...]
  ranks: tuple[Rank, ...]
  use: Rank | None
  over_popularity: Comparison | None
  over_cheaper: tuple[str, Comparison] | None
  not_better: tuple[tuple[str, Comparison], ...]
  others: dict[int, tuple[str, ...]]
  unserved: dict[int, str]


def advise(case: Case, cells: Iterable[Cell]) -> Advice:
  """The recommendation for a case.

  Methods are compared over all budgets that at least half as many methods serve
  as the best served one, on the mean of each user's values. The p-values of the
  comparisons with the best method are corrected by Holm's method.

  Args:
    case: the case.
    cells: results of its methods and budgets; some may be missing.
  """
  cells = list(cells)
  served = {
    budget: [c for c in cells if c.budget == budget and c.quality is not None]
    for budget in case.budgets
  }
  fewest = max(1, max(map(len, served.values()), default=0) / 2)
  compared = tuple(b for b, ran in served.items() if len(ran) >= fewest)
  ranks = _ranks(case, cells, compared)
  others = {
    budget: tuple(cell.method for cell in ran)
    for budget, ran in served.items()
    if ran and budget not in compared
  }
  unserved = {
    budget: '; '.join(
      dict.fromkeys(
        reason
        for cell in cells
        if cell.budget == budget
        for reason in cell.cannot.values()
      )
    )
    for budget, ran in served.items()
    if not ran
  }
  nothing = Advice(
    case, compared, ranks, None, None, None, (), others, unserved
  )
  if not ranks:
    return nothing
  use = _cheapest_good(ranks)
  cheaper = [r for r in ranks if r.operations < use.operations]
  costlier = [r for r in ranks if r.operations > use.operations]
  popular = next((r for r in ranks if r.method == 'popularity'), None)
  return nothing._replace(
    use=use,
    over_popularity=None
    if popular is None or popular is use
    else compare(use, popular),
    over_cheaper=(cheaper[0].method, compare(use, cheaper[0]))
    if cheaper
    else None,
    not_better=tuple(
      (rank.method, compare(rank, use))
      for rank in costlier
      if rank.quality > use.quality
    ),
  )


def _ranks(
  case: Case, cells: list[Cell], budgets: tuple[int, ...]
) -> tuple[Rank, ...]:
  found = []
  for method in case.methods:
    own = {
      c.budget: c
      for c in cells
      if c.method == method and c.quality is not None and c.per_user
    }
    if not budgets or not set(budgets) <= set(own):
      continue
    chosen = [own[budget] for budget in budgets]
    found.append(
      Rank(
        method,
        float(np.mean([c.quality for c in chosen])),
        significance.bootstrap_interval(_values(chosen), seed=0),
        float(np.mean([_spent(c, 'flops') for c in chosen])),
        float(np.mean([_spent(c, 'seconds') for c in chosen])),
        own,
      )
    )
  return tuple(sorted(found, key=lambda rank: -rank.quality))


def _spent(cell: Cell, unit: str) -> float:
  return cell.prepare[unit] + cell.adapt[unit]


def _values(cells: list[Cell]) -> list[np.ndarray]:
  """Each user's mean over the cells; by cell where these have other users."""
  arrays = [np.concatenate([*cell.per_user.values()]) for cell in cells]
  if len({len(array) for array in arrays}) == 1:
    return [np.mean(arrays, axis=0)]
  return arrays


def compare(one: Rank, other: Rank) -> Comparison:
  """The paired comparison of a method with another one."""
  budgets = [b for b in one.by_budget if b in other.by_budget]
  return significance.paired_bootstrap(
    *(_values([rank.by_budget[b] for b in budgets]) for rank in (one, other)),
    seed=0,
    num_resamples=4000,
  )


def _cheapest_good(ranks: tuple[Rank, ...]) -> Rank:
  best, others = ranks[0], ranks[1:]
  found = [compare(rank, best) for rank in others]
  adjusted = significance.holm([one.p_value for one in found])
  good = [best]
  for rank, one, p_value in zip(others, found, adjusted, strict=True):
    is_clear = significance.verdict(one, p_value) == 'loss'
    if not is_clear and one.relative >= -_NEAR:
      good.append(rank)
  return min(good, key=lambda rank: rank.operations)


def sentences(found: Advice) -> list[str]:
  """The recommendation in words, the most important sentence first."""
  if found.use is None:
    told = [f'{found.case.title}: nothing can be recommended.']
  else:
    told = [_use(found), *_told_apart(found)]
  unit = found.case.unit
  for budget, methods in found.others.items():
    verb = 'serves' if len(methods) == 1 else 'serve'
    told.append(f'With {budget} {unit}, only {_listed(methods)} {verb}.')
  for budget, reason in found.unserved.items():
    why = f': {reason}' if reason else ', or there was no time left'
    told.append(f'With {budget} {unit}, no method that was tried serves{why}.')
  return told


def _listed(names: Sequence[str]) -> str:
  *most, last = names
  return f'{", ".join(most)} and {last}' if most else last


def _use(found: Advice) -> str:
  use = found.use
  text = f'{found.case.title}: use {use.method}.'
  told = []
  if found.over_popularity is not None:
    one = found.over_popularity
    told.append(f'{percent(one)} than popularity{_chance(one)}')
  if found.over_cheaper and found.over_cheaper[0] != 'popularity':
    method, one = found.over_cheaper
    told.append(
      f'{percent(one)} than {method}, the best cheaper one{_chance(one)}'
    )
  if told:
    text += f' It ranks {", and ".join(told)}.'
  elif use.method == 'popularity' and len(found.ranks) > 1:
    text += ' No other method that was tried is clearly better.'
  return text


def _told_apart(found: Advice) -> list[str]:
  if not found.not_better:
    return []
  method, one = found.not_better[0]
  return [
    f'{method} ranks {percent(one)}, which is not told apart: take the cheaper.'
  ]


def percent(one: Comparison) -> str:
  """A relative difference with its interval, as 12% [3%, 21%] better.

  Where the other one finds next to nothing, a percentage says nothing.
  """
  word = 'worse' if one.relative < 0 else 'better'
  if not np.isfinite(one.relative):
    return word
  if one.relative >= _MANY_TIMES:
    return f'more than {_MANY_TIMES} times better'
  sign = -1 if one.relative < 0 else 1
  low, high = sorted((sign * one.low, sign * one.high))
  return f'{abs(one.relative):.1%} [{low:.1%}, {high:.1%}] {word}'


def _chance(one: Comparison) -> str:
  """Says where a difference could be chance."""
  return '' if one.low > 0 or one.high < 0 else ' (this could be chance)'
