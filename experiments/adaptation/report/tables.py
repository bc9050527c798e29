"""Tables in HTML for the page, in Markdown for READMEs, and for the terminal.

This module escapes all text of the HTML tables.
"""

import html
import json
import math
from collections.abc import Iterable, Sequence

import rich.box
import rich.console
import rich.table
import rich.text

from experiments import units
from experiments.adaptation.report import hypotheses, numbers, roles, words
from hyperrec.evaluation import results

Cell = results.Cell
Finding = hypotheses.Finding
Row = results.Row
Task = results.Task

# Head and rows of a table in plain text.
Plain = tuple[list[str], list[list[str]]]

_COSTS = (
  ('prepare', 'seconds', 'prepare: time', units.seconds),
  ('prepare', 'flops', 'operations', units.operations),
  ('prepare', 'joules', 'energy', units.energy),
  ('prepare', 'peak_bytes', 'peak memory', units.size),
  ('adapt', 'seconds', 'adapt: time', units.seconds),
  ('adapt', 'flops', 'operations', units.operations),
  ('adapt', 'joules', 'energy', units.energy),
  ('adapt', 'peak_bytes', 'peak memory', units.size),
  ('adapt', 'stored_bytes', 'stored', units.size),
)
_CONTEST_COSTS = (('flops', units.operations), ('seconds', units.seconds))
_MORE_COSTS = (
  ('score', 'seconds_1', 'score 1 user', units.seconds),
  ('score', 'seconds_64', 'score 64 users', units.seconds),
  ('score', 'seconds_1024', 'score 1024 users', units.seconds),
  ('tuning', 'seconds', 'tuning', units.seconds),
)
_PLAIN_COSTS = ('time', 'FLOP', 'stored')
_STANDINGS = ('best', 'near', 'behind', 'cannot')


def escape(text: object) -> str:
  """The text with the special characters of HTML escaped."""
  return html.escape(str(text))


def quality(cells: list[Cell]) -> str:
  """Quality by method and budget, and costs at each method's largest budget."""
  budgets = roles.budgets(cells)
  by_key = {(cell.method, cell.budget): cell for cell in cells}
  costs = _measured(_COSTS, cells)
  own = roles.contenders(cells)
  leading = {
    roles.ranked(cell for cell in own if cell.budget == budget)[0][:2]
    for budget in roles.budgets(own)
  }
  most = max((len(cell.seeds) for cell in cells), default=0)
  rows = []
  for method in dict.fromkeys(cell.method for cell in cells):
    row = [td(escape(method))]
    own = [by_key.get((method, budget)) for budget in budgets]
    row += [
      td(_quality(cell, most), 'best' if (method, b) in leading else '')
      for cell, b in zip(own, budgets, strict=True)
    ]
    ran = [cell for cell in own if cell and cell.quality is not None]
    row += _costs(ran[-1], costs) if ran else [td('')] * len(costs)
    rows.append(row)
  head = [words.METRIC, *(f'budget {b:,}' for b in budgets)]
  return table([*head, *(name for *_, name, _ in costs)], rows)


def _quality(cell: Cell | None, most_seeds: int) -> str:
  if cell is None:
    return ''
  if cell.quality is None:
    return '<small>cannot</small>'
  text = f'{cell.quality:.4f}'
  if cell.interval:
    text += ' <small>{:.3f} to {:.3f}</small>'.format(*cell.interval)
  if len(cell.seeds) < most_seeds:
    text += f' <small>({len(cell.seeds)} of {most_seeds} seeds)</small>'
  return text


def _measured(columns: tuple, cells: list[Cell]) -> tuple:
  """The columns without those of energy, if it was measured in no cell."""
  return tuple(
    column
    for column in columns
    if column[1] != 'joules'
    or any('joules' in getattr(cell, column[0]) for cell in cells)
  )


def _costs(cell: Cell, which: tuple) -> list[str]:
  return [
    td(show(getattr(cell, part)[name]) if name in getattr(cell, part) else '')
    for part, name, _, show in which
  ]


def relative(judged: list[numbers.Judged]) -> str:
  """The quality of every method relative to a baseline, by budget."""
  budgets = roles.budgets(one.cell for one in judged)
  by_key = {(one.cell.method, one.cell.budget): one for one in judged}
  rows = [
    [td(escape(method))]
    + [td(_relative(by_key.get((method, budget)))) for budget in budgets]
    for method in dict.fromkeys(one.cell.method for one in judged)
  ]
  return table(['method', *(f'budget {b:,}' for b in budgets)], rows)


def _relative(one: numbers.Judged | None) -> str:
  if one is None:
    return ''
  found = one.comparison
  if not math.isfinite(found.relative):
    return f'{found.difference:+.4f} {one.word}'
  text = f'<span class="{one.word}">{found.relative:+.1%} {one.word}</span>'
  if math.isfinite(found.low):
    text += f' <small>{found.low:+.1%} to {found.high:+.1%}</small>'
  return text


