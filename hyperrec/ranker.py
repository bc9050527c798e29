"""Ranks the items of a catalogue for histories of item ids."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hyperrec import top_k

# Maximum number of scores in memory at once.
_BLOCK = 2**24
# From this value on, a float no longer identifies one whole number.
_EXACT = 2**53


class RecommenderError(ValueError):
  """A recommender cannot be written or read, or a request to it is invalid."""


class Ranking(list):
  """Items of one user as (id, score), the best first.

  Attributes:
    notes: remarks on the ranking, for example that it is by popularity, or
      that fewer items are left than were requested.
  """

  def __init__(
    self, items: Iterable[tuple[str, float]], notes: Iterable[str] = ()
  ):
    """Makes a ranking of (id, score), with notes."""
    super().__init__(items)
    self.notes = tuple(notes)

  def __repr__(self) -> str:
    """Shows the list, followed by the notes if there are any."""
    items = super().__repr__()
    return f'{items}, {"; ".join(self.notes)}' if self.notes else items


class Numbered(NamedTuple):
  """The item numbers of a history, oldest first, and its unknown ids."""

  items: list[int]
  unknown: list[str]


class Ranker:
  """Ranks the items of a catalogue.

  Ids are text. A whole number is the same id as its digits: 12, 12.0 and '12'.
  """

  def __init__(
    self,
    head: dict,
    items: dict,
    score: Callable,
    served: Int[np.ndarray, ' n'] | None = None,
  ):
    """Makes a ranker; users call `export.load` or `recommender.fit` instead.

    Args:
      head: description of the recommender, with its `kind`.
      items: `ids`, `titles` and `counts` of the catalogue; the last two may be
        None.
      score: item numbers of the histories of B users -> scores [B, V].
      served: numbers of the items of which scores tell something; None for all
        of them.
    """
    self.head = head
    self.item_ids: list[str] = items['ids']
    self.titles: list[str] | None = items['titles']
    self._counts = items['counts'] and np.array(items['counts'], np.float64)
    self._number = {name: i for i, name in enumerate(self.item_ids)}
    self._score = score
    self._is_served = np.ones(len(self.item_ids), bool)
    if served is not None:
      self._is_served[:] = False
      self._is_served[served] = True
    self._reads_histories = head['kind'] != 'popularity'
    order = np.arange(len(self.item_ids))
    if self._counts is not None:
      order = np.argsort(-self._counts, kind='stable')
    self._order = order

  def score(
    self, histories: Sequence[Sequence[Any]], *, ignore_unknown: bool = False
  ) -> Float[np.ndarray, 'B V']:
    """Scores the whole catalogue for each user; higher is better.

    Args:
      histories: B lists of the item ids of each user, oldest first. A repeated
        id counts once, at its last position.
      ignore_unknown: whether to leave out ids that are not in the catalogue.

    Raises:
      RecommenderError: an id is invalid or not in the catalogue, or a history
        has no item of the catalogue (`recommend` would rank it by popularity).
    """
    known = self._known(histories, ignore_unknown)
    for user, history in enumerate(known):
      if self._reads_histories and not history.items:
        raise RecommenderError(
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
    """Returns the `k` best items of each user as (id, score), best first.

    If the history of a user says nothing about the catalogue, the items are
    ranked by popularity and scored by their numbers of interactions;
    `Ranking.notes` says so. Among items with equal scores, the more popular
    come first.

    Args:
      histories: see `score`.
      k: number of items; fewer are returned if fewer are left.
      exclude_seen: whether to leave out the items of the history.
      exclude: ids that are not recommended to any user.
      candidates: the only ids that may be recommended; None allows all.
      ignore_unknown: whether to leave out ids that are not in the catalogue,
        in `histories`, `exclude` and `candidates`.

    Raises:
      RecommenderError: `k` is not a whole number of at least 1, an id is
        invalid or not in the catalogue, or popularity is needed but unknown.
    """
    k = checked_k(k)
    known = self._known(histories, ignore_unknown)
    is_allowed = self.allowed(exclude, candidates, ignore_unknown)
    size = max(1, _BLOCK // max(1, len(self.item_ids)))
    found = []
    for start in range(0, len(known), size):
      found += self._rank(
        start, known[start : start + size], k, is_allowed, exclude_seen
      )
    return found

  def allowed(
    self,
    exclude: Sequence[Any],
    candidates: Sequence[Any] | None,
    ignore_unknown: bool,
  ) -> Bool[np.ndarray, ' V']:
    """Whether each item may be recommended; see `recommend`."""
    is_allowed = np.ones(len(self.item_ids), bool)
    if candidates is not None:
      chosen = self.numbers('candidates', candidates, ignore_unknown).items
      is_allowed[:] = False
      is_allowed[chosen] = True
    is_allowed[self.numbers('exclude', exclude, ignore_unknown).items] = False
    return is_allowed

  def _rank(self, start, known, k, is_allowed, exclude_seen) -> list[Ranking]:
    """Returns the rankings of a block of users, the first of number `start`."""
    scores = np.array(self._score([user.items for user in known]), np.float64)
    if np.isnan(scores).any():
      raise RecommenderError('the recommender returned NaN as a score')
    notes = []
    for number, (row, user) in enumerate(zip(scores, known, strict=True)):
      reason = self._lacks_support(row, user)
      if reason:
        if self._counts is None:
          raise RecommenderError(
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
    best = top_k.places(scores, min(k, len(self._order)), self._order)
    return [
      self._ranking(row, [i for i in top if np.isfinite(row[i])], k, said, user)
      for row, top, said, user in zip(scores, best, notes, known, strict=True)
    ]

  def _lacks_support(self, row, user: Numbered) -> str:
    """The reason why a history cannot be ranked by scores; '' if it can."""
    if not self._reads_histories:
      return ''
    if not user.items:
      empty = 'the history is empty'
      return 'nothing of this history is known' if user.unknown else empty
    if not self.are_supported(row[None], [0] * len(user.items), user.items)[0]:
      return 'nothing is known of what goes with the items of this history'
    return ''

  def are_supported(
    self,
    scores: Float[np.ndarray, 'B V'],
    rows: Sequence[int],
    items: Sequence[int],
  ) -> Bool[np.ndarray, ' B']:
    """Whether any item beside a history has a score that tells something.

    Args:
      scores: of B users.
      rows: [n], the user of each item of a history.
      items: [n], its number.
    """
    unseen = (scores != 0) & self._is_served
    unseen[rows, items] = False
    return unseen.any(axis=1)

  def _ranking(self, row, best, k, notes, user: Numbered) -> Ranking:
    """Returns the listed items, with notes on items left out or missing."""
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

  def _known(self, histories, ignore_unknown: bool) -> list[Numbered]:
    """Returns the item numbers and the unknown ids of each history."""
    example = "give a list of histories, each a list of ids, as [['12', '13']]"
    return [
      self.numbers(f'history {user}', history, ignore_unknown)
      for user, history in enumerate(_elements('histories', histories, example))
    ]

  def numbers(
    self, what: str, ids: Iterable[Any], ignore_unknown: bool = False
  ) -> Numbered:
    """Returns the numbers of the ids of one list; the last repeat counts.

    Args:
      what: name of the list, for the error message.
      ids: the ids.
      ignore_unknown: whether to leave out ids that are not in the catalogue.

    Raises:
      RecommenderError: an id is invalid or not in the catalogue.
    """
    names = [
      id_text(name, what)
      for name in _elements(what, ids, "give a list of ids, as ['12', '13']")
    ]
    unknown = [name for name in names if name not in self._number]
    if unknown and not ignore_unknown:
      raise RecommenderError(
        f'{what}: {len(unknown)} of {len(names)} ids are not in the catalogue, '
        f'such as {unknown[0]!r}; leave them out, or ask for unknown ids to be '
        'ignored (ignore_unknown)'
      )
    numbers = [self._number[name] for name in names if name in self._number]
    return Numbered(list(dict.fromkeys(numbers[::-1]))[::-1], unknown)


def id_text(value: Any, what: str) -> str:
  """Returns an id as text: '12' for 12, 12.0 and '12'.

  Args:
    value: text or a number.
    what: name of the list that holds the id, for the error message.

  Raises:
    RecommenderError: the value is of another type, is not finite, or is a float
      too large to identify one whole number.
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
    raise RecommenderError(
      f'{what} holds {value!r}: a float of this size does not tell one whole '
      'number from the next; give the id as text'
    )
  raise RecommenderError(
    f'{what} holds {value!r} of type {type(value).__name__}; an id is text or '
    'a number'
  )


def _elements(what: str, values: Any, remedy: str) -> list:
  """Returns the values as a list; text and mappings are rejected."""
  if not isinstance(values, str | bytes | Mapping):
    try:
      return list(values)
    except TypeError:
      pass
  raise RecommenderError(f'{what} is {values!r}: {remedy}')


def checked_k(k: Any) -> int:
  """Returns `k` as an int of at least 1."""
  try:
    number = 0 if isinstance(k, bool | np.bool) else operator.index(k)
  except TypeError:
    number = 0
  if number < 1:
    raise RecommenderError(f'k={k!r} must be a whole number of at least 1')
  return number
