"""The page for someone with a file: what to use first, then why."""

import csv
import io
import pathlib
import urllib.parse
from collections.abc import Iterable
from typing import Any

import rich.table

from experiments import units
from experiments.adaptation.report import figures as report_figures
from experiments.adaptation.report import tables, words
from experiments.recommend import advice as advice_lib
from experiments.recommend import cases as cases_lib
from experiments.recommend import figures
from hyperrec import whole_file
from hyperrec.data import description as description_lib
from hyperrec.evaluation import results

Advice = advice_lib.Advice
Description = description_lib.Description

_REPORT = pathlib.Path(report_figures.__file__).parent
_ORDERS = {
  'times': 'times are known',
  'order': 'the order within each user is known, times are not',
  'none': 'neither times nor an order are known',
}
_METRIC = (
  'Quality is NDCG@100 of held-out users: 1 if all items that they went on to '
  'take are at the top of the list, 0 if none of them is in its first 100 '
  'places. Intervals are 95%: with other users like these the figure would '
  'nearly always be inside. Two methods are "not told apart" where chance '
  'could have made the difference.'
)


def facts(about: Description) -> list[tuple[str, str]]:
  """What the data hold, as (name, value)."""
  found = [
    ('users', f'{about.num_users:,}'),
    ('items', f'{about.num_items:,}'),
    ('interactions', f'{about.num_interactions:,}'),
    ('rows that repeat a user and an item', f'{about.num_repeats:,}'),
    ('share of all pairs that occur', _share(about.density)),
    ('interactions of a user, median', f'{about.median_user:g}'),
    (
      f'users with fewer than {description_lib.FEW} interactions',
      _share(about.few_users),
    ),
    (
      f'items with fewer than {description_lib.FEW} interactions',
      _share(about.few_items),
    ),
    ('order', _ORDERS[about.order]),
  ]
  if about.span:
    found.append(('from, to', ' to '.join(about.span)))
  text = 'none' if about.with_text is None else _share(about.with_text)
  return [*found, ('items with text', text)]


def _share(value: float) -> str:
  return f'{100 * value:.3g}%'


def described(about: Description) -> rich.table.Table:
  """What the data hold, for the terminal."""
  table = rich.table.Table(title=about.name, show_header=False, box=None)
  for name, value in facts(about):
    table.add_row(name, value)
  return table


def document(found: Advice, rows: Iterable[results.Row]) -> dict[str, Any]:
  """The recommendation as JSON, with the hyperparameters that were chosen."""
  method = found.use.method if found.use else None
  chosen = {
    row['budget']: row['hyperparameters']
    for row in rows
    if row['regime'] == found.case.regime
    and row['method'] == method
    and 'hyperparameters' in row
  }
  return {
    'case': found.case.regime,
    'title': found.case.title,
    'method': method,
    'hyperparameters': chosen,
    'compared_at': list(found.budgets),
    'over_popularity': _compared(found.over_popularity),
    'over_cheaper': found.over_cheaper
    and {'method': found.over_cheaper[0], **_compared(found.over_cheaper[1])},
    'quality': {rank.method: rank.quality for rank in found.ranks},
    'sentences': advice_lib.sentences(found),
  }


def _compared(one: advice_lib.Comparison | None) -> dict[str, float] | None:
  return one and {'gain': one.relative, 'low': one.low, 'high': one.high}


def write(
  path: pathlib.Path,
  about: Description,
  advised: list[Advice],
  notes: list[str],
) -> None:
  """Writes the page; it needs no other file and no network.

  Args:
    path: file of the page.
    about: what the data hold.
    advised: the recommendation for each case.
    notes: sentences on what was left out.
  """
  title = f'Recommendations for {about.name}'
  style = (_REPORT / 'page.css').read_text(encoding='utf-8')
  own = pathlib.Path(__file__).with_name('page.css').read_text('utf-8')
  script = (_REPORT / 'page.js').read_text(encoding='utf-8')
  body = (
    f'<header><h1>{_e(title)}</h1>'
    f'<div class="answer"><ul>{_answers(advised)}</ul></div>'
    f'<p class="soft">{_e(_METRIC)}</p></header><main>'
    f'{"".join(_section(found) for found in advised if found.ranks)}'
    f'<h2>Your data</h2>{_about(about)}'
    f'<h2>What was left out</h2>{_list(notes or ["Nothing."])}'
    f'<h2>What the methods do</h2>{_methods(advised)}'
    '<p><a href="research.html">All numbers, for researchers</a></p></main>'
  )
  whole_file.write_whole(
    path,
    (
      '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
      '<meta name="viewport" content="width=device-width, initial-scale=1">'
      f'<title>{_e(title)}</title><style>{style}{own}</style></head><body>'
      f'{body}<script>{script}</script></body></html>\n'
    ).encode(),
  )


