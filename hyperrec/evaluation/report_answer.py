"""The answer to the project's question: three sentences, and one picture."""

import collections
import math
from collections.abc import Iterable

import matplotlib.figure
import matplotlib.lines
import numpy as np

from hyperrec import regimes
from hyperrec.evaluation import report_arms as arms
from hyperrec.evaluation import report_numbers as numbers
from hyperrec.evaluation import report_styles as styles
from hyperrec.evaluation import report_words as words
from hyperrec.evaluation import results

Analysis = numbers.Analysis
Judged = numbers.Judged
Task = results.Task

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
# A kind of news -> its colour and marker in the picture.
_LOOKS = {regime.name: regime.look for regime in regimes.ALL}
_OTHER = ('#8a8a8a', 'h')


def sentences(analyses: dict[Task, Analysis]) -> list[str]:
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
  return words.listed(
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
      name = words.REGIME_TITLES.get(regime, regime).lower()
      sets = f'{len(own)} data set{"s" * (len(own) != 1)}'
      groups[kind].append(f'{name} ({wins} of {len(judged)}, {sets})')
  parts = [
    f'in {kind} of the cases of {words.listed(named)}'
    for kind, named in groups.items()
    if named
  ]
  if not parts:
    return ''
  whose = _on_whose(_all(analyses, 'generated_others'))
  return f'Where is it better? {words.capital("; ".join(parts))}.{whose}'


def _on_whose(judged: list[Judged]) -> str:
  """Which hypernetworks won: closed forms, or networks trained by gradient."""
  wins = collections.Counter(
    one.cell.method for one in judged if one.word == 'win'
  )
  if not wins:
    return ''
  told = words.listed(f'{name} ({n})' for name, n in wins.most_common())
  trained = sum(n for name, n in wins.items() if name in arms.TRAINED)
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


def ratio(one: Judged) -> float:
  """An adaptation's operations over the rival's; inf where that needs none."""
  own, rival = one.cell.adapt['flops'], one.against.adapt['flops']
  if not rival:
    return math.inf if own else 1.0
  return own / rival


def _median(judged: list[Judged]) -> str:
  middle = float(np.median([ratio(one) for one in judged]))
  if not math.isfinite(middle):
    return 'operations where mostly none were needed'
  return f'{words.digits(middle)} times the operations in the median'


def picture(analyses: dict[Task, Analysis]) -> matplotlib.figure.Figure:
  """Every case: gain in quality over cost, against both kinds of rivals."""
  figure = matplotlib.figure.Figure(figsize=(11, 4.7), dpi=72)
  for left, name, title in (
    (0.065, 'generated', 'against the best full retraining'),
    (0.565, 'generated_others', 'against the best cheaper way of adapting'),
  ):
    axes = styles.axes(figure, (left, 0.135, 0.42, 0.7))
    axes.set_title(
      f'The best hypernetwork {title}', size=10.5, color=styles.INK, loc='left'
    )
    _draw(axes, {task: getattr(a, name) for task, a in analyses.items()})
  _legend(figure, dict.fromkeys(task.regime for task in analyses))
  return figure


def _draw(axes, judged: dict[Task, list[Judged]]) -> None:
  """One point a case; filled where the difference is clear."""
  shown = [
    (task, one)
    for task, own in judged.items()
    for one in own
    if math.isfinite(one.comparison.relative) and one.comparison.relative > -1
  ]
  x = _places(axes, [ratio(one) for _, one in shown])
  axes.set_yscale('log')
  for place, (task, one) in zip(x, shown, strict=True):
    colour, marker = _LOOKS.get(task.regime, _OTHER)
    found = one.comparison
    if math.isfinite(found.low) and found.low > -1:
      axes.vlines(
        place, 1 + found.low, 1 + found.high, color=colour, lw=0.9, alpha=0.5
      )
    is_clear = one.word in ('win', 'loss')
    axes.plot(
      place, 1 + found.relative, marker=marker, ms=6, ls='', mec=colour,
      mfc=colour if is_clear else 'none', gid=_tip(task, one),
    )  # fmt: skip
  axes.axhline(1, color=styles.INK, lw=0.9, alpha=0.7)
  _y_ticks(axes)
  axes.set_xlabel("operations of an adaptation, times the rival's")
  axes.set_ylabel(f"{words.METRIC}, times the rival's")


def _places(axes, ratios: list[float]) -> np.ndarray:
  """Logarithms of cost; none and without end have places at the sides."""
  logs = [math.log10(r) for r in ratios if 0 < r < math.inf]
  low, high = min([*logs, -1.0]), max([*logs, 1.0])
  step = max(1, math.ceil((high - low) / 7))
  ticks = list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))
  names = [_times(tick) for tick in ticks]
  gap = 0.12 * (high - low)
  ends = {0.0: (low - gap, 'none'), math.inf: (high + gap, 'rival\nnone')}
  for end, (place, name) in ends.items():
    if end in ratios:
      ticks.append(place)
      names.append(name)
  axes.set_xticks(ticks, names)
  axes.axvline(0, color=styles.INK, lw=0.9, alpha=0.7)
  axes.set_xlim(low - 1.6 * gap, high + 1.6 * gap)
  for side, place, text in (
    ('right', -0.02, '\u2190 cheaper'), ('left', 0.02, 'dearer \u2192')
  ):  # fmt: skip
    axes.text(
      place * (high - low), 0.985, text, ha=side, va='top', size=8.5,
      color=styles.INK, transform=axes.get_xaxis_transform(),
    )  # fmt: skip
  inner = lambda r: ends[r][0] if r in ends else math.log10(r)  # noqa: E731
  return np.array([inner(r) for r in ratios])


def _times(tick: int) -> str:
  if abs(tick) > 3:
    sign = '\u2212' if tick < 0 else ''
    digits = str(abs(tick)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))
    return f'10{"⁻" if sign else ""}{digits}'
  return f'{10**tick:,}' if tick >= 0 else f'1/{10**-tick:,}'


def _y_ticks(axes) -> None:
  low, high = axes.get_ylim()
  low, high = min(low, 0.9), max(high, 1.12)
  wide = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
  fine = (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2)
  ticks = [t for t in (wide if high / low > 4 else fine) if low <= t <= high]
  axes.set_ylim(low, high)
  axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks])
  axes.minorticks_off()


def _legend(figure, regimes: Iterable[str]) -> None:
  """Kinds of news, and what a hollow marker is."""
  handle = lambda look, **more: matplotlib.lines.Line2D(  # noqa: E731
    [], [], color=look[0], marker=look[1], ls='', ms=6, **more
  )
  handles = {
    words.REGIME_TITLES.get(r, r): handle(_LOOKS.get(r, _OTHER))
    for r in regimes
  }
  handles['not told apart'] = handle((styles.INK, 'o'), mfc='none')
  figure.legend(
    handles.values(), handles.keys(), loc='upper left', ncols=len(handles),
    bbox_to_anchor=(0.055, 1.0), frameon=False, fontsize=9,
    labelcolor=styles.INK, handletextpad=0.1, columnspacing=1.4,
  )  # fmt: skip


def _tip(task: Task, one: Judged) -> str:
  return (
    f'tip:{words.title(task)}, budget {one.cell.budget:,}: {one.cell.method} '
    f'against {one.against.method}: {words.relative(one)}, '
    f'{words.share(one)}, {one.word}'
  )
