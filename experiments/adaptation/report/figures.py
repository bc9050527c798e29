"""Figures of the report: curves, Pareto plots, all cases, and their style."""

import html
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable

import matplotlib
import matplotlib.figure
import matplotlib.lines
import matplotlib.spines
import matplotlib.transforms
import numpy as np

from experiments import arm_names, catalogue, units
from experiments.adaptation.report import labels, numbers, roles, words
from hyperrec import regimes
from hyperrec.evaluation import results

Analysis = numbers.Analysis
Cell = results.Cell
Judged = numbers.Judged
Task = results.Task

# Colours of methods for which the catalogue defines none.
_OTHERS = ('#7d6bd0', '#8aa02c', '#b0506a', '#3d8f86')
# Placeholder for the colour of the text around the figure.
INK = '#010203'
SMALL = 8
# Regime -> colour and marker of its cases.
_LOOKS = {regime.name: regime.look for regime in regimes.ALL}
_OTHER_LOOK = ('#8a8a8a', 'h')
_GAP = 1.3 * SMALL

# Cost of an adaptation -> title of its axis, its units, base of its ticks.
COSTS = {
  'flops': ('operations per adaptation (FLOP)', units.operations, 10),
  'seconds': ('time per adaptation', units.seconds, 10),
  'stored_bytes': ('bytes stored per adaptation', units.size, 2),
}


def style(method: str) -> tuple[str, str]:
  """Colour and marker of a method; full retraining has a plus as marker."""
  family = arm_names.family(method)
  system = catalogue.BY_NAME.get(family)
  look = None if system is None else system.look
  if look is None:
    look = _OTHERS[sum(map(ord, family)) % len(_OTHERS)], 'h'
  colour, marker = look
  return colour, 'P' if 'retrain' in arm_names.suffixes(method) else marker


def make_axes(
  figure: matplotlib.figure.Figure, place: tuple[float, float, float, float]
):
  """Axes in the style of the report, at (left, bottom, width, height)."""
  made = figure.add_axes(place)
  made.patch.set_alpha(0)
  made.grid(visible=True, color=INK, alpha=0.12, lw=0.6)
  made.set_axisbelow(True)
  for side, spine in made.spines.items():
    spine.set_visible(side in ('left', 'bottom'))
    spine.set_color(INK)
    spine.set_alpha(0.4)
  made.tick_params(which='both', color=INK, labelcolor=INK, labelsize=8)
  for label in (made.xaxis.label, made.yaxis.label):
    label.set_color(INK)
    label.set_size(8.5)
  return made


def page_line(axes, x, y, **look) -> None:
  """Draws a line at points of the page; it may leave the axes."""
  axes.add_artist(
    matplotlib.lines.Line2D(x, y, transform=_page(axes), clip_on=False, **look)
  )


def page_text(axes, x: float, y: float, text: str, **look) -> None:
  """Writes a text, small unless `look` has a size, at points of the page."""
  look = {'size': SMALL, **look}
  axes.text(
    x, y, text, transform=_page(axes), color=INK, va='center',
    parse_math=False, **look,
  )  # fmt: skip


def _page(axes) -> matplotlib.transforms.Transform:
  """Maps points (pixels at 72 dpi) to pixels of the output device."""
  to_inches = matplotlib.transforms.Affine2D().scale(1 / 72)
  return to_inches + axes.figure.dpi_scale_trans


def curves(cells: list[Cell]) -> matplotlib.figure.Figure:
  """Quality over the budget with 95% intervals; one line per method."""
  figure = matplotlib.figure.Figure(figsize=(7.6, 4.4), dpi=72)
  draw_curves(make_axes(figure, (0.085, 0.12, 0.695, 0.85)), cells)
  return figure


def draw_curves(axes, cells: list[Cell]) -> None:
  """Draws the curves on given axes; budgets have equal distances."""
  budgets = roles.budgets(cells)
  place = {budget: i for i, budget in enumerate(budgets)}
  ran = [cell for cell in cells if cell.quality is not None]
  lines = {c.method: [d for d in ran if d.method == c.method] for c in ran}
  for index, (method, own) in enumerate(lines.items()):
    own.sort(key=lambda cell: cell.budget)
    shift = (index - (len(lines) - 1) / 2) * 0.3 / len(lines)
    x = np.array([place[c.budget] + shift for c in own])
    _draw_curve(axes, method, x, own)
  axes.set_xticks(range(len(budgets)), [f'{b:,}' for b in budgets])
  axes.set_xlim(-0.35, len(budgets) - 0.65)
  axes.set_xlabel('budget of evidence')
  axes.set_ylabel(words.METRIC)
  _label_ends(axes, {m: (place[o[-1].budget], o[-1]) for m, o in lines.items()})


