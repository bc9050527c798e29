"""All that the report says: the answer, verdicts, advice, and units."""

import collections
import itertools
import math
from collections.abc import Iterable

import numpy as np

from experiments.adaptation.report import numbers, roles
from hyperrec import regimes
from hyperrec.evaluation import results

Analysis = numbers.Analysis
Cell = results.Cell
Judged = numbers.Judged
Task = results.Task

REGIME_TITLES = {regime.name: regime.title for regime in regimes.ALL}
BUDGETS = {regime.name: regime.unit for regime in regimes.ALL}

METRIC = results.PRIMARY.upper()
QUESTION = (
  'Can a hypernetwork generate a recommender more efficiently than retraining '
  'it, and does it beat the cheaper ways of adapting?'
)
CASES = (
  'A case is one data set and one kind of news (users, a catalogue, a domain, '
  'time that passes) at one amount of evidence; cases of one data set share '
  'their users. Better and worse are beyond chance, after a correction for the '
  'comparisons within each data set and kind of news.'
)
INTRODUCTION = (
  'Every method splits its work into what is learned once (prepare) and what '
  'is paid for each adaptation (adapt). A plain name is the fair arm: its '
  'hyper-parameters come from the evidence or from the source. :retrain fits '
  'everything anew at each adaptation. :oracle is tuned on validation users of '
  'the target, which no adaptation has; it is shown, and never compared.'
)
STATISTICS = (
  'Intervals are 95%, from a bootstrap over users and seeds; comparisons pair '
  'the same users. Better and worse (win and loss) are said of differences of '
  '1% or more whose p-value, corrected by Holm over all comparisons with the '
  'same baseline, is below 0.05. A tie is a difference below 1% that is known '
  'well: its interval lies within 1%, or on one side of zero. The rest is not '
  'told apart (unclear). Cheaper means fewer operations in an adaptation.'
)
ADVICE = (
  'For data and evidence like these: of the methods within 3% of the best and '
  'not clearly behind it, the one whose adaptation takes the fewest operations.'
)
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
# How a contest went; the order is the order of telling.
_OUTCOMES = {
  'win': 'better',
  'tie': 'a tie',
  'unclear': 'not told apart',
  'untested': 'untested',
  'loss': 'worse',
}
_BEHIND = {
  'tie': 'a tie',
  'unclear': 'not told apart',
  'untested': 'untested, there are no values per user',
  'loss': 'clearly behind',
}
_MANY = 5


def regime_title(name: str) -> str:
  """A regime in a heading; its name where it is unknown."""
  return REGIME_TITLES.get(name, name)


def title(task: Task) -> str:
  """The task in a heading."""
  return f'{regime_title(task.regime)}: {task.dataset}'


def in_order(tasks: dict[Task, list[Cell]]) -> dict[Task, list[Cell]]:
  """Regime by regime, in the order of their titles; data sets by name."""
  order = list(REGIME_TITLES)
  rank = lambda task: (  # noqa: E731
    order.index(task.regime) if task.regime in order else len(order),
    task.regime,
    task.dataset,
  )
  return {task: tasks[task] for task in sorted(tasks, key=rank)}


def answer(analyses: dict[Task, Analysis]) -> list[str]:
  """Whether it costs less, whether it ranks better, and where."""
  others = _all(analyses, 'generated_others')
  out = [_on_cost(analyses), _on_quality(others), _on_places(analyses)]
  out = [sentence for sentence in out if sentence]
  return out or [
    'No hypernetwork is among these results: what follows is the bar that it '
    'has to clear.'
  ]


def _all(analyses: dict[Task, Analysis], name: str) -> list[Judged]:
  return [one for found in analyses.values() for one in getattr(found, name)]


