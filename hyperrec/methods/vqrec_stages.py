"""The stages of VQ-Rec's training: their losses, and the loop they run in."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.methods import vqrec_config, vqrec_index
from hyperrec.models import vqrec
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Config = vqrec_config.Config
Sequences = sequences_lib.Sequences


class Fitted(NamedTuple):
  """A network over one catalogue, or over those of several domains.

  Attributes:
    params: see `models.vqrec.init`.
    index: from an item's features to its codes.
    codes: [V, G].
    popularity: float32 [V], log(1 + count): the scores of a user who has
      shown nothing.
    item_ids: the catalogue; None of several domains.
    flops: operations that made it from what it started with.
  """

  params: Any
  index: vqrec_index.Index
  codes: np.ndarray
  popularity: np.ndarray
  item_ids: np.ndarray | None
  flops: float


Evaluate = Callable[[Fitted], Mapping[str, float]]


class Stage(NamedTuple):
  """A part of training.

  Attributes:
    loss: (encoder, trained parameters, batch, key, **options) -> loss.
    options: what the loss is told, as hashable pairs.
    epochs: passes over the users.
    lr: AdamW's at the start.
    step_flops: operations of a step.
  """

  loss: Callable[..., jax.Array]
  options: tuple[tuple[str, float], ...]
  epochs: int
  lr: float
  step_flops: Callable[[int], float]


def train(
  config: Config,
  stage: Stage,
  fitted: Fitted,
  trained: Any,
  *,
  sequences: Sequences,
  key: jax.Array,
  evaluate: Evaluate | None = None,
  **run: Any,
) -> Fitted:
  """Trains some parameters; those that `trained` lacks stay as they are.

  Args:
    config: hyper-parameters.
    stage: what is done.
    fitted: what to start from.
    trained: the parameters that change.
    sequences: of the users.
    key: order of the rows, noise.
    evaluate: on validation data; the best parameters are kept.
    **run: `workdir`, ... of `loop.train`, and `loop`, fields of `LoopConfig`.

  Raises:
    CannotServe: no user has two items.
  """
  if not (sequences.lengths() > 1).any():
    raise method_lib.CannotServe(
      'a sequential model needs a user with two items or more'
    )
  packed = sequences_lib.pack(sequences, config.length)
  order_key, noise_key = jax.random.split(key)
  num_rows = len(packed.inputs)
  batch_size = min(config.batch_size, num_rows)
  num_steps = math.ceil(stage.epochs * num_rows / batch_size)
  order_seed = int(jax.random.bits(order_key))
  constant = {
    'codes': jnp.asarray(fitted.codes, jnp.int32),
    'fixed': fitted.params,
  }

  def batch_at(step):
    rows = loop.batch_rows(step, batch_size, num_rows, order_seed)
    return {'rows': packed.rows(rows), **constant}

  def judge(trained):
    return evaluate(fitted._replace(params=_merged(fitted.params, trained)))

  tx = optimizers.cosine_adamw(stage.lr, num_steps)
  result = loop.train(
    train_step(stage.loss, config.encoder(), stage.options),
    step_lib.init_state(trained, tx, noise_key),
    batch_at,
    loop.LoopConfig(num_steps, **run.pop('loop', {})),
    evaluate=judge if evaluate else None,
    **run,
  )
  trained = result.best.params if result.best else result.state.params
  return fitted._replace(
    params=_merged(fitted.params, trained),
    flops=fitted.flops + num_steps * stage.step_flops(batch_size),
  )


@functools.lru_cache(maxsize=16)
def train_step(loss, encoder, options) -> step_lib.Step:
  """The step of a stage; cached, so that equal ones compile once."""

  def loss_fn(trained, batch, key, step):
    del step
    return loss(encoder, trained, batch, key, **dict(options)), {}

  return step_lib.make_train_step(loss_fn, optimizers.cosine_adamw(0.0, 0))


def pretraining(config: Config) -> Stage:
  """All parameters, by the contrast with other items and fakes."""

  def step_flops(batch_size):
    positions = batch_size * config.length
    return 3 * _forward_flops(config, batch_size, positions, 3 * positions)

  options = (
    ('replaced', config.replaced),
    ('temperature', config.temperature),
  )
  return Stage(_pretraining_loss, options, config.epochs, config.lr, step_flops)


def catalogue(config: Config, num_items: int, epochs: int, lr: float) -> Stage:
  """Any parameters, by the softmax over a catalogue of `num_items`."""

  def step_flops(batch_size):
    return 3 * _forward_flops(config, batch_size, num_items, num_items)

  options = (('temperature', config.temperature),)
  return Stage(_catalogue_loss, options, epochs, lr, step_flops)


def alignment(config: Config, num_items: int) -> Stage:
  """`logits` [G, M, M] of permutations alone, by the same softmax."""
  mixing = 2 * config.num_groups * config.num_codes**2 * config.dim

  def step_flops(batch_size):
    forward = _forward_flops(config, batch_size, num_items, num_items)
    return 3 * (forward + mixing)

  options = (
    ('align_noise', config.align_noise),
    ('align_temperature', config.align_temperature),
    ('temperature', config.temperature),
  )
  return Stage(
    _alignment_loss, options, config.align_epochs, config.align_lr, step_flops
  )


def _pretraining_loss(encoder, trained, batch, key, **options):
  return vqrec.contrastive_loss(
    encoder, trained, batch['rows'], batch['codes'], key, **options
  )


def _catalogue_loss(encoder, trained, batch, key, **options):
  params = _merged(batch['fixed'], trained)
  return vqrec.catalogue_loss(
    encoder, params, batch['rows'], batch['codes'], key, **options
  )


def _alignment_loss(
  encoder, trained, batch, key, *, align_noise, align_temperature, temperature
):
  noise_key, loss_key = jax.random.split(key)
  weights = vqrec.soft_alignment(
    noise_key, trained['logits'], align_temperature, align_noise
  )
  codes = vqrec.aligned(batch['fixed']['codes'], weights)
  params = {**batch['fixed'], 'codes': codes}
  return vqrec.catalogue_loss(
    encoder,
    params,
    batch['rows'],
    batch['codes'],
    loss_key,
    temperature=temperature,
  )


def _merged(fixed, trained):
  """All parameters, the trained ones in place of those they started as."""
  encoder = {**fixed['encoder'], **trained.get('encoder', {})}
  return {**fixed, **trained, 'encoder': encoder}


def _forward_flops(config, batch_size, num_candidates, num_looked_up):
  return vqrec.forward_flops(
    config.encoder(),
    num_rows=batch_size,
    dim=config.dim,
    num_candidates=num_candidates,
    num_looked_up=num_looked_up,
    num_groups=config.num_groups,
  )