def _draw_curve(axes, method: str, x: np.ndarray, own: list[Cell]) -> None:
  colour, marker = style(method)
  dashes = '--' if arm_names.suffixes(method) else '-'
  axes.plot(x, [c.quality for c in own], color=colour, lw=1.3, ls=dashes)
  for place, cell in zip(x, own, strict=True):
    if cell.interval:
      axes.vlines(place, *cell.interval, color=colour, lw=0.9, alpha=0.5)
    axes.plot(
      place, cell.quality, color=colour, marker=marker, ms=5, ls='',
      gid=_tip(cell),
    )  # fmt: skip


def _label_ends(axes, ends: dict[str, tuple[float, Cell]]) -> None:
  """Writes the name of each line at its right end, and joins the two."""
  if not ends:
    return
  box = axes.get_window_extent()
  to_points = axes.transData.transform
  y = [to_points((x, cell.quality))[1] for x, cell in ends.values()]
  height = labels.spread(y, _GAP, box.y0, box.y1)
  for (method, (x, cell)), own, slot in zip(
    ends.items(), y, height, strict=True
  ):
    colour, marker = style(method)
    start = to_points((x, cell.quality))[0]
    page_line(
      axes, [max(start, box.x1 - 4), box.x1 + 8], [own, slot], color=colour,
      lw=0.7, alpha=0.7,
    )  # fmt: skip
    page_line(
      axes, [box.x1 + 13], [slot], color=colour, marker=marker, ms=5, ls=''
    )
    page_text(axes, box.x1 + 20, slot, method)


def pareto(cells: list[Cell], cost: str) -> matplotlib.figure.Figure:
  """Quality against one cost at one budget; dominated points are hollow."""
  figure = matplotlib.figure.Figure(figsize=(4.2, 3.8), dpi=72)
  draw_pareto(make_axes(figure, (0.15, 0.13, 0.84, 0.85)), cells, cost)
  return figure


def draw_pareto(axes, cells: list[Cell], cost: str) -> None:
  """Draws on a log scale; a cost of zero has its own place, marked 0."""
  title, show, base = COSTS[cost]
  cells = [cell for cell in cells if cell.quality is not None]
  costs = np.array([cell.adapt[cost] for cell in cells])
  quality = np.array([cell.quality for cell in cells])
  x = _cost_axis(axes, costs, show, base)
  margin = max(0.12 * np.ptp(quality), 0.02 * quality.max(), 1e-6)
  axes.set_ylim(quality.min() - margin, quality.max() + margin)
  front = numbers.pareto_front(costs, quality)
  order = np.flatnonzero(front)[np.argsort(x[front], kind='stable')]
  axes.step(
    x[order], quality[order], where='post', color=INK, lw=0.9, alpha=0.5,
    zorder=1,
  )  # fmt: skip
  for cell, place, is_best in zip(cells, x, front, strict=True):
    colour, marker = style(cell.method)
    axes.plot(
      place, cell.quality, marker=marker, ms=7, mec=colour, ls='', zorder=3,
      mfc=colour if is_best else 'none', alpha=1.0 if is_best else 0.7,
      gid=_tip(cell),
    )  # fmt: skip
  axes.grid(visible=False, axis='x')
  axes.set_xlabel(title)
  axes.set_ylabel(words.METRIC)
  _label_points(axes, cells, x, quality, front)


