"""The hyperparameters of P5, and its training on prompts."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.p5 import prompt_tasks, prompts, t5
from hyperrec.systems.p5 import tokenizer as tokenizer_lib
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
DataError = interactions_lib.DataError
Outcome = method_lib.Outcome
Tokenizer = tokenizer_lib.Tokenizer

NAMES = ('random', 'sequential', 'collaborative', 'given', 'text')

# A name can have this many tokens beyond those of its text: a number of up to
# six digits, which makes it unique, and the end token.
_TELLING_APART = 4


@dataclasses.dataclass(frozen=True)
class P5Config:
  """Hyperparameters of P5.

  Attributes:
    names: Names of the items in prompts; numbers by one of the indexings of
      `item_ids`, or text.
    dim: Width of the network.
    num_layers: Number of blocks of the encoder, and of the decoder.
    head_dim: Width of an attention head, a divisor of dim.
    dropout: Share of values that dropout sets to 0 in training.
    vocab_size: Largest number of pieces in the vocabulary of the tokenizer.
    num_whole_words: Number of whole-word embeddings; 0 leaves them out.
    max_history: Largest number of items of a history in a prompt, the last
      ones.
    shuffled: Show other items of the user at random, in random order, as a
      training history, not the items before; meant for data without times.
    name_tokens: Largest number of tokens of a name that is a text.
    source_length: Largest number of tokens of a prompt.
    target_length: Largest number of tokens of an answer.
    num_steps: Number of training steps.
    batch_size: Number of prompts in a training step.
    steps_alike: Number of steps whose prompts are drawn together and sorted by
      length, so that batches need little padding; each length is compiled
      once. With 1, every batch is padded to the largest lengths.
    lr: Learning rate of AdamW at the start, such as 0.001; it falls to 0 along
      a cosine.
    weight_decay: Weight decay of AdamW, such as 0.01; it applies to matrices
      only.

  Raises:
    DataError: a value is out of its range, or two values do not fit together.
  """

  names: str = config_lib.field('sequential', choices=NAMES)
  dim: int = config_lib.field(128, least=1)
  num_layers: int = config_lib.field(2, least=1)
  head_dim: int = config_lib.field(32, least=1)
  dropout: float = config_lib.field(0.1, least=0, below=1)
  vocab_size: int = config_lib.field(2000, least=1)
  num_whole_words: int = config_lib.field(512, least=0)
  max_history: int = config_lib.field(20, least=1)
  shuffled: bool = False
  name_tokens: int = config_lib.field(8, least=1)
  source_length: int = config_lib.field(64, least=1)
  target_length: int = config_lib.field(12, least=1)
  num_steps: int = config_lib.field(2000, least=1)
  batch_size: int = config_lib.field(64, least=1)
  steps_alike: int = config_lib.field(1, least=1)
  lr: float = config_lib.field(1e-3, least=0)
  weight_decay: float = config_lib.field(0.01, least=0)

  def __post_init__(self):
    config_lib.check(self)
    if self.dim % self.head_dim:
      raise DataError(f'head_dim={self.head_dim} must divide dim={self.dim}')
    least = self.name_tokens + _TELLING_APART
    if self.names == 'text' and self.target_length < least:
      raise DataError(
        f'target_length={self.target_length} has no room for '
        f'name_tokens={self.name_tokens} and {_TELLING_APART} more tokens, '
        'which make a name unique and end it; give a larger target_length or '
        'fewer name_tokens'
      )

  def t5(self, vocab_size: int) -> t5.T5Config:
    """The sizes of the network with a vocabulary of `vocab_size` tokens."""
    return t5.T5Config(
      vocab_size,
      d_model=self.dim,
      d_kv=self.head_dim,
      d_ff=4 * self.dim,
      num_layers=self.num_layers,
      num_decoder_layers=self.num_layers,
      num_heads=self.dim // self.head_dim,
      dropout_rate=self.dropout,
      num_whole_words=self.num_whole_words,
    )

  def writer(self, tokenizer: Tokenizer) -> prompts.Writer:
    """The writer that fills in templates and encodes them."""
    return prompts.Writer(tokenizer, self.source_length, self.target_length)


def fit(
  config: P5Config,
  tasks: Sequence[prompt_tasks.Tasks],
  tokenizer: Tokenizer,
  templates: Sequence[prompts.Template],
  *,
  key: jax.Array,
  start: Any,
  run: method_lib.Run,
) -> Outcome:
  """Trains the network on prompts about training interactions.

  Each batch is about one domain; all domains are equally likely.

  Args:
    config: hyperparameters.
    tasks: training interactions of each domain.
    tokenizer: tokenizer of prompts and names.
    templates: templates to draw from; those with `seen=False` are not used.
    key: typed key of the initial parameters, the prompts and dropout.
    start: parameters to continue from; None draws new ones.
    run: training run; its `evaluate` gets the parameters. With an evaluation,
      the best parameters are returned.

  Returns:
    The parameters, and the cost of training.

  Raises:
    DataError: the name of an item is longer than `config.target_length`.
  """
  init_key, draw_key, noise_key = jax.random.split(key, 3)
  network = config.t5(tokenizer.vocab_size)
  for domain in tasks:
    _check_names(domain, config.target_length)
  seed = int(jax.random.bits(draw_key))
  batch_at = batches(config, tasks, tokenizer, templates, seed)
  params = _init(network, init_key) if start is None else start
  tx = optimizers.cosine_adamw(config.lr, config.num_steps, config.weight_decay)
  result = loop.train(
    train_step(network, config.weight_decay),
    step_lib.init_state(params, tx, noise_key),
    batch_at,
    config.num_steps,
    run,
  )
  operations = _training_operations(config, tokenizer.vocab_size)
  return Outcome(result.params, Cost(operations))


def _check_names(tasks: prompt_tasks.Tasks, target_length: int) -> None:
  longest = 1 + max(map(len, tasks.names))
  if longest > target_length:
    raise DataError(
      f'{tasks.data.name}: the longest item name has {longest} tokens with its '
      f'end token; target_length={target_length} must be at least that'
    )


def batches(
  config: P5Config,
  tasks: Sequence[prompt_tasks.Tasks],
  tokenizer: Tokenizer,
  templates: Sequence[prompts.Template],
  seed: int,
) -> Callable[[int], prompts.Batch]:
  """Makes the pure function that maps a step to its batch.

  Args:
    config: hyperparameters; see `P5Config.steps_alike`.
    tasks: training interactions of each domain.
    tokenizer: tokenizer of prompts and names.
    templates: templates to draw from; those with `seen=False` are not used.
    seed: seed of all draws.
  """
  writer = config.writer(tokenizer)

  @functools.lru_cache(maxsize=1)  # The steps of a group share one draw.
  def drawn(group):
    random = np.random.default_rng((seed, group))
    domain = tasks[random.integers(len(tasks))]
    pairs = prompt_tasks.draw_prompts(
      domain, writer, templates, config.steps_alike * config.batch_size, random
    )
    if config.steps_alike == 1:
      return [pairs]
    pairs.sort(key=_padded_lengths)
    parts = [
      pairs[first : first + config.batch_size]
      for first in range(0, len(pairs), config.batch_size)
    ]
    return [parts[place] for place in random.permutation(len(parts))]

  def batch_at(step):
    group, place = divmod(step, config.steps_alike)
    sources, targets = zip(*drawn(group)[place], strict=True)
    return writer.batch(sources, targets, shortest=config.steps_alike > 1)

  return batch_at


def _padded_lengths(pair) -> tuple[int, int]:
  """Sort key: the answer comes first, since its tokens cost more to pad."""
  source, target = pair
  return prompts.roomy(len(target)), len(source)


@functools.partial(jax.jit, static_argnums=0)
def _init(network: t5.T5Config, key: jax.Array):
  return t5.init_params(network, _quick_key(key))


def _quick_key(key: jax.Array) -> jax.Array:
  """A key for XLA's own generator, which compiles in a third of the time.

  With the default generator, each dropout layer compiles its own copy of it.
  """
  data = jax.random.key_data(key)
  return jax.random.wrap_key_data(jnp.tile(data, 2), impl='rbg')


@functools.lru_cache(maxsize=16)
def train_step(network: t5.T5Config, weight_decay: float) -> step_lib.Step:
  """The training step; it is cached, so that equal models compile once."""

  def loss_fn(params, batch, key, step):
    del step
    logits_BxTxW = t5.T5(network).apply(
      {'params': params},
      batch.source,
      batch.inputs,
      train=True,
      rngs={'dropout': _quick_key(key)},
    )
    log_BxTxW = jax.nn.log_softmax(logits_BxTxW)
    nll_BxT = -jnp.take_along_axis(
      log_BxTxW, batch.targets[..., None], axis=-1
    )[..., 0]
    # As in P5, tokens are averaged within each answer first, so that long
    # answers do not weigh more.
    count_B = batch.target_mask.sum(axis=1)
    nll_B = jnp.where(batch.target_mask, nll_BxT, 0).sum(axis=1) / count_B
    return nll_B.mean(), {}

  return step_lib.make_train_step(
    loss_fn, optimizers.cosine_adamw(0.0, 0, weight_decay)
  )


def _training_operations(config: P5Config, vocab_size: int) -> float:
  """Operations of training; a step costs as much as three forward passes.

  All batches count as padded to the largest lengths; with `steps_alike` above
  1, most cost less.
  """
  forward = t5.forward_flops(
    config.t5(vocab_size),
    config.batch_size,
    config.source_length,
    config.target_length,
  )
  answers = config.batch_size * config.target_length
  return (
    3 * config.num_steps * (forward + 2.0 * answers * config.dim * vocab_size)
  )
