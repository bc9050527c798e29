"""Recommenders with parameters of a user's own: generated, or fine-tuned.

A base is trained first and then stays as it is. A hypernetwork reads what a new
user has shown and changes parts of the base for this user; its last layer
starts at zero, so that it starts at the base. Its rival trains all parameters
of the base on what this user alone has shown.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.data import sequences
from hyperrec.systems.hypernetwork import conditioning, hypernetwork
from hyperrec.systems.mult_vae import mult_vae, variational_autoencoder
from hyperrec.systems.sequential import sasrec, sequential_recommender
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = method_lib.Interactions
MaskedSet = conditioning.MaskedSet
Model = method_lib.Model
Outcome = method_lib.Outcome

# Number of items of a history that are read, the last ones.
LENGTH = 32
# The logit of shown items, which are never targets.
_NEVER = -1e9
# A history of this many items has an encoded size of one half.
_HALF_SIZE = 10.0
# Users whose parameters are in memory at once.
_USERS_AT_ONCE = 32


class Network(NamedTuple):
  """What a base computes for one user, who has shown `LENGTH` items at most.

  Attributes:
    logits: (parameters, history) -> scores [V].
    loss: (parameters, history, key) -> the loss on which fine-tuning trains.
    least: smallest number of items on which it can be fine-tuned.
  """

  logits: Callable[[Any, MaskedSet], Float[Array, ' V']]
  loss: Callable[[Any, MaskedSet, jax.Array], Float[Array, '']]
  least: int


@functools.cache
def of_mult_vae(config: mult_vae.MultVaeConfig, num_items: int) -> Network:
  """Mult-VAE; its loss is the one of its training, with the whole KL weight."""
  model = mult_vae.make_model(config, num_items)

  def logits(params, history):
    row_1xV = _row(history, num_items)[None]
    return model.apply({'params': params}, row_1xV, train=False).logits[0]

  def loss(params, history, key):
    dropout_key, sample_key = jax.random.split(key)
    rngs = {'dropout': dropout_key, 'sample': sample_key}
    row_1xV = _row(history, num_items)[None]
    out = model.apply({'params': params}, row_1xV, train=True, rngs=rngs)
    nll = variational_autoencoder.multinomial_nll(out.logits, row_1xV)
    return (nll + config.anneal_cap * out.kl).mean()

  return Network(logits, loss, 1)


@functools.cache
def of_sasrec(config: sasrec.SasrecConfig, num_items: int) -> Network:
  """SASRec; its loss is the next-item loss on the user's history."""
  model = sasrec.make_model(config, num_items)

  def logits(params, history):
    size = history.mask.sum()
    hidden_1xD = sequential_recommender.last_hidden(
      model, params, history.members[None], size[None]
    )
    return (hidden_1xD @ params['items'].T)[0]

  def loss(params, history, key):
    items, mask = history
    places = jnp.arange(LENGTH - 1, dtype=jnp.int32)
    rows = sequences.PackedRows(
      items[None, :-1],
      items[None, 1:],
      mask[None, 1:].astype(jnp.int32),
      places[None],
    )
    return sequential_recommender.next_item_loss(
      model, params, rows, key, counts_V=jnp.zeros(num_items)
    )

  return Network(logits, loss, 2)


def _row(history: MaskedSet, num_items: int) -> Float[Array, ' V']:
  """1.0 for each shown item."""
  shown_L = history.mask.astype(jnp.float32)
  return jnp.zeros(num_items).at[history.members].max(shown_L)


class Base(NamedTuple):
  """A trained base.

  Attributes:
    network: what it computes.
    params: its parameters.
    operations: of its training.
  """

  network: Network
  params: Any
  operations: float


@dataclasses.dataclass(frozen=True)
class Generator:
  """Hyperparameters of a generator.

  Attributes:
    form: how the output is written.
    parts: paths of the base's parameters that are generated.
    reads: what the encoder reads: the set of items, with an embedding of each
      item that it learns; the mean of the items' text features; or statistics,
      which are their mean popularity and their number. Controls read only the
      number of items (size), or the same for all users (constant).
    z_dim: width of the user's encoding.
    hidden_dim: width of the encoder's layers.
    dropout: share of the users for whom training uses the base.
    steps: number of training steps.
    batch_size: users in each step; all users if there are fewer.
    lr: learning rate of AdamW at the start; it falls to 0 along a cosine.
    weight_decay: weight decay of AdamW.
    evaluate_every: steps between two looks at the validation users.
  """

  form: nn.Module
  parts: tuple[hypernetwork.Path, ...]
  reads: Literal['set', 'text', 'statistics', 'size', 'constant'] = 'set'
  z_dim: int = 32
  hidden_dim: int = 64
  dropout: float = 0.1
  steps: int = 200
  batch_size: int = 100
  lr: float = 1e-3
  weight_decay: float = 1e-2
  evaluate_every: int = 25


