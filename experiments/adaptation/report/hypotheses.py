"""Judges the hypotheses of this project by counted cases.

H1: at equal quality, a hypernetwork adapts with fewer operations than full
retraining. H2: it ranks better than each of the cheaper ways of adapting. H3:
the gain comes from the zero diagonal of the item-item weights, not from
capacity.

A case is a task (data set and regime) at a budget. `numbers` judges each case
as a win, tie, loss, unclear or untested; the verdict on a hypothesis counts
them.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from experiments import arm_names, catalogue
from experiments.adaptation.report import numbers, roles
from hyperrec.evaluation import results

Cell = results.Cell
Judged = numbers.Judged
Task = results.Task

_UNCONSTRAINED = 'unconstrained'


class Case(NamedTuple):
  """One comparison and its task."""

  task: Task
  judged: Judged


class Finding(NamedTuple):
  """The result for one hypothesis.

  Attributes:
    name: H1, H2 or H3, and the name of the rival.
    claim: the hypothesis in words.
    cases: the cases in which both sides ran.
    misses: number of further cases, in which no hypernetwork was cheaper (H1).
    verdict: a few words, such as "holds".
    effect: geometric mean of the quality ratios of the cases, minus one; NaN
      without such a case.
    low: lower end of its 95% interval.
    high: upper end.
    operations: geometric mean of the ratios of operations per adaptation; NaN
      without a case in which both sides need operations.
  """

  name: str
  claim: str
  cases: tuple[Case, ...]
  misses: int
  verdict: str
  effect: float
  low: float
  high: float
  operations: float

  def count(self, *words: str) -> int:
    """Returns the number of cases with one of these outcomes."""
    return sum(case.judged.word in words for case in self.cases)


def findings(tasks: dict[Task, list[Cell]]) -> list[Finding]:
  """Returns the findings of all hypotheses that the cells can test."""
  found = [_cheaper(tasks, family) for family in roles.BASELINES]
  found += [_against(tasks, label) for label in catalogue.NAMED_RIVALS]
  found += [_constraint(tasks, name) for name in _ablated(tasks)]
  return [one for one in found if one.cases or one.misses]


def _cheaper(tasks, family: str) -> Finding:
  """H1 against one family; only cheaper hypernetworks are challengers."""

  def is_champion(cell: Cell) -> bool:
    return roles.is_retrained(cell) and arm_names.family(cell.method) == family

  def is_challenger(cell: Cell, champion: Cell) -> bool:
    fewer = cell.adapt['flops'] < champion.adapt['flops']
    return roles.is_hypernetwork(cell) and fewer

  cases = [
    Case(task, one)
    for task, cells in tasks.items()
    for one in numbers.contests(cells, is_champion, is_challenger)
  ]
  claim = f'at equal quality, fewer operations than retraining {family}'
  met = {(case.task, case.judged.cell.budget) for case in cases}
  costlier = sum(
    (task, budget) not in met
    for task, cells in tasks.items()
    for budget in _both(cells, is_champion)
  )
  return _finding(
    f'H1, {family}', claim, cases, ('win', 'tie'), misses=costlier
  )


def _both(cells: list[Cell], is_champion: Callable[[Cell], bool]) -> set[int]:
  """Budgets at which both a hypernetwork and the retrained model ran."""
  own = roles.contenders(cells)
  generated = {c.budget for c in own if roles.is_hypernetwork(c)}
  return generated & {c.budget for c in own if is_champion(c)}


def _against(tasks, label: str) -> Finding:
  """H2 against one rival."""

  def is_rival(cell: Cell) -> bool:
    return roles.label(cell.method) == label

  def is_challenger(cell: Cell, champion: Cell) -> bool:
    del champion
    return roles.is_hypernetwork(cell)

  cases = [
    Case(task, one)
    for task, cells in tasks.items()
    for one in numbers.contests(cells, is_rival, is_challenger)
  ]
  return _finding(f'H2, {label}', f'ranks better than {label}', cases, ('win',))


def _ablated(tasks) -> list[str]:
  names = {
    arm_names.family(cell.method)
    for cells in tasks.values()
    for cell in cells
    if _UNCONSTRAINED in arm_names.suffixes(cell.method)
  }
  return sorted(names)


def _constraint(tasks, family: str) -> Finding:
  """H3: an arm against the same arm without its zero diagonal."""
  cases = []
  for task, cells in tasks.items():
    ran = [c for c in roles.fair(cells) if c.quality is not None]
    free = {c.budget: c for c in ran if c.method == f'{family}:unconstrained'}
    # Of a frozen and a refitted arm, that one counts which adapts as the
    # ablation does.
    refits = {c.method: _is_refitted(c.method, task.regime) for c in ran}
    bound = {
      c.budget: c
      for c in ran
      if arm_names.family(c.method) == family
      and set(arm_names.suffixes(c.method)) <= {'retrain'}
      and refits[c.method] == refits.get(f'{family}:unconstrained')
    }
    pairs = [(bound[b], free[b]) for b in sorted(free) if b in bound]
    cases += [Case(task, one) for one in numbers.judge(pairs)]
  claim = f'{family} ranks better with its zero diagonal than without'
  return _finding(f'H3, {family}', claim, cases, ('win',))


def _is_refitted(method: str, regime: str) -> bool | None:
  """Whether it is fitted again; None if the catalogue does not know it."""
  system = catalogue.BY_NAME.get(method)
  if system is None or regime not in system.arms:
    return None
  return catalogue.is_refitted(method, regime)


def _finding(
  name: str,
  claim: str,
  cases: Iterable[Case],
  good: tuple[str, ...],
  misses: int = 0,
) -> Finding:
  cases = tuple(cases)
  held = sum(case.judged.word in good for case in cases)
  lost = misses + sum(case.judged.word == 'loss' for case in cases)
  everything = len(cases) + misses
  if held == everything:
    verdict = 'holds'
  elif held == 0 and lost:
    verdict = 'does not hold'
  elif held == 0:
    verdict = 'open'
  else:
    verdict = f'holds in {held} of {everything} cases'
  return Finding(
    name, claim, cases, misses, verdict, *pooled(cases), _operations(cases)
  )


def pooled(cases: Iterable[Case]) -> tuple[float, float, float]:
  """Geometric mean of the quality ratios, minus one, and its 95% interval.

  Cases of one task share users, so their errors are taken as fully dependent
  (their standard errors are averaged); tasks are independent. Cases without an
  interval, or with a baseline of quality zero, are left out.
  """
  by_task: dict[Task, list[tuple[float, float]]] = {}
  for case in cases:
    found = case.judged.comparison
    ends = found.low, found.high
    if all(map(math.isfinite, (found.relative, *ends))) and min(ends) > -1:
      low, high = np.log1p(ends)
      by_task.setdefault(case.task, []).append(
        (float(np.log1p(found.relative)), float(high - low) / 3.92)
      )
  total = sum(map(len, by_task.values()))
  if not total:
    return (math.nan,) * 3
  mean = sum(m for own in by_task.values() for m, _ in own) / total
  variance = sum(sum(s for _, s in own) ** 2 for own in by_task.values())
  half = 1.96 * math.sqrt(variance) / total
  return tuple(float(np.expm1(v)) for v in (mean, mean - half, mean + half))


def _operations(cases: Iterable[Case]) -> float:
  ratios = [
    (case.judged.cell.adapt['flops'], case.judged.against.adapt['flops'])
    for case in cases
  ]
  logs = [math.log(a / b) for a, b in ratios if a > 0 and b > 0]
  return math.exp(sum(logs) / len(logs)) if logs else math.nan


def flips(found: Finding) -> list[tuple[Task, int, int]]:
  """Where a win turns into a loss or back: task and the two budgets."""
  out = []
  for task, own in itertools.groupby(found.cases, lambda case: case.task):
    clear = [c.judged for c in own if c.judged.word in ('win', 'loss')]
    out += [
      (task, a.cell.budget, b.cell.budget)
      for a, b in itertools.pairwise(sorted(clear, key=lambda j: j.cell.budget))
      if a.word != b.word
    ]
  return out


def standings(
  tasks: dict[Task, list[Cell]],
) -> dict[str, dict[str, dict[str, int]]]:
  """Method -> regime -> word -> number of cases.

  At each budget of a task a method is "best", "near" (within 1% of the best,
  whether the difference is significant or not), "behind", or "cannot" serve.
  """
  out: dict[str, dict[str, dict[str, int]]] = {}
  for task, cells in tasks.items():
    own = roles.contenders(cells)
    best = {
      budget: roles.ranked(c for c in own if c.budget == budget)[0]
      for budget in roles.budgets(own)
    }
    for cell in roles.fair(cells):
      if cell.budget in best and roles.may_lead(cell.method):
        word = _standing(cell, best[cell.budget])
        counts = out.setdefault(cell.method, {}).setdefault(task.regime, {})
        counts[word] = counts.get(word, 0) + 1
  return out


def _standing(cell: Cell, best: Cell) -> str:
  """Returns the standing of a cell, on the seeds that both cells have."""
  if cell.quality is None:
    return 'cannot'
  own, other = cell.quality, best.quality
  shared = [s for s in cell.seeds if s in cell.per_user and s in best.per_user]
  if shared:
    own, other = (
      np.mean([np.mean(c.per_user[s]) for s in shared]) for c in (cell, best)
    )
  if cell is best or own == other:
    return 'best'
  return 'near' if own >= 0.99 * other else 'behind'
