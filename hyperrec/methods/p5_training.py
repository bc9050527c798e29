"""P5's network in a small size, and its training on prompts."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import prompt_tasks, prompts
from hyperrec.data import tokenizer as tokenizer_lib
from hyperrec.models import t5
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

DataError = interactions_lib.DataError
Tokenizer = tokenizer_lib.Tokenizer

NAMES = ('random', 'sequential', 'collaborative', 'given', 'text')

# Tokens of a name beyond its text: a number of up to six digits, and the end.
_TELLING_APART = 4


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyper-parameters.

  Attributes:
    names: what items are called: a numbering of `item_ids`, or by their text.
    dim: width of the network.
    num_layers: of the encoder and of the decoder.
    head_dim: of one head of attention; must divide dim.
    dropout: share dropped in training.
    vocab_size: pieces of the tokenizer at most.
    num_whole_words: rows of the whole-word embedding; 0 tells no words.
    max_history: items of a history at most, the last ones.
    shuffled: see `prompt_tasks.Config`.
    name_tokens: tokens of a name by text at most.
    source_length: tokens of a prompt at most.
    target_length: tokens of an answer at most.
    num_steps: of training.
    batch_size: prompts a step.
    steps_alike: steps whose prompts are drawn together, and so shared out that
      those of one step are of about one length, and little of a batch is
      padding; each length is compiled once. 1 pads every batch to the limits.
    lr: AdamW's at the start; falls to 0 along a cosine.
    weight_decay: AdamW's, of matrices only.

  Raises:
    DataError: a value that no network can have.
  """

  names: str = 'sequential'
  dim: int = 128
  num_layers: int = 2
  head_dim: int = 32
  dropout: float = 0.1
  vocab_size: int = 2000
  num_whole_words: int = 512
  max_history: int = 20
  shuffled: bool = False
  name_tokens: int = 8
  source_length: int = 64
  target_length: int = 12
  num_steps: int = 2000
  batch_size: int = 64
  steps_alike: int = 1
  lr: float = 1e-3
  weight_decay: float = 0.01

  def __post_init__(self):
    if self.names not in NAMES:
      raise DataError(f'names={self.names!r} is unknown; use one of {NAMES}')
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      least = int(field.name != 'num_whole_words')
      if field.type is int and value < least:
        raise DataError(f'{field.name}={value} must be at least {least}')
    for name in ('lr', 'weight_decay'):
      if not getattr(self, name) >= 0:
        raise DataError(f'{name}={getattr(self, name)} must not be negative')
    if not 0 <= self.dropout < 1:
      raise DataError(f'dropout={self.dropout} must be within 0 and below 1')
    if self.dim % self.head_dim:
      raise DataError(f'head_dim={self.head_dim} must divide dim={self.dim}')
    least = self.name_tokens + _TELLING_APART
    if self.names == 'text' and self.target_length < least:
      raise DataError(
        f'target_length={self.target_length} has no room for '
        f'name_tokens={self.name_tokens} and {_TELLING_APART} more, which end '
        'a name and tell equal ones apart'
      )

  def t5(self, vocab_size: int) -> t5.Config:
    """The network's own configuration."""
    return t5.Config(
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
    """What fills in templates."""
    return prompts.Writer(tokenizer, self.source_length, self.target_length)


def fit(
  config: Config,
  tasks: Sequence[prompt_tasks.Tasks],
  tokenizer: Tokenizer,
  templates: Sequence[prompts.Template],
  key: jax.Array,
  **run: Any,
) -> Any:
  """Trains on prompts about training rows; each domain has an equal share.

  Args:
    config: hyper-parameters.
    tasks: of the domains.
    tokenizer: reads prompts.
    templates: to draw from; only those with `seen`.
    key: a typed key: initialisation, prompts, noise.
    **run: `evaluate`, `workdir`, ... of `loop.train`, and `loop`, fields of
      `LoopConfig`. With an evaluation the best parameters are returned.
  """
  init_key, draw_key, noise_key = jax.random.split(key, 3)
  network = config.t5(tokenizer.vocab_size)
  for domain in tasks:
    _check_names(domain, config.target_length)
  seed = int(jax.random.bits(draw_key))
  batch_at = batches(config, tasks, tokenizer, templates, seed)
  tx = optimizers.cosine_adamw(config.lr, config.num_steps, config.weight_decay)
  result = loop.train(
    train_step(network, config.weight_decay),
    step_lib.init_state(_init(network, init_key), tx, noise_key),
    batch_at,
    loop.LoopConfig(config.num_steps, **run.pop('loop', {})),
    **run,
  )
  return result.params


def _check_names(tasks: prompt_tasks.Tasks, target_length: int) -> None:
  longest = 1 + max(map(len, tasks.names))
  if longest > target_length:
    raise DataError(
      f'{tasks.data.name}: the longest name of an item is {longest} tokens '
      f'with its end; target_length={target_length} must be at least that'
    )


def batches(
  config: Config,
  tasks: Sequence[prompt_tasks.Tasks],
  tokenizer: Tokenizer,
  templates: Sequence[prompts.Template],
  seed: int,
) -> Callable[[int], prompts.Batch]:
  """Step -> batch, a pure function; see `fit` and `Config.steps_alike`."""
  writer = config.writer(tokenizer)

  @functools.lru_cache(maxsize=1)  # drawn once for all its steps
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
  """Answers first: to write a token costs more than to read one."""
  source, target = pair
  return prompts.roomy(len(target)), len(source)


@functools.partial(jax.jit, static_argnums=0)
def _init(network: t5.Config, key: jax.Array):
  return t5.init_params(network, _quick_key(key))


def _quick_key(key: jax.Array) -> jax.Array:
  """A key of a generator that compiles in a third of the time (XLA's own).

  Each dropout has its own copy of the default generator's program.
  """
  data = jax.random.key_data(key)
  return jax.random.wrap_key_data(jnp.tile(data, 2), impl='rbg')


@functools.lru_cache(maxsize=16)
def train_step(network: t5.Config, weight_decay: float) -> step_lib.Step:
  """The step; cached, so that equal models compile once."""

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
    # The mean of each answer's own mean, as in P5: long ones weigh no more.
    count_B = batch.target_mask.sum(axis=1)
    nll_B = jnp.where(batch.target_mask, nll_BxT, 0).sum(axis=1) / count_B
    return nll_B.mean(), {}

  return step_lib.make_train_step(
    loss_fn, optimizers.cosine_adamw(0.0, 0, weight_decay)
  )


def fit_flops(config: Config, vocab_size: int) -> float:
  """Operations of training: three forward passes a step.

  Batches count as padded to the limits; those of `steps_alike` cost less.
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