def _cost_axis(
  axes, costs: np.ndarray, show: Callable[[float], str], base: int
) -> np.ndarray:
  """Sets up a log axis that has a place for 0; returns the x positions."""
  positive = costs[costs > 0]
  logs = np.log10(positive) if len(positive) else np.zeros(1)
  low, high = logs.min(), logs.max()
  width = max(high - low, 1.0)
  zero = low - 0.22 * width
  has_zero = len(positive) < len(costs)
  logs = _ticks(low, high, base) if len(positive) else np.zeros(0)
  ticks = list(logs)
  names = [show(float(10**tick)).removesuffix('FLOP') for tick in ticks]
  if has_zero:
    ticks, names = [zero, *ticks], ['0', *names]
    axes.axvline(zero + 0.11 * width, color=INK, lw=0.8, ls=':', alpha=0.7)
  axes.set_xticks(ticks, names)
  axes.set_xlim((zero if has_zero else low) - 0.06 * width, high + 0.1 * width)
  return np.where(costs > 0, np.log10(np.where(costs > 0, costs, 1)), zero)


def _ticks(low: float, high: float, base: int) -> np.ndarray:
  """A few round ticks between two powers of ten, as log10."""
  if base == 10 and high - low < 1.5:
    steps = np.log10([1, 2, 5])
    decades = np.arange(np.floor(low), np.ceil(high) + 1)
    ticks = np.add.outer(decades, steps).ravel()
    return ticks[(ticks >= low - 0.15) & (ticks <= high + 0.15)]
  unit = np.log10(base)
  step = unit * max(1, np.ceil((high - low) / unit / 4))
  first, last = np.ceil((low - 0.15) / step), np.floor((high + 0.15) / step)
  return step * np.arange(first, last + 1)


def _label_points(axes, cells, x, quality, front) -> None:
  """Writes names beside the points, first for those on the Pareto front."""
  order = np.lexsort((-quality, ~front))
  points = axes.transData.transform(np.column_stack([x, quality]))[order]
  names = [cells[i].method for i in order]
  box = labels.Box(*axes.get_window_extent().extents)
  corners = points[: front.sum()][np.argsort(x[order[: front.sum()]])]
  boxes = labels.place(points, names, SMALL, box, obstacles=_steps(corners))
  for index, point, name, place in zip(
    order, points, names, boxes, strict=True
  ):
    if place is None:
      continue
    middle = (place.left + place.right) / 2
    # The text begins on the side that faces the point.
    side, start = 'center', middle
    if place.left > point[0]:
      side, start = 'left', place.left
    elif place.right < point[0]:
      side, start = 'right', place.right
    height = (place.bottom + place.top) / 2
    alpha = 1.0 if front[index] else 0.75
    page_text(axes, start, height, name, ha=side, alpha=alpha)
    nearest = np.clip(
      point, (place.left, place.bottom), (place.right, place.top)
    )
    if np.hypot(*(nearest - point)) > 8:
      page_line(
        axes, [point[0], nearest[0]], [point[1], nearest[1]], color=INK,
        lw=0.5, alpha=0.4, zorder=0,
      )  # fmt: skip


def _steps(corners: np.ndarray) -> list[labels.Box]:
  """The lines of the Pareto front as boxes that no label may cover."""
  lines = []
  for (x0, y0), (x1, y1) in itertools.pairwise(corners):
    lines += [
      labels.Box(x0, y0 - 1, x1, y0 + 1),
      labels.Box(x1 - 1, y0, x1 + 1, y1),
    ]
  return lines


