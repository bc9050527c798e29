"""A SentencePiece tokenizer, which reads the digits of numbers in pairs.

Kudo & Richardson: "SentencePiece" (EMNLP 2018, arXiv 1808.06226), trained on
the texts of the data set. A space belongs to the token that follows it, so a
token that starts with a space starts a word.
"""

import dataclasses
import functools
import hashlib
import io
import itertools
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from hyperrec import whole_file
from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError

PAD, EOS, UNKNOWN = 0, 1, 2
_SPACE = '\u2581'


@dataclasses.dataclass(frozen=True, eq=False)
class Tokenizer:
  """A trained tokenizer.

  Attributes:
    model: bytes of the sentencepiece file, which hold the whole tokenizer.
  """

  model: bytes

  @functools.cached_property
  def _processor(self) -> Any:
    return _sentencepiece().SentencePieceProcessor(model_proto=self.model)

  @property
  def vocab_size(self) -> int:
    """Number of tokens, including those for padding, end and unknown text."""
    return self._processor.vocab_size()

  @property
  def digest(self) -> str:
    """SHA-256 of `model` as hexadecimal digits."""
    return hashlib.sha256(self.model).hexdigest()

  def encode(self, text: str) -> list[int]:
    """The tokens of a text, without an end token."""
    return self._processor.encode(text)

  def pieces(self, text: str) -> list[str]:
    """The tokens of a text as strings; a leading space is U+2581."""
    return self._processor.encode(text, out_type=str)

  def decode(self, tokens: Sequence[int]) -> str:
    """The text of some tokens, up to the first end token."""
    until = itertools.takewhile(lambda token: token != EOS, map(int, tokens))
    return self._processor.decode([token for token in until if token != PAD])

  def starts_word(self) -> Bool[np.ndarray, ' W']:
    """Whether each token of the vocabulary starts a word."""
    return np.array(
      [
        self._processor.id_to_piece(token).startswith(_SPACE)
        for token in range(self.vocab_size)
      ]
    )

  def save(self, path: str | os.PathLike) -> None:
    """Writes the sentencepiece file; no reader ever finds a part of it."""
    whole_file.write_whole(path, self.model)


def load(path: str | os.PathLike) -> Tokenizer:
  """Reads a sentencepiece file.

  Raises:
    DataError: the file is missing or damaged, or its tokens for padding, end
      and unknown text are not `PAD`, `EOS` and `UNKNOWN`.
  """
  path = pathlib.Path(path)
  try:
    tokenizer = Tokenizer(path.read_bytes())
    processor = tokenizer._processor
  except (OSError, RuntimeError) as error:
    raise DataError(
      f'{path}: no sentencepiece model can be read ({error})'
    ) from error
  found = processor.pad_id(), processor.eos_id(), processor.unk_id()
  if found != (PAD, EOS, UNKNOWN):
    raise DataError(
      f'{path}: padding, end and unknown are tokens {found}, expected '
      f'{(PAD, EOS, UNKNOWN)}; make the file with '
      'hyperrec.systems.p5.tokenizer.train'
    )
  return tokenizer


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
  """Trains a tokenizer on texts.

  Digits are read in pairs, with or without a space before them: "1234" becomes
  "12" and "34". If their number is odd, one digit stands alone. No other token
  holds a digit.

  Args:
    texts: training texts.
    vocab_size: largest number of tokens; few texts give fewer tokens.

  Raises:
    DataError: there is no text, `vocab_size` is too small for the digits and
      letters, or sentencepiece is not installed.
  """
  texts = [text for text in texts if text.strip()]
  digits = _digits()
  if not texts:
    raise DataError('a tokenizer needs texts to train on; there are none')
  letters = len(set(''.join(texts)))
  if vocab_size < len(digits) + letters + 3:
    raise DataError(
      f'vocab_size={vocab_size} leaves no room beside {len(digits)} tokens of '
      f'digits and {letters} letters; give at least '
      f'{len(digits) + letters + 100}'
    )
  model = io.BytesIO()
  _sentencepiece().SentencePieceTrainer.train(
    sentence_iterator=iter(texts),
    model_writer=model,
    vocab_size=vocab_size,
    hard_vocab_limit=False,
    user_defined_symbols=digits,
    pad_id=PAD,
    eos_id=EOS,
    unk_id=UNKNOWN,
    bos_id=-1,
    num_threads=1,  # With more, the tokens depend on the machine.
    minloglevel=2,
  )
  return Tokenizer(model.getvalue())


def _digits() -> list[str]:
  pairs = [f'{n:02d}' for n in range(100)] + [str(n) for n in range(10)]
  return [f'{_SPACE}{pair}' for pair in pairs] + pairs


def _sentencepiece() -> Any:
  try:
    import sentencepiece
  except ModuleNotFoundError as error:
    raise DataError(
      'reading prompts needs sentencepiece: pip install ".[p5]"'
    ) from error
  return sentencepiece