def _on_cost(analyses: dict[Task, Analysis]) -> str:
  best = _all(analyses, 'generated')
  if not best:
    return ''
  cheaper = _all(analyses, 'generated_cheaper')
  text = f'Cheaper than retraining? {_often(len(cheaper), len(best))}: '
  text += (
    f'of {_cases(len(best))}, a hypernetwork takes fewer operations than the '
    f'best retrained model in {len(cheaper)}'
  )
  if cheaper:
    good = _count(cheaper, 'win', 'tie')
    text += f' (at least as good in {good}, {_rest(cheaper)})'
  dearer = [
    one
    for found in analyses.values()
    for one in found.generated
    if one.cell.budget not in {c.cell.budget for c in found.generated_cheaper}
  ]
  if dearer:
    text += (
      f'; in the other {len(dearer)} it takes more, {_median(dearer)}, and '
      f'ranks better in {_count(dearer, "win")}'
    )
  return f'{text}.'


def _on_quality(judged: list[Judged]) -> str:
  if not judged:
    return ''
  wins = _count(judged, 'win')
  return (
    f'Better than the cheaper ways of adapting? {_often(wins, len(judged))}: '
    'it ranks better than the best of them in '
    f'{wins} of {_cases(len(judged))} ({_rest(judged, with_ties=True)}), with '
    f'{_median(judged)}.'
  )


def _rest(judged: list[Judged], *, with_ties: bool = False) -> str:
  """How the cases went that it did not win."""
  told = {'worse': _count(judged, 'loss')}
  if with_ties:
    told['level'] = _count(judged, 'tie')
  told['not told apart'] = _count(judged, 'unclear', 'untested')
  return listed(
    f'{outcome} in {count or "none"}'
    for outcome, count in told.items()
    if count or outcome == 'worse'
  )


def _on_places(analyses: dict[Task, Analysis]) -> str:
  """In which regimes it beats the cheaper ways, by the share of cases."""
  groups: dict[str, list[str]] = {'most': [], 'some': [], 'none': []}
  for regime in dict.fromkeys(task.regime for task in analyses):
    own = {t: found for t, found in analyses.items() if t.regime == regime}
    judged = _all(own, 'generated_others')
    if judged:
      wins = _count(judged, 'win')
      kind = 'most' if 2 * wins > len(judged) else 'some' if wins else 'none'
      name = regime_title(regime).lower()
      sets = f'{len(own)} data set{"s" * (len(own) != 1)}'
      groups[kind].append(f'{name} ({wins} of {len(judged)}, {sets})')
  parts = [
    f'in {kind} of the cases of {listed(named)}'
    for kind, named in groups.items()
    if named
  ]
  if not parts:
    return ''
  whose = _on_whose(_all(analyses, 'generated_others'))
  return f'Where is it better? {capital("; ".join(parts))}.{whose}'


def _on_whose(judged: list[Judged]) -> str:
  """Which hypernetworks won: closed forms, or networks trained by gradient."""
  wins = collections.Counter(
    one.cell.method for one in judged if one.word == 'win'
  )
  if not wins:
    return ''
  told = listed(f'{name} ({n})' for name, n in wins.most_common())
  trained = sum(
    n for name, n in wins.items() if roles.is_trained_generator(name)
  )
  kind = (
    'none by a network trained by gradient: they are fitted in closed form'
    if not trained
    else f'by networks trained by gradient: {trained}'
  )
  return f' Won by {told}; {kind}.'


def _cases(count: int) -> str:
  return f'{count} case{"s" * (count != 1)}'


def _count(judged: Iterable[Judged], *outcomes: str) -> int:
  return sum(one.word in outcomes for one in judged)


def _often(count: int, total: int) -> str:
  if not count:
    return 'No'
  if count == total:
    return 'Yes'
  share = count / total
  return (
    'Seldom' if share < 1 / 3 else 'Mostly' if share > 2 / 3 else 'At times'
  )


def _median(judged: list[Judged]) -> str:
  middle = float(np.median([numbers.ratio(one) for one in judged]))
  if not math.isfinite(middle):
    return 'operations where mostly none were needed'
  return f'{digits(middle)} times the operations in the median'


def advice(analyses: dict[Task, Analysis]) -> list[str]:
  """What to use in each task: the cheapest that is nearly as good."""
  out = []
  for task, found in analyses.items():
    parts = [
      f'{last.method} at {listed(map(str, where))} '
      f'({METRIC} {last.quality:.3f}, {costs(last)} an adaptation)'
      for last, where in _recommended(found)
    ]
    if parts:
      what = BUDGETS.get(task.regime, 'budget')
      out.append(f'{title(task)}, by {what}: {"; ".join(parts)}.')
  return out


