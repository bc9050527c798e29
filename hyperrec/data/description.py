"""What a data set holds: sizes, density, span of time, text, rare users."""

import datetime
from typing import NamedTuple

import numpy as np

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions

# Fewest interactions of a user or an item that is not rare.
FEW = 5
# Lower bounds of the bars of a histogram of interactions.
EDGES = (1, 2, 5, 10, 20, 50, 100)
# Times within 1973 to 2286, in seconds; larger ones are in fractions of them.
_SECONDS = (1e8, 1e10)


class Description(NamedTuple):
  """What a data set holds.

  Attributes:
    name: name of the data set.
    num_users: number of users with interactions.
    num_items: number of items with interactions.
    num_interactions: number of different pairs of a user and an item.
    num_repeats: number of further rows, which repeat a pair.
    density: share of all pairs of a user and an item that occur.
    span: first and last day of the interactions; None if unknown.
    order: whether the interactions have 'times', only an 'order' within each
      user, or 'none'.
    with_text: share of the items that have text; None if none are given.
    few_users: share of the users with fewer than `FEW` interactions.
    few_items: share of the items with fewer than `FEW` interactions.
    median_user: median number of interactions of a user.
    users_by_count: number of users in each bar from `EDGES`.
    items_by_count: number of items in each bar from `EDGES`.
  """

  name: str
  num_users: int
  num_items: int
  num_interactions: int
  num_repeats: int
  density: float
  span: tuple[str, str] | None
  order: str
  with_text: float | None
  few_users: float
  few_items: float
  median_user: float
  users_by_count: tuple[int, ...]
  items_by_count: tuple[int, ...]


def describe(data: Interactions) -> Description:
  """Describes interactions as they were read, repeats included."""
  x_UxV = data.csr()
  x_UxV.sum_duplicates()
  of_users, of_items = x_UxV.getnnz(axis=1), x_UxV.getnnz(axis=0)
  touched = of_items > 0
  of_users, of_items = of_users[of_users > 0], of_items[touched]
  has_text = None
  if data.item_text is not None:
    texts = data.item_text[touched].tolist()
    has_text = float(np.mean([bool(str(text).strip()) for text in texts]))
  order = 'times'
  if data.timestamps is None:
    order = 'none'
  elif data.is_order_only:
    order = 'order'
  return Description(
    name=data.name,
    num_users=len(of_users),
    num_items=len(of_items),
    num_interactions=int(x_UxV.nnz),
    num_repeats=len(data) - int(x_UxV.nnz),
    density=x_UxV.nnz / (len(of_users) * len(of_items)),
    span=_span(data.timestamps) if order == 'times' else None,
    order=order,
    with_text=has_text,
    few_users=float((of_users < FEW).mean()),
    few_items=float((of_items < FEW).mean()),
    median_user=float(np.median(of_users)),
    users_by_count=_bars(of_users),
    items_by_count=_bars(of_items),
  )


def _bars(counts: np.ndarray) -> tuple[int, ...]:
  bars = np.histogram(counts, bins=[*EDGES, np.inf])[0]
  return tuple(int(bar) for bar in bars)


def _span(times: np.ndarray) -> tuple[str, str] | None:
  """The first and the last day; None where numbers are no usual times."""
  low, high = float(times.min()), float(times.max())
  for unit in (1, 1e3, 1e6, 1e9):
    if _SECONDS[0] <= low / unit and high / unit < _SECONDS[1]:
      return _day(low / unit), _day(high / unit)
  return None


def _day(seconds: float) -> str:
  moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
  return moment.date().isoformat()