def _answers(advised: Iterable[Advice]) -> str:
  items = []
  for found in advised:
    first, *more = advice_lib.sentences(found)
    rest = ''.join(f' {_named(sentence)}' for sentence in more)
    items.append(f'<li><strong>{_named(first)}</strong>{rest}</li>')
  return ''.join(items)


def _named(sentence: str) -> str:
  """The sentence with names of methods explained under the pointer."""
  tokens = [
    _method(word.rstrip('.,:')) + word[len(word.rstrip('.,:')) :]
    for word in sentence.split(' ')
  ]
  return ' '.join(tokens)


def _method(name: str) -> str:
  word = cases_lib.WORDS.get(name)
  if word is None:
    return _e(name)
  return f'<abbr title="{_e(word.text)}">{_e(name)}</abbr>'


def _section(found: Advice) -> str:
  case = found.case
  where = ''
  if len(case.budgets) > 1:
    told = words.listed(map(str, found.budgets))
    where = f'<p class="soft">Mean over {told} {_e(case.unit)}.</p>'
  pictures = [
    (
      figures.quality(found),
      f'Quality of each method, {case.title}',
      'Quality with 95% intervals; the filled point is the recommended method.',
    ),
    (
      figures.cost(found),
      f'Time to fit each method, {case.title}',
      'Time to fit and to adapt once, on this machine.',
    ),
  ]
  curve = figures.learning(found)
  if curve is not None:
    pictures.append(
      (
        curve,
        f'Quality by evidence, {case.title}',
        f'Quality by the number of {case.unit}.',
      )
    )
  drawn = ''.join(
    f'<figure><div class="scroll">{report_figures.svg(figure, alt=alt)}</div>'
    f'<figcaption class="soft">{_e(caption)}</figcaption></figure>'
    for figure, alt, caption in pictures
  )
  return (
    f'<section><h2>{_e(case.title)}</h2>{where}'
    f'<div class="panels">{drawn}</div>{_table(found)}</section>'
  )


def _table(found: Advice) -> str:
  head = ['method', 'quality', '95% interval', 'time', 'recommended']
  rows = [
    [
      rank.method,
      f'{rank.quality:.4f}',
      '{:.4f} to {:.4f}'.format(*rank.interval),
      units.seconds(rank.seconds),
      'yes' if rank is found.use else '',
    ]
    for rank in found.ranks
  ]
  html = tables.table(
    head,
    [
      [tables.td(_method(first)), *(tables.td(_e(cell)) for cell in rest)]
      for first, *rest in rows
    ],
  )
  text = io.StringIO()
  csv.writer(text).writerows([head, *rows])
  link = urllib.parse.quote(text.getvalue())
  name = f'{found.case.regime}.csv'
  return (
    f'{html}<p><a download="{name}" '
    f'href="data:text/csv;charset=utf-8,{link}">Download as CSV</a></p>'
  )


def _about(about: Description) -> str:
  listed = ''.join(
    f'<dt>{_e(name)}</dt><dd>{_e(value)}</dd>' for name, value in facts(about)
  )
  picture = report_figures.svg(
    figures.histogram(about),
    alt='Number of users and of items by their number of interactions',
  )
  return (
    f'<dl>{listed}</dl><div class="panels"><figure><div class="scroll">'
    f'{picture}</div><figcaption class="soft">Users and items by their number '
    'of interactions.</figcaption></figure></div>'
  )


def _methods(advised: Iterable[Advice]) -> str:
  names = dict.fromkeys(
    rank.method for found in advised for rank in found.ranks
  )
  return ''.join(
    [
      '<dl>',
      *(
        f'<dt>{_e(name)}</dt><dd>{_e(cases_lib.WORDS[name].text)}</dd>'
        for name in names
        if name in cases_lib.WORDS
      ),
      '</dl>',
    ]
  )


def _list(sentences: Iterable[str]) -> str:
  return f'<ul>{"".join(f"<li>{_e(s)}</li>" for s in sentences)}</ul>'


_e = tables.escape
