"""DropoutNet (NeurIPS 2017): networks of factors that may be missing.

Volkovs, Yu and Poutanen, "DropoutNet: Addressing Cold Start in Recommender
Systems". Implicit ALS gives factors w of users and h of items. Two networks
read them, the items' one beside the features g of the items, and learn to give
back the scores of the factors:

    min sum_ui (w_u.h_i - user_net(w_u) . item_net(h_i, g_i))^2

In training the factors of a random share of the items are replaced: half of
them by 0, so that the network learns to do with features alone, and half by the
mean of the factors of their users. These are the inputs of items that arrive in
a live catalogue, without interactions and with some; each costs one pass. For
the same share of users the factors are the mean of those of their items.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.factors import ials, least_squares, row_blocks
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
Histories = method_lib.Histories
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program


@dataclasses.dataclass(frozen=True)
class DropoutnetConfig(ials.IalsConfig):
  """Hyperparameters of DropoutNet, beside those of the factors.

  Attributes:
    hidden_dim: Width of the hidden layer of both networks.
    dropout: Share of the items, and of the users, whose factors are replaced
      in a training step.
    steps: Training steps, from scratch and in fine-tuning.
    batch_size: Users of a step; all of them where there are fewer.
    num_candidates: Items of a step; all of them where there are fewer.
    lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
    weight_decay: Weight decay of AdamW.
  """

  hidden_dim: int = config_lib.field(256, least=1)
  dropout: float = config_lib.field(0.5, least=0, most=1)
  steps: int = config_lib.field(500, least=1)
  batch_size: int = config_lib.field(100, least=1)
  num_candidates: int = config_lib.field(1000, least=1)
  lr: float = config_lib.field(3e-3, above=0)
  weight_decay: float = config_lib.field(1e-2, least=0)


class Networks(nn.Module):
  """The networks of users and items, each with one hidden layer.

  Attributes:
    hidden_dim: width of the hidden layers.
    dim: D, the width of factors and of both outputs.
  """

  hidden_dim: int
  dim: int

  def setup(self):
    """The layers."""
    self.user_hidden = nn.Dense(self.hidden_dim)
    self.user_out = nn.Dense(self.dim)
    self.item_hidden = nn.Dense(self.hidden_dim)
    self.item_out = nn.Dense(self.dim)

  def users(self, factors: Float[Array, 'B D']) -> Float[Array, 'B D']:
    """Users, from their factors."""
    return self.user_out(jnp.tanh(self.user_hidden(factors)))

  def items(
    self, factors: Float[Array, 'N D'], text: Float[Array, 'N F']
  ) -> Float[Array, 'N D']:
    """Items, from their factors, which are 0 where unknown, and features."""
    inputs = jnp.concatenate([factors, text], axis=1)
    return self.item_out(jnp.tanh(self.item_hidden(inputs)))

  def __call__(self, users, factors, text):
    """Both."""
    return self.users(users), self.items(factors, text)


class DropoutnetState(NamedTuple):
  """The networks, the factors they read, and what they make of the items.

  Attributes:
    params: of the networks.
    factors: of implicit ALS; an item without interactions has zeros.
    items: [V, D], outputs of the items' network.
  """

  params: Any
  factors: ials.Factors
  items: Float[np.ndarray, 'V D']


def dropoutnet(
  features: method_lib.CentredFeatures, **hyperparameters: Any
) -> Model:
  """Serves items without interactions by their features.

  Args:
    features: (interactions, known=None) -> features of the items, float [V, F],
      rows of length 1, centred over the known items alone.
    **hyperparameters: fields of `DropoutnetConfig`.
  """
  config = DropoutnetConfig(**hyperparameters)
  networks = Networks(config.hidden_dim, config.dim)
  base = ials.ials(
    **{
      field.name: getattr(config, field.name)
      for field in dataclasses.fields(ials.IalsConfig)
    }
  )

  def fit(data, key, start=None, run=loop.Run()):
    text = np.asarray(features(data), np.float32)
    factors_key, init_key, key = jax.random.split(key, 3)
    fitted = base.fit(data, factors_key, start and start.factors)
    inputs = _inputs(config, data, fitted.state, text)
    params = start.params if start else _init(networks, init_key, inputs)

    def served(params):
      items = _items(networks, params, fitted.state.items, text)
      return DropoutnetState(params, fitted.state, np.asarray(items))

    trained = _train(
      config, networks, params, inputs, key=key, run=run.of(served)
    )
    of_items = net_flops(config, len(text), config.dim + text.shape[1])
    return Outcome(
      served(trained.state), fitted.cost + trained.cost + Cost(of_items)
    )

  def update(state, source, evidence):
    del source
    folded = ials.fold_in(config, state.factors, evidence)
    of_user = Cost(per_user=net_flops(config, 1, config.dim))
    return Outcome(state, folded.cost + of_user)

  def grow(state, data, known):
    x_UxV, new = data.csr(), np.setdiff1d(np.arange(data.num_items), known)
    taken = np.flatnonzero(x_UxV[:, new].getnnz(0))
    factors = np.zeros((len(new), config.dim), np.float32)
    operations = 0.0
    if len(taken):
      x_NxU = x_UxV[:, new[taken]].T.tocsr()
      who = np.unique(x_NxU.indices)
      histories = row_blocks.of(x_UxV[who][:, known], config.dim)
      users = ials.users_in(config, state.factors, histories)
      factors[taken] = _means(x_NxU[:, who], users)
      operations = least_squares.flops(histories.lengths, config.dim)
    text = np.asarray(features(data, known), np.float32)[new]
    shape = data.num_items, config.dim
    inputs, items = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    inputs[known], items[known] = state.factors.items, state.items
    items[new] = _items(networks, state.params, factors, text)
    operations += net_flops(config, len(new), config.dim + text.shape[1])
    own = state.factors._replace(items=inputs)
    return Outcome(state._replace(factors=own, items=items), Cost(operations))

  return Model(
    'dropoutnet',
    config,
    fit,
    lambda state, histories: score(config, networks, state, histories),
    update=update,
    grow=grow,
    program=lambda state: program(config, networks, state),
    needs_history=True,
    scores_new_items=True,
  )


def score(
  config: DropoutnetConfig,
  networks: Networks,
  state: DropoutnetState,
  histories: Histories,
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V]; the factors of users are those of `ials`."""
  factors = ials.users_of(config, state.factors, histories)
  users = np.asarray(_users(networks, state.params, factors))
  return users @ state.items.T


