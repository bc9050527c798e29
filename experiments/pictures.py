"""Pictures of READMEs, for light and dark pages."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import matplotlib.figure
import matplotlib.ticker

from experiments.adaptation.report import figures, labels

# The colour of text and axes on each page.
_INKS = {'light': '#1b1f24', 'dark': '#e4e8ec'}
_FAINT = '#888888'
_CURVE = '#2a7fb8'


class Point(NamedTuple):
  """A mean and its interval."""

  mean: float
  low: float
  high: float


def save(
  path: pathlib.Path,
  draw: Callable[[], matplotlib.figure.Figure],
  alt: str,
  page: pathlib.Path,
) -> str:
  """Draws PATH-light.svg and PATH-dark.svg.

  Args:
    path: the files without "-light.svg".
    draw: makes the figure anew each time.
    alt: what the figure shows, for readers who cannot see it.
    page: folder of the page that shows the picture.

  Returns:
    The HTML that shows it.
  """
  for scheme, ink in _INKS.items():
    file = path.with_name(f'{path.name}-{scheme}.svg')
    file.write_text(figures.svg(draw(), ink, alt), encoding='utf-8')
  folder = pathlib.Path(os.path.relpath(path.parent, page)).as_posix()
  light, dark = (f'{folder}/{path.name}-{scheme}.svg' for scheme in _INKS)
  return (
    f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    f'<img alt="{alt}" src="{light}"></picture>'
  )


def ratios(
  lines: Mapping[str, Mapping[int, Point]],
  x_title: str,
  y_title: str,
) -> matplotlib.figure.Figure:
  """Lines of ratios by budget with their intervals; 1 is marked.

  Args:
    lines: method -> budget -> ratio; budgets have equal distances.
    x_title: what a budget counts.
    y_title: what the ratio is.
  """
  drawn = matplotlib.figure.Figure(figsize=(8.4, 3.8), dpi=72)
  axes = figures.make_axes(drawn, (0.08, 0.14, 0.64, 0.82))
  budgets = sorted({budget for line in lines.values() for budget in line})
  place = {budget: i for i, budget in enumerate(budgets)}
  axes.axhline(1, lw=1.0, color=_FAINT)
  for index, (name, line) in enumerate(lines.items()):
    colour, marker = figures.style(name)
    dashes = '--' if ':' in name else '-'
    shift = (index - (len(lines) - 1) / 2) * 0.3 / len(lines)
    x = [place[budget] + shift for budget in line]
    points = list(line.values())
    axes.plot(
      x, [p.mean for p in points], color=colour, marker=marker, ms=5, lw=1.4,
      ls=dashes,
    )  # fmt: skip
    axes.vlines(
      x, [p.low for p in points], [p.high for p in points], color=colour,
      lw=0.9, alpha=0.5,
    )  # fmt: skip
  means = [point.mean for line in lines.values() for point in line.values()]
  margin = 0.25 * (max(means) - min(means)) + 0.02
  axes.set_ylim(min(means) - margin, max(means) + margin)
  axes.set_xticks(range(len(budgets)), [f'{b:,}' for b in budgets])
  axes.set_xlim(-0.35, len(budgets) - 0.65)
  axes.set_xlabel(x_title)
  axes.set_ylabel(y_title)
  _name_ends(axes, {n: list(line.items())[-1] for n, line in lines.items()},
             place)  # fmt: skip
  return drawn


def laws(
  curves: Mapping[str, tuple[Mapping[int, float], Callable[[float], float]]],
  x_title: str,
) -> matplotlib.figure.Figure:
  """Measurements and their power laws, one plot for each quantity.

  Args:
    curves: title of the quantity with its unit -> its values by size, and a law
      with an `exponent`.
    x_title: what a size counts.
  """
  drawn = matplotlib.figure.Figure(figsize=(8.4, 3.4), dpi=72)
  width = 0.9 / len(curves)
  for index, (title, (values, law)) in enumerate(curves.items()):
    left = 0.08 + index * width
    axes = figures.make_axes(drawn, (left, 0.15, width - 0.1, 0.8))
    sizes = sorted(values)
    axes.set_xscale('log')
    axes.set_yscale('log')
    for axis, steps in ((axes.xaxis, (1, 3)), (axes.yaxis, (1, 2, 5))):
      axis.set_major_locator(matplotlib.ticker.LogLocator(subs=steps))
      axis.set_major_formatter(lambda value, place: f'{value:,.10g}')
      axis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.plot(
      sizes, [law(size) for size in sizes], color=_FAINT, lw=1.2, ls='--'
    )
    axes.plot(
      sizes, [values[size] for size in sizes], color=_CURVE, marker='o', ms=5,
      lw=0,
    )  # fmt: skip
    axes.text(
      0.05, 0.92, f'grows as V^{law.exponent:.2f}', size=figures.SMALL,
      color=figures.INK, transform=axes.transAxes, parse_math=False,
    )  # fmt: skip
    axes.set_xlabel(x_title)
    axes.set_ylabel(title)
  return drawn


def _name_ends(axes, ends: Mapping[str, tuple[int, Point]], place) -> None:
  """Writes the name of each line beside its end."""
  low, high = axes.get_ylim()
  values = [point.mean for _, point in ends.values()]
  heights = labels.spread(values, (high - low) / 16, low, high)
  right = len(place) - 0.65
  for (name, (budget, point)), height in zip(
    ends.items(), heights, strict=True
  ):
    colour, _ = figures.style(name)
    axes.plot(
      [place[budget] + 0.18, right + 0.05], [point.mean, height], lw=0.6,
      color=_FAINT, clip_on=False,
    )  # fmt: skip
    axes.text(
      right + 0.08, height, name, size=figures.SMALL, color=colour,
      va='center', parse_math=False,
    )  # fmt: skip
