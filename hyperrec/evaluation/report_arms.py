"""Arms: what a method name says after its colons, and who may lead."""

from collections.abc import Iterable

from hyperrec.evaluation import results

Cell = results.Cell

HYPERNETWORKS = (
  'generated_head',
  'hyperease_zero',
  'hyperease',
  'hyperease_user',
)
# Families whose full retraining the others are held against.
RETRAINED = ('ease', 'mult_vae', 'sasrec')
# The network of HyperEASE's size that generates nothing: run to be compared
# with, not to be used.
_CONTROLS = {'two_tower'}
# Suffixes of arms that are ways of their own; all others are ablations. PReF
# may ask about anything, about what the user knows, or look at shown items.
_OWN_WAYS = {'retrain', 'known', 'shown'}


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

  That is what `:retrain` says; a plain arm that learned nothing beforehand
  (a catalogue disjoint from the source) can do nothing else.
  """
  if family(cell.method) not in RETRAINED:
    return False
  is_plain = not suffixes(cell.method)
  return 'retrain' in suffixes(cell.method) or (
    is_plain and bool(cell.prepare) and cell.prepare['flops'] == 0
  )


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


def strength(cell: Cell) -> tuple[int, float]:
  """By which the best of a task and budget is the greatest.

  Seeds differ in how hard their users are, so that a mean over fewer seeds is
  no match for one over all: who ran on most seeds goes first.
  """
  return len(cell.seeds), cell.quality


def budgets(cells: Iterable[Cell]) -> list[int]:
  """All budgets, ascending."""
  return sorted({cell.budget for cell in cells})
