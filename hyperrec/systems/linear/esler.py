"""ESLER and ELSA: linear autoencoders trained by gradient steps."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts, memory
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.linear import (
  gradient_autoencoder,
  item_item,
  linear_autoencoder,
  weights_program,
)
from hyperrec.training import loop
from hyperrec.training import step as step_lib

CannotServe = method_lib.CannotServe
Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program
SubsetWeights = linear_autoencoder.SubsetWeights


@dataclasses.dataclass(frozen=True)
class EslerConfig:
  """Hyperparameters of ESLER.

  Attributes:
    l2: Ridge lambda, above 0.
    tolerance: Relative Frobenius error of the weights; training ends when a
      bound proves it.
    max_steps: Largest number of steps.
  """

  l2: float = config_lib.field(above=0)
  tolerance: float = 1e-3
  max_steps: int = 500

  def __post_init__(self):
    config_lib.check(self)


@dataclasses.dataclass(frozen=True)
class ElsaConfig:
  """Hyperparameters of ELSA.

  Attributes:
    rank: Number r of factors per item.
    epochs: Number of passes over the users.
    batch_size: Users per step; all users if there are fewer.
    lr: Learning rate of NAdam.
  """

  rank: int = 64
  epochs: int = 20
  batch_size: int = 32
  lr: float = 0.1


def esler(**hyperparameters: Any) -> Model:
  """EASE trained by gradient steps, which can start from earlier weights.

  Its state holds the weights of the items that have interactions.

  Args:
    **hyperparameters: fields of `EslerConfig`.
  """
  config = EslerConfig(**hyperparameters)
  return Model(
    'esler',
    config,
    functools.partial(fit_esler, config),
    item_item.score,
    program=weights_program.of_weights,
    needs_history=True,
  )


def elsa(**hyperparameters: Any) -> Model:
  """ELSA, of rank r, trained on minibatches; its memory is linear in V.

  Its state holds the parameters, which are the items' factors.

  Args:
    **hyperparameters: fields of `ElsaConfig`.
  """
  config = ElsaConfig(**hyperparameters)
  return Model(
    'elsa',
    config,
    functools.partial(fit_elsa, config),
    score_elsa,
    program=program_elsa,
    needs_history=True,
  )


# Steps between two checks of the error bound.
_ROUND = 5


def fit_esler(
  config: EslerConfig,
  data: Interactions,
  key: jax.Array | None = None,
  start: SubsetWeights | None = None,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Takes steps on all users at once until the error bound is met.

  Items without interactions have no weights, so they are left out. This is
  exact, and far cheaper if there is little evidence.

  Args:
    config: hyperparameters.
    data: the users' items.
    key: ignored; nothing is drawn.
    start: weights of some of the touched items, from which the steps continue.
    run: ignored; the error bound alone decides when the steps end.
  """
  del key, run
  items = np.flatnonzero(data.item_counts())
  x = data.csr()[:, items]
  x = x[np.flatnonzero(np.diff(x.indptr))]
  operations = 0.0
  if gradient_autoencoder.is_rows_cheaper(*x.shape):
    batch = gradient_autoencoder.Rows(jnp.asarray(x.toarray()))
  else:
    batch = gradient_autoencoder.Gram(jnp.asarray(linear_autoencoder.gram(x)))
    operations = counts.gram(np.diff(x.indptr))
  model = gradient_autoencoder.ESLER(len(items))
  weights = np.zeros((len(items),) * 2, np.float32)
  if start is not None:
    place = np.searchsorted(items, start.items)
    weights[np.ix_(place, place)] = start.weights
  params = {'weights': jnp.asarray(weights)}
  state = _esler_start(model, params, batch, config.l2)
  metrics = []
  while (
    int(state.step) < config.max_steps
    and _last_bound(metrics) > config.tolerance
  ):
    state, _ = loop.train(
      functools.partial(_esler_step, model),
      state,
      lambda step: (batch, config.l2),
      min(int(state.step) + _ROUND, config.max_steps),
      loop.Run(
        log_every=0, writers=[lambda step, values: metrics.append(values)]
      ),
    )
  operations += gradient_autoencoder.descent_flops(*x.shape, int(state.step))
  weights = np.asarray(state.params['weights'])
  return Outcome(
    SubsetWeights(weights, items, data.num_items), Cost(operations)
  )


def _last_bound(metrics: list) -> float:
  return metrics[-1]['error_bound'] if metrics else math.inf


