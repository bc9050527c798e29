"""Tables of the hypotheses and of who wins where, for the page and READMEs."""

import math
from collections.abc import Callable

from hyperrec.evaluation import report_hypotheses as hypotheses
from hyperrec.evaluation import report_tables as tables
from hyperrec.evaluation import report_words as words
from hyperrec.evaluation import results

Cell = results.Cell
Finding = hypotheses.Finding
Task = results.Task

Plain = tuple[list[str], list[list[str]]]

HYPOTHESES = (
  'A case is a data set and regime at a budget; the best hypernetwork is held '
  'against the best arm of its rival. Win, tie, unclear and loss are those of '
  'the comparisons below. The effect is the geometric mean of the ratio of '
  'quality, less one, over the cases that have an interval and a rival that '
  'ranks something; the cases of one data set and regime are taken as wholly '
  'dependent, data sets and regimes as independent. Operations leave out who '
  'needs none. H1 counts hypernetworks that need fewer operations than full '
  'retraining of one model, and holds in a case that they win or tie; where '
  'none is cheaper it fails.'
)
STANDINGS = (
  'At every budget of every data set: who ranks best, who is within 1% of it, '
  'and who is behind, whether beyond chance or not; "cannot" is a refusal.'
)
_STANDINGS = {
  'win': 'best',
  'tie': 'near',
  'loss': 'behind',
  'cannot': 'cannot',
}


def hypotheses_table(tasks: dict[Task, list[Cell]]) -> Plain:
  """Head and rows, in plain text."""
  head = ['hypothesis', 'verdict', 'win, tie, unclear, loss',
          'effect on quality [95%]', 'operations', 'flips']  # fmt: skip
  return head, [_row(one) for one in hypotheses.findings(tasks)]


def _row(found: Finding) -> list[str]:
  counts = [found.count(w) for w in ('win', 'tie')]
  counts += [found.count('unclear', 'untested'), found.count('loss')]
  told = ', '.join(map(str, counts))
  if found.misses:
    told += f'; none cheaper in {found.misses}'
  effect = ''
  if math.isfinite(found.effect):
    effect = f'{found.effect:+.1%} [{found.low:+.1%} to {found.high:+.1%}]'
  spent = ''
  if math.isfinite(found.operations):
    spent = f'{words.digits(found.operations)} times'
  where = '; '.join(
    f'{words.title(task)}, between {a} and {b}'
    for task, a, b in hypotheses.flips(found)
  )
  name = f'{found.name}: {found.claim}'
  return [name, found.verdict, told, effect, spent, where or 'nowhere']


def standings_table(tasks: dict[Task, list[Cell]]) -> Plain:
  """Methods by regimes, in plain text; those that win most come first."""
  found = hypotheses.standings(tasks)
  regimes = list(dict.fromkeys(task.regime for task in tasks))
  total = lambda by: sum(c.get('win', 0) for c in by.values())  # noqa: E731
  rows = [
    [method, *(_counts(found[method].get(regime)) for regime in regimes)]
    for method in sorted(found, key=lambda m: -total(found[m]))
  ]
  titles = [words.REGIME_TITLES.get(regime, regime) for regime in regimes]
  return ['method', *titles], rows


def _counts(counts: dict[str, int] | None) -> str:
  if not counts:
    return ''
  told = [
    f'{counts[w]} {name}' for w, name in _STANDINGS.items() if w in counts
  ]
  return ', '.join(told)


def html(
  table: Callable[[dict[Task, list[Cell]]], Plain],
  tasks: dict[Task, list[Cell]],
) -> str:
  """A table of the page; the text is escaped here."""
  head, rows = table(tasks)
  if not rows:
    return ''
  return tables.table(
    head,
    [[tables.td(tables.escape(text), 'words') for text in row] for row in rows],
  )


def markdown(
  table: Callable[[dict[Task, list[Cell]]], Plain],
  tasks: dict[Task, list[Cell]],
) -> str:
  """The same for a README."""
  head, rows = table(tasks)
  lines = [f'| {" | ".join(head)} |', f'|{"---|" * len(head)}']
  for row in rows:
    safe = [text.replace('|', r'\|') for text in row]
    lines.append(f'| {" | ".join(safe)} |')
  return '\n'.join(lines)
