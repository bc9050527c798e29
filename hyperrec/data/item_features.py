"""Item features that are computed from item text."""

import os
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_text

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

ENCODERS = ('minilm', 'tfidf', 'both')

_SMALLEST = 1e-9


class TextError(DataError):
  """Item text says too little to make features of."""


class ItemFeatures(NamedTuple):
  """Features of a catalogue, and what made them.

  Attributes:
    table: float32 [V, F]; rows of length 1, or shorter where an item has no
      word that the encoder knows.
    encoder: one of `ENCODERS`: the one used, not the one asked for.
  """

  table: np.ndarray
  encoder: str


def from_item_text(
  data: Interactions,
  encoder: str,
  *,
  cache_folder: str | os.PathLike | None = None,
  num_features: int = 128,
  seed: int = 0,
) -> ItemFeatures:
  """Features of the items of `data` from their text, by a named encoder.

  'both' concatenates the features of both encoders. If MiniLM is not installed,
  'tfidf' is used in its place, with a warning.

  Args:
    data: interactions with item text.
    encoder: one of `ENCODERS`.
    cache_folder: folder that caches MiniLM's embeddings; None disables it.
    num_features: F of 'tfidf'; MiniLM has 384 features.
    seed: seed of the randomised SVD of 'tfidf'.

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
  learned = None if encoder == 'tfidf' else _minilm(texts, cache_folder)
  if encoder == 'minilm' and learned is not None:
    return ItemFeatures(learned, 'minilm')
  words = tfidf_svd(texts, num_features=num_features, seed=seed)
  if learned is None:
    return ItemFeatures(words, 'tfidf')
  both = np.concatenate([learned, words], axis=1) / np.float32(np.sqrt(2))
  return ItemFeatures(both, 'both')


def in_use(encoder: str) -> str:
  """The encoder that `from_item_text` uses where `encoder` is asked for."""
  return encoder if item_text.is_installed() else 'tfidf'


def _minilm(texts, cache_folder):
  """MiniLM's embeddings [V, 384]; None, with a warning, without the package."""
  try:
    encoder = item_text.load_encoder()
  except item_text.EncoderMissingError as error:
    logging.warning('%s. Using TF-IDF and SVD in its place', error)
    return None
  if cache_folder is None:
    return item_text.encode(texts, encoder)
  return item_text.cached(texts, encoder, cache_folder)


def tfidf_svd(
  texts: np.ndarray, *, num_features: int, seed: int
) -> Float[np.ndarray, 'V F']:
  """TF-IDF of words, reduced by a truncated SVD; rows of length 1 (or 0).

  Args:
    texts: [V] strings.
    num_features: F; fewer where the words or items are.
    seed: of the randomised SVD.

  Raises:
    TextError: too few items or words.
    DataError: scikit-learn is not installed.
  """
  try:
    from sklearn import decomposition
    from sklearn.feature_extraction import text
  except ModuleNotFoundError as error:
    raise DataError(
      'features from text need scikit-learn: pip install ".[demo]"'
    ) from error
  if num_features < 1:
    raise DataError(f'num_features={num_features} must be at least 1')
  try:
    counts = text.TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
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
    'item features: TF-IDF of %d words, SVD to %d; %d of %d items have none',
    counts.shape[1],
    size,
    np.sum(norm < _SMALLEST),
    len(table),
  )
  return (table / np.maximum(norm, _SMALLEST)).astype(np.float32)
