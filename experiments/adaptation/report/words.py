"""The sentences of the report: the answer, the verdicts and the advice."""

import collections
import itertools
import math
from collections.abc import Iterable

import numpy as np

from experiments import units
from experiments.adaptation.report import numbers, roles
from hyperrec import regimes
from hyperrec.evaluation import results

Analysis = numbers.Analysis
Cell = results.Cell
Judged = numbers.Judged
Task = results.Task

REGIME_TITLES = {regime.name: regime.title for regime in regimes.ALL}
BUDGETS = {regime.name: regime.unit for regime in regimes.WITH_EVIDENCE}

METRIC = results.PRIMARY.upper()
QUESTION = (
  'Can a hypernetwork generate a recommender more efficiently than retraining '
  'it, and does it beat the cheaper ways of adapting?'
)
CASES = (
  'A case is one data set in one regime (returning users, or what is new: '
  'users, items, a catalogue, a domain, or time that has passed) with one '
  'amount of evidence. Cases of one '
  'data set share their users. Better and worse are statistically significant '
  'after a correction for the comparisons within each data set and regime.'
)
INTRODUCTION = (
  'Every method has two phases: it learns from the source once (prepare), and '
  'it pays for each adaptation (adapt). A plain name is the fair arm: its '
  'hyperparameters are chosen on the evidence or on the source. :retrain '
  'trains the whole model again at each adaptation. :oracle chooses its '
  'hyperparameters on validation users of the target, which a real adaptation '
  'does not have; the report shows it, but no comparison includes it.'
)
STATISTICS = (
  'Intervals are 95% intervals from a bootstrap over users and seeds. '
  'Comparisons are paired: both methods rank for the same users. A method is '
  'better or worse (win or loss) where the difference is at least 1% and its '
  'p-value, after a Holm correction over all comparisons with the same '
  'baseline, is below 0.05. Two methods tie where the difference is below 1% '
  'and its interval lies within 1% or on one side of zero. All other '
  'differences are not clear (unclear): the data cannot decide. Cheaper means '
  'fewer operations per adaptation.'
)
ADVICE = (
  'This is the method to use for data and evidence like these. Of the methods '
  'that are within 3% of the best and not clearly behind it, it is the one '
  'whose adaptation needs the fewest operations.'
)
HYPOTHESES = (
  'A case is a data set in a regime at one budget. In each case, the best '
  'hypernetwork is compared with the best arm of its rival. Win, tie, unclear '
  'and loss mean the same as in the comparisons below. The effect is the '
  'geometric mean of the quality ratios, minus one; it leaves out cases '
  'without an interval and cases whose rival has a quality of zero. Its '
  'interval takes the cases of one data set and regime as fully dependent, '
  'and different data sets and regimes as independent. The operations are the '
  'geometric mean of the ratios of operations per adaptation, without the '
  'cases in which one side needs none. H1 considers only the hypernetworks '
  'that need fewer operations than full retraining of one model. H1 holds in '
  'a case if the best of them wins or ties, and fails in a case without such '
  'a hypernetwork.'
)
STANDINGS = (
  'The table counts cases; a case is a data set at one budget. "best" ranks '
  'best, "near" is within 1% of the best, and "behind" is further away, '
  'whether the difference is significant or not. "cannot" means that the '
  'method cannot serve the case.'
)
# Outcome of a comparison -> its adjective, in the order of the sentence.
_OUTCOMES = {
  'win': 'better',
  'tie': 'tied',
  'unclear': 'not clearly different',
  'untested': 'untested',
  'loss': 'worse',
}
NO_EVIDENCE = (
  'The source holds the histories of these users, and there is no evidence '
  'beside it (budget 0). Retraining would fit the same data again, so no '
  'method is retrained. A method that generates parameters for a user pays for '
  'that at each adaptation; all others serve as they are.'
)
_BEHIND = {
  'tie': 'a tie',
  'unclear': 'not clearly different',
  'untested': 'untested, because values per user are missing',
  'loss': 'clearly behind',
}
_MANY = 5


def regime_title(name: str) -> str:
  """The title of a regime; an unknown regime keeps its name."""
  return REGIME_TITLES.get(name, name)


def has_evidence(name: str) -> bool:
  """Whether a regime has evidence; an unknown regime has."""
  regime = regimes.BY_NAME.get(name)
  return regime is None or regime.has_evidence


def title(task: Task) -> str:
  """The title of a task: its regime and its data set."""
  return f'{regime_title(task.regime)}: {task.dataset}'


def in_order(tasks: dict[Task, list[Cell]]) -> dict[Task, list[Cell]]:
  """Tasks in the order of the known regimes, then by data set name."""
  order = list(REGIME_TITLES)
  rank = lambda task: (  # noqa: E731
    order.index(task.regime) if task.regime in order else len(order),
    task.regime,
    task.dataset,
  )
  return {task: tasks[task] for task in sorted(tasks, key=rank)}


