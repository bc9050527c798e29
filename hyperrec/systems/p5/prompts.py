"""Templates of prompts for five task families, and their encoding as tokens.

The families are those of P5 (Geng et al., RecSys 2022, arXiv 2203.13366); the
wordings are our own. The attributes of an item replace the reviews of P5: an
explanation prompt asks for the attributes of an item that a user chose, and a
review prompt shows attributes and asks for the rating or the title.
"""

import dataclasses
import functools
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Bool, Int

from hyperrec import padding
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.p5 import tokenizer as tokenizer_lib

DataError = interactions_lib.DataError

FAMILIES = ('rating', 'sequential', 'explanation', 'review', 'direct')


class Template(NamedTuple):
  """One wording of a task.

  Attributes:
    name: family and number, as "rating-1".
    source: text of the prompt, with fields in braces.
    target: text of the answer, with fields in braces.
    seen: whether training uses the template; False keeps it for tests with
      unseen wordings.
  """

  name: str
  source: str
  target: str
  seen: bool = True

  @property
  def family(self) -> str:
    """The part of the name before the number."""
    return self.name.rpartition('-')[0]

  @property
  def fields(self) -> frozenset[str]:
    """The fields of prompt and answer."""
    parsed = string.Formatter().parse(f'{self.source} {self.target}')
    return frozenset(name for _, name, _, _ in parsed if name)


TEMPLATES = (
  Template('rating-1', 'score : user {user} , item {item}', '{rating}'),
  Template('rating-2', 'how many stars has item {item} from user {user} ?',
           '{rating}'),
  Template('rating-3', 'user {user} tried {title} , item {item} . the score '
           'was', '{rating}'),
  Template('rating-4', 'is item {item} one that user {user} likes ?',
           '{liked}'),
  Template('rating-5', 'the stars by user {user} to item {item} are',
           '{rating}', seen=False),
  Template('sequential-1', 'user {user} went through {history} . next ?',
           '{item}'),
  Template('sequential-2', '{history} come first , what follows ?', '{item}'),
  Template('sequential-3', 'after {history} user {user} takes', '{item}'),
  Template('sequential-4', 'someone has {history} . which item then ?',
           '{item}'),
  Template('sequential-5', 'with {history} behind , user {user} goes for',
           '{item}', seen=False),
  Template('explanation-1', 'why does user {user} choose item {item} ?',
           'it is {attributes}'),
  Template('explanation-2', 'user {user} and {title} : what is the reason ?',
           'it is {attributes}'),
  Template('explanation-3', 'explain item {item} to user {user} by {feature}',
           'it is {attributes}'),
  Template('explanation-4', 'the reason of user {user} to have item {item}',
           'it is {attributes}', seen=False),
  Template('review-1', 'user {user} on {title} , {attributes} : score ?',
           '{rating}'),
  Template('review-2', 'how does user {user} score what is {attributes} , '
           'item {item} ?', '{rating}'),
  Template('review-3', 'in a few words : item {item} , {attributes}',
           '{title}'),
  Template('review-4', '{attributes} is {title} . stars by user {user} ?',
           '{rating}', seen=False),
  Template('direct-1', 'recommend something to user {user}', '{item}'),
  Template('direct-2', 'which item is for user {user} ?', '{item}'),
  Template('direct-3', 'shall user {user} be shown item {other} ?', '{taken}'),
  Template('direct-4', 'pick for user {user} from {candidates}', '{item}'),
  Template('direct-5', 'what suits user {user} ?', '{item}', seen=False),
)  # fmt: skip


def usable(
  families: Sequence[str], fields: frozenset[str]
) -> tuple[tuple[Template, ...], dict[str, str]]:
  """Selects the templates that a data set can fill in.

  Args:
    families: task families, from `FAMILIES`.
    fields: fields that the data set can fill.

  Returns:
    The templates, and the reason for each family that is left out because
    training could use none of its templates.

  Raises:
    DataError: a family is unknown, or no family is left.
  """
  chosen, skipped = [], {}
  for family in families:
    if family not in FAMILIES:
      raise DataError(f'family={family!r} is unknown; use some of {FAMILIES}')
    every = [t for t in TEMPLATES if t.family == family]
    kept = [t for t in every if t.fields <= fields]
    if not any(t.seen for t in kept):
      lacking = frozenset.intersection(*(t.fields for t in every)) - fields
      lacking = lacking or frozenset.union(*(t.fields for t in every)) - fields
      skipped[family] = f'the data has no {", ".join(sorted(lacking))}'
      continue
    chosen += kept
  if not chosen:
    raise DataError(f'no family of prompts can be filled in: {skipped}')
  return tuple(chosen), skipped