def program(
  config: DropoutnetConfig, networks: Networks, state: DropoutnetState
) -> Program:
  """The same scores as one function."""
  factors = ials.users_program(config, state.factors)

  def score_histories(params, items_BxL, mask_BxL):
    users_BxD = factors.score(params['factors'], items_BxL, mask_BxL)
    users_BxD = _users(networks, params['networks'], users_BxD)
    return users_BxD @ params['items'].T

  params = {
    'factors': factors.params,
    'networks': state.params,
    'items': state.items,
  }
  return factors._replace(params=params, score=score_histories)


def net_flops(config: DropoutnetConfig, num_rows: int, width: int) -> float:
  """Operations of a network, for so many rows of inputs."""
  return counts.layers(num_rows, width, config.hidden_dim, config.dim)


class _Inputs(NamedTuple):
  """What the networks are trained on: users and items with interactions.

  Attributes:
    users: [U, D], factors.
    user_means: [U, D], the means of the factors of the users' items.
    items: [N, D], factors.
    item_means: [N, D], the means of the factors of the items' users.
    text: [N, F].
  """

  users: Float[np.ndarray, 'U D']
  user_means: Float[np.ndarray, 'U D']
  items: Float[np.ndarray, 'N D']
  item_means: Float[np.ndarray, 'N D']
  text: Float[np.ndarray, 'N F']


