"""P5 as a `Model`: one text-to-text model that adapts by its prompt alone.

Geng et al.: "Recommendation as language processing" (RecSys 2022, arXiv
2203.13366), trained from scratch in a small size. An adaptation needs no
training: the prompt holds the history of the user, and the names of new items
are made from their text.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.p5 import (
  decoding,
  item_ids,
  prefix_tree,
  prompt_tasks,
  prompts,
)
from hyperrec.systems.p5 import tokenizer as tokenizer_lib
from hyperrec.systems.p5 import training as p5_training

CannotServe = method_lib.CannotServe
P5Config = p5_training.P5Config
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Run = method_lib.Run
Tokenizer = tokenizer_lib.Tokenizer

# Largest number of float32 values that scoring one batch makes: 128 MiB.
_MOST_NUMBERS = 2**25
_MOST_USERS = 64


class Catalogue(NamedTuple):
  """The names of the items of a catalogue.

  Attributes:
    names: [V], tokens of each item's name.
    tree: prefix tree of the names.
  """

  names: tuple[tuple[int, ...], ...]
  tree: prefix_tree.PrefixTree

  @classmethod
  def of(cls, names: Sequence[Sequence[int]]) -> 'Catalogue':
    """Makes the catalogue of the items with these names, [V] tokens each.

    Raises:
      ValueError: `prefix_tree.build` refuses the names.
    """
    tree = prefix_tree.build(names, tokenizer_lib.EOS)
    return cls(tuple(map(tuple, names)), tree)


class P5State(NamedTuple):
  """A network and the catalogue whose items it scores.

  Attributes:
    params: parameters of `t5.T5`; None before training.
    tokenizer: tokenizer of prompts and names.
    catalogue: names of the items; None after training on several domains, until
      `look_up` sets the target.
  """

  params: Any
  tokenizer: Tokenizer
  catalogue: Catalogue | None


# The users to rank for are new, so no prompt can name them by a number.
_NEXT_ITEM = next(
  template
  for template in prompts.TEMPLATES
  if template.family == 'sequential' and 'user' not in template.fields
)


def p5(
  *,
  families: Sequence[str] = ('sequential',),
  user_seed: int | None = None,
  **hyperparameters: Any,
) -> Model:
  """P5, trained on prompts; by default, all of them ask for the next item.

  Args:
    families: task families of the training prompts, from `prompts.FAMILIES`.
    user_seed: seed of the random numbers that name users in prompts; None
      leaves out the prompts that name a user.
    **hyperparameters: fields of `P5Config`. Only names='text' can serve another
      catalogue, or learn from several domains.
  """
  config = P5Config(**hyperparameters)

  def fit(data, key, start=None, run=None):
    domains = (data,) if isinstance(data, Interactions) else data
    if start is None:
      name_key, key = jax.random.split(key)
      start, names = _untrained(config, domains, name_key)
    else:
      names = [start.catalogue.names]
    tasks = [
      make_tasks(config, domain, called, start.tokenizer, user_seed)
      for domain, called in zip(domains, names, strict=True)
    ]
    fields = frozenset.intersection(*(each.fields for each in tasks))
    templates, _ = prompts.usable(families, fields)
    run = (run or Run()).of(lambda params: start._replace(params=params))
    params, cost = p5_training.fit(
      config,
      tasks,
      start.tokenizer,
      templates,
      key=key,
      start=start.params,
      run=run,
    )
    return Outcome(start._replace(params=params), cost)

  return Model(
    'p5',
    config,
    fit,
    functools.partial(score, config),
    look_up=functools.partial(look_up, config),
    takes_domains=True,
    needs_interactions=False,
  )


def look_up(config: P5Config, state: P5State, data: Interactions) -> Outcome:
  """Gives the network the item names of another catalogue, without training.

  Raises:
    CannotServe: items are named by numbers, or the new items have no text.
  """
  if config.names != 'text':
    raise CannotServe(
      "item numbers mean nothing in another catalogue; use names='text'"
    )
  names = name_items(config, data, state.tokenizer, 0)
  return Outcome(state._replace(catalogue=Catalogue.of(names)))


def make_tasks(
  config: P5Config,
  data: Interactions,
  names: Sequence[Sequence[int]],
  tokenizer: Tokenizer,
  user_seed: int | None,
) -> prompt_tasks.Tasks:
  """Prepares the interactions of a data set, from which prompts are drawn.

  Args:
    config: hyperparameters.
    data: training interactions.
    names: [V], tokens of each item's name.
    tokenizer: tokenizer of prompts and names.
    user_seed: see `p5`.
  """
  asked = prompt_tasks.PromptConfig(
    max_history=config.max_history, shuffled=config.shuffled
  )
  return prompt_tasks.Tasks(data, names, tokenizer, asked, user_seed=user_seed)


def _untrained(
  config: P5Config, domains: Sequence[Interactions], key: jax.Array
) -> tuple[P5State, list[list[tuple[int, ...]]]]:
  """Trains a tokenizer and names the items of each domain.

  Returns:
    A state without parameters, and the item names of each domain.

  Raises:
    CannotServe: there are several domains and items are named by numbers, or
      items are named by text and have none.
  """
  if len(domains) > 1 and config.names != 'text':
    raise CannotServe(
      "item numbers mean nothing in another domain; use names='text'"
    )
  texts = [text for data in domains for text in prompt_tasks.corpus(data)]
  tokenizer = tokenizer_lib.train(texts, config.vocab_size)
  seed = int(jax.random.bits(key))
  names = [name_items(config, data, tokenizer, seed) for data in domains]
  catalogue = Catalogue.of(names[0]) if len(domains) == 1 else None
  return P5State(None, tokenizer, catalogue), names


def name_items(
  config: P5Config, data: Interactions, tokenizer: Tokenizer, seed: int
) -> list[tuple[int, ...]]:
  """The tokens of each item's name, which is a number or a text.

  Args:
    config: hyperparameters; `names` chooses the kind of name.
    data: interactions, which give the numbers, and the texts of V items.
    tokenizer: tokenizer of the names.
    seed: seed of the numbers; texts do not use it.

  Raises:
    CannotServe: items are named by text and have none.
  """
  if config.names == 'text':
    if data.item_text is None:
      raise CannotServe(
        f"{data.name} has no item text, which names='text' needs"
      )
    return _names_by_text(config, data.item_text, tokenizer)
  numbers = item_ids.number_items(data, config.names, seed)
  return [
    tuple(tokenizer.encode(name)) for name in prompt_tasks.item_names(numbers)
  ]


def _names_by_text(config, texts, tokenizer) -> list[tuple[int, ...]]:
  """The first tokens of each title; a number makes equal names unique."""
  names, taken = [], set()
  for text in texts:
    title, _ = prompt_tasks.split_text(str(text))
    name = tuple(tokenizer.encode(title or 'item')[: config.name_tokens])
    number, unique = 1, name
    while not unique or unique in taken:
      number += 1
      unique = (*name, *tokenizer.encode(str(number)))
    taken.add(unique)
    names.append(unique)
  return names


def score(config: P5Config, state: P5State, histories: Histories) -> np.ndarray:
  """Log-probabilities [B, V] that each item is the next one of a history.

  Raises:
    DataError: a history holds an item that is not in the catalogue.
  """
  names = state.catalogue.names
  nothing = state.tokenizer.encode(prompt_tasks.NOTHING)
  writer = config.writer(state.tokenizer)
  sources = []
  for items, mask in zip(histories.items, histories.mask, strict=True):
    last = items[mask][-config.max_history :]
    shown = prompt_tasks.names_of(names, last) or [nothing]
    sources.append(writer.source(_NEXT_ITEM, {'history': shown}))
  return score_sources(config, state, writer, sources)


def score_sources(
  config: P5Config,
  state: P5State,
  writer: prompts.Writer,
  sources: Sequence[prompts.Tokens],
) -> np.ndarray:
  """Log-probabilities [N, V] of each item's name as the answer to N prompts.

  The last batch is filled up with copies of a prompt, whose scores are dropped.

  Args:
    config: hyperparameters.
    state: trained network and catalogue.
    writer: makes arrays of the prompts.
    sources: [N], tokens of each prompt.
  """
  tree = state.catalogue.tree
  network = config.t5(state.tokenizer.vocab_size)
  size = batch_size(config, tree, len(sources))
  scores = []
  for first in range(0, len(sources), size):
    part = sources[first : first + size]
    padded = [*part, *[part[0]] * (size - len(part))]
    found = decoding.score_catalogue(
      state.params, writer.batch(padded).source, tree, config=network
    )
    scores.append(np.asarray(found)[: len(part)])
  return np.concatenate(scores)


def batch_size(
  config: P5Config, tree: prefix_tree.PrefixTree, num_prompts: int
) -> int:
  """Number of prompts to score at a time: one, or as many as fit in memory.

  A catalogue thus needs only two batch sizes; each takes seconds to compile.
  """
  if num_prompts == 1:
    return 1
  widest = max(len(tree.alphabet), tree.num_steps * config.dim)
  numbers = len(tree.tokens) * widest + tree.path_nodes.size
  size = min(_MOST_USERS, max(1, _MOST_NUMBERS // numbers))
  return 1 << (size.bit_length() - 1)