class Batch(NamedTuple):
  """A batch of B prompts and their answers as arrays.

  Attributes:
    tokens: int32 [B, S], tokens of the prompts with the end token; 0 pads.
    whole: int32 [B, S], number of the word that each token belongs to, from 1;
      0 for the end token and padding.
    mask: bool [B, S], True where a prompt has a token.
    inputs: int32 [B, T], tokens of the answers shifted right by one position,
      which the decoder reads.
    targets: int32 [B, T], tokens of the answers with the end token; 0 pads.
    target_mask: bool [B, T], True where an answer has a token.
  """

  tokens: Int[np.ndarray, 'B S']
  whole: Int[np.ndarray, 'B S']
  mask: Bool[np.ndarray, 'B S']
  inputs: Int[np.ndarray, 'B T']
  targets: Int[np.ndarray, 'B T']
  target_mask: Bool[np.ndarray, 'B T']

  @property
  def source(self) -> tuple:
    """The input of the encoder: `tokens`, `whole` and `mask`."""
    return self.tokens, self.whole, self.mask


Tokens = list[int]
# The tokens of each field. A list of items has the tokens of each item; the
# oldest item comes first.
Values = Mapping[str, Tokens | list[Tokens]]


@dataclasses.dataclass(frozen=True, eq=False)
class Writer:
  """Fills in templates and encodes them as tokens.

  Attributes:
    tokenizer: tokenizer of all texts.
    source_length: S, the largest number of tokens of a prompt. A longer prompt
      loses the first items of its list, the oldest of a history; without a
      list, it is cut at its end. A warning names each template that is cut.
    target_length: T, the largest number of tokens of an answer; longer answers
      are cut at their end.
  """

  tokenizer: tokenizer_lib.Tokenizer
  source_length: int
  target_length: int

  @functools.cached_property
  def _starts_word(self) -> np.ndarray:
    return self.tokenizer.starts_word()

  @functools.lru_cache(maxsize=256)  # noqa: B019 - it may keep a writer alive
  def _parts(self, text: str) -> tuple[tuple[Tokens, str | None], ...]:
    """Each field of a text, and the tokens before it."""
    return tuple(
      (self.tokenizer.encode(before), name)
      for before, name, _, _ in string.Formatter().parse(text)
    )

  def source(self, template: Template, values: Values) -> Tokens:
    """The tokens of a prompt with the end token, at most S."""
    room = self.source_length - 1
    fixed, lists = 0, 0
    for before, name in self._parts(template.source):
      fixed += len(before)
      if name and _is_list(values[name]):
        lists += sum(map(len, values[name]))
      elif name:
        fixed += len(values[name])
    excess = max(0, fixed + lists - room)
    if excess:
      _tell_cut(template.name, self.source_length)
    tokens = []
    for before, name in self._parts(template.source):
      tokens += before
      if name is None:
        continue
      if not _is_list(values[name]):
        tokens += values[name]
        continue
      for item in values[name]:
        if excess > 0:
          excess -= len(item)
          continue
        tokens += item
    return [*tokens[:room], tokenizer_lib.EOS]

  def target(self, template: Template, values: Values) -> Tokens:
    """The tokens of an answer with the end token, at most T."""
    tokens = []
    for before, name in self._parts(template.target):
      tokens += before + (values[name] if name else [])
    return [*tokens[: self.target_length - 1], tokenizer_lib.EOS]

  def batch(
    self,
    sources: Sequence[Tokens],
    targets: Sequence[Tokens] = (),
    *,
    shortest: bool = False,
  ) -> Batch:
    """Pads prompts, and in training their answers, to arrays.

    Args:
      sources: tokens of each prompt.
      targets: tokens of each answer; none outside of training.
      shortest: whether to pad to the longest text of the batch, rounded up by
        `roomy`; otherwise, all are padded to S and T.
    """
    source_length, target_length = self.source_length, self.target_length
    if shortest:
      source_length = min(source_length, roomy(max(map(len, sources))))
      target_length = min(
        target_length, roomy(max(map(len, targets), default=0))
      )
    tokens, mask = _padded(sources, source_length)
    starts = self._starts_word[tokens]
    starts[:, 0] = True
    is_word = mask & (tokens != tokenizer_lib.EOS)
    whole = np.where(is_word, np.cumsum(starts & is_word, axis=1), 0)
    written, written_mask = _padded(targets, target_length)
    inputs = np.roll(written, 1, axis=1)
    inputs[:, :1] = tokenizer_lib.PAD
    return Batch(
      tokens, whole.astype(np.int32), mask, inputs, written, written_mask
    )


@functools.lru_cache(maxsize=256)  # Each template is named only once.
def _tell_cut(template: str, source_length: int) -> None:
  logging.warning(
    'prompts of %s are cut to source_length=%d tokens: the oldest items of '
    'their list are left out; a prompt without a list loses its end',
    template,
    source_length,
  )


def roomy(length: int) -> int:
  """The next power of two, at least 4, so that few lengths are compiled."""
  return padding.power_of_two(length, least=4)


def _is_list(value) -> bool:
  return len(value) == 0 or isinstance(value[0], list)


def _padded(rows, length) -> tuple[np.ndarray, np.ndarray]:
  tokens = np.full((len(rows), length), tokenizer_lib.PAD, np.int32)
  mask = np.zeros((len(rows), length), bool)
  for i, row in enumerate(rows):
    tokens[i, : len(row)] = row
    mask[i, : len(row)] = True
  return tokens, mask