@functools.partial(jax.jit, static_argnums=0)
def _esler_start(model, params, data, l2):
  memory = gradient_autoencoder.start_descent(model, params, data, l2)
  # The steps draw nothing; the key is there for the state's form.
  return step_lib.TrainState(params, memory, jnp.int32(0), jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _esler_step(model, state, batch):
  params, memory, metrics = gradient_autoencoder.descend(
    model, state.params, state.opt_state, *batch
  )
  new_state = state._replace(
    params=params, opt_state=memory, step=state.step + 1
  )
  return new_state, metrics


def fit_elsa(
  config: ElsaConfig,
  data: Interactions,
  key: jax.Array,
  start: Any = None,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Takes minibatch steps for `config.epochs` epochs, from `start` if given.

  Args:
    config: hyperparameters.
    data: the users' items.
    key: a typed key for initialisation and order of users.
    start: parameters to continue from.
    run: how the training is evaluated, logged and kept.

  Raises:
    CannotServe: no user has items.
    InsufficientMemoryError: before anything is trained.
  """
  x = data.csr(bool)
  x = x[np.flatnonzero(np.diff(x.indptr))]
  if x.shape[0] == 0:
    raise CannotServe('elsa cannot be trained without interactions')
  batch_size = min(config.batch_size, x.shape[0])
  length = int(np.diff(x.indptr).max())
  sizes = data.num_items, config.rank, batch_size
  memory.check_memory(
    gradient_autoencoder.elsa_peak_bytes(*sizes, length),
    f'ELSA of rank {config.rank} on {data.num_items} items',
    'choose a smaller rank or batch_size',
  )
  by_items = gradient_autoencoder.is_items_cheaper(*sizes, length)
  init_key, order_key, state_key = jax.random.split(key, 3)
  order_seed = int(jax.random.bits(order_key))
  num_steps = math.ceil(config.epochs * x.shape[0] / batch_size)

  def batch_at(step):
    rows = x[loop.batch_rows(step, batch_size, x.shape[0], order_seed)]
    return _padded(rows, length) if by_items else rows.toarray()

  model = gradient_autoencoder.ELSA(data.num_items, config.rank)
  params = _elsa_init(model, init_key) if start is None else start
  step_fn, tx = _elsa_step(model, config.lr)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, state_key),
    batch_at,
    num_steps,
    run,
  )
  operations = num_steps * gradient_autoencoder.elsa_step_flops(
    *sizes, length if by_items else None
  )
  return Outcome(result.params, Cost(operations))


def _padded(x, length: int) -> tuple[np.ndarray, np.ndarray]:
  """Items [B, L] of sparse rows, and the mask of valid entries."""
  mask = np.arange(length) < np.diff(x.indptr)[:, None]
  items = np.zeros(mask.shape, np.int32)
  items[mask] = x.indices
  return items, mask


@functools.partial(jax.jit, static_argnums=0)
def _elsa_init(model, key):
  return model.init(key, jnp.zeros((1, model.num_items)))['params']


@functools.lru_cache(maxsize=16)
def _elsa_step(model, lr: float):
  """The step and its optimizer; cached, so equal models compile once."""

  def loss_fn(params, batch, key, step):
    del key, step
    if isinstance(batch, tuple):
      return gradient_autoencoder.elsa_loss_of_items(params, *batch), {}
    x_BxV = batch.astype(jnp.float32)
    scores_BxV = model.apply({'params': params}, x_BxV)
    error = gradient_autoencoder.normalised_squared_error(scores_BxV, x_BxV)
    return error, {}

  tx = optax.nadam(lr)
  return step_lib.make_train_step(loss_fn, tx), tx


def score_elsa(params: Any, histories: Histories) -> np.ndarray:
  """Scores [B, V] = x (A A' - I), computed from a user's rank-r code."""
  x = histories.csr()
  factors = _unit_factors(params)
  scores = (x @ factors) @ factors.T
  row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
  scores[row, x.indices] -= x.data
  return scores


def program_elsa(params: Any) -> Program:
  """The program of the weights A A' - I, in factors."""
  factors = _unit_factors(params)
  weights = linear_autoencoder.FactoredWeights(
    factors, factors.T, np.full(len(factors), -1, factors.dtype)
  )
  return weights_program.of_weights(weights)


def _unit_factors(params: Any) -> np.ndarray:
  factors = np.asarray(params['factors'])
  norms = np.linalg.norm(factors, axis=1, keepdims=True)
  return factors / np.maximum(norms, 1e-12)
