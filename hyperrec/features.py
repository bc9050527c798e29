"""Item features of one data set, or of several data sets in one space."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features

Interactions = interactions_lib.Interactions

# (interactions, known=None) -> the views of the items of their catalogue,
# [V, F_k] each, with rows of length 1 or 0; for `known` see `unit_blocks`.
Views = Callable[..., list[np.ndarray]]


class Encoding(NamedTuple):
  """What was fitted to the texts of a catalogue; see `ItemFeatures`.

  Attributes:
    encoder: the encoder that was used.
    fitted: what was fitted for each of its views.
    num_features: number of TF-IDF features that was requested for each view.
  """

  encoder: str
  fitted: tuple[item_features.FittedTerms | None, ...]
  num_features: int


class Features(NamedTuple):
  """Functions, each from interactions to features of their catalogue [V, F].

  Attributes:
    own: features of the data set's own encoding, which has the most columns.
    units: the `own` features, with the columns of each view of the text centred
      over the catalogue and scaled to length 1, so that all views have equal
      weight.
    shared: features whose columns mean the same in every data set.
    encoder: the encoder that was used, which differs from the requested one if
      that is not installed; None if no data set has text.
    views: the columns of each view apart, as `units` has them, but with rows of
      length 1 in each view.
    encoding: what was fitted to the texts of a single data set, so that items
      that arrive later can be encoded (`read_again`).
  """

  own: method_lib.Features
  units: method_lib.CentredFeatures
  shared: method_lib.Features
  encoder: str | None
  views: Views | None = None
  encoding: Encoding | None = None


def read(
  data_sets: Sequence[Interactions],
  encoder: str,
  *,
  cache_folder: str | None,
  num_features: int,
) -> Features:
  """Computes the features of all items once.

  The text of an item is known before its first interaction, so features of
  whole catalogues leak nothing. MiniLM columns mean the same in all data sets.
  TF-IDF columns do not, since `own` uses a vocabulary per data set. So `shared`
  has the MiniLM columns only; without MiniLM, its views are made of all texts
  together.

  Args:
    data_sets: data sets with distinct names. One without usable item text is
      refused (`CannotServe`) when its features are requested.
    encoder: one of `item_features.ENCODERS`.
    cache_folder: folder that caches embeddings of MiniLM; None caches none.
    num_features: number of TF-IDF features of each view that has them.

  Raises:
    DataError: two data sets have the same name.
  """
  _check_names(data_sets)
  read_of = {}
  for data in data_sets:
    if data.item_text is None:
      continue
    try:
      read_of[data.name] = item_features.from_item_text(
        data, encoder, cache_folder=cache_folder, num_features=num_features
      )
    except item_features.TextError as error:
      logging.warning(
        '%s: %s Methods that read text cannot serve it.', data.name, error
      )
  return _made(
    [d for d in data_sets if d.name in read_of], read_of, num_features
  )


def read_again(
  data: Interactions, encoding: Encoding | None, *, cache_folder: str | None
) -> Features:
  """Features in the space of a catalogue that was read before, and has grown.

  Texts are encoded when features are first asked for.

  Args:
    data: interactions over the grown catalogue.
    encoding: what was fitted to the former one; None where it had no text.
    cache_folder: see `read`.

  Raises:
    DataError: MiniLM was used and is not installed here.
  """
  if encoding is None:
    return _made([], {}, 1)

  # Most models read features when they are fitted, and not when they score.
  @functools.cache
  def made() -> Features:
    found = item_features.of_new_text(
      encoding.encoder,
      encoding.fitted,
      data.item_text,
      cache_folder=cache_folder,
    )
    return _made([data], {data.name: found}, encoding.num_features)

  return Features(
    own=lambda part: made().own(part),
    units=lambda part, known=None: made().units(part, known),
    shared=lambda part: made().shared(part),
    encoder=encoding.encoder,
    views=lambda part, known=None: made().views(part, known),
    encoding=encoding,
  )


def _made(with_text, read_of, num_features) -> Features:
  """The functions over what was read of each data set, by name."""
  lookup = _lookup(with_text, {name: f.table for name, f in read_of.items()})

  def views(part, known=None):
    table = lookup(part)
    return unit_views(table, np.cumsum(read_of[part.name].widths[:-1]), known)

  return Features(
    lookup,
    lambda part, known=None: weighted(views(part, known)),
    _lookup(with_text, _shared(with_text, read_of, num_features)),
    next((found.encoder for found in read_of.values()), None),
    views,
    next(
      (Encoding(f.encoder, f.fitted, num_features) for f in read_of.values()),
      None,
    ),
  )


def _shared(data_sets, read_of, num_features) -> dict[str, np.ndarray]:
  """Tables whose columns mean the same in every data set, by name."""
  own = {name: found.table for name, found in read_of.items()}
  if len(own) < 2:
    return own
  first = next(iter(read_of.values()))
  if 'minilm' in item_features.VIEWS[first.encoder]:
    return {name: table[:, : first.widths[0]] for name, table in own.items()}
  return _joint_tfidf(data_sets, first.encoder, num_features)


def weighted(
  views: Sequence[Float[np.ndarray, 'V _']],
  weights: Sequence[float] | None = None,
) -> Float[np.ndarray, 'V F']:
  """One table whose cosines are the weighted mean of those of the views.

  Args:
    views: tables with rows of length 1 or 0.
    weights: weight of each view, at least 0, in any unit; a view with weight 0
      is left out, and None weighs all views alike.

  Raises:
    CannotServe: there are more or fewer weights than views.
  """
  if weights is None:
    weights = [1.0] * len(views)
  if len(weights) != len(views):
    raise method_lib.CannotServe(
      f'{len(weights)} weights of text views are given, and the encoder has '
      f'{len(views)} views: choose another --text_encoder, or other weights'
    )
  total = sum(weights)
  return np.concatenate(
    [
      view / np.sqrt(total / weight)
      for view, weight in zip(views, weights, strict=True)
      if weight
    ],
    axis=1,
  )


def unit_blocks(
  table: Float[np.ndarray, 'V F'],
  cuts: Sequence[int] = (),
  known: np.ndarray | None = None,
) -> Float[np.ndarray, 'V F']:
  """Centres blocks of columns and gives all blocks of a row the same length.

  The whole rows then have length 1.

  Args:
    table: features of one catalogue.
    cuts: columns at which a new block starts.
    known: items whose mean is subtracted; None subtracts the mean of all.
  """
  return weighted(unit_views(table, cuts, known))


def unit_views(
  table: Float[np.ndarray, 'V F'],
  cuts: Sequence[int] = (),
  known: np.ndarray | None = None,
) -> list[Float[np.ndarray, 'V F']]:
  """Centres blocks of columns and gives the rows of each block length 1.

  A row that equals the mean keeps length 0. For the arguments see
  `unit_blocks`.
  """
  views = []
  for block in np.split(table, cuts, axis=1):
    centred = block - (block if known is None else block[known]).mean(axis=0)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    views.append(centred / np.where(norm > 1e-6, norm, np.inf))
  return views


def _joint_tfidf(data_sets, encoder, num_features):
  texts = np.concatenate([data.item_text for data in data_sets])
  tables = [
    item_features.tfidf_svd(
      texts, num_features=num_features, seed=0, terms=view
    )
    for view in item_features.VIEWS[encoder]
  ]
  table = np.concatenate(tables, axis=1) / np.float32(np.sqrt(len(tables)))
  ends = np.cumsum([data.num_items for data in data_sets])
  parts = np.split(table, ends[:-1])
  return {d.name: part for d, part in zip(data_sets, parts, strict=True)}


def _lookup(data_sets, tables):
  places = {
    data.name: {
      item: place for place, item in enumerate(data.item_ids.tolist())
    }
    for data in data_sets
  }

  def lookup(part):
    if part.name not in places:
      raise method_lib.CannotServe(f'{part.name} has no item text to read')
    known, ids = places[part.name], part.item_ids.tolist()
    unknown = [item for item in ids if item not in known]
    if unknown:
      raise method_lib.CannotServe(
        f'the features of {part.name} were read before item {unknown[0]!r} '
        f'arrived ({len(unknown)} such items): read them again, or give the '
        'recommender a function of features in place of a method, such as '
        'lambda features: retrained(l3ae(features.units))'
      )
    return tables[part.name][[known[item] for item in ids]]

  return lookup


def _check_names(data_sets):
  names = [data.name for data in data_sets]
  twice = {name for name in names if names.count(name) > 1}
  if twice:
    raise interactions_lib.DataError(
      f'two data sets are called {twice.pop()!r}: --domains must name each '
      'once, and not the target'
    )
