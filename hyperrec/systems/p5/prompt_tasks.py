"""Interactions as prompts: what fills the fields of a template."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.p5 import item_ids, prompts
from hyperrec.systems.p5 import tokenizer as tokenizer_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Template = prompts.Template
Tokens = prompts.Tokens

_TEXT_FIELDS = frozenset(['title'])
_ATTRIBUTE_FIELDS = frozenset(['attributes', 'feature'])
_RATING_FIELDS = frozenset(['rating', 'liked'])
_USER_FIELDS = frozenset(['user'])
_ALWAYS = frozenset(['item', 'history', 'other', 'taken', 'candidates'])
NOTHING = 'nothing'


@dataclasses.dataclass(frozen=True)
class PromptConfig:
  """What prompts are like.

  Attributes:
    max_history: items of a history at most, the last ones.
    num_candidates: items of a list to pick from.
    empty_share: histories of training shown as empty, so that users of whom
      nothing is known are served.
    liked_from: the rating from which an item counts as liked.
    shuffled: a training history is of any other items of the user, as many as
      chance has it, in random order; not of those before, in order.
  """

  max_history: int = 20
  num_candidates: int = 20
  empty_share: float = 0.05
  liked_from: float = 4.0
  shuffled: bool = False


def item_names(numbers: np.ndarray) -> list[str]:
  """Items' numbers as text, all of one width."""
  return item_ids.as_text(numbers, item_ids.width_of(len(numbers)))


def names_of(names: Sequence[Tokens], items: Sequence[int]) -> list[Tokens]:
  """The names of some items.

  Raises:
    DataError: an item that the catalogue lacks.
  """
  for item in items:
    if not 0 <= item < len(names):
      raise DataError(
        f'item={item} of a history is none of the {len(names)} items that have '
        'a name; items count from 0 in the catalogue that the model was '
        'adapted to'
      )
  return [list(names[item]) for item in items]


def split_text(text: str) -> tuple[str, str]:
  """Title and attributes: what is before the last ". ", and after it."""
  title, stop, attributes = text.rpartition('. ')
  return (title, attributes) if stop else (text, '')


def corpus(
  data: Interactions, templates: Sequence[Template] = prompts.TEMPLATES
) -> list[str]:
  """Texts to train a tokenizer on: prompts and the items' own."""
  wordings = [
    part
    for template in templates
    for part in (template.source, template.target)
  ]
  texts = [] if data.item_text is None else [str(t) for t in data.item_text]
  # Few wordings must not drown in many titles.
  repeats = 1 + len(texts) // (4 * len(wordings))
  plain = [text.replace('{', '').replace('}', '') for text in wordings]
  return [*plain, NOTHING, 'yes no'] * repeats + texts


