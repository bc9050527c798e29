"""Figures of the report: curves over the budget, and Pareto plots."""

import html
import io
import itertools
import re
from collections.abc import Callable

import matplotlib
import matplotlib.figure
import matplotlib.spines
import numpy as np

from hyperrec.evaluation import report_arms as arms
from hyperrec.evaluation import report_labels as labels
from hyperrec.evaluation import report_numbers as numbers
from hyperrec.evaluation import report_styles as styles
from hyperrec.evaluation import report_words as words
from hyperrec.evaluation import results

Cell = results.Cell

_GAP = 1.3 * styles.SMALL

# Cost of an adaptation -> its axis, units, and the base of its ticks.
COSTS = {
  'flops': ('operations of an adaptation (FLOP)', words.operations, 10),
  'seconds': ('time of an adaptation', words.seconds, 10),
  'stored_bytes': ('bytes stored per adaptation', words.size, 2),
}


def curves(cells: list[Cell]) -> matplotlib.figure.Figure:
  """Quality over the budget with 95% intervals; one labelled line a method."""
  figure = matplotlib.figure.Figure(figsize=(7.6, 4.4), dpi=72)
  draw_curves(styles.axes(figure, (0.085, 0.12, 0.695, 0.85)), cells)
  return figure


def draw_curves(axes, cells: list[Cell]) -> None:
  """The curves on given axes; budgets stand at equal distances."""
  budgets = arms.budgets(cells)
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
  colour, marker = styles.style(method)
  dashes = '--' if arms.suffixes(method) else '-'
  axes.plot(x, [c.quality for c in own], color=colour, lw=1.3, ls=dashes)
  for place, cell in zip(x, own, strict=True):
    if cell.interval:
      axes.vlines(place, *cell.interval, color=colour, lw=0.9, alpha=0.5)
    axes.plot(
      place, cell.quality, color=colour, marker=marker, ms=5, ls='',
      gid=_tip(cell),
    )  # fmt: skip


def _label_ends(axes, ends: dict[str, tuple[float, Cell]]) -> None:
  """Each line's name at its right, joined to its end where it had to move."""
  if not ends:
    return
  box = axes.get_window_extent()
  to_points = axes.transData.transform
  y = [to_points((x, cell.quality))[1] for x, cell in ends.values()]
  height = labels.spread(y, _GAP, box.y0, box.y1)
  for (method, (x, cell)), own, slot in zip(
    ends.items(), y, height, strict=True
  ):
    colour, marker = styles.style(method)
    start = to_points((x, cell.quality))[0]
    styles.page_line(
      axes, [max(start, box.x1 - 4), box.x1 + 8], [own, slot], color=colour,
      lw=0.7, alpha=0.7,
    )  # fmt: skip
    styles.page_line(
      axes, [box.x1 + 13], [slot], color=colour, marker=marker, ms=5, ls=''
    )
    styles.page_text(axes, box.x1 + 20, slot, method)


def pareto(cells: list[Cell], cost: str) -> matplotlib.figure.Figure:
  """Quality against one cost at one budget; dominated points are hollow."""
  figure = matplotlib.figure.Figure(figsize=(4.2, 3.8), dpi=72)
  draw_pareto(styles.axes(figure, (0.15, 0.13, 0.84, 0.85)), cells, cost)
  return figure


def draw_pareto(axes, cells: list[Cell], cost: str) -> None:
  """Log scale; what costs nothing stands at a place of its own, marked 0."""
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
    x[order], quality[order], where='post', color=styles.INK, lw=0.9, alpha=0.5,
    zorder=1,
  )  # fmt: skip
  for cell, place, is_best in zip(cells, x, front, strict=True):
    colour, marker = styles.style(cell.method)
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
  """Sets ticks and limits of a log axis with a place for 0; returns x."""
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
    axes.axvline(
      zero + 0.11 * width, color=styles.INK, lw=0.8, ls=':', alpha=0.7
    )
  axes.set_xticks(ticks, names)
  axes.set_xlim((zero if has_zero else low) - 0.06 * width, high + 0.1 * width)
  return np.where(costs > 0, np.log10(np.where(costs > 0, costs, 1)), zero)


