"""A loaded recommender, which ranks items for histories of item ids."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec import top_k

# Maximum number of scores in memory at once.
_BLOCK = 2**24
# Beyond, a float is not exactly one whole number.
_EXACT = 2**53


class ExportError(ValueError):
  """A recommender cannot be written, read or asked; says why."""


class Ranking(list):
  """Items of one user as (id, score), the best first.

  Attributes:
    notes: remarks on the ranking, for example that it is by popularity, or
      that fewer items are left than were requested.
  """

  def __init__(
    self, items: Iterable[tuple[str, float]], notes: Iterable[str] = ()
  ):
    """Of (id, score) and notes."""
    super().__init__(items)
    self.notes = tuple(notes)

  def __repr__(self) -> str:
    """As a list, and its notes where there are some."""
    items = super().__repr__()
    return f'{items}, {"; ".join(self.notes)}' if self.notes else items


class _Numbered(NamedTuple):
  """Numbers of a history's items, oldest first, and the other ids."""

  items: list[int]
  unknown: list[str]


class Recommender:
  """Ranks the items of a catalogue.

  Ids are text. A whole number is the same id as its digits: 12, 12.0 and '12'.
  """

  def __init__(self, head: dict, items: dict, score: Callable):
    """Made by `export.load`.

    Args:
      head: describes the recommender, with its `kind`.
      items: `ids`, `titles` and `counts` of the catalogue; the last two may be
        None.
      score: numbers of the items of B users -> scores [B, V].
    """
    self.head = head
    self.item_ids: list[str] = items['ids']
    self.titles: list[str] | None = items['titles']
    self._counts = items['counts'] and np.array(items['counts'], np.float64)
    self._number = {name: i for i, name in enumerate(self.item_ids)}
    self._score = score
    self._reads_histories = head['kind'] != 'popularity'
    order = np.arange(len(self.item_ids))
    if self._counts is not None:
      order = np.argsort(-self._counts, kind='stable')
    self._order = order

  def score(
    self, histories: Sequence[Sequence[Any]], *, ignore_unknown: bool = False
  ) -> Float[np.ndarray, 'B V']:
    """Scores of the whole catalogue, higher is better.

    Args:
      histories: ids of the items that each user took up, oldest first. An id
        that comes again counts once, where it comes last.
      ignore_unknown: leave out ids that are not in the catalogue.

    Raises:
      ExportError: an id is not in the catalogue, or is none; or nothing is
        known of a history, which `recommend` would rank by popularity.
    """
    known = self._known(histories, ignore_unknown)
    for user, history in enumerate(known):
      if self._reads_histories and not history.items:
        raise ExportError(
          f'history {user} holds no item of the catalogue, so nothing can be '
          'scored by it; leave it out, or take recommend(), which then ranks '
          'by popularity'
        )
    return self._score([history.items for history in known])

  def recommend(
    self,
    histories: Sequence[Sequence[Any]],
    k: int = 10,
    *,
    exclude_seen: bool = True,
    exclude: Sequence[Any] = (),
    candidates: Sequence[Any] | None = None,
    ignore_unknown: bool = False,
  ) -> list[Ranking]:
    """The `k` best items of each user as (id, score), best first.

    A user of whom nothing is known gets the most popular items, scored by
    their numbers of interactions; `Ranking.notes` says so. Of items with equal
    scores the more popular come first.

    Args:
      histories: see `score`.
      k: how many; all that are left, where there are fewer.
      exclude_seen: leave out what is in the history.
      exclude: ids that no user is to get.
      candidates: the only ids that users are to get; None allows all.
      ignore_unknown: leave out ids that are not in the catalogue, here, in
        `exclude` and in `candidates`.

    Raises:
      ExportError: `k` is not a whole number of at least 1, or an id is not in
        the catalogue, or is none.
    """
    k = _checked_k(k)
    known = self._known(histories, ignore_unknown)
    is_allowed = np.ones(len(self.item_ids), bool)
    if candidates is not None:
      chosen = self._numbers('candidates', candidates, ignore_unknown).items
      is_allowed[:] = False
      is_allowed[chosen] = True
    is_allowed[self._numbers('exclude', exclude, ignore_unknown).items] = False
    size = max(1, _BLOCK // max(1, len(self.item_ids)))
    found = []
    for start in range(0, len(known), size):
      found += self._rank(
        start, known[start : start + size], k, is_allowed, exclude_seen
      )
    return found

  def _rank(self, start, known, k, is_allowed, exclude_seen) -> list[Ranking]:
    """Rankings of users numbered from `start` on."""
    scores = np.array(self._score([user.items for user in known]), np.float64)
    if np.isnan(scores).any():
      raise ExportError('the recommender gives scores that are no numbers')
    notes = []
    for number, (row, user) in enumerate(zip(scores, known, strict=True)):
      reason = self._lacks_support(row, user)
      if reason:
        if self._counts is None:
          raise ExportError(
            f'history {start + number} cannot be ranked, since {reason}, and '
            'the recommender was written without item counts, by which '
            'popularity would rank; write it with counts, or leave the '
            'history out'
          )
        row[:] = self._counts
        reason = f'popularity, since {reason}'
      notes.append([reason] if reason else [])
      row[~is_allowed] = -np.inf
      if exclude_seen:
        row[user.items] = -np.inf
    order = self._order
    best = order[top_k.places(scores[:, order], min(k, len(order)))]
    return [
      self._ranking(row, [i for i in top if np.isfinite(row[i])], k, said, user)
      for row, top, said, user in zip(scores, best, notes, known, strict=True)
    ]

  def _lacks_support(self, row, user: _Numbered) -> str:
    """Why a history says nothing of what to recommend; '' where it does."""
    if not self._reads_histories:
      return ''
    if not user.items:
      empty = 'the history is empty'
      return 'nothing of this history is known' if user.unknown else empty
    if not np.delete(row, user.items).any():
      return 'nothing is known of what goes with the items of this history'
    return ''

  def _ranking(self, row, best, k, notes, user: _Numbered) -> Ranking:
    """What is listed, with notes on what was left out and what is missing."""
    unsupported = sum(row[i] == 0 for i in best)
    if unsupported:
      notes.append(
        f'nothing that is known supports the items with score 0 ({unsupported} '
        'of these); the more popular come first'
      )
    if len(best) < k:
      notes.append(f'items left to recommend: {len(best)}, not {k}')
    if user.unknown:
      notes.append(
        f'ids left out, since they are not in the catalogue: '
        f'{len(user.unknown)}, such as {user.unknown[0]!r}'
      )
    return Ranking([(self.item_ids[i], float(row[i])) for i in best], notes)

  def _known(self, histories, ignore_unknown: bool) -> list[_Numbered]:
    """The items of all users."""
    example = "give a list of histories, each a list of ids, as [['12', '13']]"
    return [
      self._numbers(f'history {user}', history, ignore_unknown)
      for user, history in enumerate(_elements('histories', histories, example))
    ]

  def _numbers(self, what: str, ids, ignore_unknown: bool) -> _Numbered:
    """Numbers of the ids of one list, those that come again where last."""
    names = [
      id_text(name, what)
      for name in _elements(what, ids, "give a list of ids, as ['12', '13']")
    ]
    unknown = [name for name in names if name not in self._number]
    if unknown and not ignore_unknown:
      raise ExportError(
        f'{what}: {len(unknown)} of {len(names)} ids are not in the catalogue, '
        f'such as {unknown[0]!r}; leave them out, or ask for unknown ids to be '
        'ignored (ignore_unknown)'
      )
    numbers = [self._number[name] for name in names if name in self._number]
    return _Numbered(list(dict.fromkeys(numbers[::-1]))[::-1], unknown)


def id_text(value: Any, what: str) -> str:
  """An id as text: '12' for 12, 12.0 and '12'.

  Args:
    value: text or a number.
    what: that it is in, for the message.

  Raises:
    ExportError: another type, no number, or a float too large to be certain.
  """
  if isinstance(value, str):
    return str(value)
  if isinstance(value, int | np.integer) and not isinstance(value, bool):
    return str(int(value))
  if isinstance(value, float | np.floating) and math.isfinite(value):
    if not float(value).is_integer():
      return repr(float(value))
    if abs(value) < _EXACT:
      return str(int(value))
    raise ExportError(
      f'{what} holds {value!r}: a float of this size does not tell one whole '
      'number from the next; give the id as text'
    )
  raise ExportError(
    f'{what} holds {value!r} of type {type(value).__name__}; an id is text or '
    'a number'
  )


def _elements(what: str, values: Any, remedy: str) -> list:
  """A list of what is a sequence, and no text."""
  if not isinstance(values, str | bytes | Mapping):
    try:
      return list(values)
    except TypeError:
      pass
  raise ExportError(f'{what} is {values!r}: {remedy}')


def _checked_k(k: Any) -> int:
  """`k` as a number of items."""
  try:
    number = 0 if isinstance(k, bool | np.bool) else operator.index(k)
  except TypeError:
    number = 0
  if number < 1:
    raise ExportError(f'k={k!r} must be a whole number of at least 1')
  return number