def _inputs(config, data, factors: ials.Factors, text) -> _Inputs:
  x_UxV = data.csr()
  x_UxV = x_UxV[np.flatnonzero(x_UxV.getnnz(1))]
  by_user = row_blocks.of(x_UxV, config.dim)
  users, _ = ials.half_sweep(config, by_user, factors.items)
  known = np.flatnonzero(x_UxV.getnnz(0))
  return _Inputs(
    users,
    _means(x_UxV, factors.items),
    factors.items[known],
    _means(x_UxV[:, known].T.tocsr(), users),
    text[known],
  )


def _means(x_MxN, columns_NxD) -> Float[np.ndarray, 'M D']:
  """The mean of the factors of each row's columns."""
  sums_MxD = x_MxN @ columns_NxD
  return (sums_MxD / x_MxN.getnnz(1)[:, None]).astype(np.float32)


def _train(
  config: DropoutnetConfig,
  networks: Networks,
  params,
  inputs: _Inputs,
  *,
  key,
  run: loop.Run,
) -> Outcome:
  """Parameters of both networks."""
  order_key, step_key = jax.random.split(key)
  seed = int(jax.random.bits(order_key))
  num_users = min(config.batch_size, len(inputs.users))
  num_items = min(config.num_candidates, len(inputs.items))

  def batch_at(step):
    users = loop.batch_rows(step, num_users, len(inputs.users), seed)
    items = loop.batch_rows(step, num_items, len(inputs.items), seed + 1)
    return {
      'users': inputs.users[users],
      'user_means': inputs.user_means[users],
      'items': inputs.items[items],
      'item_means': inputs.item_means[items],
      'text': inputs.text[items],
    }

  step_fn = _train_step(networks, config.dropout, config.weight_decay)
  tx = optimizers.cosine_adamw(config.lr, config.steps, config.weight_decay)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, step_key),
    batch_at,
    config.steps,
    run,
  )
  of_step = net_flops(config, num_users, config.dim)
  of_step += net_flops(config, num_items, config.dim + inputs.text.shape[1])
  of_step += 2.0 * num_users * num_items * config.dim
  return Outcome(result.params, Cost(3 * config.steps * of_step))


@functools.partial(jax.jit, static_argnames='networks')
def _init(networks, key, inputs: _Inputs):
  rows = (inputs.users[:1], inputs.items[:1], inputs.text[:1])
  return networks.init(key, *rows)['params']


@functools.partial(jax.jit, static_argnames='networks')
def _users(networks, params, factors):
  return networks.apply({'params': params}, factors, method=Networks.users)


@functools.partial(jax.jit, static_argnames='networks')
def _items(networks, params, factors, text):
  return networks.apply(
    {'params': params}, factors, text, method=Networks.items
  )


@functools.lru_cache(maxsize=8)
def _train_step(networks, dropout: float, weight_decay: float):
  """A step gives back the scores of factors, some of which are replaced."""

  def loss_fn(params, batch, key, step):
    del step
    user_key, item_key = jax.random.split(key)
    scores_BxN = batch['users'] @ batch['items'].T
    replaced_B = jax.random.bernoulli(
      user_key, dropout, (len(batch['users']), 1)
    )
    draws_N = jax.random.uniform(item_key, (len(batch['items']), 1))
    means_NxD = jnp.where(draws_N < dropout / 2, 0.0, batch['item_means'])
    users, items = networks.apply(
      {'params': params},
      jnp.where(replaced_B, batch['user_means'], batch['users']),
      jnp.where(draws_N < dropout, means_NxD, batch['items']),
      batch['text'],
    )
    return jnp.square(users @ items.T - scores_BxN).mean(), {}

  tx = optimizers.cosine_adamw(0.0, 1, weight_decay)
  return step_lib.make_train_step(loss_fn, tx)
