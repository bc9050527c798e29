"""Figures of the report: curves over the budget, and Pareto plots."""

import io
import re
from collections.abc import Sequence

import matplotlib
import matplotlib.figure
import numpy as np

from hyperrec.evaluation import results

# Okabe & Ito's palette, then tints of it that stay apart on light and dark.
_STYLES = {
  'popularity': ('#8a8a8a', 's'),
  'itemknn': ('#b07aa1', 'v'),
  'ease': ('#0072b2', 'o'),
  'ease_dynamic': ('#56b4e9', 'D'),
  'esler': ('#3d8f86', 'P'),
  'elsa': ('#5fae57', 'X'),
  'slim': ('#a07a4f', '<'),
  'cease': ('#e69f00', '>'),
  'l3ae': ('#d55e00', '^'),
  'mult_vae': ('#cc5c9c', 'p'),
  'mult_vae_finetune': ('#8f63d6', 'h'),
}
_OTHERS = ('#009e73', '#d1495b', '#6c7bd0', '#b59f3b')
# Written into the figure for "the colour of the text around it".
_INK = '#010203'

COSTS = {
  'flops': 'operations of an adaptation',
  'seconds': 'seconds of an adaptation',
  'stored_bytes': 'bytes stored per adaptation',
}


def style(method: str) -> tuple[str, str]:
  """Colour and marker of a method; its arms share them."""
  family = method.partition(':')[0]
  if family in _STYLES:
    return _STYLES[family]
  return _OTHERS[sum(map(ord, family)) % len(_OTHERS)], '*'


def pareto_front(
  costs: Sequence[float], qualities: Sequence[float]
) -> np.ndarray:
  """Which points no other point beats in both cost and quality: bool [n]."""
  costs, qualities = np.asarray(costs, float), np.asarray(qualities, float)
  cheaper = costs[None] <= costs[:, None]
  better = qualities[None] >= qualities[:, None]
  strictly = (costs[None] < costs[:, None]) | (
    qualities[None] > qualities[:, None]
  )
  return ~(cheaper & better & strictly).any(axis=1)


def curves(
  cells: list[results.Cell], *, size: tuple[float, float] = (7.2, 4.2)
) -> matplotlib.figure.Figure:
  """Quality over the budget with 95% intervals; one line a method."""
  figure, axes = _figure(size)
  draw_curves(axes, cells)
  axes.legend(
    loc='upper left', bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8,
    labelcolor=_INK,
  )  # fmt: skip
  return figure


def draw_curves(axes, cells: list[results.Cell]) -> None:
  """The curves on given axes; budgets stand at equal distances."""
  budgets = sorted({cell.budget for cell in cells})
  place = {budget: i for i, budget in enumerate(budgets)}
  methods = list(dict.fromkeys(cell.method for cell in cells))
  for index, method in enumerate(methods):
    own = sorted(
      (c for c in cells if c.method == method and c.quality is not None),
      key=lambda c: c.budget,
    )
    if not own:
      continue
    colour, marker = style(method)
    shift = (index - len(methods) / 2) * 0.4 / max(1, len(methods))
    x = np.array([place[c.budget] for c in own]) + shift
    y = np.array([c.quality for c in own])
    axes.plot(
      x, y, color=colour, marker=marker, ms=5, lw=1.3, label=method,
      ls='--' if ':' in method else '-',
    )  # fmt: skip
    ends = np.array([c.interval or (np.nan, np.nan) for c in own])
    axes.vlines(x, ends[:, 0], ends[:, 1], color=colour, lw=0.9, alpha=0.6)
  axes.set_xticks(range(len(budgets)), [str(b) for b in budgets])
  axes.set_xlabel('budget of evidence')
  axes.set_ylabel(results.PRIMARY.upper())


