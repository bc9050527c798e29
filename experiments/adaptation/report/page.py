"""The report as one HTML page that needs no other file."""

import pathlib
from collections.abc import Iterable

from experiments.adaptation.report import (
  commands,
  figures,
  numbers,
  roles,
  tables,
  words,
)
from hyperrec import whole_file
from hyperrec.evaluation import results

Cell = results.Cell
Row = results.Row
Task = results.Task

_NAME = 'hyperrec: the adaptation laboratory'


def write_report(
  rows: Iterable[Row], path: str | pathlib.Path, notes: Iterable[str] = ()
) -> list[str]:
  """Writes the report; it needs no other file and no network.

  Args:
    rows: result rows.
    path: file of the page.
    notes: sentences on the data: what was left out, and the test users.

  Returns:
    The advice on the method to use: one sentence for each task.

  Raises:
    ResultError: there are no rows, or a row is invalid.
  """
  rows, notes = list(rows), list(notes)
  if not rows:
    raise results.ResultError('no result rows; run an experiment first')
  tasks = words.in_order(results.by_task(rows))
  analyses = {
    task: numbers.analyse(cells, has_evidence=words.has_evidence(task.regime))
    for task, cells in tasks.items()
  }
  links = ''.join(
    f'<a href="#{_anchor(task)}"{_of(task)}>{_e(words.title(task))}</a>'
    for task in analyses
  )
  of_task = lambda task: [r for r in rows if results.task_of(r) == task]  # noqa: E731
  sections = ''.join(
    _section(task, found, of_task(task)) for task, found in analyses.items()
  )
  page = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<title>{_NAME}</title><style>{_css()}</style></head><body>'
    f'<header><p class="soft">{_NAME}</p><h1>{_e(words.QUESTION)}</h1>'
    f'{_answer(analyses)}'
    f'<p>{_e(words.INTRODUCTION)}</p>'
    f'{_folded("How better and worse are defined", _soft(words.STATISTICS))}'
    f'{_chooser(analyses)}'
    f'<nav>{links}<a href="#how">How it was run</a></nav></header>'
    f'<main>{_overall(tasks, analyses)}{sections}'
    f'<h2 id="how">How it was run</h2>'
    f'{_list(notes) if notes else ""}'
    f'{tables.provenance(rows)}</main><script>{_script()}</script>'
    f'</body></html>\n'
  )
  whole_file.write_whole(path, page.encode())
  return words.advice(analyses)


def _answer(analyses: dict[Task, numbers.Analysis]) -> str:
  """The answer in words, with a picture where hypernetworks ran."""
  told = words.answer(analyses)
  out = f'<div class="answer">{_list(told)}</div>'
  if any(found.generated_others for found in analyses.values()):
    out += _figure(
      [figures.answer(analyses)],
      'Gain in quality of the best hypernetwork over its cost, in every case',
      f'{words.CASES} The differences of hollow points are not clear. Bars are '
      '95% intervals.',
    )
  return out


def _chooser(tasks: Iterable[Task]) -> str:
  """Menus that choose a regime or a data set; empty for a single task."""
  tasks = list(tasks)
  if len(tasks) < 2:
    return ''
  regimes = {t.regime: words.regime_title(t.regime)
             for t in tasks}  # fmt: skip
  boxes = ''.join(
    f'<label>{name} <select data-field="{field}">'
    f'<option value="">all</option>{options}</select></label> '
    for name, field, options in (
      ('Regime', 'regime', _options(regimes)),
      ('Data set', 'dataset', _options({t.dataset: t.dataset for t in tasks})),
    )
  )
  return (
    f'<p class="chooser" hidden>{boxes}'
    '<output class="soft" aria-live="polite"></output></p>'
  )


def _options(titles: dict[str, str]) -> str:
  return ''.join(
    f'<option value="{_e(value)}">{_e(text)}</option>'
    for value, text in titles.items()
  )


def _overall(tasks: dict[Task, list[Cell]], analyses) -> str:
  """Sections over all tasks: advice, hypotheses, and counts of wins."""
  return ''.join(
    f'<h2>{name}</h2>{_soft(about)}{found}'
    for name, about, found in (
      (
        'What to use',
        words.ADVICE,
        _advice(analyses),
      ),
      (
        'The hypotheses',
        words.HYPOTHESES,
        tables.as_html(tables.hypotheses_table(tasks)),
      ),
      (
        'Which method wins where',
        words.STANDINGS,
        tables.as_html(tables.standings_table(tasks)),
      ),
    )
    if found
  )


def _advice(analyses: dict[Task, numbers.Analysis]) -> str:
  items = ''.join(
    f'<li{_of(task)}>{_e(sentence)}</li>'
    for task, found in analyses.items()
    for sentence in words.advice({task: found})
  )
  return f'<ul>{items}</ul>' if items else ''


