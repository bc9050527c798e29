"""P5 behind the contract: one text-to-text model, adapted by its prompt alone.

Geng et al.: "Recommendation as language processing" (RecSys 2022, arXiv
2203.13366), trained from scratch in a small size. Nothing is paid for an
adaptation: a user's history is what the prompt says, and new items are known
by the text that names them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_ids, prompt_tasks, prompts
from hyperrec.data import tokenizer as tokenizer_lib
from hyperrec.methods import p5_training
from hyperrec.models import decoding, prefix_tree

CannotServe = method_lib.CannotServe
Config = p5_training.Config
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Method = method_lib.Method
Tokenizer = tokenizer_lib.Tokenizer

# Numbers that are made of one batch while it is scored, at most: 128 MB.
_MOST_NUMBERS = 2**25
_MOST_USERS = 64


class Catalogue(NamedTuple):
  """What items are called.

  Attributes:
    names: [V] tokens of each.
    tree: of the names.
    item_ids: the catalogue.
  """

  names: tuple[tuple[int, ...], ...]
  tree: prefix_tree.PrefixTree
  item_ids: np.ndarray

  @classmethod
  def of(cls, names: Sequence[Sequence[int]], ids: np.ndarray) -> 'Catalogue':
    """The items `ids`, so called."""
    tree = prefix_tree.build(names, tokenizer_lib.EOS)
    return cls(tuple(map(tuple, names)), tree, ids)


class Fitted(NamedTuple):
  """A network, and a catalogue that it is asked about.

  Attributes:
    params: of `t5.T5`.
    tokenizer: reads prompts.
    catalogue: None where it learned from domains, and no target is chosen.
  """

  params: Any
  tokenizer: Tokenizer
  catalogue: Catalogue | None


# Users are new in every regime, and have no number that a prompt could say.
TEMPLATES = tuple(
  template
  for template in prompts.TEMPLATES
  if template.family == 'sequential' and 'user' not in template.fields
)


def p5(**hyper_parameters: Any) -> Method:
  """P5, trained once on next-item prompts; it is never adapted.

  Args:
    **hyper_parameters: fields of `Config`. Only names='text' can serve
      another catalogue.
  """
  config = Config(**hyper_parameters)
  return Method(
    'p5',
    functools.partial(prepare, config),
    functools.partial(adapt, config),
    functools.partial(score, config),
    lambda source, shared: p5_training.fit_flops(
      config, shared.tokenizer.vocab_size
    ),
  )


def prepare(
  config: Config, source: method_lib.Source, key: jax.Array
) -> Fitted:
  """Trains on the sequences of the source, or of all source domains.

  Raises:
    CannotServe: several domains, or names by text, without item text.
  """
  domains = (source,) if isinstance(source, Interactions) else source
  if len(domains) > 1 and config.names != 'text':
    raise CannotServe('numbers of items mean nothing in another domain')
  texts = [text for data in domains for text in prompt_tasks.corpus(data)]
  tokenizer = tokenizer_lib.train(texts, config.vocab_size)
  name_key, fit_key = jax.random.split(key)
  seed = int(jax.random.bits(name_key))
  names = [name_items(config, data, tokenizer, seed) for data in domains]
  asked = prompt_tasks.Config(
    max_history=config.max_history, shuffled=config.shuffled
  )
  tasks = [
    prompt_tasks.Tasks(data, called, tokenizer, asked)
    for data, called in zip(domains, names, strict=True)
  ]
  params = p5_training.fit(config, tasks, tokenizer, TEMPLATES, fit_key)
  catalogue = None
  if isinstance(source, Interactions):
    catalogue = Catalogue.of(names[0], domains[0].item_ids)
  return Fitted(params, tokenizer, catalogue)


def adapt(
  config: Config, shared: Fitted, evidence: Interactions, key: jax.Array
) -> Fitted:
  """The same network; of another catalogue it learns the names, no more.

  Raises:
    CannotServe: numbers name the items, or the new ones have no text.
  """
  del key
  known = shared.catalogue
  if known is not None and np.array_equal(known.item_ids, evidence.item_ids):
    return shared
  if config.names != 'text':
    raise CannotServe('numbers of items mean nothing in another catalogue')
  names = name_items(config, evidence, shared.tokenizer, 0)
  return shared._replace(catalogue=Catalogue.of(names, evidence.item_ids))


def name_items(
  config: Config, data: Interactions, tokenizer: Tokenizer, seed: int
) -> list[tuple[int, ...]]:
  """Tokens of what each item is called, by number or by text.

  Raises:
    CannotServe: names by text, and there is none.
  """
  if config.names == 'text':
    if data.item_text is None:
      raise CannotServe(f'{data.name} has no item text to name items by')
    return _names_by_text(config, data.item_text, tokenizer)
  numbers = item_ids.number_items(data, config.names, seed)
  return [
    tuple(tokenizer.encode(name)) for name in prompt_tasks.item_names(numbers)
  ]


def _names_by_text(config, texts, tokenizer) -> list[tuple[int, ...]]:
  """The first tokens of titles; a number tells equal ones apart."""
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


def score(config: Config, fitted: Fitted, histories: Histories) -> np.ndarray:
  """Log-probabilities [B, V] of each item's name as the next of a history.

  Raises:
    DataError: a history holds an item that the catalogue lacks.
  """
  catalogue = fitted.catalogue
  names = catalogue.names
  nothing = fitted.tokenizer.encode(prompt_tasks.NOTHING)
  writer = config.writer(fitted.tokenizer)
  sources = []
  for items, mask in zip(histories.items, histories.mask, strict=True):
    last = items[mask][-config.max_history :]
    shown = prompt_tasks.names_of(names, last) or [nothing]
    sources.append(writer.source(TEMPLATES[0], {'history': shown}))
  return score_sources(config, fitted, writer, sources)


def score_sources(
  config: Config,
  fitted: Fitted,
  writer: prompts.Writer,
  sources: Sequence[prompts.Tokens],
) -> np.ndarray:
  """Log-probabilities [N, V] of each item's name as the answer to prompts.

  The last batch is filled up with prompts that count for nothing.
  """
  tree = fitted.catalogue.tree
  network = config.t5(fitted.tokenizer.vocab_size)
  size = batch_size(config, tree, len(sources))
  scores = []
  for first in range(0, len(sources), size):
    part = sources[first : first + size]
    padded = [*part, *[part[0]] * (size - len(part))]
    found = decoding.score_catalogue(
      fitted.params, writer.batch(padded).source, tree, config=network
    )
    scores.append(np.asarray(found)[: len(part)])
  return np.concatenate(scores)


def batch_size(
  config: Config, tree: prefix_tree.PrefixTree, num_prompts: int
) -> int:
  """Prompts to score at a time: one, or as many as fit in memory.

  Two shapes are all that is ever compiled, which takes seconds each.
  """
  if num_prompts == 1:
    return 1
  widest = max(len(tree.alphabet), tree.num_steps * config.dim)
  numbers = len(tree.tokens) * widest + tree.path_nodes.size
  size = min(_MOST_USERS, max(1, _MOST_NUMBERS // numbers))
  return 1 << (size.bit_length() - 1)
