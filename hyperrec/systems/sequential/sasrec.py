"""SASRec: a transformer that reads items in order and predicts the next."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.systems.sequential import next_item, sequential_recommender
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

CannotServe = method_lib.CannotServe
Cost = method_lib.Cost
DataError = interactions_lib.DataError
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program
SASRec = sequential_recommender.SASRec


@dataclasses.dataclass(frozen=True)
class SasrecConfig:
  """Hyperparameters of SASRec.

  Attributes:
    length: Number of items of a history that are read, the last ones. It is
      also the length of a packed row of training.
    dim: Width of the embeddings.
    num_layers: Number of transformer blocks.
    num_heads: Number of attention heads, a divisor of dim.
    dropout: Share of the embeddings, and of the values in the blocks, that
      dropout sets to 0 in training.
    item_dropout: Share of the item embeddings that dropout sets to 0 in
      addition, those of targets and negatives included.
    epochs: Number of passes over the users.
    batch_size: Number of packed rows in a training step; if there are fewer
      rows, a step takes all of them.
    lr: Learning rate of AdamW at the start, such as 0.001; it falls to 0 along
      a cosine.
    weight_decay: Weight decay of AdamW, such as 0.01; it applies to matrices
      only.
    num_negatives: Number of negative items that each step draws; 0 means the
      full softmax.
    logq: Draw negatives by popularity and correct for it (logQ); otherwise
      draw all items alike, without a correction.
    hidden_ratio: Width of the feed-forward network of a block, as a multiple
      of dim.
    from_the_end: Count positions from the last item, not from the first. The
      item that predicts is then always at the same position. This suits users
      whose histories are as long as those in training. A new user's short
      history resembles the start of a long one only if positions count from
      the first item.
    sees_padding: Attend also to the padding before the first item; this needs
      from_the_end.
    shuffled: Put the items of every user into a new random order at each pass;
      meant for data without times.
    finetune_epochs: Number of passes over the evidence in fine-tuning.

  Raises:
    DataError: a value is out of range, or two values do not fit together.
  """

  length: int = config_lib.field(50, least=1)
  dim: int = config_lib.field(64, least=1)
  num_layers: int = config_lib.field(2, least=1)
  num_heads: int = config_lib.field(2, least=1)
  dropout: float = config_lib.field(0.5, least=0, below=1)
  item_dropout: float = config_lib.field(0.0, least=0, below=1)
  epochs: int = config_lib.field(100, least=1)
  batch_size: int = config_lib.field(16, least=1)
  lr: float = config_lib.field(1e-3, least=0)
  weight_decay: float = config_lib.field(0.0, least=0)
  num_negatives: int = config_lib.field(0, least=0)
  logq: bool = True
  hidden_ratio: int = config_lib.field(4, least=1)
  from_the_end: bool = False
  sees_padding: bool = False
  shuffled: bool = False
  finetune_epochs: int = config_lib.field(20, least=1)

  def __post_init__(self):
    config_lib.check(self)
    if self.sees_padding and not self.from_the_end:
      raise DataError('sees_padding needs from_the_end')
    if self.dim % self.num_heads:
      raise DataError(f'num_heads={self.num_heads} must divide dim={self.dim}')


class State(NamedTuple):
  """A trained network and the scores for empty histories.

  Attributes:
    params: Parameters of the network.
    popularity: float32 [V], log(1 + count): the scores for a user with an empty
      history. None after `carry`, before training on the new catalogue.
  """

  params: Any
  popularity: Float[np.ndarray, ' V'] | None


def sasrec(**hyperparameters: Any) -> Model:
  """SASRec (Kang & McAuley, ICDM 2018); a new user needs only a forward pass.

  Another catalogue takes over the position embeddings and the blocks; the item
  embeddings are initialised again.

  Args:
    **hyperparameters: fields of `SasrecConfig`.
  """
  config = SasrecConfig(**hyperparameters)
  return Model(
    'sasrec',
    config,
    functools.partial(fit, config),
    functools.partial(score, config),
    carry=functools.partial(_carry, config),
    program=functools.partial(program, config),
  )


def fit(
  config: SasrecConfig,
  data: Interactions,
  key: jax.Array,
  start: State | None = None,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Trains the network to predict the item after every prefix of a sequence.

  Args:
    config: hyperparameters.
    data: interactions; they need timestamps, unless `config.shuffled`.
    key: typed random key for initialisation, order of the rows and dropout.
    start: a state to fine-tune for `config.finetune_epochs`. A state with
      popularity keeps it, and is returned unchanged if no user has two items.
      None trains from scratch for `config.epochs`.
    run: how the training is evaluated, logged and saved.

  Raises:
    CannotServe: there are no timestamps and the order matters, or no user has
      two items.
  """
  is_served = start is not None and start.popularity is not None
  if is_served and data.user_counts().max(initial=0) < 2:
    return Outcome(start)
  if data.timestamps is None and not config.shuffled:
    raise CannotServe(
      f'{data.name}: a sequential model needs the order of items, and there '
      'are no timestamps'
    )
  if start is not None:
    _, key = jax.random.split(key)  # `_carry` uses the first part
  init_key, order_key, noise_key = jax.random.split(key, 3)
  batches = next_item.batches(
    sequences_lib.Sequences.of(data),
    length=config.length,
    from_the_end=config.from_the_end,
    batch_size=config.batch_size,
    epochs=config.epochs if start is None else config.finetune_epochs,
    key=order_key,
    shuffled=config.shuffled,
  )
  counts = jnp.asarray(data.item_counts(), jnp.float32)
  popularity = start.popularity if is_served else next_item.popularity(data)
  model = make_model(config, data.num_items)
  params = _init(model, init_key) if start is None else start.params
  steps = batches.num_steps
  tx = optimizers.cosine_adamw(config.lr, steps, config.weight_decay)
  result = loop.train(
    train_step(
      model,
      config.weight_decay,
      config.num_negatives,
      config.logq,
      config.item_dropout,
    ),
    step_lib.init_state(params, tx, noise_key),
    lambda step: {'rows': batches.at(step), 'counts': counts},
    steps,
    run.of(lambda params: State(params, popularity)),
  )
  operations = steps * _step_operations(config, data.num_items, batches.size)
  return Outcome(State(result.params, popularity), Cost(operations))


