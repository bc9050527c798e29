"""Features of items for VQ-Rec, and the flags that choose how they are made."""

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features, item_text
from hyperrec.nn import bert as text_encoder

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

_ENCODER = flags.DEFINE_string(
  'text_encoder',
  'minilm',
  'Encoder of item texts: minilm, tfidf, random (features without '
  'information), or a folder with a BERT.',
)
_POOLING = flags.DEFINE_enum(
  'pooling',
  'mean',
  text_encoder.POOLINGS,
  'How the BERT of a folder pools its tokens.',
)
_NORMALISE = flags.DEFINE_bool(
  'normalise', True, 'Scale the features of the BERT of a folder to length 1.'
)
_MAX_LENGTH = flags.DEFINE_integer(
  'max_length',
  128,
  'Largest number of tokens that the BERT of a folder reads of a text.',
  lower_bound=1,
)
_NUM_FEATURES = flags.DEFINE_integer(
  'features',
  128,
  'Number of features of the encoders tfidf and random.',
  lower_bound=1,
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir',
  None,
  'Folder in which embeddings of texts are cached; by default, nothing is '
  'cached.',
)


def of(domains: Sequence[Interactions]) -> list[np.ndarray]:
  """Makes features [V, F] of the items of each domain, all in one space.

  Raises:
    DataError: a domain has no item text, or the encoder cannot be used.
  """
  name = _ENCODER.value
  if name == 'random':
    return [random(data.num_items, seed) for seed, data in enumerate(domains)]
  texts = [_texts(data) for data in domains]
  if name == 'tfidf':
    table = item_features.tfidf_svd(
      np.concatenate(texts), num_features=_NUM_FEATURES.value, seed=0
    )
    return np.split(table, np.cumsum([len(t) for t in texts])[:-1])
  encoder = _encoder()
  if _CACHE_DIR.value is None:
    return [item_text.encode(t, encoder) for t in texts]
  return [item_text.cached(t, encoder, _CACHE_DIR.value) for t in texts]


def encode(texts: Sequence[str]) -> np.ndarray:
  """Makes features [N, F] of new items' texts, by the encoder of the flags.

  Raises:
    DataError: the encoder cannot be used, or cannot encode new texts.
  """
  if _ENCODER.value in ('tfidf', 'random'):
    raise DataError(
      f'--text_encoder={_ENCODER.value} cannot encode texts of new items; use '
      'minilm, or a folder with a BERT'
    )
  return item_text.encode(texts, _encoder())


def random(num_items: int, seed: int) -> np.ndarray:
  """Draws features [V, F] that hold no information about the items."""
  generator = np.random.default_rng((seed, num_items))
  return generator.normal(size=(num_items, _NUM_FEATURES.value)).astype(
    np.float32
  )


def encoder_name() -> str:
  """Description of the encoder, which is saved with a model."""
  if not encoder_files():
    return _ENCODER.value
  return (
    f'{pathlib.Path(_ENCODER.value).name} ({_encoder().digest[:12]}), '
    f'{_POOLING.value}, normalise={_NORMALISE.value}, '
    f'{_MAX_LENGTH.value} tokens'
  )


def encoder_files() -> list[pathlib.Path]:
  """Files of the BERT of a folder; there are none for the named encoders."""
  if _ENCODER.value in ('minilm', 'tfidf', 'random'):
    return []
  return [pathlib.Path(_ENCODER.value) / name for name in item_text.FILES]


def _encoder() -> item_text.Encoder:
  if _ENCODER.value == 'minilm':
    return item_text.load_encoder()
  return item_text.load_encoder(
    _ENCODER.value,
    pooling=_POOLING.value,
    normalise=_NORMALISE.value,
    max_length=_MAX_LENGTH.value,
  )


def _texts(data: Interactions) -> np.ndarray:
  if data.item_text is None:
    raise DataError(
      f'{data.name} has no item text, which codes are made from; choose a '
      'source with item text, or --text_encoder=random for random features'
    )
  return data.item_text
