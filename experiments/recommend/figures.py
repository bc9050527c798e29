"""The figures of the page for someone with a file."""

import itertools

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from experiments import units
from experiments.adaptation.report import figures as report_figures
from experiments.recommend import advice as advice_lib
from hyperrec.data import description as description_lib

Advice = advice_lib.Advice

_INK = report_figures.INK
_WIDTH, _ROW = 4.4, 0.27
_USERS, _ITEMS = '#2a7fc0', '#d55e00'


def quality(found: Advice) -> matplotlib.figure.Figure:
  """Quality of each method with its interval, the best on top."""
  axes = _rows(found)
  for place, rank in enumerate(found.ranks):
    colour, marker = report_figures.style(rank.method)
    axes.plot(rank.interval, [place, place], color=colour, lw=1.6)
    (point,) = axes.plot(
      [rank.quality], [place], marker, color=colour, ms=7,
      mfc=colour if rank is found.use else 'none',
    )  # fmt: skip
    point.set_gid(
      f'tip:{rank.method}: {rank.quality:.4f} ({{:.4f}} to {{:.4f}})'.format(
        *rank.interval
      )
    )
  axes.set_xlabel('quality (NDCG@100)')
  return axes.figure


def cost(found: Advice) -> matplotlib.figure.Figure:
  """Seconds to fit each method, on a log scale; the rows are those above."""
  axes = _rows(found)
  for place, rank in enumerate(found.ranks):
    colour, marker = report_figures.style(rank.method)
    (point,) = axes.plot(
      [max(rank.seconds, 1e-4)], [place], marker, color=colour, ms=7,
      mfc=colour if rank is found.use else 'none',
    )  # fmt: skip
    point.set_gid(f'tip:{rank.method}: {units.seconds(rank.seconds)}')
  axes.set_xscale('log')
  axes.xaxis.set_major_formatter(lambda value, _: units.seconds(value))
  axes.xaxis.set_minor_formatter('')
  axes.xaxis.set_major_locator(
    matplotlib.ticker.LogLocator(base=10, numticks=5)
  )
  axes.set_xlabel('time')
  return axes.figure


def _rows(found: Advice):
  """Axes with a row for each method, the first on top."""
  height = _ROW * len(found.ranks) + 0.75
  figure = matplotlib.figure.Figure(figsize=(_WIDTH, height), dpi=72)
  axes = report_figures.make_axes(
    figure, (0.38, 0.55 / height, 0.57, 1 - 0.65 / height)
  )
  names = [rank.method for rank in found.ranks]
  axes.set_yticks(range(len(names)), names)
  axes.set_ylim(len(names) - 0.5, -0.5)
  return axes


def learning(found: Advice) -> matplotlib.figure.Figure | None:
  """Quality by the amount of evidence; None where one amount was tried."""
  cells = [
    cell for rank in found.ranks for _, cell in sorted(rank.by_budget.items())
  ]
  if len({cell.budget for cell in cells}) < 2:
    return None
  figure = matplotlib.figure.Figure(figsize=(_WIDTH, 3.4), dpi=72)
  axes = report_figures.make_axes(figure, (0.13, 0.15, 0.5, 0.8))
  report_figures.draw_curves(axes, cells)
  axes.set_xlabel('amount of evidence')
  axes.set_ylabel('quality (NDCG@100)')
  return figure


def histogram(about: description_lib.Description) -> matplotlib.figure.Figure:
  """Share of users and of items by their number of interactions."""
  figure = matplotlib.figure.Figure(figsize=(_WIDTH, 2.6), dpi=72)
  axes = report_figures.make_axes(figure, (0.14, 0.2, 0.83, 0.68))
  edges = description_lib.EDGES
  place = np.arange(len(edges))
  for shift, counts, colour, name in (
    (-0.2, about.users_by_count, _USERS, 'users'),
    (0.2, about.items_by_count, _ITEMS, 'items'),
  ):
    share = 100 * np.array(counts) / max(1, sum(counts))
    axes.bar(place + shift, share, 0.4, color=colour, label=name)
  labels = [_bar(low, high) for low, high in itertools.pairwise(edges)]
  axes.set_xticks(place, [*labels, f'{edges[-1]}+'])
  axes.set_xlabel('number of interactions')
  axes.set_ylabel('share in %')
  legend = axes.legend(
    loc='lower right', bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8
  )
  for text in legend.get_texts():
    text.set_color(_INK)
  return figure


def _bar(low: int, high: int) -> str:
  return str(low) if high == low + 1 else f'{low} to {high - 1}'
