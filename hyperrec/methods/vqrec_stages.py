"""The stages of VQ-Rec's training: hyperparameters, losses, the loop."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.methods import next_item, vqrec_index
from hyperrec.models import permutation, vqrec
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
class Config:
  """Hyper-parameters.

  Attributes:
    num_groups: G, codes of an item.
    num_codes: M, of a group.
    length: the longest history, and the length of a packed row.
    dim: D, width of the embeddings.
    num_layers: blocks.
    num_heads: must divide dim.
    hidden_dim: width inside a block.
    dropout: share dropped in training.
    from_the_end: count positions back from the last item, not from the first.
    shuffled: learn from every user's items in another random order at each
      pass, for users of whom it is not known what came first.
    temperature: tau of the cosines.
    start: what code embeddings are before pre-training, or training from
      scratch: random, as in the paper, or the text each code stands for.
    replaced: rho, probability of a code of a fake to be replaced; 0 trains
      without fakes.
    epochs: passes over the users, in pre-training or from scratch.
    batch_size: packed rows a step; all of them where there are fewer.
    lr: AdamW's at the start; falls to 0 along a cosine.
    index: of a new catalogue in fine-tuning: that of the source, whose codes
      have kept their meaning, or one made from the target's text alone.
    alignment: which source embedding a code of the target starts from.
    align_epochs: passes that learn it, all else fixed.
    align_lr: AdamW's of it.
    align_temperature: of the soft permutation.
    align_noise: factor of its Gumbel noise; 1 in the paper, but more
      permutations are found without.
    finetune_epochs: passes over the evidence after that.
    finetune_lr: AdamW's of them.
    finetune_all: all is trained; else embeddings and input norm alone.

  Raises:
    DataError: a value that no network can have.
  """

  num_groups: int = 32
  num_codes: int = 256
  length: int = 50
  dim: int = 128
  num_layers: int = 2
  num_heads: int = 2
  hidden_dim: int = 256
  dropout: float = 0.2
  from_the_end: bool = False
  shuffled: bool = False
  temperature: float = 0.07
  start: str = 'random'
  replaced: float = 0.75
  epochs: int = 40
  batch_size: int = 16
  lr: float = 1e-3
  index: str = 'source'
  alignment: str = 'identity'
  align_epochs: int = 5
  align_lr: float = 0.1
  align_temperature: float = 0.7
  align_noise: float = 0.0
  finetune_epochs: int = 20
  finetune_lr: float = 1e-3
  finetune_all: bool = False

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type is int and value < 1:
        raise DataError(f'{field.name}={value} must be at least 1')
      if field.name.endswith(('lr', 'temperature')) and not value > 0:
        raise DataError(f'{field.name}={value} must be above 0')
    if self.align_noise < 0:
      raise DataError(f'align_noise={self.align_noise} must not be negative')
    if not (0 <= self.dropout < 1 and 0 <= self.replaced <= 1):
      raise DataError(
        f'dropout={self.dropout} must be within 0 and below 1, and '
        f'replaced={self.replaced} within 0..1'
      )
    if self.dim % self.num_heads:
      raise DataError(f'num_heads={self.num_heads} must divide dim={self.dim}')
    if self.index not in INDICES or self.alignment not in ALIGNMENTS:
      raise DataError(
        f'index={self.index!r} must be one of {INDICES}, and '
        f'alignment={self.alignment!r} one of {ALIGNMENTS}'
      )
    if self.start not in STARTS:
      raise DataError(f'start={self.start!r} must be one of {STARTS}')

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
  config: Config,
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


def pretraining(config: Config) -> Stage:
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


def catalogue(config: Config, num_items: int, epochs: int, lr: float) -> Stage:
  """Any parameters, by the softmax over a catalogue of `num_items`."""
  options = (('temperature', config.temperature),)
  operations = _step_operations(config, num_items)
  return Stage(vqrec.catalogue_loss, options, epochs, lr, operations)


def alignment(config: Config, num_items: int) -> Stage:
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
