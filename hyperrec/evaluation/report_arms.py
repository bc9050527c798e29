"""Arms: what a method name says after its colons, and who may lead."""

from collections.abc import Iterable

import numpy as np

from hyperrec.evaluation import results

Cell = results.Cell

HYPERNETWORKS = (
  'generated_head',
  'hyperease_zero',
  'hyperease',
  'hyperease_user',
)
# Those among them that are networks trained by gradient; the others are fitted
# in closed form.
TRAINED = ('generated_head', 'hyperease_user')
# Families whose full retraining the others are held against.
RETRAINED = ('ease', 'mult_vae', 'sasrec')
# The network of HyperEASE's size that generates nothing: run to be compared
# with, not to be used.
_CONTROLS = {'two_tower'}
# Suffixes of arms that are ways of their own; all others are ablations. PReF
# may ask about anything, what the user knows, or look at shown items; L3AE may
# see features through a kernel; P5 may be trained for longer.
_OWN_WAYS = {'retrain', 'known', 'shown', 'kernel', 'long'}
# Seeds that an arm needs to be picked, where others have as many.
_ENOUGH = 3


def family(method: str) -> str:
  """The method's name without its arms."""
  return method.partition(':')[0]


def suffixes(method: str) -> tuple[str, ...]:
  """What the name says after colons: ('retrain', 'oracle')."""
  return tuple(method.split(':')[1:])


def is_oracle(method: str) -> bool:
  """Whether it was tuned on validation users of the target."""
  return 'oracle' in suffixes(method)


def is_retrained(cell: Cell) -> bool:
  """Whether an adaptation of this cell trains the whole model anew.

  That is what `:retrain` says; a plain arm of `RETRAINED` that learned nothing
  beforehand (a catalogue disjoint from the source) can do nothing else.
  """
  if 'retrain' in suffixes(cell.method):
    return True
  is_plain = cell.method in RETRAINED
  return is_plain and bool(cell.prepare) and cell.prepare['flops'] == 0


def is_hypernetwork(cell: Cell) -> bool:
  """Whether the adaptation is generated."""
  return family(cell.method) in HYPERNETWORKS


def fair(cells: Iterable[Cell]) -> list[Cell]:
  """The arms that were not tuned on the target."""
  return [cell for cell in cells if not is_oracle(cell.method)]


def contenders(cells: Iterable[Cell]) -> list[Cell]:
  """The fair arms that ran and may lead: no ablations, no controls."""
  return [c for c in cells if c.quality is not None and may_lead(c.method)]


def asides(cells: Iterable[Cell]) -> list[Cell]:
  """What ran and may not lead: oracle arms, ablations and controls."""
  return [c for c in cells if c.quality is not None and not may_lead(c.method)]


def may_lead(method: str) -> bool:
  """Whether an arm is a way of adapting: no oracle, ablation or control."""
  is_control = family(method) in _CONTROLS
  return not is_control and set(suffixes(method)) <= _OWN_WAYS


def ranked(cells: Iterable[Cell]) -> list[Cell]:
  """What ran on a task at one budget, the best first.

  Seeds differ in how hard their users are, so the means are over the seeds that
  all share; who ran on too few of them comes last.
  """
  cells = list(cells)
  most = max((len(cell.seeds) for cell in cells), default=0)
  enough = {c.method for c in cells if len(c.seeds) >= min(most, _ENOUGH)}
  seeds = [set(c.seeds) for c in cells if c.method in enough]
  shared = set.intersection(*seeds) if seeds else set()

  def strength(cell: Cell) -> tuple[bool, float]:
    return cell.method in enough, _quality_on(shared, cell)

  return sorted(cells, key=strength, reverse=True)


def _quality_on(seeds: set[int], cell: Cell) -> float:
  """Its mean over some seeds; over its own where it lacks their values."""
  if not seeds or not seeds <= cell.per_user.keys():
    return cell.quality
  return float(np.mean([cell.per_user[seed].mean() for seed in seeds]))


def budgets(cells: Iterable[Cell]) -> list[int]:
  """All budgets, ascending."""
  return sorted({cell.budget for cell in cells})
