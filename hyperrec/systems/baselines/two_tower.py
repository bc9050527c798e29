"""Two towers as a model: what HyperEASE is without a hypernetwork.

The network has the size of HyperEASE's generator and reads the same item
features. Its parameters are trained on the sources instead of generated, and no
linear system is solved. Evidence fine-tunes the parameters.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec import method as method_lib
from hyperrec import program as program_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.baselines import towers as model_lib
from hyperrec.systems.mult_vae import variational_autoencoder
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program


@dataclasses.dataclass(frozen=True)
class TowerConfig:
  """Hyperparameters of the two towers.

  Attributes:
    hidden_dim: Width of the hidden layer of each tower.
    dim: Width of the output of each tower.
    hidden_share: Share of a user's items that a training step hides and
      predicts from the others.
    steps: Number of training steps from scratch; source domains take turns.
    finetune_epochs: Number of passes over the users of the evidence.
    batch_size: Users in a training step; all users if there are fewer.
    lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
    finetune_lr: The same in fine-tuning.
    weight_decay: Weight decay of AdamW.
  """

  hidden_dim: int = 256
  dim: int = 128
  hidden_share: float = 0.5
  steps: int = 200
  finetune_epochs: int = 10
  batch_size: int = 100
  lr: float = 3e-3
  finetune_lr: float = 1e-3
  weight_decay: float = 1e-2


class TowerState(NamedTuple):
  """Parameters and, for a single catalogue, the embeddings of its items.

  Attributes:
    params: Parameters of the network.
    shown: Embedding of each item as part of a history; None after training on
      several domains.
    scored: Embedding of each item as a candidate; None in the same case.
  """

  params: Any
  shown: Float[np.ndarray, 'V D'] | None
  scored: Float[np.ndarray, 'V D'] | None


def two_tower(features: method_lib.Features, **hyperparameters: Any) -> Model:
  """Two towers; they can score a catalogue that has no interactions yet.

  Args:
    features: gives the item features of a catalogue, float [V, F]; a column
      must mean the same in source and target.
    **hyperparameters: fields of `TowerConfig`.
  """
  config = TowerConfig(**hyperparameters)
  model = model_lib.TwoTower(config.hidden_dim, config.dim)

  def look_up(state, data):
    return _over_items(model, state.params, _centred(features(data)))

  def fit(data, key, start=None, run=loop.Run()):
    domains = (data,) if isinstance(data, Interactions) else data
    tables = [_centred(features(domain)) for domain in domains]
    users = [_users(domain) for domain in domains]

    def served(params):
      if len(tables) > 1:
        return Outcome(TowerState(params, None, None))
      return _over_items(model, params, tables[0])

    num_steps, lr = config.steps, config.lr
    if start is None:
      init_key, key = jax.random.split(key)
      params = _init(model, init_key, tables[0])
    else:
      params = start.params
      batches = math.ceil(sum(x.shape[0] for x in users) / config.batch_size)
      num_steps, lr = config.finetune_epochs * batches, config.finetune_lr
      if batches == 0:
        return served(params)
    trained = _train(
      model,
      config,
      params,
      list(zip(users, tables, strict=True)),
      num_steps=num_steps,
      lr=lr,
      key=key,
      run=run.of(lambda params: served(params).state),
    )
    made = served(trained.state)
    return Outcome(made.state, trained.cost + made.cost)

  return Model(
    'two_tower',
    config,
    fit,
    score,
    look_up=look_up,
    carry=lambda state, data, key: Outcome(state),
    program=program,
    takes_domains=True,
    needs_interactions=False,
  )


def score(state: TowerState, histories: Histories) -> np.ndarray:
  """Scores [B, V]; an empty history scores 0 everywhere."""
  return np.asarray(
    model_lib.scores(state.shown, state.scored, histories.multi_hot())
  )


def program(state: TowerState) -> Program:
  """The same scores, from the embeddings of the items alone.

  Raises:
    CannotServe: the state has no items yet, after training on several domains.
  """
  if state.shown is None:
    raise method_lib.CannotServe(
      'the towers were trained on several domains and have no items; adapt '
      'them to a catalogue first'
    )

  def score_histories(params, items_BxL, mask_BxL):
    shown_BxD = program_lib.sum_rows(params['shown'], items_BxL, mask_BxL)
    length_Bx1 = jnp.maximum(mask_BxL.sum(axis=1, keepdims=True), 1)
    return (shown_BxD / length_Bx1) @ params['scored'].T

  params = {'shown': state.shown, 'scored': state.scored}
  return Program(params, score_histories)


def _over_items(
  model: model_lib.TwoTower, params: Any, table: Float[np.ndarray, 'V F']
) -> Outcome:
  """Runs the towers over the items of a catalogue with features `table`."""
  shown, scored = jax.device_get(_towers(model, params, table))
  operations = model_lib.forward_flops(*table.shape, 0, model)
  return Outcome(
    TowerState(params, shown, scored), Cost(operations, of_text=operations)
  )


def _centred(table):
  """Features [V, F] as float32, each column with mean 0."""
  table = np.asarray(table, np.float32)
  return table - table.mean(axis=0)


def _users(data: Interactions) -> scipy.sparse.csr_matrix:
  """The rows of the users with at least two items."""
  x_UxV = data.csr()
  return x_UxV[np.flatnonzero(np.diff(x_UxV.indptr) > 1)]


def _train(
  model, config: TowerConfig, params, data, *, num_steps, lr, key, run: loop.Run
) -> Outcome:
  """Trains `params`; the domains take turns, one training step each.

  Args:
    model: the network.
    config: hyperparameters.
    params: parameters at the start.
    data: for each domain, the users' items [U, V] and the item features [V, F].
    num_steps: number of training steps.
    lr: learning rate at the start.
    key: random key for the order of the users and for the hidden items.
    run: how the training is evaluated, logged and saved.

  Raises:
    CannotServe: no user has two items.
  """
  data = [(x, jnp.asarray(table)) for x, table in data if x.shape[0]]
  if not data:
    raise method_lib.CannotServe('towers are trained on users with two items')
  order_key, step_key = jax.random.split(key)
  seed = int(jax.random.bits(order_key))
  sizes = [min(config.batch_size, x.shape[0]) for x, _ in data]

  def batch_at(step):
    turn, place = divmod(step, len(data))
    x_UxV, table = data[place]
    rows = loop.batch_rows(turn, sizes[place], x_UxV.shape[0], seed)
    return {'x': x_UxV[rows].toarray(), 'features': table}

  step_fn = _train_step(model, config.hidden_share, config.weight_decay)
  tx = optimizers.cosine_adamw(lr, num_steps, config.weight_decay)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, step_key),
    batch_at,
    num_steps,
    run,
  )
  passes = [
    model_lib.forward_flops(*table.shape, size, model)
    for (_, table), size in zip(data, sizes, strict=True)
  ]
  operations = 3 * num_steps * float(np.mean(passes))
  return Outcome(result.params, Cost(operations))


@functools.partial(jax.jit, static_argnames='model')
def _init(model, key, table):
  """Random parameters of `model`."""
  return model.init(key, table)['params']


@functools.partial(jax.jit, static_argnames='model')
def _towers(model, params, table):
  """Embeddings of the items as parts of a history and as candidates."""
  return model.apply({'params': params}, table)


@functools.lru_cache(maxsize=8)
def _train_step(model, hidden_share: float, weight_decay: float):
  """The training step: it predicts hidden items among all items not shown."""

  def loss_fn(params, batch, key, step):
    del step
    x_BxV = batch['x']
    is_hidden = jax.random.bernoulli(key, hidden_share, x_BxV.shape)
    targets_BxV = jnp.where(is_hidden, x_BxV, 0.0)
    shown_BxV = x_BxV - targets_BxV
    towers = model.apply({'params': params}, batch['features'])
    logits_BxV = model_lib.scores(*towers, shown_BxV)
    logits_BxV = jnp.where(shown_BxV > 0, -1e9, logits_BxV)
    nll_B = variational_autoencoder.multinomial_nll(logits_BxV, targets_BxV)
    return nll_B.sum() / jnp.maximum(targets_BxV.sum(), 1), {}

  tx = optimizers.cosine_adamw(0.0, 1, weight_decay)
  return step_lib.make_train_step(loss_fn, tx)