def pareto(
  cells: list[results.Cell], *, size: tuple[float, float] = (10.5, 3.6)
) -> matplotlib.figure.Figure:
  """Quality against each cost at one budget; dominated points are hollow."""
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  panels = figure.subplots(1, len(COSTS), sharey=True)
  shown = [cell for cell in cells if cell.quality is not None]
  for axes, (cost, title) in zip(panels, COSTS.items(), strict=True):
    _ink(axes)
    _draw_pareto(axes, shown, cost)
    axes.set_xlabel(title)
  panels[0].set_ylabel(results.PRIMARY.upper())
  handles, labels = panels[0].get_legend_handles_labels()
  figure.legend(
    handles, labels, loc='outside lower center', ncols=6, frameon=False,
    fontsize=8, labelcolor=_INK,
  )  # fmt: skip
  return figure


def _draw_pareto(axes, cells: list[results.Cell], cost: str) -> None:
  """Log scale; what costs nothing stands at a place of its own, marked 0."""
  costs = np.array([cell.adapt[cost] for cell in cells])
  qualities = np.array([cell.quality for cell in cells])
  positive = costs[costs > 0]
  low = 10.0 ** np.floor(np.log10(positive.min())) if len(positive) else 1.0
  zero = low / 30
  x = np.where(costs > 0, costs, zero)
  front = pareto_front(costs, qualities)
  order = np.flatnonzero(front)[np.argsort(x[front])]
  axes.plot(x[order], qualities[order], color=_INK, lw=0.8, alpha=0.5, zorder=1)
  for cell, place, on_front in zip(cells, x, front, strict=True):
    colour, marker = style(cell.method)
    face = colour if on_front else 'none'
    axes.plot(
      place, cell.quality, marker=marker, ms=7, mec=colour, mfc=face, ls='',
      label=cell.method, alpha=1 if on_front else 0.65, zorder=2,
    )  # fmt: skip
  axes.set_xscale('log')
  if (costs == 0).any():
    axes.axvline(zero * 5, color=_INK, lw=0.6, ls=':', alpha=0.6)
    axes.text(
      zero, 0.0, '0', transform=axes.get_xaxis_transform(), ha='center',
      va='bottom', color=_INK, fontsize=9,
    )  # fmt: skip
    ticks = [t for t in axes.get_xticks() if t >= low]
    high = axes.get_xlim()[1]
    axes.set_xticks(ticks)
    axes.set_xlim(zero / 4, high)


def headline(
  tasks: dict[results.Task, list[results.Cell]],
) -> matplotlib.figure.Figure:
  """The README's picture: the curves of every regime side by side."""
  figure = matplotlib.figure.Figure(
    figsize=(5.2 * len(tasks), 3.9), layout='constrained'
  )
  panels = figure.subplots(1, len(tasks), squeeze=False)[0]
  labelled = {}
  for axes, (task, cells) in zip(panels, tasks.items(), strict=True):
    _ink(axes)
    draw_curves(axes, cells)
    axes.set_title(f'{task.regime.replace("_", " ")}: {task.dataset}', size=10)
    axes.title.set_color(_INK)
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
      labelled.setdefault(label, handle)
  figure.legend(
    labelled.values(), labelled, loc='outside lower center', ncols=6,
    frameon=False, fontsize=8, labelcolor=_INK,
  )  # fmt: skip
  return figure


def svg(figure: matplotlib.figure.Figure, ink: str = 'currentColor') -> str:
  """The figure as an <svg> element; text and axes take the colour `ink`."""
  buffer = io.StringIO()
  options = {'svg.fonttype': 'none', 'svg.hashsalt': 'hyperrec'}
  with matplotlib.rc_context(options):
    figure.savefig(
      buffer, format='svg', transparent=True, metadata={'Date': None}
    )
  text = buffer.getvalue()
  text = text[text.index('<svg') :].replace(_INK, ink)
  return re.sub(r'\s*<metadata>.*?</metadata>', '', text, flags=re.DOTALL)


def _figure(size):
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  axes = figure.subplots()
  _ink(axes)
  return figure, axes


def _ink(axes) -> None:
  axes.patch.set_alpha(0)
  axes.grid(visible=True, color=_INK, alpha=0.12, lw=0.6)
  axes.set_axisbelow(True)
  for side in axes.spines.values():
    side.set_color(_INK)
    side.set_alpha(0.4)
  axes.tick_params(which='both', color=_INK, labelcolor=_INK, labelsize=8)
  axes.xaxis.label.set_color(_INK)
  axes.yaxis.label.set_color(_INK)