def guide(analyses: dict[Task, Analysis]) -> str:
  """The same without numbers, as a table in Markdown."""
  lines = ['| case | evidence | use |', '|---|---|---|']
  for task, found in analyses.items():
    parts = [
      f'`{cell.method}` at {listed(f"{budget:,}" for budget in where)}'
      for cell, where in _recommended(found)
    ]
    if parts:
      what = BUDGETS.get(task.regime, 'budget')
      lines.append(f'| {title(task)} | {what} | {"; ".join(parts)} |')
  return '\n'.join(lines)


def _recommended(found: Analysis) -> list[tuple[Cell, list[int]]]:
  """Runs of budgets with one advice: the cell at the last, and all of them."""
  chosen = [(numbers.cheapest_good(ld), ld.best.budget) for ld in found.leaders]
  runs = itertools.groupby(chosen, key=lambda pair: pair[0].method)
  own = [list(run) for _, run in runs]
  return [(run[-1][0], [budget for _, budget in run]) for run in own]


def verdict(found: Analysis) -> list[str]:
  """Who leads where, the contests, and where they flip."""
  if not found.leaders:
    return ['Nothing could run in this regime.']
  out = [_changes(found)]
  for name, challenger, rival in (
    ('cheaper', 'a cheaper adaptation', 'full retraining'),
    ('generated', 'a hypernetwork', 'full retraining'),
    ('generated_others', 'a hypernetwork', 'the best of the other ways'),
  ):
    judged = getattr(found, name)
    if judged:
      out += [_contest(challenger, rival, judged), _flips(judged)]
  out.append(_missing(found))
  if not found.cheaper:
    out.append(
      'No adaptation of fewer operations than full retraining is among the '
      'results.'
    )
  return [sentence for sentence in out if sentence]


def leads(found: Analysis) -> list[str]:
  """The leader of each budget, by how much, and at what cost."""
  return [_leads(leader) for leader in found.leaders]


def _missing(found: Analysis) -> str:
  """Where full retraining could not run and something else did."""
  ran = roles.contenders(found.cells)
  done = {cell.budget for cell in ran if roles.is_retrained(cell)}
  without = [str(b) for b in roles.budgets(ran) if b not in done]
  if not done or not without:
    return ''
  return f'Full retraining did not run at budget {listed(without)}.'


def _leads(leader: numbers.Leader) -> str:
  best = leader.best
  text = f'Budget {best.budget}: {best.method} ranks best ({METRIC} '
  text += f'{best.quality:.3f}'
  if best.interval:
    text += ', 95% interval {:.3f} to {:.3f}'.format(*best.interval)
  text += f') at {costs(best)} an adaptation'
  if not leader.others:
    return f'{text}; nothing else ran.'
  return f'{text}. {_margin(leader)}'


def _margin(leader: numbers.Leader) -> str:
  """By how much, and who is level with the leader."""
  second, *others = leader.others
  text = f'Next is {second.cell.method} at {relative(second)}: '
  text += f'{_BEHIND[second.word]}.'
  also = [one.cell.method for one in others if one.word in ('tie', 'unclear')]
  if also:
    more = [f'{len(also) - _MANY} more'] if len(also) > _MANY else []
    text += f' Also not clearly behind: {listed(also[:_MANY] + more)}.'
  level = [one.cell for one in leader.level]
  quick = min(level, key=lambda c: c.adapt['seconds'], default=leader.best)
  if quick.adapt['seconds'] < leader.best.adapt['seconds'] / 2:
    text += (
      f' The quickest that is not clearly behind, {quick.method}, takes '
      f'{costs(quick)}.'
    )
  return text


def relative(one: Judged) -> str:
  """A relative difference with its interval, where there is one."""
  found = one.comparison
  if not math.isfinite(found.relative):
    return f'{found.difference:+.4f}'
  text = f'{found.relative:+.1%}'
  if math.isfinite(found.low):
    text += f' [{found.low:+.1%} to {found.high:+.1%}]'
  return text