def answer(analyses: dict[Task, Analysis]) -> list[str]:
  """Whether hypernetworks cost less, whether they rank better, and where."""
  others = _all(analyses, 'generated_others')
  out = [_on_cost(analyses), _on_quality(others), _on_places(analyses)]
  out = [sentence for sentence in out if sentence]
  return out or [
    'No hypernetwork is among these results: the report shows the quality and '
    'the cost that one has to beat.'
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
    f'in {len(cheaper)} of {_cases(len(best))}, a hypernetwork needs fewer '
    'operations than the best retrained model'
  )
  if cheaper:
    good = _count(cheaper, 'win', 'tie')
    text += f' (it ranks at least as well in {good}, {_rest(cheaper)})'
  costlier = [
    one
    for found in analyses.values()
    for one in found.generated
    if one.cell.budget not in {c.cell.budget for c in found.generated_cheaper}
  ]
  if costlier:
    text += (
      f'; in the other {_cases(len(costlier))} it needs more '
      f'({_median(costlier)}) and ranks better in {_count(costlier, "win")}'
    )
  return f'{text}.'


def _on_quality(judged: list[Judged]) -> str:
  if not judged:
    return ''
  wins = _count(judged, 'win')
  return (
    f'Better than the cheaper ways of adapting? {_often(wins, len(judged))}: '
    'it ranks better than the best of them in '
    f'{wins} of {_cases(len(judged))} ({_rest(judged, with_ties=True)}). It '
    f'needs {_median(judged)}.'
  )


def _rest(judged: list[Judged], *, with_ties: bool = False) -> str:
  """The outcomes of the cases that the hypernetwork did not win."""
  told = {'worse': _count(judged, 'loss')}
  if with_ties:
    told['tied'] = _count(judged, 'tie')
  told['not clearly different'] = _count(judged, 'unclear', 'untested')
  return listed(
    f'{outcome} in {count or "none"}'
    for outcome, count in told.items()
    if count or outcome == 'worse'
  )


def _on_places(analyses: dict[Task, Analysis]) -> str:
  """The regimes in which it beats the cheaper ways, by share of cases."""
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
  """The hypernetworks that won, and how many of them are trained networks."""
  wins = collections.Counter(
    one.cell.method for one in judged if one.word == 'win'
  )
  if not wins:
    return ''
  told = listed(f'{name} ({_cases(n)})' for name, n in wins.most_common())
  trained = sum(
    n for name, n in wins.items() if roles.is_trained_generator(name)
  )
  kind = (
    'none is a network trained by gradient descent: all are closed forms'
    if not trained
    else f'networks trained by gradient descent win {_cases(trained)}'
  )
  return f' The winners are {told}; {kind}.'


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
    'Rarely' if share < 1 / 3 else 'Mostly' if share > 2 / 3 else 'Sometimes'
  )


def _median(judged: list[Judged]) -> str:
  middle = float(np.median([numbers.ratio(one) for one in judged]))
  if not math.isfinite(middle):
    return 'some operations in the median case, where its rival needs none'
  told = units.digits(middle)
  return f'{told} times the operations of its rival in the median case'


def advice(analyses: dict[Task, Analysis]) -> list[str]:
  """For each task, the cheapest of the methods that are nearly as good."""
  out = []
  for task, found in analyses.items():
    parts = [
      f'{last.method}{_at(found.has_evidence, map(str, where))} '
      f'({METRIC} {last.quality:.3f}, {costs(last)} per adaptation)'
      for last, where in _recommended(found.leaders)
    ]
    if parts:
      what = BUDGETS.get(task.regime, 'budget')
      by = f'by {what}' if found.has_evidence else 'without new evidence'
      out.append(f'{title(task)}, {by}: use {"; ".join(parts)}.')
  return out


def _at(is_told: bool, where: Iterable[str]) -> str:
  """The budgets of an advice; nothing where there is no evidence."""
  return f' at {listed(where)}' if is_told else ''


def guide(leaders: dict[Task, list[numbers.Leader]]) -> str:
  """The advice without numbers, as a Markdown table."""
  lines = ['| case | evidence | use |', '|---|---|---|']
  for task, own in leaders.items():
    has = has_evidence(task.regime)
    parts = [
      f'`{cell.method}`{_at(has, (f"{budget:,}" for budget in where))}'
      for cell, where in _recommended(own)
    ]
    if parts:
      what = BUDGETS.get(task.regime, 'budget') if has else 'none'
      lines.append(f'| {title(task)} | {what} | {"; ".join(parts)} |')
  return '\n'.join(lines)


def _recommended(
  leaders: Iterable[numbers.Leader],
) -> list[tuple[Cell, list[int]]]:
  """Consecutive budgets with the same advice: the last cell, all budgets."""
  chosen = [(numbers.cheapest_good(ld), ld.best.budget) for ld in leaders]
  runs = itertools.groupby(chosen, key=lambda pair: pair[0].method)
  own = [list(run) for _, run in runs]
  return [(run[-1][0], [budget for _, budget in run]) for run in own]


