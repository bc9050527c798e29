"""One self-contained report.html, and the tables for terminal and README."""

import html
import json
import math
import pathlib
from collections.abc import Iterable

import rich.console
import rich.table

from hyperrec.evaluation import report_figures as figures
from hyperrec.evaluation import report_words as words
from hyperrec.evaluation import results

Cell = results.Cell
Row = results.Row
Task = results.Task

_QUESTION = (
  'Can a hypernetwork generate a recommender more efficiently than retraining '
  'it, and does it beat the cheaper ways of adapting?'
)
_COSTS = (
  ('prepare', 'seconds', words.seconds),
  ('prepare', 'flops', words.operations),
  ('adapt', 'seconds', words.seconds),
  ('adapt', 'flops', words.operations),
  ('adapt', 'peak_bytes', words.size),
  ('adapt', 'stored_bytes', words.size),
)


def write_report(rows: Iterable[Row], path: str | pathlib.Path) -> None:
  """Writes the report; it needs no other file and no network.

  Raises:
    ResultError: no rows, or a row that is not one.
  """
  rows = [results.validate(row) for row in rows]
  if not rows:
    raise results.ResultError('no result rows; run an experiment first')
  tasks = results.by_task(rows)
  parts = [_section(task, cells) for task, cells in tasks.items()]
  links = ' '.join(
    f'<a href="#{_anchor(task)}">{_e(_title(task))}</a>' for task in tasks
  )
  page = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<title>hyperrec: the adaptation experiment</title>'
    f'<style>{_css()}</style></head><body>'
    '<p class="soft">hyperrec: the adaptation experiment</p>'
    f'<h1>{_e(_QUESTION)}</h1>'
    '<p>Every method splits its work into what is learned once (prepare) and '
    'what is paid for each adaptation (adapt). Below, for each kind of '
    'adaptation: the verdict, quality over the budget of evidence, quality '
    'against cost, and all numbers. A plain name is the fair arm, tuned '
    'without the target; comparisons rest on it.</p>'
    f'<nav>{links}</nav>{"".join(parts)}{_provenance(rows)}</body></html>\n'
  )
  path = pathlib.Path(path)
  temporary = path.with_suffix('.tmp')
  temporary.write_text(page)
  temporary.replace(path)


def _section(task: Task, cells: list[Cell]) -> str:
  fair = words.fair(cells)
  items = ''.join(f'<li>{_e(s)}</li>' for s in words.sentences(task, cells))
  shown = [c for c in fair if c.quality is not None]
  budget = words.BUDGETS.get(task.regime, 'budget')
  parts = [
    f'<h2 id="{_anchor(task)}">{_e(_title(task))}</h2>',
    f'<p class="soft">The budget is {_e(budget)}.</p>',
    f'<h3>Verdict</h3><ul>{items}</ul>',
  ]
  if shown:
    middle = _middle_budget(shown)
    parts += [
      '<h3>Quality over the budget</h3>',
      _figure(figures.curves(fair), 'Lines are methods, bars 95% intervals.'),
      f'<h3>Quality against cost at budget {middle}</h3>',
      _figure(
        figures.pareto([c for c in shown if c.budget == middle]),
        'The line is the Pareto front; hollow points are dominated. What '
        'costs nothing stands at the mark 0.',
      ),
      '<h3>Break-even</h3>',
      _break_even(cells),
    ]
  parts += ['<h3>All numbers</h3>', _quality_table(cells)]
  parts += [_against_tables(cells), _cost_table(shown), _refusals(cells)]
  return ''.join(parts)