def middle_budget(cells: list[Cell]) -> int:
  """The middle budget, for figures that show only one."""
  budgets = roles.budgets(cells)
  return budgets[len(budgets) // 2]


def answer(analyses: dict[Task, Analysis]) -> matplotlib.figure.Figure:
  """Every case: gain in quality over cost, against both kinds of rivals."""
  figure = matplotlib.figure.Figure(figsize=(11, 4.7), dpi=72)
  for left, name, title in (
    (0.065, 'generated', 'against the best full retraining'),
    (0.565, 'generated_others', 'against the best other way of adapting'),
  ):
    axes = make_axes(figure, (left, 0.135, 0.42, 0.7))
    axes.set_title(
      f'The best hypernetwork {title}', size=10.5, color=INK, loc='left'
    )
    _draw_cases(axes, {task: getattr(a, name) for task, a in analyses.items()})
  _regime_legend(figure, dict.fromkeys(task.regime for task in analyses))
  return figure


def _draw_cases(axes, judged: dict[Task, list[Judged]]) -> None:
  """Draws one point per case; it is filled where the difference is clear."""
  shown = [
    (task, one)
    for task, own in judged.items()
    for one in own
    if math.isfinite(one.comparison.relative) and one.comparison.relative > -1
  ]
  x = _case_places(axes, [numbers.ratio(one) for _, one in shown])
  axes.set_yscale('log')
  for place, (task, one) in zip(x, shown, strict=True):
    colour, marker = _LOOKS.get(task.regime, _OTHER_LOOK)
    found = one.comparison
    if math.isfinite(found.low) and found.low > -1:
      axes.vlines(
        place, 1 + found.low, 1 + found.high, color=colour, lw=0.9, alpha=0.5
      )
    is_clear = one.word in ('win', 'loss')
    axes.plot(
      place, 1 + found.relative, marker=marker, ms=6, ls='', mec=colour,
      mfc=colour if is_clear else 'none', gid=_case_tip(task, one),
    )  # fmt: skip
  axes.axhline(1, color=INK, lw=0.9, alpha=0.7)
  _y_ticks(axes)
  axes.set_xlabel('operations per adaptation, relative to the rival')
  axes.set_ylabel(f'{words.METRIC}, relative to the rival')


def _case_places(axes, ratios: list[float]) -> np.ndarray:
  """Sets up the cost axis; returns log10 of the ratios.

  A ratio of zero or infinity has its own place at the side of the axis.
  """
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
  axes.axvline(0, color=INK, lw=0.9, alpha=0.7)
  axes.set_xlim(low - 1.6 * gap, high + 1.6 * gap)
  for side, place, text in (
    ('right', -0.02, '\u2190 cheaper'), ('left', 0.02, 'costlier \u2192')
  ):  # fmt: skip
    axes.text(
      place * (high - low), 0.985, text, ha=side, va='top', size=8.5,
      color=INK, transform=axes.get_xaxis_transform(),
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


def _regime_legend(figure, regimes: Iterable[str]) -> None:
  """Draws the legend: the markers of the regimes, and the hollow marker."""
  handle = lambda look, **more: matplotlib.lines.Line2D(  # noqa: E731
    [], [], color=look[0], marker=look[1], ls='', ms=6, **more
  )
  handles = {
    words.regime_title(r): handle(_LOOKS.get(r, _OTHER_LOOK)) for r in regimes
  }
  handles['not clearly different'] = handle((INK, 'o'), mfc='none')
  figure.legend(
    handles.values(), handles.keys(), loc='upper left', ncols=len(handles),
    bbox_to_anchor=(0.055, 1.0), frameon=False, fontsize=9,
    labelcolor=INK, handletextpad=0.1, columnspacing=1.4,
  )  # fmt: skip


def _case_tip(task: Task, one: Judged) -> str:
  return (
    f'tip:{words.title(task)}, budget {one.cell.budget:,}: {one.cell.method} '
    f'against {one.against.method}: {words.relative(one)}, '
    f'{words.share(one)}, {one.word}'
  )


def svg(
  figure: matplotlib.figure.Figure, ink: str = 'currentColor', alt: str = ''
) -> str:
  """The figure as an <svg> element.

  Args:
    figure: drawn by this module.
    ink: the colour of text and axes.
    alt: what the figure shows, for readers who cannot see it.
  """
  buffer = io.StringIO()
  options = {'svg.fonttype': 'none', 'svg.hashsalt': 'hyperrec'}
  with matplotlib.rc_context(options):
    figure.savefig(
      buffer, format='svg', transparent=True, metadata={'Date': None}
    )
  text = buffer.getvalue()
  text = text[text.index('<svg') :].replace(INK, ink)
  text = re.sub(r'\s*<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
  # Several figures share a page: only ids that are referred to are kept.
  text = re.sub(
    r'<g id="tip:([^"]*)">', r'<g class="point"><title>\1</title>', text
  )
  text = re.sub(r'<g id="[\w.]+_\d+">', '<g>', text)
  label = html.escape(alt)
  return text.replace('<svg', f'<svg role="img" aria-label="{label}"', 1)


def _tip(cell: Cell) -> str:
  """The description of a point, which the page shows under the pointer."""
  text = f'{cell.method}, budget {cell.budget:,}: {words.METRIC} '
  text += f'{cell.quality:.4f}'
  if cell.interval:
    text += ' (95% interval {:.4f} to {:.4f})'.format(*cell.interval)
  text += f'; {words.costs(cell)}, {words.stored(cell)}'
  return f'tip:{text}; seeds: {len(cell.seeds)}'