def verdict(found: Analysis) -> list[str]:
  """The leaders, the outcomes of the contests, and where these flip."""
  if not found.leaders:
    return ['Nothing could run in this regime.']
  out = [_changes(found)]
  for name, challenger, rival in (
    ('cheaper', 'the best cheaper adaptation', 'full retraining'),
    ('generated', 'the best hypernetwork', 'full retraining'),
    (
      'generated_others',
      'the best hypernetwork',
      'the best other way of adapting',
    ),
  ):
    judged = getattr(found, name)
    if judged:
      told = _contest(challenger, rival, judged, found.has_evidence)
      out += [told, _flips(judged)]
  out.append(_missing(found))
  if found.has_evidence and not found.cheaper:
    out.append(
      'These results contain no adaptation with fewer operations than full '
      'retraining.'
    )
  return [sentence for sentence in out if sentence]


def leads(found: Analysis) -> list[str]:
  """For each budget: the leader, its margin, and its cost."""
  return [_leads(leader, found.has_evidence) for leader in found.leaders]


def _missing(found: Analysis) -> str:
  """The budgets at which other methods ran and full retraining did not."""
  ran = roles.contenders(found.cells)
  done = {cell.budget for cell in ran if roles.is_retrained(cell)}
  without = [str(b) for b in roles.budgets(ran) if b not in done]
  if not done or not without:
    return ''
  return f'Full retraining did not run at budget {listed(without)}.'


def _leads(leader: numbers.Leader, with_budget: bool) -> str:
  best = leader.best
  text = f'Budget {best.budget}: ' if with_budget else ''
  text += f'{best.method} ranks best ({METRIC} '
  text += f'{best.quality:.3f}'
  if best.interval:
    text += ', 95% interval {:.3f} to {:.3f}'.format(*best.interval)
  text += f') and needs {costs(best)} per adaptation'
  if not leader.others:
    return f'{text}; no other method ran.'
  return f'{text}. {_margin(leader)}'


def _margin(leader: numbers.Leader) -> str:
  """The margin of the leader, and the methods not clearly behind it."""
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
      f' The fastest that is not clearly behind, {quick.method}, needs '
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
  """The leader of each budget."""
  runs = [
    (method, [str(leader.best.budget) for leader in run])
    for method, run in itertools.groupby(
      found.leaders, key=lambda leader: leader.best.method
    )
  ]
  if len(runs) == 1:
    (method, where), *_ = runs
    if not found.has_evidence:
      return f'{method} leads.'
    every = 'every budget' if len(where) > 1 else f'budget {where[0]}'
    return f'{method} leads at {every}.'
  told = ', '.join(f'{method} at {listed(where)}' for method, where in runs)
  return f'The leader changes with the budget: {told}.'


def _contest(
  challenger: str, rival: str, judged: list[Judged], with_budget: bool
) -> str:
  groups = collections.defaultdict(list)
  for one in judged:
    groups[one.word].append(one)
  at = ' at budget' if with_budget else ''
  parts = [
    f'{outcome}{at} {listed(_detail(one, with_budget) for one in groups[word])}'
    for word, outcome in _OUTCOMES.items()
    if word in groups
  ]
  return f'{capital(challenger)}, compared with {rival}, is {"; ".join(parts)}.'


def _detail(one: Judged, with_budget: bool) -> str:
  found = one.comparison
  by = f' {found.relative:+.1%}' if math.isfinite(found.relative) else ''
  budget = f'{one.cell.budget} ' if with_budget else ''
  return f'{budget}({one.cell.method}{by}, {share(one)})'


def share(one: Judged) -> str:
  """The operations of an adaptation, relative to those of its rival."""
  own, baseline = one.cell.adapt['flops'], one.against.adapt['flops']
  if own == 0:
    return 'no operations'
  if baseline == 0:
    return 'some operations where its rival needs none'
  if own >= baseline:
    return f'{units.digits(own / baseline)} times the operations'
  if own > baseline / 10:
    return f'{own / baseline:.0%} of the operations'
  return f'1/{units.digits(baseline / own)} of the operations'


def _flips(judged: list[Judged]) -> str:
  """The budgets between which a clear win turns into a clear loss or back."""
  clear = [one for one in judged if one.word in ('win', 'loss')]
  places = [
    f'between budgets {a.cell.budget} and {b.cell.budget}'
    for a, b in itertools.pairwise(clear)
    if a.word != b.word
  ]
  return f'The outcome flips {listed(places)}.' if places else ''


def listed(items: Iterable[str]) -> str:
  """The items as one phrase: 'a, b and c'."""
  *most, last = items
  return f'{", ".join(most)} and {last}' if most else last


def capital(text: str) -> str:
  """The text with its first letter as a capital."""
  return text[:1].upper() + text[1:]


def costs(cell: Cell) -> str:
  """The operations and the time of an adaptation, in words."""
  spent = units.seconds(cell.adapt['seconds'])
  count = cell.adapt['flops']
  return f'{units.operations(count) if count else "no operations"} and {spent}'


def stored(cell: Cell) -> str:
  """The bytes that an adaptation stores, in words."""
  count = cell.adapt['stored_bytes']
  return f'{units.size(count)} stored' if count else 'nothing stored'
