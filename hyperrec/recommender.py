"""The recommender of a catalogue: fitted, asked, updated, saved and loaded.

    recommender = Recommender.fit(hr.updated(hr.ease_dynamic()), data)
    recommender.recommend(users=['17'], k=10)
    recommender = recommender.updated(new_interactions)
    recommender.save('my_recommender')

A method is fitted on all data. What has been learned stays; new interactions,
users and items are taken in as the method's policy says, such as by an exact
update or by generated weights.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float, Int

from hyperrec import (
  adapting,
  ranker,
  saved_folder,
  sparse_ranking,
  stored_state,
  top_k,
)
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features, joining

Features = features_lib.Features
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
RecommenderError = ranker.RecommenderError
# Features of the items -> the method.
Build = Callable[[Features], method_lib.Method]

FORMAT = 3
_HEAD, _TENSORS = 'recommender.json', 'state.safetensors'
_FILES = {_HEAD, _TENSORS}
_WHAT = 'fitted recommender'
# Maximum number of scores in memory at once.
_BLOCK = 2**24
# Users who are ranked at once by sparse weights.
_SPARSE_USERS = 1024


class Fitted(NamedTuple):
  """All that is saved of a recommender, besides its description.

  Attributes:
    data: all interactions, those of the fit first.
    num_fitted: U, V and number of rows of the data that were fitted.
    state: what the method prepared of these.
    adapted: the state that serves; None where it is `state`.
    encoding: what was fitted to the items' text; None without text.
    seed: seed of all random draws.
  """

  data: Interactions
  num_fitted: tuple[int, int, int]
  state: Any
  adapted: Any
  encoding: features_lib.Encoding | None
  seed: int


_STATES = Fitted, features_lib.Encoding, item_features.FittedTerms


class Best(NamedTuple):
  """The best items of a batch of users.

  Attributes:
    users: ids of B users.
    items: numbers of the k best items of each, the best first; -1 where fewer
      items are left.
    scores: their scores; items of users of whom nothing is known have their
      number of interactions.
  """

  users: np.ndarray
  items: Int[np.ndarray, 'B k']
  scores: Float[np.ndarray, 'B k']


class Recommender:
  """A fitted method, with the data that it has been fitted on.

  Ids are text. A whole number is the same id as its digits: 12, 12.0 and '12'.

  Attributes:
    about: description: the method, its settings, the data, an evaluation.
    item_ids: ids of the catalogue [V].
    num_new: number of interactions that were taken in since the fit.
  """

  def __init__(
    self, build: Build, fitted: Fitted, about: dict[str, Any] | None = None
  ):
    """Makes a recommender; users call `fit` or `load` instead."""
    self.about = about or {}
    self._build = build
    self._fitted = fitted
    data = fitted.data
    self.item_ids: list[str] = data.item_ids.tolist()
    self.num_new = len(data) - fitted.num_fitted[2]
    features = features_lib.read_again(data, fitted.encoding, cache_folder=None)
    self._method = build(features)
    self._state = fitted.state if fitted.adapted is None else fitted.adapted
    self._ordered = data.by_user_and_time()
    self._user_number = {u: i for i, u in enumerate(data.user_ids.tolist())}
    counts = data.item_counts()
    self._popular = np.argsort(-counts, kind='stable')
    self._counts = counts
    self._ranker = ranker.Ranker(
      {'kind': self._method.model.name},
      {
        'ids': self.item_ids,
        'titles': None if data.item_text is None else data.item_text.tolist(),
        'counts': counts.tolist(),
      },
      self._score_lists,
      self._state.items if isinstance(self._state, method_lib.Part) else None,
    )

  @classmethod
  def fit(
    cls,
    build: Build | method_lib.Method,
    data: Interactions,
    *,
    seed: int = 0,
    text_encoder: str = 'tfidf',
    num_features: int = 128,
    cache_folder: str | None = None,
    about: dict[str, Any] | None = None,
  ) -> 'Recommender':
    """Fits a method on all data.

    Args:
      build: a method, or features of the items -> a method.
      data: the interactions.
      seed: seed of all random draws.
      text_encoder: how item text is read; one of `item_features.ENCODERS`.
      num_features: number of TF-IDF features of an item.
      cache_folder: folder that keeps embeddings of item text; None keeps none.
      about: further entries of the description.

    Raises:
      CannotServe: the method cannot be fitted on these data.
      RecommenderError: two ids are the same as text.
    """
    if isinstance(build, method_lib.Method):
      build = _always(build)
    data = _with_text_ids(data)
    features = features_lib.read(
      [data],
      text_encoder,
      cache_folder=cache_folder,
      num_features=num_features,
    )
    method = build(features)
    key, adapt_key = _keys(seed)
    shared = method.prepare(data, key).state
    nothing = data.rows(np.zeros(len(data), bool))
    adapted = method.adapt(shared, nothing, adapt_key).state
    sizes = data.num_users, data.num_items, len(data)
    kept = None if adapted is shared.state else adapted
    fitted = Fitted(data, sizes, shared.state, kept, features.encoding, seed)
    return cls(build, fitted, about)

  def updated(
    self, new: Interactions, *, cache_folder: str | None = None
  ) -> 'Recommender':
    """Takes in new interactions, with their new users and items.

    What was learned by `fit` stays; the method adapts it to all that has come
    since, by its policy. Without a way to do so it serves the old items alone.

    Args:
      new: interactions with the same kind of ids. Pairs that are known are left
        out.
      cache_folder: folder that keeps embeddings of item text; None keeps none.

    Raises:
      CannotServe: the method cannot take them in; fit it again.
      RecommenderError: two ids are the same as text.
    """
    old = self._fitted
    data = joining.join_catalogues(old.data, _with_text_ids(new))
    features = features_lib.read_again(
      data, old.encoding, cache_folder=cache_folder
    )
    method = self._build(features)
    source = _source(old.data, old.num_fitted)
    since = np.arange(len(data)) >= old.num_fitted[2]
    evidence = data.rows(since)
    if len(evidence):
      evidence = evidence.take_users(np.unique(evidence.users))
    _, adapt_key = _keys(old.seed)
    shared = adapting.Shared(old.state, source)
    adapted = method.adapt(shared, evidence, adapt_key).state
    kept = None if adapted is old.state else adapted
    fitted = old._replace(data=data, adapted=kept)
    return Recommender(self._build, fitted, self.about)

  def refitted(self, *, cache_folder: str | None = None) -> 'Recommender':
    """The same method fitted on all data that have been taken in.

    Args:
      cache_folder: folder that keeps embeddings of item text; None keeps none.
    """
    encoding, read = self._fitted.encoding, {}
    if encoding is not None:
      read['text_encoder'] = encoding.encoder
      read['num_features'] = encoding.num_features
    return Recommender.fit(
      self._build,
      self._fitted.data,
      seed=self._fitted.seed,
      cache_folder=cache_folder,
      **read,
      about=self.about,
    )

  @property
  def titles(self) -> list[str] | None:
    """Text of each item of the catalogue; None without text."""
    return self._ranker.titles

  @property
  def num_served(self) -> int:
    """Number of items that can be recommended; the method knows no others."""
    if isinstance(self._state, method_lib.Part):
      return len(self._state.items)
    return len(self.item_ids)

  @property
  def data(self) -> Interactions:
    """All interactions, with ids as text."""
    return self._fitted.data

  def score(self, histories: Sequence[Sequence[Any]], **options: Any):
    """Scores the whole catalogue [B, V]; see `ranker.Ranker.score`."""
    return self._ranker.score(histories, **options)

  def recommend(
    self,
    histories: Sequence[Sequence[Any]] | None = None,
    k: int = 10,
    *,
    users: Sequence[Any] | None = None,
    **options: Any,
  ) -> list[ranker.Ranking]:
    """Returns the `k` best items of each history or user.

    Args:
      histories: lists of item ids, oldest first; see `ranker.Ranker.recommend`.
      k: number of items.
      users: ids of users of the data, in place of histories.
      **options: further arguments of `ranker.Ranker.recommend`.

    Raises:
      RecommenderError: a user is unknown, both or none of `histories` and
        `users` are given, or an id is invalid.
    """
    if (histories is None) == (users is None):
      raise RecommenderError('give either histories or users')
    if histories is None:
      histories = [self.history(user) for user in users]
    return self._ranker.recommend(histories, k, **options)

  def history(self, user: Any) -> list[str]:
    """Ids of the items of a user, oldest first.

    Raises:
      RecommenderError: the user is not in the data.
    """
    name = ranker.id_text(user, 'users')
    if name not in self._user_number:
      raise RecommenderError(
        f'user {name!r} is not in the data; give the items of new users as '
        'histories'
      )
    number = self._user_number[name]
    users = self._ordered.users
    start, stop = np.searchsorted(users, [number, number + 1])
    return [self.item_ids[i] for i in self._ordered.items[start:stop]]

  def recommend_to_all(
    self,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    exclude: Sequence[Any] | None = None,
    candidates: Sequence[Any] | None = None,
    ignore_unknown: bool = False,
  ) -> Iterator[Best]:
    """Yields the `k` best items of all users of the data, batch by batch.

    Memory does not grow with the number of users. Errors are raised when the
    first batch is taken, not by the call.

    Args:
      k: number of items.
      exclude_seen: whether to leave out the items of a user's history.
      exclude: see `ranker.Ranker.recommend`.
      candidates: see `ranker.Ranker.recommend`.
      ignore_unknown: see `ranker.Ranker.recommend`.

    Raises:
      RecommenderError: `k` is not a whole number of at least 1, or an id is not
        in the catalogue.
    """
    k = min(ranker.checked_k(k), len(self.item_ids))
    allowed = self._ranker.allowed(exclude or (), candidates, ignore_unknown)
    size = max(1, _BLOCK // len(self.item_ids))
    weights = self._sparse_weights() if exclude_seen else None
    if weights is not None:
      size = _SPARSE_USERS
    for start in range(0, self.data.num_users, size):
      users = np.arange(start, min(start + size, self.data.num_users))
      if weights is None:
        yield self._best(users, k, allowed, exclude_seen)
      else:
        yield self._best_sparse(users, k, allowed, weights)

  def _sparse_weights(self):
    """Sparse weights of which the scores are x B; None without any."""
    of_state = self._method.model.sparse_weights
    if of_state is None or isinstance(self._state, method_lib.Part):
      return None
    return of_state(self._state)

  def _best_sparse(
    self, users: np.ndarray, k: int, allowed: np.ndarray, weights: Any
  ) -> Best:
    """`_best` by sparse weights: most users need no scores of all items."""
    histories = Histories.of(self._ordered, users).csr()
    try:
      items, scores = sparse_ranking.best(
        histories, weights, k, self._popular, allowed
      )
    except ValueError as error:
      raise RecommenderError(f'the recommender cannot rank: {error}') from error
    short = np.flatnonzero((items < 0).any(axis=1))
    size = max(1, _BLOCK // len(self.item_ids))
    for start in range(0, len(short), size):
      part = short[start : start + size]
      found = self._best(users[part], k, allowed, exclude_seen=True)
      items[part], scores[part] = found.items, found.scores
    return Best(self.data.user_ids[users], items, scores)

  def _best(
    self, users: np.ndarray, k: int, allowed: np.ndarray, exclude_seen: bool
  ) -> Best:
    histories = Histories.of(self._ordered, users)
    scores_BxV = np.array(self._scores(histories), np.float32)
    if np.isnan(scores_BxV).any():
      raise RecommenderError('the recommender returned NaN as a score')
    x_BxV = histories.csr()
    row = np.repeat(np.arange(len(users)), np.diff(x_BxV.indptr))
    # Of users without a score nothing is known: they get popular items.
    is_known = self._ranker.are_supported(scores_BxV, row, x_BxV.indices)
    scores_BxV[~is_known] = self._counts
    scores_BxV[:, ~allowed] = -np.inf
    if exclude_seen:
      scores_BxV[row, x_BxV.indices] = -np.inf
    places = top_k.places(scores_BxV, k, self._popular)
    found = np.take_along_axis(scores_BxV, places, axis=1)
    items = np.where(np.isfinite(found), places, -1)
    return Best(self.data.user_ids[users], items, found)

  def why(
    self, history: Sequence[Any], item: Any, most: int = 3
  ) -> list[tuple[str, float]]:
    """The items of a history that speak most for an item.

    An item of the history counts as much as the score falls without it.

    Args:
      history: ids of the items of a user, oldest first.
      item: id of a recommended item.
      most: number of items of the history, at most.

    Returns:
      Ids, each with its share of the sum of what speaks for the item.
    """
    rows = self._ranker.numbers('history', history, ignore_unknown=True).items
    ((target,), _) = self._ranker.numbers('item', [item])
    shorter = [[n for n in rows if n != left_out] for left_out in rows]
    whole, *without = self._score_lists([rows, *shorter])[:, target]
    falls = np.maximum(whole - np.array(without), 0)
    order = np.argsort(-falls, kind='stable')[:most]
    total = falls.sum()
    return [
      (self.item_ids[rows[place]], float(falls[place] / total))
      for place in order
      if falls[place] > 0
    ]

  def _scores(self, histories: Histories) -> np.ndarray:
    histories = dataclasses.replace(histories, users=None)
    return np.asarray(self._method.score(self._state, histories))

  def _score_lists(self, rows: list[list[int]]) -> np.ndarray:
    """Scores [B, V] for lists of item numbers."""
    lengths = np.array([len(row) for row in rows], int)
    mask = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
    items = np.zeros(mask.shape, np.int32)
    items[mask] = [item for row in rows for item in row]
    return self._scores(Histories(items, mask, len(self.item_ids)))

  def save(
    self, folder: str | pathlib.Path, *, overwrite: bool = False
  ) -> None:
    """Writes the recommender to a folder, whole or not at all.

    Raises:
      FolderError: the folder cannot be used.
    """
    folder = saved_folder.check(folder, _FILES, _WHAT, overwrite=overwrite)
    structure, tensors = stored_state.pack(self._fitted)
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    head = {
      'what': _WHAT,
      'format': FORMAT,
      'method': self._method.name,
      'config': repr(self._method.config),
      'about': self.about,
      'state': structure,
    }
    files = {_TENSORS: safetensors.numpy.save(tensors)}
    saved_folder.write(folder, _HEAD, head, files)

  @classmethod
  def load(
    cls, folder: str | pathlib.Path, build: Build | method_lib.Method
  ) -> 'Recommender':
    """Reads a recommender that `save` wrote.

    Args:
      folder: the folder.
      build: the method that was fitted, as given to `fit`.

    Raises:
      FolderError: a file is missing, was changed after it was written, or has
        another format.
      RecommenderError: the method is another one than the one that was fitted.
    """
    from hyperrec.systems import states  # imports all of them

    folder, head = _read_head(folder)
    files = saved_folder.read_files(folder, _HEAD, head, {_TENSORS})
    try:
      tensors = safetensors.numpy.load(files[_TENSORS])
      fitted = stored_state.unpack(
        head['state'], tensors, (*states.STATES, *_STATES)
      )
      about, found = head['about'], (head['method'], head['config'])
    except (
      *saved_folder.UNREADABLE,
      safetensors.SafetensorError,
    ) as error:
      raise saved_folder.FolderError(
        f'{folder} holds no state of a recommender ({error}); save it again'
      ) from error
    if isinstance(build, method_lib.Method):
      build = _always(build)
    made = cls(build, fitted, about)
    asked = made._method.name, repr(made._method.config)
    if asked != found:
      raise RecommenderError(
        f'{folder} holds {found[0]} with {found[1]}, not {asked[0]} with '
        f'{asked[1]}; give the method that was fitted'
      )
    return made


@functools.partial(jax.jit, static_argnames='seed')
def _keys(seed: int) -> tuple[jax.Array, jax.Array]:
  """The keys of `prepare` and of `adapt`, by one small program."""
  key, adapt_key = jax.random.split(jax.random.key(seed))
  return key, adapt_key


def check_folder(folder: str | pathlib.Path, *, overwrite: bool) -> None:
  """Raises FolderError if a recommender cannot be written to the folder."""
  saved_folder.check(folder, _FILES, _WHAT, overwrite=overwrite)


def fit(
  model: method_lib.Model, data: Interactions, seed: int = 0
) -> Recommender:
  """Fits a model on all of the data.

  Args:
    model: any model that scores histories. A generator of whole catalogues
      (`hyperease`) also needs a source, by `adapting.generated`.
    data: the interactions.
    seed: seed of all random draws.

  Raises:
    CannotServe: the model cannot be fitted on these data.
  """
  return Recommender.fit(adapting.frozen(model), data, seed=seed)


def is_fitted(folder: str | pathlib.Path) -> bool:
  """Whether a folder holds what `Recommender.save` wrote, of any format.

  Raises:
    FolderError: the folder holds no recommender at all.
  """
  return saved_folder.read_head(folder, _HEAD, _WHAT)[1].get('what') == _WHAT


def describe(folder: str | pathlib.Path) -> dict[str, Any]:
  """The description of a saved recommender, as it was given to `fit`.

  Raises:
    FolderError: the folder holds no recommender of this format.
  """
  return _read_head(folder)[1]['about']


def _read_head(folder) -> tuple[pathlib.Path, dict[str, Any]]:
  folder, head = saved_folder.read_head(folder, _HEAD, _WHAT)
  if head.get('what') != _WHAT or head.get('format') != FORMAT:
    raise saved_folder.FolderError(
      f'{folder / _HEAD}: {head.get("what", "something else")} of format '
      f'{head.get("format")!r}; this version reads a {_WHAT} of format '
      f'{FORMAT}; fit it again'
    )
  return folder, head


def _always(method: method_lib.Method) -> Build:
  return lambda features: method


def _with_text_ids(data: Interactions) -> Interactions:
  """The same data with ids as text."""
  changed = {}
  for field in ('user_ids', 'item_ids'):
    ids = [ranker.id_text(name, field) for name in getattr(data, field)]
    if len(set(ids)) < len(ids):
      twice = next(name for name in ids if ids.count(name) > 1)
      raise RecommenderError(
        f'{data.name}: two {field} are the same as text, {twice!r}; give them '
        'as text'
      )
    changed[field] = np.array(ids, object)
  return dataclasses.replace(data, **changed)


def _source(data: Interactions, sizes: tuple[int, int, int]) -> Interactions:
  """The part of the data that was fitted: its first users, items and rows."""
  num_users, num_items, num_rows = sizes
  first = data.rows(np.arange(num_rows))
  first = first.take_users(np.arange(num_users))
  return first.take_items(np.arange(num_items))
