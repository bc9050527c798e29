"""Makes prompts of interactions: the values of the fields of templates."""

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
  """Settings of the prompts.

  Attributes:
    max_history: largest number of items of a history in a prompt, the last
      ones.
    num_candidates: number of items in a list of candidates.
    empty_share: share of the training prompts that show an empty history, so
      that the model can serve users with empty histories.
    liked_from: lowest rating of an item that counts as liked.
    shuffled: whether a training history shows other items of the user at
      random, in random order, and not the items before in the order of time;
      the number of items is the same.
  """

  max_history: int = 20
  num_candidates: int = 20
  empty_share: float = 0.05
  liked_from: float = 4.0
  shuffled: bool = False


def item_names(numbers: np.ndarray) -> list[str]:
  """Writes item numbers as text; all have the same number of digits."""
  return item_ids.as_text(numbers, item_ids.width_of(len(numbers)))


def names_of(names: Sequence[Tokens], items: Sequence[int]) -> list[Tokens]:
  """The names of some items.

  Args:
    names: [V], tokens of each item's name.
    items: item indices.

  Raises:
    DataError: an item is not in the catalogue.
  """
  for item in items:
    if not 0 <= item < len(names):
      raise DataError(
        f'item={item} of a history is none of the {len(names)} items of the '
        'catalogue that the model was adapted to; give item indices of that '
        'catalogue, which count from 0'
      )
  return [list(names[item]) for item in items]


def split_text(text: str) -> tuple[str, str]:
  """Splits an item text at its last ". " into title and attributes."""
  title, stop, attributes = text.rpartition('. ')
  return (title, attributes) if stop else (text, '')


def corpus(
  data: Interactions, templates: Sequence[Template] = prompts.TEMPLATES
) -> list[str]:
  """Texts to train a tokenizer on: the wordings of prompts and item texts."""
  wordings = [
    part
    for template in templates
    for part in (template.source, template.target)
  ]
  texts = [] if data.item_text is None else [str(t) for t in data.item_text]
  # The few wordings are repeated, so that many item texts do not outweigh them.
  repeats = 1 + len(texts) // (4 * len(wordings))
  plain = [text.replace('{', '').replace('}', '') for text in wordings]
  return [*plain, NOTHING, 'yes no'] * repeats + texts


class Tasks:
  """The training interactions of a data set, from which prompts are drawn.

  Attributes:
    config: settings of the prompts.
    data: interactions sorted by user and time.
    names: [V], tokens of each item's name.
    fields: fields of templates that the data set can fill.
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
    """Encodes the names and texts of the items once.

    Args:
      train: training interactions, without held-out ones.
      names: [V], tokens of each item's name.
      tokenizer: tokenizer of names and texts.
      config: settings of the prompts.
      user_seed: seed of the random numbers that name users; None gives users
        no number.

    Raises:
      DataError: there is no interaction, or the number of names is not V.
    """
    if len(train) == 0:
      raise DataError(
        f'{train.name} has no interaction, so no prompt can be made'
      )
    if len(names) != train.num_items:
      raise DataError(
        f'there are {len(names)} names for {train.num_items} items; give one '
        'name for each item'
      )
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
    """The tokens of a user's number.

    Raises:
      DataError: users have no numbers, or the user does not exist.
    """
    if self._users is None or not 0 <= user < len(self._users):
      known = 0 if self._users is None else len(self._users)
      raise DataError(
        f'user={user} is none of the {known} users with a number; use a prompt '
        'without the field {user}'
      )
    return self._users[user]

  def history(self, items: Sequence[int]) -> list[Tokens]:
    """The names of the last items; an empty history is the word "nothing".

    Raises:
      DataError: an item is not in the catalogue.
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
    """The values of all fields for a prompt about one interaction.

    Args:
      row: row of the interaction in `data`.
      history: item indices that the prompt shows as the history.
      random: generator that draws the candidates, the other item and the
        attribute of an explanation.
      data: interactions that hold the row; None means the training
        interactions.
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
    """The values of all fields for a random training interaction.

    A user is drawn first, and then one of the interactions of this user.
    """
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
  """Draws prompts and their answers about training interactions.

  All families are equally likely, and so are the templates of one family.

  Args:
    tasks: training interactions to draw from.
    writer: turns a template and its values into tokens.
    templates: templates to draw from; those with `seen=False` are not used.
    num_prompts: number of prompts.
    random: generator of all draws.

  Returns:
    The tokens of each prompt and of its answer.
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