def _ticks(low: float, high: float, base: int) -> np.ndarray:
  """A few round places between two powers of ten."""
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
  """Names beside the points, those on the front placed first."""
  order = np.lexsort((-quality, ~front))
  points = axes.transData.transform(np.column_stack([x, quality]))[order]
  names = [cells[i].method for i in order]
  box = labels.Box(*axes.get_window_extent().extents)
  corners = points[: front.sum()][np.argsort(x[order[: front.sum()]])]
  boxes = labels.place(
    points, names, styles.SMALL, box, obstacles=_steps(corners)
  )
  for index, point, name, place in zip(
    order, points, names, boxes, strict=True
  ):
    if place is None:
      continue
    middle = (place.left + place.right) / 2
    # The side that faces the point is where the text begins.
    side, start = 'center', middle
    if place.left > point[0]:
      side, start = 'left', place.left
    elif place.right < point[0]:
      side, start = 'right', place.right
    height = (place.bottom + place.top) / 2
    alpha = 1.0 if front[index] else 0.75
    styles.page_text(axes, start, height, name, ha=side, alpha=alpha)
    nearest = np.clip(
      point, (place.left, place.bottom), (place.right, place.top)
    )
    if np.hypot(*(nearest - point)) > 8:
      styles.page_line(
        axes, [point[0], nearest[0]], [point[1], nearest[1]], color=styles.INK,
        lw=0.5, alpha=0.4, zorder=0,
      )  # fmt: skip


def _steps(corners: np.ndarray) -> list[labels.Box]:
  """The lines of the front, which no label may cover."""
  lines = []
  for (x0, y0), (x1, y1) in itertools.pairwise(corners):
    lines += [
      labels.Box(x0, y0 - 1, x1, y0 + 1),
      labels.Box(x1 - 1, y0, x1 + 1, y1),
    ]
  return lines


def headline(
  tasks: dict[results.Task, list[Cell]],
) -> matplotlib.figure.Figure:
  """The README's picture: of each task the curves, and quality against time."""
  rows = max(1, len(tasks))
  height = 3.4
  figure = matplotlib.figure.Figure(figsize=(11, height * rows), dpi=72)
  for row, (task, cells) in enumerate(tasks.items()):
    bottom = (rows - 1 - row + 0.15) / rows
    own = arms.contenders(cells)
    if not own:
      continue
    left = styles.axes(figure, (0.06, bottom, 0.37, 0.73 / rows))
    draw_curves(left, own)
    middle = middle_budget(own)
    right = styles.axes(figure, (0.635, bottom, 0.355, 0.73 / rows))
    draw_pareto(right, [c for c in own if c.budget == middle], 'seconds')
    for axes, text in (
      (left, f'{words.title(task)}'),
      (right, f'at budget {middle:,}; the line is the Pareto front'),
    ):
      axes.set_title(
        text, size=10, color=styles.INK, loc='left', parse_math=False
      )
  return figure


def middle_budget(cells: list[Cell]) -> int:
  """The budget that stands for all where only one is shown."""
  budgets = arms.budgets(cells)
  return budgets[len(budgets) // 2]


def svg(
  figure: matplotlib.figure.Figure, ink: str = 'currentColor', alt: str = ''
) -> str:
  """The figure as an <svg> element.

  Args:
    figure: drawn by this module.
    ink: the colour that text and axes take.
    alt: what the figure shows, for who cannot see it.
  """
  buffer = io.StringIO()
  options = {'svg.fonttype': 'none', 'svg.hashsalt': 'hyperrec'}
  with matplotlib.rc_context(options):
    figure.savefig(
      buffer, format='svg', transparent=True, metadata={'Date': None}
    )
  text = buffer.getvalue()
  text = text[text.index('<svg') :].replace(styles.INK, ink)
  text = re.sub(r'\s*<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
  # Several figures share a page: only what is referred to keeps its id.
  text = re.sub(
    r'<g id="tip:([^"]*)">', r'<g class="point"><title>\1</title>', text
  )
  text = re.sub(r'<g id="[\w.]+_\d+">', '<g>', text)
  label = html.escape(alt)
  return text.replace('<svg', f'<svg role="img" aria-label="{label}"', 1)


def _tip(cell: Cell) -> str:
  """What a point is, in full: it is shown where the point is pointed at."""
  text = f'{cell.method}, budget {cell.budget:,}: {words.METRIC} '
  text += f'{cell.quality:.4f}'
  if cell.interval:
    text += ' (95% interval {:.4f} to {:.4f})'.format(*cell.interval)
  text += f'; {words.costs(cell)}, {words.stored(cell)}'
  return f'tip:{text}; seeds: {len(cell.seeds)}'