class State(NamedTuple):
  """A base and its generator.

  Attributes:
    base: the parameters of the base.
    theta: the generator's parameters.
    table: what the encoder reads of each item [V, F].
  """

  base: Any
  theta: Any
  table: Float[Array, 'V F']


def generated(
  config: Generator,
  base: Base,
  table: Float[np.ndarray, 'V F'],
  judge: Callable[[Model, State], float],
  num_judged: int,
) -> Model:
  """The base, of which a hypernetwork changes parts for each user.

  Args:
    config: hyperparameters.
    base: the trained base.
    table: what the encoder reads of each item; any where it reads the set.
    judge: (model, state) -> value on validation users; the state at which it
      is highest is the one that is kept.
    num_judged: number of users that it scores.
  """

  def fit(data, key, start=None, run=loop.Run()):
    del start
    run = dataclasses.replace(
      run,
      evaluate=lambda state: {'value': judge(model, state)},
      best_metric='value',
      evaluate_every=config.evaluate_every,
    )
    trained = _train(config, base, jnp.asarray(table), data, key=key, run=run)
    looks = -(-config.steps // config.evaluate_every)
    one = counts.program(
      functools.partial(_user_logits, config, base.network),
      trained.state,
      _nothing(),
    )
    spent = base.operations + trained.cost.operations
    return Outcome(trained.state, Cost(spent + looks * num_judged * one))

  def generate(state, data, key):
    del data, key
    operations = counts.program(
      functools.partial(_parameters, config), state, _nothing()
    )
    return Outcome(state, Cost(per_user=operations))

  def score(state, histories):
    logits = functools.partial(_all_logits, _compiled(config), base.network)
    return _padded(logits, state, histories)

  model = Model('generated', config, fit, score, generate=generate)
  return model


def _compiled(config: Generator) -> Generator:
  """The configuration without what no compiled program depends on."""
  return dataclasses.replace(config, lr=0.0, steps=0, evaluate_every=0)


def _nothing() -> MaskedSet:
  return MaskedSet(jnp.zeros(LENGTH, jnp.int32), jnp.zeros(LENGTH, bool))


def _hypernetwork(config: Generator, table_VxF) -> hypernetwork.Hypernetwork:
  sizes = {'z_dim': config.z_dim, 'hidden_dim': config.hidden_dim}
  num_items, width = table_VxF.shape
  if config.reads == 'set':
    encoder = conditioning.InteractionEncoder(num_items, **sizes)
  else:
    encoder = conditioning.VectorEncoder(width + 2, **sizes)
  return hypernetwork.Hypernetwork(encoder, config.form, config.dropout)


def _read(config: Generator, table_VxF, history: MaskedSet):
  """The input of the encoder."""
  if config.reads == 'set':
    return history
  if config.reads == 'constant':
    return jnp.ones(table_VxF.shape[1] + 2)
  mask_L = history.mask.astype(jnp.float32)
  size = mask_L.sum()
  mean_F = mask_L @ table_VxF[history.members] / jnp.maximum(size, 1.0)
  amount = conditioning.cos_sin((size / (size + _HALF_SIZE))[None])
  return jnp.concatenate([conditioning.constant_norm(mean_F), amount])


def _parameters(config, state: State, history, dropout_key=None):
  """The parameters of one user."""
  return hypernetwork.generate(
    _hypernetwork(config, state.table),
    state.theta,
    _read(config, state.table, history),
    state.base,
    config.parts,
    dropout_key=dropout_key,
  )


def _user_logits(config, network, state: State, history, key=None):
  return network.logits(_parameters(config, state, history, key), history)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _all_logits(config, network, state: State, histories: MaskedSet):
  return jax.lax.map(
    lambda history: _user_logits(config, network, state, history),
    histories,
    batch_size=_USERS_AT_ONCE,
  )


def _padded(logits, state: Any, histories: Histories) -> np.ndarray:
  """Scores [B, V]; the batch is padded to a power of two."""
  items_BxL, sizes_B = sequences.last_items(
    histories.items, histories.mask, LENGTH
  )
  rows = len(sizes_B)
  padding = (1 << max(0, rows - 1).bit_length()) - rows
  items_BxL = np.pad(items_BxL, ((0, padding), (0, 0)))
  mask_BxL = np.arange(LENGTH) < np.pad(sizes_B, (0, padding))[:, None]
  return np.asarray(logits(state, MaskedSet(items_BxL, mask_BxL)))[:rows]


class Simulated(NamedTuple):
  """Users of the training data who pass for new ones.

  Attributes:
    shown: their histories, a random part of their items.
    asked: bool [B, V], their other items.
  """

  shown: MaskedSet
  asked: np.ndarray


def simulate(
  x: scipy.sparse.csr_matrix, random: np.random.Generator
) -> Simulated:
  """Shows 1 to `LENGTH` items of each user of X [B, V], in a random order.

  The logarithm of the number is uniform, so that short histories are as
  frequent as long ones. At least one item is not shown.
  """
  items_BxL = np.zeros((x.shape[0], LENGTH), np.int32)
  sizes_B = np.zeros(x.shape[0], np.int64)
  asked_BxV = x.toarray() > 0
  for row in range(x.shape[0]):
    items = random.permutation(x.indices[x.indptr[row] : x.indptr[row + 1]])
    size = int(np.exp(random.uniform(0, np.log(LENGTH + 1))))
    size = max(1, min(size, LENGTH, len(items) - 1))
    items_BxL[row, :size], sizes_B[row] = items[:size], size
    asked_BxV[row, items[:size]] = False
  mask_BxL = np.arange(LENGTH) < sizes_B[:, None]
  return Simulated(MaskedSet(items_BxL, mask_BxL), asked_BxV)


def _train(config, base: Base, table_VxF, data, *, key, run) -> Outcome:
  """Trains the generator on simulated new users."""
  x_UxV = data.csr(bool)
  x_UxV = x_UxV[np.flatnonzero(np.diff(x_UxV.indptr) > 1)]
  init_key, order_key, noise_key = jax.random.split(key, 3)
  seed = int(jax.random.bits(order_key))
  size = min(config.batch_size, x_UxV.shape[0])
  params = jax.tree.map(jnp.asarray, base.params)

  def batch_at(step):
    rows = loop.batch_rows(step, size, x_UxV.shape[0], seed)
    users = simulate(x_UxV[rows], np.random.default_rng((seed, step)))
    return {'users': users, 'base': params, 'table': table_VxF}

  told = _read(config, table_VxF, _nothing())
  network = _hypernetwork(config, table_VxF)
  theta = hypernetwork.init(network, init_key, told, params, config.parts)
  tx = optimizers.cosine_adamw(config.lr, config.steps, config.weight_decay)
  state = step_lib.init_state(theta, tx, noise_key)
  step_fn = train_step(_compiled(config), base.network)
  operations = config.steps * counts.program(step_fn, state, batch_at(0))
  result = loop.train(
    step_fn,
    state,
    batch_at,
    config.steps,
    run.of(lambda theta: State(params, theta, table_VxF)),
  )
  state = State(params, result.params, table_VxF)
  return Outcome(state, Cost(operations))


@functools.cache
def train_step(config: Generator, network: Network) -> step_lib.Step:
  """The training step; it is cached, so that equal generators compile once."""

  def user_loss(theta, base, table_VxF, users, key):
    history, asked_V = users
    state = State(base, theta, table_VxF)
    logits_V = _user_logits(config, network, state, history, key)
    is_shown_V = _row(history, len(asked_V)) > 0
    asked_V = asked_V.astype(logits_V.dtype)
    nll = variational_autoencoder.multinomial_nll(
      jnp.where(is_shown_V, _NEVER, logits_V), asked_V
    )
    return nll / jnp.maximum(asked_V.sum(), 1.0)

  def loss_fn(theta, batch, key, step):
    del step
    users = batch['users']
    keys = jax.random.split(key, len(users.asked))
    losses = jax.vmap(user_loss, in_axes=(None, None, None, 0, 0))(
      theta, batch['base'], batch['table'], users, keys
    )
    return losses.mean(), {}

  tx = optimizers.cosine_adamw(0.0, 0, config.weight_decay)
  return step_lib.make_train_step(loss_fn, tx)


@dataclasses.dataclass(frozen=True)
class FineTuning:
  """Hyperparameters of fine-tuning for one user.

  Attributes:
    steps: number of steps of Adam on all parameters of the base.
    lr: learning rate.
  """

  steps: int
  lr: float


def fine_tuned(config: FineTuning, base: Base) -> Model:
  """The base, trained further for each user on what this user has shown."""

  def fit(data, key, start=None, run=None):
    del data, key, start, run
    params = jax.tree.map(jnp.asarray, base.params)
    return Outcome(params, Cost(base.operations))

  def generate(params, data, key):
    del data, key
    operations = counts.program(
      functools.partial(_own, config, base.network), params, _nothing()
    )
    return Outcome(params, Cost(per_user=operations))

  def score(params, histories):
    logits = functools.partial(_own_logits, config, base.network)
    return _padded(logits, params, histories)

  return Model('fine-tuned', config, fit, score, generate=generate)


def _own(config: FineTuning, network: Network, params, history: MaskedSet):
  """The parameters of one user; those of the base if there is too little."""
  tx = optax.adam(config.lr)

  def step(carry, key):
    own, opt_state = carry
    grads = jax.grad(network.loss)(own, history, key)
    updates, opt_state = tx.update(grads, opt_state)
    return (optax.apply_updates(own, updates), opt_state), None

  keys = jax.random.split(jax.random.key(0), config.steps)
  (own, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys)
  is_enough = history.mask.sum() >= network.least
  return jax.tree.map(lambda a, b: jnp.where(is_enough, a, b), own, params)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _own_logits(config, network, params, histories: MaskedSet):
  def one(history):
    return network.logits(_own(config, network, params, history), history)

  return jax.lax.map(one, histories)
