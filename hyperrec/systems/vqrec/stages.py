"""The stages of VQ-Rec's training: hyperparameters, losses, the loop."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.systems.sequential import next_item
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import network as vqrec
from hyperrec.systems.vqrec import permutation
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
DataError = interactions_lib.DataError
Outcome = method_lib.Outcome
Run = method_lib.Run
Sequences = sequences_lib.Sequences
VqrecState = vqrec_index.VqrecState

INDICES = ('source', 'target')
ALIGNMENTS = ('identity', 'random', 'learned')
STARTS = ('random', 'text')


@dataclasses.dataclass(frozen=True)
class VqrecConfig:
  """Hyperparameters.

  Attributes:
    num_groups: Number of codes of an item, one in each group (G).
    num_codes: Number of codes in each group (M).
    length: Number of items of a history that are read, the last ones. It is
      also the length of a packed row of training.
    dim: Width of the embeddings (D).
    num_layers: Number of transformer blocks.
    num_heads: Number of attention heads, a divisor of dim.
    hidden_dim: Width of the feed-forward network of a block.
    dropout: Share of values that dropout sets to 0 in training.
    from_the_end: Count positions from the last item, not from the first.
    shuffled: Put the items of every user into a new random order at each pass;
      meant for data without times.
    temperature: Temperature of the cosines in the loss, such as 0.07.
    start: Values that code embeddings have before pre-training, or before
      training from scratch; random, as in the paper, or the text that each
      code stands for.
    replaced: Share of the codes of an item that are replaced to make a false
      item (rho); 0 trains without false items.
    epochs: Number of passes over the users, in pre-training or from scratch.
    batch_size: Number of packed rows in a training step; if there are fewer
      rows, a step takes all of them.
    lr: Learning rate of AdamW at the start, such as 0.001; it falls to 0 along
      a cosine.
    index: Index of a new catalogue in fine-tuning; that of the source, whose
      codes have kept their meaning, or one made from the text of the target
      alone.
    alignment: How a code of the target finds the embedding of the source that
      it starts from.
    align_epochs: Number of passes that learn the alignment, while everything
      else is fixed.
    align_lr: Learning rate of AdamW for the alignment, such as 0.1.
    align_temperature: Temperature of the soft permutation in the alignment,
      such as 0.7.
    align_noise: Factor of the Gumbel noise of the alignment; it is 1 in the
      paper, but 0 finds more permutations.
    finetune_epochs: Number of passes over the evidence in fine-tuning, after
      the alignment.
    finetune_lr: Learning rate of AdamW for fine-tuning, such as 0.001.
    finetune_all: Train all parameters in fine-tuning; otherwise only the
      embeddings and the norm of the input.

  Raises:
    DataError: a value that no network can have.
  """

  num_groups: int = config_lib.field(32, least=1)
  num_codes: int = config_lib.field(256, least=1)
  length: int = config_lib.field(50, least=1)
  dim: int = config_lib.field(128, least=1)
  num_layers: int = config_lib.field(2, least=1)
  num_heads: int = config_lib.field(2, least=1)
  hidden_dim: int = config_lib.field(256, least=1)
  dropout: float = config_lib.field(0.2, least=0, below=1)
  from_the_end: bool = False
  shuffled: bool = False
  temperature: float = config_lib.field(0.07, above=0)
  start: str = config_lib.field('random', choices=STARTS)
  replaced: float = config_lib.field(0.75, least=0, most=1)
  epochs: int = config_lib.field(40, least=1)
  batch_size: int = config_lib.field(16, least=1)
  lr: float = config_lib.field(1e-3, above=0)
  index: str = config_lib.field('source', choices=INDICES)
  alignment: str = config_lib.field('identity', choices=ALIGNMENTS)
  align_epochs: int = config_lib.field(5, least=1)
  align_lr: float = config_lib.field(0.1, above=0)
  align_temperature: float = config_lib.field(0.7, above=0)
  align_noise: float = config_lib.field(0.0, least=0)
  finetune_epochs: int = config_lib.field(20, least=1)
  finetune_lr: float = config_lib.field(1e-3, above=0)
  finetune_all: bool = False

  def __post_init__(self):
    config_lib.check(self)
    if self.dim % self.num_heads:
      raise DataError(f'num_heads={self.num_heads} must divide dim={self.dim}')

  def encoder(self) -> vqrec.SequenceEncoder:
    """The network over item vectors."""
    return vqrec.SequenceEncoder(
      self.length,
      self.num_layers,
      self.num_heads,
      self.hidden_dim,
      self.dropout,
      self.from_the_end,
    )


class Stage(NamedTuple):
  """A part of training.

  Attributes:
    loss: (encoder, parameters, rows, codes, key, **options) -> loss.
    options: what the loss is told, as hashable pairs.
    epochs: passes over the users.
    lr: AdamW's at the start.
    step_operations: batch size -> operations of a step.
  """

  loss: Callable[..., jax.Array]
  options: tuple[tuple[str, float], ...]
  epochs: int
  lr: float
  step_operations: Callable[[int], float]


def train(
  config: VqrecConfig,
  stage: Stage,
  start: VqrecState,
  trained: Any,
  *,
  sequences: Sequences,
  key: jax.Array,
  run: Run,
) -> Outcome:
  """Trains some parameters; those that `trained` lacks stay as they are.

  Args:
    config: hyperparameters.
    stage: what is done.
    start: what to start from.
    trained: the parameters that change.
    sequences: of the users.
    key: order of the rows, noise.
    run: its `evaluate` is given a `VqrecState`.

  Raises:
    CannotServe: no user has two items.
  """
  order_key, noise_key = jax.random.split(key)
  batches = next_item.batches(
    sequences,
    length=config.length,
    from_the_end=config.from_the_end,
    batch_size=config.batch_size,
    epochs=stage.epochs,
    key=order_key,
    shuffled=config.shuffled,
  )
  constant = {
    'codes': jnp.asarray(start.codes, jnp.int32),
    'fixed': start.params,
  }

  def with_trained(trained):
    return start._replace(params=_merged(start.params, trained))

  steps = batches.num_steps
  tx = optimizers.cosine_adamw(stage.lr, steps)
  result = loop.train(
    train_step(stage.loss, config.encoder(), stage.options),
    step_lib.init_state(trained, tx, noise_key),
    lambda step: {'rows': batches.at(step), **constant},
    steps,
    run.of(with_trained),
  )
  operations = steps * stage.step_operations(batches.size)
  return Outcome(with_trained(result.params), Cost(operations))


@functools.lru_cache(maxsize=16)
def train_step(loss, encoder, options) -> step_lib.Step:
  """The step of a stage; cached, so that equal ones compile once."""

  def loss_fn(trained, batch, key, step):
    del step
    params = _merged(batch['fixed'], trained)
    rows, codes = batch['rows'], batch['codes']
    return loss(encoder, params, rows, codes, key, **dict(options)), {}

  return step_lib.make_train_step(loss_fn, optimizers.cosine_adamw(0.0, 0))


def pretraining(config: VqrecConfig) -> Stage:
  """All parameters, by the contrast with other items and fakes."""
  options = (
    ('replaced', config.replaced),
    ('temperature', config.temperature),
  )
  return Stage(
    vqrec.contrastive_loss,
    options,
    config.epochs,
    config.lr,
    _step_operations(config, None),
  )


def catalogue(
  config: VqrecConfig, num_items: int, epochs: int, lr: float
) -> Stage:
  """Any parameters, by the softmax over a catalogue of `num_items`."""
  options = (('temperature', config.temperature),)
  operations = _step_operations(config, num_items)
  return Stage(vqrec.catalogue_loss, options, epochs, lr, operations)


def alignment(config: VqrecConfig, num_items: int) -> Stage:
  """`logits` [G, M, M] of permutations alone, by the same softmax."""
  options = (
    ('align_noise', config.align_noise),
    ('align_temperature', config.align_temperature),
    ('temperature', config.temperature),
  )
  mixing = 2 * config.num_groups * config.num_codes**2 * config.dim
  return Stage(
    _alignment_loss,
    options,
    config.align_epochs,
    config.align_lr,
    _step_operations(config, num_items, mixing),
  )


def _alignment_loss(
  encoder,
  params,
  rows,
  codes_VxG,
  key,
  *,
  align_noise,
  align_temperature,
  temperature,
):
  noise_key, loss_key = jax.random.split(key)
  weights = permutation.draw(
    noise_key, params['logits'], align_temperature, align_noise
  )
  params = {**params, 'codes': vqrec.aligned(params['codes'], weights)}
  return vqrec.catalogue_loss(
    encoder, params, rows, codes_VxG, loss_key, temperature=temperature
  )


def _merged(fixed, trained):
  """All parameters, the trained ones in place of those they started as."""
  encoder = {**fixed['encoder'], **trained.get('encoder', {})}
  return {**fixed, **trained, 'encoder': encoder}


def _step_operations(config, num_items, more=0):
  """Batch size -> operations, three forward passes; None: in-batch items."""

  def of(batch_size):
    positions = batch_size * config.length
    forward = vqrec.forward_flops(
      config.encoder(),
      num_rows=batch_size,
      dim=config.dim,
      num_candidates=num_items or positions,
      num_looked_up=num_items or 3 * positions,
      num_groups=config.num_groups,
    )
    return 3 * (forward + more)

  return of
