"""ESLER and ELSA: linear autoencoders trained by gradient steps."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec import method as method_lib
from hyperrec.cost import memory
from hyperrec.data import interactions as interactions_lib
from hyperrec.models import (
  gradient_autoencoder,
  linear_autoencoder,
)
from hyperrec.training import loop
from hyperrec.training import step as step_lib

Interactions = interactions_lib.Interactions
Method = method_lib.Method


class Fitted(NamedTuple):
  """A trained linear autoencoder over one catalogue.

  Attributes:
    params: of the module; None where nothing was trained yet.
    items: [n] the items that the parameters are about.
    item_ids: [V] the catalogue.
    source: what they were trained on; None once adapted.
    flops: operations of the training.
  """

  params: Any
  items: np.ndarray
  item_ids: np.ndarray
  source: Interactions | None
  flops: float


def esler(
  *,
  l2: float,
  tolerance: float = 1e-3,
  max_steps: int = 500,
  retrain: bool = False,
) -> Method:
  """EASE by gradient steps, which an adaptation can continue.

  New users of the same catalogue: the steps go on from the source's weights,
  on source and evidence together. Another catalogue: from zero, on the
  evidence.

  Args:
    l2: lambda > 0.
    tolerance: of the relative Frobenius error; steps end where it is proven.
    max_steps: steps end here at the latest.
    retrain: prepare nothing, train from zero at each adaptation.
  """
  if l2 <= 0:
    raise ValueError(f'l2={l2} must be positive')

  def fit(data, key, start):
    del key
    return fit_esler(data, l2, tolerance, max_steps, start)

  return _by_gradient('esler', fit, score_esler, retrain)


def elsa(
  *,
  rank: int = 64,
  epochs: int = 20,
  batch_size: int = 32,
  lr: float = 0.1,
  retrain: bool = False,
) -> Method:
  """ELSA: rank r, memory linear in the catalogue, minibatches of users.

  New users of the same catalogue: training goes on for `epochs` more, on
  source and evidence together. Another catalogue: it starts anew, on the
  evidence.

  Args:
    rank: r.
    epochs: passes over the users.
    batch_size: users a step; all of them where there are fewer.
    lr: NAdam's.
    retrain: prepare nothing, train anew at each adaptation.
  """

  def fit(data, key, start):
    return fit_elsa(
      data,
      key,
      rank=rank,
      epochs=epochs,
      batch_size=batch_size,
      lr=lr,
      start=start,
    )

  return _by_gradient('elsa', fit, score_elsa, retrain)


def _by_gradient(name, fit, score, retrain: bool) -> Method:
  """A `Method` from fit(data, key, start: Fitted or None)."""

  def prepare(source, key):
    if retrain:
      return Fitted(None, None, source.item_ids, source, 0.0)
    return fit(source, key, None)

  def adapt(shared, evidence, key):
    is_known = np.array_equal(shared.item_ids, evidence.item_ids)
    if len(evidence) == 0:
      raise method_lib.CannotServe(
        f'{name} scores a user by what the user has shown, and nothing was'
        if is_known
        else f'{name} has no weights for a catalogue without interactions'
      )
    data, start = evidence, None
    if is_known:
      data = interactions_lib.join_users(shared.source, evidence)
      start = None if shared.params is None else shared
    return fit(data, key, start)._replace(source=None)

  return Method(
    name,
    prepare,
    adapt,
    score,
    lambda source, shared: shared.flops,
    lambda shared, evidence, adapted: adapted.flops,
  )


# Steps between two looks at the error bound.
_ROUND = 5


def fit_esler(
  data: Interactions,
  l2: float,
  tolerance: float = 1e-3,
  max_steps: int = 500,
  start: Fitted | None = None,
) -> Fitted:
  """Steps on all users at once until the error bound is met.

  An item that no user has touched has no weights, so only the touched ones
  enter: exact, and far cheaper where the evidence is small.
  """
  items = np.flatnonzero(data.item_counts())
  x = data.csr()[:, items]
  x = x[np.flatnonzero(np.diff(x.indptr))]
  flops = 0.0
  if gradient_autoencoder.is_rows_cheaper(*x.shape):
    batch = gradient_autoencoder.Rows(jnp.asarray(x.toarray()))
  else:
    batch = gradient_autoencoder.Gram(jnp.asarray(linear_autoencoder.gram(x)))
    flops = 2.0 * np.square(np.diff(x.indptr).astype(float)).sum()
  model = gradient_autoencoder.ESLER(len(items))
  weights = np.zeros((len(items),) * 2, np.float32)
  if start is not None:
    place = np.searchsorted(items, start.items)
    weights[np.ix_(place, place)] = start.params['weights']
  state = _esler_start(model, {'weights': jnp.asarray(weights)}, batch, l2)
  metrics = []
  while int(state.step) < max_steps and _last_bound(metrics) > tolerance:
    num_steps = min(int(state.step) + _ROUND, max_steps)
    state, _ = loop.train(
      functools.partial(_esler_step, model),
      state,
      lambda step: (batch, l2),
      loop.LoopConfig(num_steps, log_every=0),
      writers=[lambda step, values: metrics.append(values)],
    )
  flops += gradient_autoencoder.descent_flops(*x.shape, int(state.step))
  return Fitted(state.params, items, data.item_ids, data, flops)


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


def score_esler(fitted: Fitted, histories: method_lib.Histories):
  """Scores [B, V] = x B: sparse rows times B, as for the closed form."""
  weights = linear_autoencoder.SubsetWeights(
    np.asarray(fitted.params['weights']), fitted.items, len(fitted.item_ids)
  )
  return linear_autoencoder.scores(histories.csr(), weights)


def fit_elsa(
  data: Interactions,
  key: jax.Array,
  *,
  rank: int,
  epochs: int,
  batch_size: int,
  lr: float,
  start: Fitted | None = None,
) -> Fitted:
  """Minibatch steps for `epochs` passes, from `start` or from scratch.

  Raises:
    InsufficientMemoryError: before anything is trained.
  """
  x = data.csr(bool)
  x = x[np.flatnonzero(np.diff(x.indptr))]
  batch_size = min(batch_size, x.shape[0])
  length = int(np.diff(x.indptr).max())
  sizes = data.num_items, rank, batch_size
  memory.check_memory(
    gradient_autoencoder.elsa_peak_bytes(*sizes, length),
    f'ELSA of rank {rank} on {data.num_items} items',
    'choose a smaller rank or batch_size',
  )
  by_items = gradient_autoencoder.is_items_cheaper(*sizes, length)
  init_key, order_key, state_key = jax.random.split(key, 3)
  order_seed = int(jax.random.bits(order_key))
  num_steps = math.ceil(epochs * x.shape[0] / batch_size)

  def batch_at(step):
    rows = x[loop.batch_rows(step, batch_size, x.shape[0], order_seed)]
    return _padded(rows, length) if by_items else rows.toarray()

  model = gradient_autoencoder.ELSA(data.num_items, rank)
  params = _elsa_init(model, init_key) if start is None else start.params
  step_fn, tx = _elsa_step(model, lr)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, state_key),
    batch_at,
    loop.LoopConfig(num_steps),
  )
  flops = num_steps * gradient_autoencoder.elsa_step_flops(
    *sizes, length if by_items else None
  )
  items = np.arange(data.num_items)
  return Fitted(result.state.params, items, data.item_ids, data, flops)


def _padded(x, length: int) -> tuple[np.ndarray, np.ndarray]:
  """Items [B, L] of sparse rows, and where one is."""
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


def score_elsa(fitted: Fitted, histories: method_lib.Histories):
  """Scores [B, V] = x (A A' - I), through the rank-r code of a user."""
  x = histories.csr()
  factors = np.asarray(fitted.params['factors'])
  norms = np.linalg.norm(factors, axis=1, keepdims=True)
  factors = factors / np.maximum(norms, 1e-12)
  scores = (x @ factors) @ factors.T
  row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
  scores[row, x.indices] -= x.data
  return scores