def _changes(found: Analysis) -> str:
  """Who leads where."""
  runs = [
    (method, [str(leader.best.budget) for leader in run])
    for method, run in itertools.groupby(
      found.leaders, key=lambda leader: leader.best.method
    )
  ]
  if len(runs) == 1:
    (method, where), *_ = runs
    every = 'every budget' if len(where) > 1 else f'budget {where[0]}'
    return f'{method} leads at {every}.'
  told = ', '.join(f'{method} at {listed(where)}' for method, where in runs)
  return f'The leader changes with the budget: {told}.'


def _contest(challenger: str, rival: str, judged: list[Judged]) -> str:
  groups = collections.defaultdict(list)
  for one in judged:
    groups[one.word].append(one)
  parts = [
    f'{outcome} at budget {listed(map(_detail, groups[word]))}'
    for word, outcome in _OUTCOMES.items()
    if word in groups
  ]
  return f'{capital(challenger)} against {rival}: {"; ".join(parts)}.'


def _detail(one: Judged) -> str:
  found = one.comparison
  by = f' {found.relative:+.1%}' if math.isfinite(found.relative) else ''
  return f'{one.cell.budget} ({one.cell.method}{by}, {share(one)})'


def share(one: Judged) -> str:
  """How many operations an adaptation takes, of those of its rival."""
  own, baseline = one.cell.adapt['flops'], one.against.adapt['flops']
  if own == 0:
    return 'no operations'
  if baseline == 0:
    return 'some operations against none'
  if own >= baseline:
    return f'{digits(own / baseline)} times the operations'
  if own > baseline / 10:
    return f'{own / baseline:.0%} of the operations'
  return f'1/{digits(baseline / own)} of the operations'


def _flips(judged: list[Judged]) -> str:
  """Between which budgets a clear win becomes a clear loss or back."""
  clear = [one for one in judged if one.word in ('win', 'loss')]
  places = [
    f'between budgets {a.cell.budget} and {b.cell.budget}'
    for a, b in itertools.pairwise(clear)
    if a.word != b.word
  ]
  return f'That flips {listed(places)}.' if places else ''


def listed(items: Iterable[str]) -> str:
  """'a, b and c'."""
  *most, last = items
  return f'{", ".join(most)} and {last}' if most else last


def capital(text: str) -> str:
  """With a capital, and the rest as it is."""
  return text[:1].upper() + text[1:]


def costs(cell: Cell) -> str:
  """What an adaptation takes, in words."""
  spent = seconds(cell.adapt['seconds'])
  count = cell.adapt['flops']
  return f'{operations(count) if count else "no operations"} and {spent}'


def stored(cell: Cell) -> str:
  """The bytes that an adaptation leaves, in words."""
  count = cell.adapt['stored_bytes']
  return f'{size(count)} stored' if count else 'nothing stored'


def seconds(value: float) -> str:
  """A time with a fitting unit."""
  if value == 0:
    return '0 s'
  units = {'h': 3600.0, 'min': 60.0, 's': 1.0, 'ms': 1e-3, 'µs': 1e-6}
  return _with_unit(value, units)


def operations(value: float) -> str:
  """A number of floating point operations with a fitting unit."""
  units = {'P': 1e15, 'T': 1e12, 'G': 1e9, 'M': 1e6, 'k': 1e3, '': 1.0}
  return _with_unit(value, {f'{u}FLOP': size for u, size in units.items()})


def size(value: float) -> str:
  """A number of bytes with a fitting unit."""
  units = {'TiB': 2**40, 'GiB': 2**30, 'MiB': 2**20, 'KiB': 2**10, 'B': 1}
  return _with_unit(value, units)


def _with_unit(value: float, units: dict[str, float]) -> str:
  """Units from large to small; what rounds up to a unit is given in it."""
  fitting = [u for u, scale in units.items() if value >= 0.9995 * scale]
  unit = fitting[0] if fitting else list(units)[-1]
  return f'{digits(value / units[unit])} {unit}'


def digits(value: float) -> str:
  """Three significant digits, never an exponent."""
  if value == 0:
    return '0'
  decimals = 2 - math.floor(math.log10(value))
  text = f'{round(value, decimals):,.{max(0, decimals)}f}'
  return text.rstrip('0').rstrip('.') if '.' in text else text