def _carry(
  config: SasrecConfig, state: State, data: Interactions, key: jax.Array
) -> Outcome:
  """Keeps all parameters except the item embeddings, which are new."""
  init_key, _ = jax.random.split(key)  # `fit` uses the second part
  fresh = _init(make_model(config, data.num_items), init_key)
  params = sequential_recommender.keep_all_but_items(state.params, fresh)
  return Outcome(State(params, None))


def _step_operations(
  config: SasrecConfig, num_items: int, num_rows: int
) -> float:
  """Operations of a training step, counted as three forward passes."""
  candidates = config.num_negatives + 1 if config.num_negatives else num_items
  return 3 * sequential_recommender.forward_flops(
    make_model(config, num_items), num_rows, config.length, candidates
  )


def score(
  config: SasrecConfig, state: State, histories: Histories
) -> np.ndarray:
  """Scores [B, V] of the next item; an empty history scores by popularity."""
  model = make_model(config, histories.num_items)
  hidden_BxD, is_empty_B = next_item.last_hidden(
    functools.partial(_last_hidden, model, state.params),
    histories,
    config.length,
    config.dim,
  )
  scores_BxV = hidden_BxD @ np.asarray(state.params['items']).T
  scores_BxV[is_empty_B] = state.popularity
  return scores_BxV


def program(config: SasrecConfig, state: State) -> Program:
  """The same scores as a program."""
  model = make_model(config, len(state.params['items']))

  def hidden(params, items_BxL, sizes_B):
    return _last_hidden(model, params['network'], items_BxL, sizes_B)

  return next_item.program(
    hidden,
    lambda params: params['network']['items'],
    {'network': state.params},
    config.length,
    state.popularity,
  )


def make_model(config: SasrecConfig, num_items: int) -> SASRec:
  """The network that `config` describes, without parameters."""
  return SASRec(
    num_items,
    length=config.length,
    dim=config.dim,
    num_layers=config.num_layers,
    num_heads=config.num_heads,
    hidden_dim=config.hidden_ratio * config.dim,
    dropout=config.dropout,
    from_the_end=config.from_the_end,
    sees_padding=config.sees_padding,
  )


@functools.partial(jax.jit, static_argnames='model')
def _init(model: SASRec, key: jax.Array):
  """Random parameters of `model`."""
  row = jnp.zeros((1, model.length), jnp.int32)
  return model.init(key, row, row, row)['params']


@functools.partial(jax.jit, static_argnames='model')
def _last_hidden(model: SASRec, params: Any, items_BxL, sizes_B):
  """Compiled `sequential_recommender.last_hidden`."""
  return sequential_recommender.last_hidden(model, params, items_BxL, sizes_B)


@functools.lru_cache(maxsize=16)
def train_step(
  model: SASRec,
  weight_decay: float,
  num_negatives: int,
  logq: bool,
  item_dropout: float,
) -> step_lib.Step:
  """The training step; it is cached, so that equal models compile once."""

  def loss_fn(params, batch, key, step):
    del step
    loss = sequential_recommender.next_item_loss(
      model,
      params,
      batch['rows'],
      key,
      counts_V=batch['counts'],
      num_negatives=num_negatives,
      logq=logq,
      item_dropout=item_dropout,
    )
    return loss, {}

  tx = optimizers.cosine_adamw(0.0, 0, weight_decay)
  return step_lib.make_train_step(loss_fn, tx)
