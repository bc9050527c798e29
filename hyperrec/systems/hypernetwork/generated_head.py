"""Mult-VAE with a part that a hypernetwork generates for each user.

This is the form of DUET (Lv et al., WWW 2023, arXiv 2209.05227). The user
encoder and the item vectors are shared. The small layer between them, here the
decoder's hidden layer, is generated from the user's history. Unlike in DUET,
the generator makes a change of the trained layer, which starts at zero.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from hyperrec import method as method_lib
from hyperrec import padding
from hyperrec import program as program_lib
from hyperrec.cost import counts
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.hypernetwork import (
  conditioning,
  hypernetwork,
  output_forms,
)
from hyperrec.systems.mult_vae import mult_vae, variational_autoencoder
from hyperrec.training import loop
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

# Number of users whose networks are in memory at once during scoring.
_USERS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class HeadConfig:
  """Hyperparameters of the generator and of its Mult-VAE.

  Attributes:
    base: Hyperparameters of the Mult-VAE, which is trained first and then
      fixed.
    parts: Paths of the Mult-VAE's parameters that are generated, such as
      `('hidden_out',)`.
    z_dim: Width of the user's encoding.
    hidden_dim: Width of the encoder's layers and item embeddings.
    condition_dropout: Share of users for whom training uses the base.
    epochs: Number of passes over the users.
    batch_size: Users per step; all users if there are fewer.
    lr: Learning rate of AdamW, after a warm-up over a tenth of the steps.
    weight_decay: Weight decay of AdamW; it pulls towards the base.
    max_norm: Norm to which larger gradients are clipped.
  """

  base: mult_vae.MultVaeConfig = dataclasses.field(
    default_factory=mult_vae.MultVaeConfig
  )
  parts: tuple[hypernetwork.Path, ...] = (('hidden_out',),)
  z_dim: int = 32
  hidden_dim: int = 64
  condition_dropout: float = 0.1
  epochs: int = 20
  batch_size: int = 100
  lr: float = 1e-3
  weight_decay: float = 1e-2
  max_norm: float = 1.0


class HeadState(NamedTuple):
  """A base and its generator over one catalogue.

  Attributes:
    base: the Mult-VAE's parameters.
    theta: the generator's parameters.
  """

  base: Any
  theta: Any


def generated_head(
  *, base: dict[str, Any] | None = None, **hyperparameters: Any
) -> Model:
  """A Mult-VAE whose decoder a hypernetwork adapts to each user.

  New users need only the pass that generates and scores.

  Args:
    base: fields of `mult_vae.MultVaeConfig`.
    **hyperparameters: the other fields of `HeadConfig`.
  """
  config = HeadConfig(mult_vae.MultVaeConfig(**(base or {})), **hyperparameters)
  if not config.base.variational:
    raise ValueError('base: the generator needs Mult-VAE (variational=True)')
  return Model(
    'generated_head',
    config,
    functools.partial(fit, config),
    functools.partial(score, config),
    generate=functools.partial(_serve, config),
    program=functools.partial(program, config),
  )


def fit(
  config: HeadConfig,
  data: Interactions,
  key: jax.Array,
  start: HeadState | None = None,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Trains the Mult-VAE, then its generator, on the users of `data`.

  Args:
    config: hyperparameters.
    data: the users' items.
    key: a typed key.
    start: ignored; base and generator are always trained from scratch.
    run: how the generator's training is evaluated, logged and kept.

  Raises:
    CannotServe: no user has items.
  """
  del start
  base_key, generator_key = jax.random.split(key)
  base = mult_vae.fit(config.base, data, base_key)
  head = fit_generator(config, base.state, data, generator_key, run)
  return Outcome(head.state, base.cost + head.cost)