def _middle_budget(shown: list[Cell]) -> int:
  budgets = sorted({cell.budget for cell in shown})
  return budgets[len(budgets) // 2]


def _figure(figure, caption: str) -> str:
  return (
    f'<figure>{figures.svg(figure)}<figcaption class="soft">{_e(caption)}'
    '</figcaption></figure>'
  )


def _quality_table(cells: list[Cell]) -> str:
  budgets = sorted({cell.budget for cell in cells})
  by_key = {(cell.method, cell.budget): cell for cell in cells}
  best = {
    budget: max(
      (c.quality for c in words.fair(cells)
       if c.budget == budget and c.quality is not None),
      default=None,
    )
    for budget in budgets
  }  # fmt: skip
  rows = []
  for method in dict.fromkeys(cell.method for cell in cells):
    row = [_td(_e(method))]
    for budget in budgets:
      cell = by_key.get((method, budget))
      if cell is None:
        row.append(_td(''))
      elif cell.quality is None:
        row.append(_td('<small>cannot</small>'))
      else:
        text = f'{cell.quality:.4f}'
        if cell.interval:
          low, high = cell.interval
          text += f' <small>{low:.3f} to {high:.3f}</small>'
        row.append(_td(text, cell.quality == best[budget]))
    rows.append(row)
  head = [results.PRIMARY.upper(), *(f'budget {b}' for b in budgets)]
  return _table(head, rows)


def _against_tables(cells: list[Cell]) -> str:
  out = []
  for family in ('ease', 'mult_vae'):
    against = words.baseline(cells, family)
    judged = words.compare(cells, against) if against else []
    if not judged:
      continue
    budgets = sorted({j.budget for j in judged})
    by_key = {(j.method, j.budget): j for j in judged}
    rows = []
    for method in dict.fromkeys(j.method for j in judged):
      row = [_td(_e(method))]
      for budget in budgets:
        one = by_key.get((method, budget))
        row.append(_td('' if one is None else _relative(one)))
      rows.append(row)
    out.append(
      f'<h3>Relative to full retraining ({_e(against)})</h3>'
      + _table(['method', *(f'budget {b}' for b in budgets)], rows)
    )
  return ''.join(out)


def _relative(judged: words.Judged) -> str:
  found = judged.comparison
  return (
    f'<span class="{judged.verdict}">{found.relative:+.1%} {judged.verdict}'
    f'</span> <small>{found.low:+.1%} to {found.high:+.1%}</small>'
  )


def _cost_table(shown: list[Cell]) -> str:
  if not shown:
    return ''
  budget = _middle_budget(shown)
  rows = [
    [_td(_e(cell.method))]
    + [_td(show(getattr(cell, part).get(name, 0.0)))
       for part, name, show in _COSTS]
    for cell in shown
    if cell.budget == budget
  ]  # fmt: skip
  head = ['method', *(f'{p} {n.replace("_", " ")}' for p, n, _ in _COSTS)]
  return f'<h3>Costs at budget {budget}</h3>' + _table(head, rows)


def _break_even(cells: list[Cell]) -> str:
  found = words.break_even(cells)
  if not found:
    return '<p>No method here prepares anything that has to pay off.</p>'
  rows = [
    [_td(_e(b.method)), _td(_e(b.baseline)), _td(_count(b.flops)),
     _td(_count(b.seconds))]
    for b in found
  ]  # fmt: skip
  note = (
    f'<p class="soft">Adaptations after which a preparation has paid for '
    f'itself, at budget {found[0].budget}; tuning is not counted.</p>'
  )
  return note + _table(
    ['method', 'instead of', 'N* by operations', 'N* by seconds'], rows
  )


def _count(adaptations: float | None) -> str:
  if adaptations is None:
    return 'never'
  return 'the first' if adaptations <= 1 else f'{math.ceil(adaptations):,}'


def _refusals(cells: list[Cell]) -> str:
  reasons: dict[tuple[str, str], list[str]] = {}
  for cell in words.fair(cells):
    if cell.cannot:
      key = (cell.method, cell.cannot)
      reasons.setdefault(key, []).append(str(cell.budget))
  if not reasons:
    return ''
  items = ''.join(
    f'<li><b>{_e(method)}</b> at budget {", ".join(budgets)}: {_e(why)}.</li>'
    for (method, why), budgets in reasons.items()
  )
  return f'<h3>What cannot run, and why</h3><ul>{items}</ul>'


def _provenance(rows: list[Row]) -> str:
  seeds = sorted({row['seed'] for row in rows})
  trials = sorted({r['tuning']['trials'] for r in rows if 'tuning' in r})
  tuning = sum(r['tuning']['seconds'] for r in rows if 'tuning' in r)
  facts = {
    'seeds': seeds,
    'trials of a tuned arm (1 has nothing to tune)': trials,
    'seconds spent on tuning, all cells': round(tuning, 1),
    'commits': sorted({str(row.get('commit')) for row in rows}),
    'versions': rows[-1].get('versions', {}),
    'flags': rows[-1].get('flags', {}),
  }
  lines = '\n'.join(f'{k}: {json.dumps(v)}' for k, v in facts.items())
  return f'<h2>How it was run</h2><pre>{_e(lines)}</pre>'


def _table(head: list[str], rows: list[list[str]]) -> str:
  top = ''.join(f'<th>{_e(name)}</th>' for name in head)
  body = ''.join(f'<tr>{"".join(row)}</tr>' for row in rows)
  return (
    f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
    f'<tbody>{body}</tbody></table></div>'
  )


def _td(content: str, is_best: bool = False) -> str:
  return (
    f'<td class="best">{content}</td>' if is_best else f'<td>{content}</td>'
  )


def _title(task: Task) -> str:
  return f'{words.REGIME_TITLES.get(task.regime, task.regime)}: {task.dataset}'


def _anchor(task: Task) -> str:
  text = f'{task.regime}-{task.dataset}'
  return ''.join(c if c.isalnum() else '-' for c in text)


def _e(text: str) -> str:
  return html.escape(str(text))


def _css() -> str:
  return pathlib.Path(__file__).with_name('report.css').read_text()


def terminal_table(rows: Iterable[Row]) -> rich.console.Group:
  """Quality by budget and the cost of an adaptation, one table a regime."""
  tables = []
  for task, cells in results.by_task(rows).items():
    budgets = sorted({cell.budget for cell in cells})
    table = rich.table.Table(title=_title(task), title_justify='left')
    table.add_column('method')
    for budget in budgets:
      table.add_column(f'{results.PRIMARY} @ {budget}', justify='right')
    table.add_column('adapt', justify='right')
    table.add_column('stored', justify='right')
    for row in _plain_rows(cells, budgets):
      table.add_row(*row)
    tables.append(table)
  return rich.console.Group(*tables)


def markdown_table(rows: Iterable[Row]) -> str:
  """The same tables in Markdown, for a README."""
  parts = []
  for task, cells in results.by_task(rows).items():
    budgets = sorted({cell.budget for cell in cells})
    about = words.BUDGETS.get(task.regime, 'budget')
    head = ['method', *map(str, budgets), 'adapt', 'stored']
    lines = [f'| {" | ".join(head)} |', f'|---|{"---:|" * (len(head) - 1)}']
    lines += [
      f'| {" | ".join(row)} |'
      for row in _plain_rows(words.fair(cells), budgets)
    ]
    parts.append(
      f'**{_title(task)}** ({results.PRIMARY.upper()} by {about}):\n\n'
      + '\n'.join(lines)
    )
  return '\n\n'.join(parts)


def _plain_rows(cells: list[Cell], budgets: list[int]) -> list[list[str]]:
  by_key = {(cell.method, cell.budget): cell for cell in cells}
  out = []
  for method in dict.fromkeys(cell.method for cell in cells):
    own = [by_key.get((method, budget)) for budget in budgets]
    ran = [cell for cell in own if cell and cell.quality is not None]
    text = [
      '' if c is None else 'cannot' if c.quality is None else f'{c.quality:.3f}'
      for c in own
    ]
    last = ran[-1].adapt if ran else None
    out.append(
      [method, *text]
      + ([words.seconds(last['seconds']), words.size(last['stored_bytes'])]
         if last else ['', ''])
    )  # fmt: skip
  return out


def replace_block(path: str | pathlib.Path, name: str, content: str) -> None:
  """Puts `content` between the markers `results:begin NAME` and `end`.

  Raises:
    ResultError: the file lacks the markers.
  """
  path = pathlib.Path(path)
  text = path.read_text()
  begin, end = (f'<!-- results:{w} {name} -->' for w in ('begin', 'end'))
  if text.count(begin) != 1 or text.count(end) != 1:
    raise results.ResultError(f'{path}: needs one {begin} and one {end}')
  head, rest = text.split(begin)
  tail = rest.split(end)[1]
  path.write_text(f'{head}{begin}\n{content.strip()}\n{end}{tail}')