class Tasks:
  """The training interactions of a data set, ready to be asked about.

  Attributes:
    data: rows sorted by user and time.
    names: [V] tokens of each item's name.
    fields: what templates may ask for.
  """

  def __init__(
    self,
    train: Interactions,
    names: Sequence[Tokens],
    tokenizer: tokenizer_lib.Tokenizer,
    config: PromptConfig,
    *,
    user_seed: int | None = None,
  ):
    """Reads the names and texts of the items once.

    Args:
      train: all that is known; nothing held out.
      names: [V] tokens of what each item is called.
      tokenizer: reads names and texts.
      config: see `PromptConfig`.
      user_seed: numbers the users by chance; None: users have no number.
    """
    if len(train) == 0:
      raise DataError(f'{train.name}: no interaction to ask about')
    if len(names) != train.num_items:
      raise DataError(f'{len(names)} names for {train.num_items} items')
    encode = functools.lru_cache(None)(tokenizer.encode)
    self.config = config
    self.data = train.by_user_and_time()
    self.names = [list(name) for name in names]
    self._encode = encode
    ends = np.cumsum(train.user_counts())
    self._starts = ends - train.user_counts()
    self._ends = ends
    self._teachers = np.flatnonzero(train.user_counts())
    fields = _ALWAYS
    self._users = None
    if user_seed is not None:
      order = np.random.default_rng(user_seed).permutation(train.num_users)
      self._users = [encode(name) for name in item_names(order)]
      fields |= _USER_FIELDS
    if train.ratings is not None:
      fields |= _RATING_FIELDS
    if train.item_text is not None:
      parts = [split_text(str(text)) for text in train.item_text]
      self._titles = [encode(title) for title, _ in parts]
      self._attributes = [text for _, text in parts]
      fields |= _TEXT_FIELDS
      if any(self._attributes):
        fields |= _ATTRIBUTE_FIELDS
    self.fields = fields

  def user(self, user: int) -> Tokens:
    """A user's number.

    Raises:
      DataError: users have none, or there is no such user.
    """
    if self._users is None or not 0 <= user < len(self._users):
      known = 0 if self._users is None else len(self._users)
      raise DataError(
        f'user={user} is none of the {known} users with a number; a prompt '
        'without {user} serves those'
      )
    return self._users[user]

  def history(self, items: Sequence[int]) -> list[Tokens]:
    """The last items of a history, or a word for nothing.

    Raises:
      DataError: an item that the catalogue lacks.
    """
    last = list(items)[-self.config.max_history :]
    return names_of(self.names, last) or [self._encode(NOTHING)]

  def values(
    self,
    row: int,
    history: Sequence[int],
    random: np.random.Generator,
    *,
    data: Interactions | None = None,
  ) -> prompts.Values:
    """What fills any template about one row.

    Args:
      row: of `data`.
      history: items before it.
      random: of candidates and of what an explanation is asked to name.
      data: where the row is; default the training rows.
    """
    data = self.data if data is None else data
    item, user = int(data.items[row]), int(data.users[row])
    others = random.integers(
      data.num_items, size=self.config.num_candidates - 1
    )
    taken = random.random() < 0.5
    candidates = random.permutation([item, *others.tolist()])
    values = {
      'item': self.names[item],
      'history': self.history(history),
      'other': self.names[item if taken else int(others[0])],
      'taken': self._encode('yes' if taken else 'no'),
      'candidates': [self.names[other] for other in candidates],
    }
    if self._users is not None:
      values['user'] = self.user(user)
    if data.ratings is not None:
      rating = float(data.ratings[row])
      liked = 'yes' if rating >= self.config.liked_from else 'no'
      values |= {
        'rating': self._encode(f'{rating:.1f}'),
        'liked': self._encode(liked),
      }
    if 'title' in self.fields:
      values['title'] = self._titles[item]
    if 'attributes' in self.fields:
      words = self._attributes[item].split() or [NOTHING]
      values |= {
        'attributes': self._encode(' '.join(words)),
        'feature': self._encode(words[random.integers(len(words))]),
      }
    return values

  def draw(self, random: np.random.Generator) -> prompts.Values:
    """What fills templates about a training row: of a user, then of hers."""
    user = self._teachers[random.integers(len(self._teachers))]
    start, end = self._starts[user], self._ends[user]
    row = int(random.integers(start, end))
    shown = self.data.items[start:row]
    if self.config.shuffled:
      others = np.delete(self.data.items[start:end], row - start)
      shown = random.permutation(others)[: row - start]
    if random.random() < self.config.empty_share:
      shown = shown[:0]
    return self.values(row, shown.tolist(), random)


def draw_prompts(
  tasks: Tasks,
  writer: prompts.Writer,
  templates: Sequence[Template],
  num_prompts: int,
  random: np.random.Generator,
) -> list[tuple[Tokens, Tokens]]:
  """Prompts and answers: each family as often, its templates likewise.

  Args:
    tasks: what to ask about.
    writer: makes the tokens.
    templates: only those with `seen` are used.
    num_prompts: how many.
    random: of everything.
  """
  families = {}
  for template in templates:
    if template.seen:
      families.setdefault(template.family, []).append(template)
  groups = list(families.values())
  pairs = []
  for _ in range(num_prompts):
    group = groups[random.integers(len(groups))]
    template = group[random.integers(len(group))]
    values = tasks.draw(random)
    pairs.append(
      (writer.source(template, values), writer.target(template, values))
    )
  return pairs