def contest(judged: list[numbers.Judged]) -> str:
  """The best method of one kind against the best of another, by budget."""
  rows = [
    [
      td(f'{one.cell.budget:,}'),
      td(escape(one.cell.method)),
      td(escape(one.against.method)),
      td(_relative(one)),
      *(
        td(f'{show(one.cell.adapt[name])} / {show(one.against.adapt[name])}')
        for name, show in _CONTEST_COSTS
      ),
    ]
    for one in judged
  ]
  head = ['budget', 'method', 'rival', 'difference']
  return table([*head, 'operations of each', 'time of each'], rows)


def break_even(
  found: list[numbers.BreakEven], against: dict[str, list[numbers.Judged]]
) -> str:
  """N* by operations and by time, against each baseline."""
  names = list(dict.fromkeys(one.baseline for one in found))
  by_key = {(one.method, one.baseline): one for one in found}
  worse = {
    (one.cell.method, name, one.cell.budget)
    for name, judged in against.items()
    for one in judged
    if one.word == 'loss'
  }
  rows = []
  for method in dict.fromkeys(one.method for one in found):
    row = [td(escape(method))]
    for name in names:
      one = by_key.get((method, name))
      if one is None:
        row += [td('')] * 2
        continue
      is_worse = (method, name, one.budget) in worse
      row += [
        td(_count(n) + (' <small>worse</small>' if is_worse else ''),
           'soft' if is_worse else '')
        for n in (one.flops, one.seconds)
      ]  # fmt: skip
    rows.append(row)
  head = ['method']
  for name in names:
    head += [f'instead of {name}: by operations', 'by time']
  return table(head, rows)


def _count(adaptations: float | None) -> str:
  if adaptations is None:
    return 'never'
  return 'the first' if adaptations <= 1 else f'{math.ceil(adaptations):,}'


def everything(cells: list[Cell]) -> str:
  """All metrics and all costs, with one row for each method and budget."""
  ran = [cell for cell in cells if cell.quality is not None]
  metrics = list(dict.fromkeys(name for c in ran for name in c.metrics))
  costs = _measured(_COSTS + _MORE_COSTS, ran)
  rows = [
    [td(escape(cell.method)), td(f'{cell.budget:,}'), td(len(cell.seeds))]
    + [td(f'{cell.metrics[m]:.4f}' if m in cell.metrics else '')
       for m in metrics]
    + _costs(cell, costs)
    for cell in ran
  ]  # fmt: skip
  head = ['method', 'budget', 'seeds', *metrics]
  return table([*head, *(name for *_, name, _ in costs)], rows)


def refusals(cells: list[Cell]) -> str:
  """What could not run and why, with one item for each method and reason."""
  reasons: dict[tuple[str, str], list[str]] = {}
  for cell in cells:
    for reason in dict.fromkeys(cell.cannot.values()):
      where = f'{cell.budget:,}'
      if cell.quality is not None:
        count = sum(why == reason for why in cell.cannot.values())
        where += f' ({count} of {count + len(cell.seeds)} seeds)'
      reasons.setdefault((cell.method, reason), []).append(where)
  items = [
    f'<li><b>{escape(method)}</b> at budget {", ".join(where)}: '
    f'{escape(reason.rstrip("."))}.</li>'
    for (method, reason), where in reasons.items()
  ]
  return f'<ul>{"".join(items)}</ul>' if items else ''


