"""Quality and costs in plain tables: for the terminal, and in Markdown."""

from collections.abc import Iterable

import rich.box
import rich.console
import rich.table
import rich.text

from hyperrec.evaluation import report_arms as arms
from hyperrec.evaluation import report_words as words
from hyperrec.evaluation import results

Cell = results.Cell
Row = results.Row


def terminal_table(rows: Iterable[Row]) -> rich.console.Group:
  """Quality by budget and the cost of an adaptation, one table a task."""
  drawn = []
  for task, cells in results.by_task(rows).items():
    budgets = arms.budgets(cells)
    title = f'{words.title(task)} ({words.METRIC} by budget)'
    table = rich.table.Table(
      title=rich.text.Text(title),
      title_justify='left',
      box=rich.box.SIMPLE_HEAD,
      padding=(0, 1, 0, 0),
      pad_edge=False,
    )
    table.add_column('method', no_wrap=True)
    for name in (*map(str, budgets), *_PLAIN_COSTS):
      table.add_column(name, justify='right')
    for row in _plain_rows(cells, budgets):
      table.add_row(*map(rich.text.Text, row))
    drawn.append(table)
  return rich.console.Group(*drawn)


def markdown_table(rows: Iterable[Row]) -> str:
  """The same tables of the fair arms in Markdown, for a README."""
  parts = []
  for task, cells in results.by_task(rows).items():
    budgets = arms.budgets(cells)
    about = words.BUDGETS.get(task.regime, 'budget')
    head = ['method', *map(str, budgets), *_PLAIN_COSTS]
    lines = [f'| {" | ".join(head)} |', f'|---|{"---:|" * (len(head) - 1)}']
    for row in _plain_rows(arms.fair(cells), budgets):
      safe = [text.replace('|', r'\|') for text in row]
      lines.append(f'| {" | ".join(safe)} |')
    parts.append(
      f'**{words.title(task)}** ({words.METRIC} by {about}, in brackets the '
      'number of seeds where others have more; costs of one adaptation at the '
      'largest budget):\n\n' + '\n'.join(lines)
    )
  return '\n\n'.join(parts)


_PLAIN_COSTS = ('time', 'FLOP', 'stored')


def _plain_rows(cells: list[Cell], budgets: list[int]) -> list[list[str]]:
  by_key = {(cell.method, cell.budget): cell for cell in cells}
  most = max((len(cell.seeds) for cell in cells), default=0)
  out = []
  for method in dict.fromkeys(cell.method for cell in cells):
    own = [by_key.get((method, budget)) for budget in budgets]
    ran = [cell for cell in own if cell and cell.quality is not None]
    text = [_quality(cell, most) for cell in own]
    costs = [''] * len(_PLAIN_COSTS)
    if ran:
      last = ran[-1].adapt
      costs = [
        words.seconds(last['seconds']),
        words.operations(last['flops']).removesuffix('FLOP').strip(),
        words.size(last['stored_bytes']),
      ]
    out.append([method, *text, *costs])
  return out


def _quality(cell: Cell | None, most_seeds: int) -> str:
  if cell is None:
    return ''
  if cell.quality is None:
    return 'cannot'
  few = len(cell.seeds) < most_seeds
  return f'{cell.quality:.3f}' + f' ({len(cell.seeds)})' * few
