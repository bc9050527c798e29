"""The control without a hypernetwork: two towers, trained on the sources.

Of the size of HyperEASE's generator and from the same features of items, but
its parameters are learned, not generated, and nothing is solved. What evidence
there is goes on training them.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import hyperease, l3ae
from hyperrec.models import two_tower as model_lib
from hyperrec.models import variational_autoencoder
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Interactions = interactions_lib.Interactions
Method = method_lib.Method


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyper-parameters.

  Attributes:
    hidden_dim: see `two_tower.TwoTower`.
    dim: likewise.
    hidden_share: of a user's items, those that a step hides and looks for.
    steps: on the sources, one after the other.
    finetune_epochs: passes over the users of the evidence.
    batch_size: users a step; all of them where there are fewer.
    lr: AdamW's, at its start; it decays to 0 by a cosine.
    finetune_lr: likewise, on the evidence.
    weight_decay: AdamW's.
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


class Fitted(NamedTuple):
  """Towers; of an adapted catalogue also what they make of its items.

  Attributes:
    params: of the network.
    shown: [V, D], each item as part of a history; None before adaptation.
    scored: [V, D], each item as one to be scored; likewise.
    flops: operations that training took.
  """

  params: Any
  shown: Any
  scored: Any
  flops: float


def two_tower(features: l3ae.Features, **hyper_parameters: Any) -> Method:
  """Serves any catalogue with features, without any interaction too.

  Args:
    features: interactions -> features of their catalogue, float [V, F]; the
      columns must mean the same in source and target.
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)
  model = model_lib.TwoTower(config.hidden_dim, config.dim)

  def prepare(source, key):
    domains = hyperease.domains_of(source)
    tables = [_centred(features(domain)) for domain in domains]
    init_key, train_key = jax.random.split(key)
    params = _init(model, init_key, tables[0])
    data = [_rows(d, t) for d, t in zip(domains, tables, strict=True)]
    run = {'num_steps': config.steps, 'lr': config.lr, 'key': train_key}
    return _train(model, config, params, data, **run)

  def adapt(shared, evidence, key):
    data = _rows(evidence, _centred(features(evidence)))
    fitted = shared._replace(flops=0.0)
    num_users = data[0].shape[0]
    if num_users:
      batches = math.ceil(num_users / config.batch_size)
      run = {'num_steps': config.finetune_epochs * batches, 'key': key}
      run['lr'] = config.finetune_lr
      fitted = _train(model, config, shared.params, [data], **run)
    shown, scored = jax.device_get(_towers(model, fitted.params, data[1]))
    return fitted._replace(shown=shown, scored=scored)

  def adapt_flops(shared, evidence, adapted):
    del shared
    width = features(evidence).shape[1]
    once = model_lib.forward_flops(evidence.num_items, width, 0, model)
    return adapted.flops + once

  return Method(
    'two_tower',
    prepare,
    adapt,
    lambda adapted, histories: np.asarray(
      model_lib.scores(adapted.shown, adapted.scored, histories.multi_hot())
    ),
    lambda source, shared: shared.flops,
    adapt_flops,
  )


def _centred(table):
  table = np.asarray(table, np.float32)
  return table - table.mean(axis=0)


def _rows(data: Interactions, table: np.ndarray):
  """The users with two items at least, and the features of the items."""
  x_UxV = data.csr()
  return x_UxV[np.flatnonzero(np.diff(x_UxV.indptr) > 1)], table


def _train(model, config, params, data, *, num_steps, lr, key) -> Fitted:
  """Trains on each (x, features) in turn.

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
    loop.LoopConfig(num_steps),
  )
  passes = [
    model_lib.forward_flops(*table.shape, size, model)
    for (_, table), size in zip(data, sizes, strict=True)
  ]
  flops = 3 * num_steps * float(np.mean(passes))
  return Fitted(result.state.params, None, None, flops)


@functools.partial(jax.jit, static_argnames='model')
def _init(model, key, table):
  return model.init(key, table)['params']


@functools.partial(jax.jit, static_argnames='model')
def _towers(model, params, table):
  return model.apply({'params': params}, table)


@functools.lru_cache(maxsize=8)
def _train_step(model, hidden_share: float, weight_decay: float):
  """A step looks for hidden items of users among all that it does not show."""

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