def provenance(rows: list[results.Row]) -> str:
  """Seeds, tuning, commits, versions and flags of all rows."""
  tuned = [row['tuning'] for row in rows if row.get('tuning')]
  facts = {
    'seeds': _listed(row['seed'] for row in rows),
    'test users per seed': _listed(
      len(row['per_user']) for row in rows if row.get('per_user')
    ),
    'trials per arm (1: nothing to tune)': _listed(
      one['trials'] for one in tuned if 'trials' in one
    ),
    'total time of tuning, all rows': units.seconds(
      sum(one.get('seconds', 0.0) for one in tuned)
    ),
    'encoder of item text': _listed(
      row['text_encoder'] for row in rows if row.get('text_encoder')
    ),
    'commit': _listed(row['commit'] for row in rows if row.get('commit')),
  }
  for part, sign in (('versions', ' '), ('flags', '=')):
    found: dict[str, dict[str, None]] = {}
    for row in rows:
      for name, value in (row.get(part) or {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        found.setdefault(name, {})[text] = None
    facts[part] = ', '.join(
      f'{"--" * (part == "flags")}{name}{sign}{" or ".join(values)}'
      for name, values in sorted(found.items())
    )
  items = ''.join(
    f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>'
    for name, value in facts.items()
    if value
  )
  return f'<dl>{items}</dl>'


def commands(made: dict[str, list[str]]) -> str:
  """Command lines in HTML, and the methods that each of them runs."""
  return ''.join(
    f'<p class="soft">{escape(", ".join(methods))}:</p>'
    f'<pre class="scroll" tabindex="0">{escape(line)}</pre>'
    for line, methods in made.items()
  )


def _listed(values: Iterable[object]) -> str:
  return ', '.join(map(str, sorted(set(values))))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """An HTML table that scrolls where the page is too narrow for it."""
  top = ''.join(f'<th>{escape(name)}</th>' for name in head)
  body = ''.join(f'<tr>{"".join(row)}</tr>' for row in rows)
  return (
    '<div class="scroll" tabindex="0"><table>'
    f'<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
  )


def td(content: object, kind: str = '') -> str:
  """An HTML table cell; the content must be escaped already."""
  return f'<td class="{kind}">{content}</td>' if kind else f'<td>{content}</td>'


def hypotheses_table(tasks: dict[Task, list[Cell]]) -> Plain:
  """The table of hypotheses: its head and its rows, in plain text."""
  head = [
    'hypothesis',
    'verdict',
    'win, tie, unclear, loss',
    'effect on quality [95% interval]',
    'operations',
    'flips',
  ]
  return head, [_finding_row(one) for one in hypotheses.findings(tasks)]


def _finding_row(found: Finding) -> list[str]:
  counts = [found.count(w) for w in ('win', 'tie')]
  counts += [found.count('unclear', 'untested'), found.count('loss')]
  told = ', '.join(map(str, counts))
  if found.misses:
    told += f'; no cheaper one in {found.misses}'
  effect = ''
  if math.isfinite(found.effect):
    effect = f'{found.effect:+.1%} [{found.low:+.1%} to {found.high:+.1%}]'
  spent = ''
  if math.isfinite(found.operations):
    spent = f'{units.digits(found.operations)} times'
  where = '; '.join(
    f'{words.title(task)}, between {a} and {b}'
    for task, a, b in hypotheses.flips(found)
  )
  name = f'{found.name}: {found.claim}'
  return [name, found.verdict, told, effect, spent, where or 'nowhere']


def standings_table(tasks: dict[Task, list[Cell]]) -> Plain:
  """Case counts by method and regime; those most often best come first."""
  found = hypotheses.standings(tasks)
  regimes = list(dict.fromkeys(task.regime for task in tasks))
  total = lambda by: sum(c.get('best', 0) for c in by.values())  # noqa: E731
  rows = [
    [method, *(_counts(found[method].get(regime)) for regime in regimes)]
    for method in sorted(found, key=lambda m: -total(found[m]))
  ]
  titles = [words.regime_title(regime) for regime in regimes]
  return ['method', *titles], rows


def _counts(counts: dict[str, int] | None) -> str:
  if not counts:
    return ''
  return ', '.join(f'{counts[w]} {w}' for w in _STANDINGS if w in counts)


def as_html(plain: Plain) -> str:
  """The table in HTML; an empty text where the table has no rows."""
  head, rows = plain
  if not rows:
    return ''
  return table(
    head,
    [[td(escape(text), 'words') for text in row] for row in rows],
  )


def terminal_table(rows: Iterable[Row]) -> rich.console.Group:
  """Quality by budget and the cost of an adaptation, one table per task."""
  drawn = []
  for task, cells in results.by_task(rows).items():
    budgets = roles.budgets(cells)
    has_evidence = words.has_evidence(task.regime)
    by = ' by budget' if has_evidence else ''
    title = f'{words.title(task)} ({words.METRIC}{by})'
    table = rich.table.Table(
      title=rich.text.Text(title),
      title_justify='left',
      box=rich.box.SIMPLE_HEAD,
      padding=(0, 1, 0, 0),
      pad_edge=False,
    )
    table.add_column('method', no_wrap=True)
    qualities = map(str, budgets) if has_evidence else [words.METRIC]
    for name in (*qualities, *_PLAIN_COSTS):
      table.add_column(name, justify='right')
    for row in _plain_rows(cells, budgets):
      table.add_row(*map(rich.text.Text, row))
    drawn.append(table)
  return rich.console.Group(*drawn)


def _plain_rows(cells: list[Cell], budgets: list[int]) -> list[list[str]]:
  by_key = {(cell.method, cell.budget): cell for cell in cells}
  most = max((len(cell.seeds) for cell in cells), default=0)
  out = []
  for method in dict.fromkeys(cell.method for cell in cells):
    own = [by_key.get((method, budget)) for budget in budgets]
    ran = [cell for cell in own if cell and cell.quality is not None]
    text = [_plain_quality(cell, most) for cell in own]
    costs = [''] * len(_PLAIN_COSTS)
    if ran:
      last = ran[-1].adapt
      costs = [
        units.seconds(last['seconds']),
        units.operations(last['flops']).removesuffix('FLOP').strip(),
        units.size(last['stored_bytes']),
      ]
    out.append([method, *text, *costs])
  return out


def _plain_quality(cell: Cell | None, most_seeds: int) -> str:
  if cell is None:
    return ''
  if cell.quality is None:
    return 'cannot'
  few = len(cell.seeds) < most_seeds
  return f'{cell.quality:.3f}' + f' ({len(cell.seeds)})' * few