def fit_generator(
  config: HeadConfig,
  base: Any,
  data: Interactions,
  key: jax.Array,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Trains the generator of a trained base on simulated new users.

  Each step shows a random share of each user's items, from none to all, to
  base and generator. The loss is Mult-VAE's on all of the user's items.

  Args:
    config: hyperparameters.
    base: parameters of a Mult-VAE over the catalogue of `data`.
    data: the users' items.
    key: a typed key for initialisation, order of users and shown items.
    run: how the training is evaluated, logged and kept.
  """
  x_UxV = data.csr(bool)
  x_UxV = x_UxV[np.flatnonzero(np.diff(x_UxV.indptr))]
  init_key, order_key, noise_key = jax.random.split(key, 3)
  batch_size = min(config.batch_size, x_UxV.shape[0])
  num_steps = math.ceil(config.epochs * x_UxV.shape[0] / batch_size)
  order_seed = int(jax.random.bits(order_key))
  base = jax.tree.map(jnp.asarray, base)

  def batch_at(step):
    rows = loop.batch_rows(step, batch_size, x_UxV.shape[0], order_seed)
    return {'x': x_UxV[rows].toarray(), 'base': base}

  theta = hypernetwork.init(
    _network(config, data.num_items),
    init_key,
    _as_set(jnp.zeros(data.num_items, bool)),
    base,
    config.parts,
  )
  step_fn, tx = train_step(config, data.num_items, num_steps)
  state = step_lib.init_state(theta, tx, noise_key)
  operations = num_steps * counts.program(step_fn, state, batch_at(0))
  result = loop.train(
    step_fn,
    state,
    batch_at,
    num_steps,
    run.of(lambda theta: HeadState(base, theta)),
  )
  return Outcome(HeadState(base, result.params), Cost(operations))


def _serve(
  config: HeadConfig, state: HeadState, data: Interactions, key: jax.Array
) -> Outcome:
  """The same state; each user's network is generated, and paid, in scoring."""
  del key
  nothing_V = jnp.zeros(data.num_items, bool)
  operations = counts.program(
    functools.partial(generate, config), state.theta, state.base, nothing_V
  )
  return Outcome(state, Cost(per_user=operations))


def score(
  config: HeadConfig, state: HeadState, histories: Histories
) -> np.ndarray:
  """Logits [B, V]; each user has a generated network.

  Rows are padded to a power of two, so that few shapes are compiled.
  """
  x_BxV = histories.csr(bool).toarray()
  more = padding.power_of_two(len(x_BxV)) - len(x_BxV)
  x_BxV = np.pad(x_BxV, ((0, more), (0, 0)))
  logits_BxV = _logits(config, state.theta, state.base, x_BxV)
  return np.asarray(logits_BxV)[: len(histories.items)]


@functools.partial(jax.jit, static_argnames='config')
def _logits(config: HeadConfig, theta: Any, base: Any, x_BxV: jax.Array):
  def score_user(x_V):
    return apply(config, generate(config, theta, base, x_V), x_V)

  return jax.lax.map(score_user, x_BxV, batch_size=_USERS_AT_ONCE)


def program(config: HeadConfig, state: HeadState) -> Program:
  """The same logits as one function, which serves user after user."""
  num_items = len(state.base['logits']['bias'])

  def score_histories(params, items_BxL, mask_BxL):
    def score_user(x_V):
      made = generate(config, params['theta'], params['base'], x_V)
      return apply(config, made, x_V)

    x_BxV = program_lib.multi_hot(items_BxL, mask_BxL, num_items, bool)
    return jax.lax.map(score_user, x_BxV)

  return Program(state._asdict(), score_histories)


def generate(
  config: HeadConfig,
  theta: Any,
  base: Any,
  shown_V: Bool[Array, ' V'],
  dropout_key: jax.Array | None = None,
) -> Any:
  """The Mult-VAE's parameters for one user; see `hypernetwork.generate`."""
  return hypernetwork.generate(
    _network(config, len(shown_V)),
    theta,
    _as_set(shown_V),
    base,
    config.parts,
    dropout_key=dropout_key,
  )


def apply(
  config: HeadConfig, params: Any, shown_V: Bool[Array, ' V']
) -> Float[Array, ' V']:
  """One user's logits from that user's parameters."""
  sizes = config.base.hidden_dim, config.base.latent_dim
  model = variational_autoencoder.MultVAE(len(shown_V), *sizes)
  return model.apply({'params': params}, shown_V[None], train=False).logits[0]


@functools.lru_cache(maxsize=16)
def train_step(config: HeadConfig, num_items: int, num_steps: int):
  """The step and its optimizer; cached, so equal runs compile once."""
  warmup = max(1, num_steps // 10)
  lr = optax.schedules.linear_schedule(0.0, config.lr, warmup)
  tx = optax.chain(
    optax.clip_by_global_norm(config.max_norm),
    optax.adamw(lr, weight_decay=config.weight_decay),
  )

  def user_loss(theta, base, x_V, key):
    share_key, shown_key, dropout_key = jax.random.split(key, 3)
    share = jax.random.uniform(share_key)
    shown_V = x_V & (jax.random.uniform(shown_key, (num_items,)) < share)
    params = generate(config, theta, base, shown_V, dropout_key)
    logits_V = apply(config, params, shown_V)
    return variational_autoencoder.multinomial_nll(
      logits_V, x_V.astype(logits_V.dtype)
    )

  def loss_fn(theta, batch, key, step):
    del step
    keys = jax.random.split(key, len(batch['x']))
    users = jax.vmap(user_loss, in_axes=(None, None, 0, 0))
    return users(theta, batch['base'], batch['x'], keys).mean(), {}

  return step_lib.make_train_step(loss_fn, tx), tx


def _network(config: HeadConfig, num_items: int) -> hypernetwork.Hypernetwork:
  encoder = conditioning.InteractionEncoder(
    num_items, config.z_dim, config.hidden_dim
  )
  return hypernetwork.Hypernetwork(
    encoder, output_forms.Full(), config.condition_dropout
  )


def _as_set(x_V: Bool[Array, ' V']) -> conditioning.MaskedSet:
  return conditioning.MaskedSet(jnp.arange(len(x_V)), x_V)
