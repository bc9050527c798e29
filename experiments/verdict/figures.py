"""Pictures of the verdict: its answer, and parameters against quality."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.figure
import matplotlib.ticker

from experiments.adaptation.report import figures, labels
from experiments.verdict import analysis, details, words
from hyperrec.evaluation import significance

_COLOURS = {
  'better': '#2a9d5c',
  'worse': '#c8553d',
  'no worse': '#2a7fb8',
  'undecided': '#888888',
}
# Size of text: the picture is also read on a phone.
_SIZE = 15
_LINE = 32
_WIDTH = 620
# Heights above and below the lines, in points.
_HEAD, _FOOT = 44, 62
_LEFT, _RIGHT = 258, 110


def answer(claims: Sequence[analysis.Claim]) -> matplotlib.figure.Figure:
  """The pooled effects with their intervals, grouped by regime.

  Args:
    claims: those that have enough data sets.
  """
  regimes = list(dict.fromkeys(claim.regime for claim in claims))
  lines = []
  for regime in regimes:
    lines.append((words.title(regime), None))
    own = [claim for claim in claims if claim.regime == regime]
    lines += [(f'{_kind(c)}, over {_other(c)}', c) for c in own]
  height = _HEAD + _FOOT + _LINE * len(lines)
  drawn = matplotlib.figure.Figure(figsize=(_WIDTH / 72, height / 72), dpi=72)
  place = (
    _LEFT / _WIDTH,
    _FOOT / height,
    1 - (_LEFT + _RIGHT) / _WIDTH,
    _LINE * len(lines) / height,
  )
  axes = figures.make_axes(drawn, place)
  axes.set_xscale('log')
  axes.grid(visible=False, axis='y')
  ends = [x for c in claims for x in (c.pooled.low, c.pooled.high)]
  axes.set_xlim(min(0.8, *ends) * 0.95, min(max(1.25, *ends) * 1.05, 4))
  axes.set_ylim(len(lines) - 0.5, -0.5)
  axes.xaxis.set_major_locator(
    matplotlib.ticker.FixedLocator([0.25, 0.5, 0.7, 0.8, 1, 1.25, 1.5, 2, 3, 4])
  )
  axes.xaxis.set_major_formatter(lambda value, place: f'{value:g}')
  axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  axes.set_yticks([])
  least = significance.MIN_EFFECT
  axes.axvspan(1 - least, 1 + least, color=figures.INK, alpha=0.12, lw=0)
  axes.tick_params(axis='x', labelsize=_SIZE)
  top = height - _HEAD
  _write(axes, _LEFT - 10, top + 22, 'ranking quality', ha='right')
  middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
  _write(axes, middle - 8, top + 22, '← worse', ha='right')
  _write(axes, middle + 8, top + 22, 'better →', ha='left')
  _write(axes, _WIDTH - _RIGHT + 10, top + 22, 'operations', ha='left')
  for index, (text, claim) in enumerate(lines):
    y = top - _LINE * (index + 0.5)
    if claim is None:
      _write(axes, 8, y, text, ha='left', weight='bold')
      continue
    _write(axes, _LEFT - 10, y, text, ha='right')
    _write(axes, _WIDTH - _RIGHT + 10, y, _cost(claim), ha='left')
    colour = _COLOURS[claim.word]
    axes.hlines(
      index, claim.pooled.low, claim.pooled.high, color=colour, lw=3, alpha=0.6
    )
    axes.plot([claim.pooled.ratio], [index], color=colour, marker='o', ms=9)
  title = 'NDCG@100 of generated parameters over that of the other way'
  _write(axes, _WIDTH / 2, 14, title, ha='center')
  return drawn


def _kind(claim: analysis.Claim) -> str:
  return 'trained' if claim.ours == analysis.TRAINED else 'closed form'


def _other(claim: analysis.Claim) -> str:
  return {
    analysis.RETRAINING: 'retraining',
    analysis.CHEAPER: 'cheaper ways',
  }[claim.other]


def _cost(claim: analysis.Claim) -> str:
  """Such as "1/33"; "other: none" where most of the others need none."""
  costs = [one.cost for one in claim.effects]
  finite = [cost for cost in costs if 0 < cost < math.inf]
  if costs.count(math.inf) > len(costs) / 2:
    return 'other: none'
  return words.times(finite) if finite else 'none'


def _write(axes, x: float, y: float, text: str, **look) -> None:
  figures.page_text(axes, x, y, text, size=_SIZE, **look)


def capacity(
  sizes: Mapping[str, details.Capacity],
) -> matplotlib.figure.Figure:
  """Quality over the number of parameters, one point for each method."""
  width, height = 620, 460
  drawn = matplotlib.figure.Figure(figsize=(width / 72, height / 72), dpi=72)
  axes = figures.make_axes(drawn, (0.09, 0.12, 0.88, 0.85))
  axes.set_xscale('log')
  x = [one.parameters for one in sizes.values()]
  y = [one.quality for one in sizes.values()]
  axes.set_xlim(min(x) / 2, max(x) * 2)
  axes.set_ylim(min(y) - 0.06, max(y) + 0.06)
  axes.xaxis.set_major_formatter(lambda value, place: f'{value:,.0f}')
  axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
  axes.set_xlabel('parameters that scoring needs after an adaptation')
  axes.set_ylabel('NDCG@100 over that of the best method of the cell')
  drawn.canvas.draw()
  points = axes.transData.transform(list(zip(x, y, strict=True)))
  inside = labels.Box(0.09 * width, 0.12 * height, width, height)
  boxes = labels.place(
    [tuple(point) for point in points], list(sizes), figures.SMALL, inside
  )
  for name, box, one in zip(sizes, boxes, sizes.values(), strict=True):
    colour, marker = figures.style(name)
    axes.plot([one.parameters], [one.quality], color=colour, marker=marker,
              ms=7, lw=0)  # fmt: skip
    if box is not None:
      figures.page_text(
        axes, box.left, (box.bottom + box.top) / 2, name, ha='left'
      )
  return drawn