def _section(task: Task, found: numbers.Analysis, rows: list[Row]) -> str:
  title, cells = words.title(task), found.cells
  has_evidence = found.has_evidence
  parts = [
    f'<section{_of(task)}>',
    f'<h2 id="{_anchor(task)}">{_e(title)}</h2>',
    _about(task),
    f'<h3>Verdict</h3>{_list(words.verdict(found))}',
    _folded(
      'Who leads at each budget' if has_evidence else 'Who leads',
      _list(words.leads(found)),
    )
    if found.leaders
    else '',
    *(
      f'<h4>{name}</h4>{tables.contest(judged)}'
      for name, judged in (
        ('The best cheaper adaptation against full retraining', found.cheaper),
        ('The best hypernetwork against full retraining', found.generated),
        (
          'The best hypernetwork against the best other way of adapting',
          found.generated_others,
        ),
      )
      if judged
    ),
  ]
  if has_evidence and roles.contenders(cells):
    parts += ['<h3>Quality over the budget</h3>', _curves(title, cells)]
  if has_evidence and roles.asides(cells):
    parts.append(_asides(title, cells))
  if roles.contenders(cells):
    parts += [_pareto(title, roles.contenders(cells)), _break_even(found)]
  parts.append(f'<h3>All numbers</h3>{tables.quality(cells)}')
  parts += [
    f'<h3>Relative to {_e(name)}</h3>{tables.relative(judged)}'
    for name, judged in found.against.items()
    if judged
  ]
  parts.append(
    _folded(
      'All metrics and costs' + ', at every budget' * has_evidence,
      tables.everything(cells),
    )
  )
  refused = tables.refusals(cells)
  if refused:
    parts.append(f'<h3>What cannot run, and why</h3>{refused}')
  again = tables.commands(commands.commands(rows))
  if again:
    parts.append(_folded('Commands that reproduce these numbers', again))
  parts.append('</section>')
  return ''.join(parts)


def _about(task: Task) -> str:
  """What the budget counts, or that there is none."""
  if not words.has_evidence(task.regime):
    return _soft(words.NO_EVIDENCE)
  unit = words.BUDGETS.get(task.regime)
  return _soft(f'The budget is the number of {unit}.') if unit else ''


def _curves(title: str, cells: list[Cell]) -> str:
  return _figure(
    [figures.curves(roles.contenders(cells))],
    f'{words.METRIC} over the budget, {title}',
    'Bars are 95% intervals. Dashed lines are full retraining.',
  )


def _asides(title: str, cells: list[Cell]) -> str:
  figure = _figure(
    [figures.curves(roles.asides(cells))],
    f'{words.METRIC} of the other arms over the budget, {title}',
    'These are oracle arms, which are tuned on the target, and ablations. The '
    'comparisons leave them out.',
  )
  return _folded('Oracle arms and ablations', figure)


def _pareto(title: str, ran: list[Cell]) -> str:
  middle = figures.middle_budget(ran)
  out = '<h3>Quality against the cost of an adaptation</h3>'
  for budget in roles.budgets(ran):
    here = [cell for cell in ran if cell.budget == budget]
    drawn = _figure(
      [figures.pareto(here, cost) for cost in figures.COSTS],
      f'{words.METRIC} against costs at budget {budget}, {title}',
      'The line is the Pareto front; hollow points are dominated. Methods '
      'without any cost are at 0, left of the dotted line.',
    )
    out += _folded(f'Budget {budget:,}', drawn, is_open=budget == middle)
  return out


def _break_even(found: numbers.Analysis) -> str:
  if not found.break_even:
    return ''
  note = (
    'N* is the number of adaptations after which the costs of preparing and '
    f'tuning are recovered, at budget {found.break_even[0].budget:,}. The time '
    'of tuning is the total over all budgets; its operations are estimated as '
    'one preparation per trial. The tuning of the baseline is not subtracted. '
    '"the first" means that one adaptation is enough, and "never" that an '
    'adaptation is not cheaper. A grey method ranks clearly worse.'
  )
  return f'<h3>Break-even</h3>{_soft(note)}' + tables.break_even(
    found.break_even, found.against
  )


def _figure(drawn: list, alt: str, caption: str) -> str:
  pictures = ''.join(
    f'<div class="scroll">{figures.svg(figure, alt=alt)}</div>'
    for figure in drawn
  )
  kind = ' class="panels"' if len(drawn) > 1 else ''
  return (
    f'<figure><div{kind}>{pictures}</div>'
    f'<figcaption class="soft">{_e(caption)}</figcaption></figure>'
  )


def _folded(summary: str, content: str, *, is_open: bool = False) -> str:
  state = ' open' if is_open else ''
  return f'<details{state}><summary>{_e(summary)}</summary>{content}</details>'


def _soft(text: str) -> str:
  return f'<p class="soft">{_e(text)}</p>'


def _of(task: Task) -> str:
  """The HTML attributes by which the script shows and hides parts."""
  regime, dataset = _e(task.regime), _e(task.dataset)
  return f' data-regime="{regime}" data-dataset="{dataset}"'


def _list(sentences: list[str]) -> str:
  return f'<ul>{"".join(f"<li>{_e(s)}</li>" for s in sentences)}</ul>'


def _anchor(task: Task) -> str:
  text = f'{task.regime}-{task.dataset}'
  return ''.join(c if c.isalnum() else '-' for c in text)


_e = tables.escape


def _css() -> str:
  path = pathlib.Path(__file__).with_name('page.css')
  return path.read_text(encoding='utf-8')


def _script() -> str:
  path = pathlib.Path(__file__).with_name('page.js')
  return path.read_text(encoding='utf-8')
