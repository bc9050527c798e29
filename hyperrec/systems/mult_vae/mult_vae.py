"""Mult-VAE and Mult-DAE as models: hyperparameters, training and scoring."""

import dataclasses
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec import padding
from hyperrec import program as program_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.mult_vae import variational_autoencoder
from hyperrec.training import loop
from hyperrec.training import step as step_lib

CannotServe = method_lib.CannotServe
Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

# In Liang et al. on ML-20M, the KL weight reaches its cap at step 40,000 of
# 46,800.
_ANNEALED_SHARE = 40_000 / 46_800


@dataclasses.dataclass(frozen=True)
class MultVaeConfig:
  """Hyperparameters; the defaults are those of Liang et al. (WWW 2018).

  Attributes:
    variational: Whether the model is Mult-VAE; False is Mult-DAE.
    hidden_dim: Width of the layers before and after the code (Mult-VAE only).
    latent_dim: Width of the code.
    dropout: Share of the input that dropout sets to 0 in training, from 0 to
      below 1.
    epochs: Number of passes over the users.
    batch_size: Users in a training step; all users if there are fewer.
    lr: Learning rate of Adam.
    anneal_cap: Largest weight of the KL term, beta.
    anneal_steps: The weight is min(anneal_cap, step / anneal_steps); 200,000
      in the paper. None lets the weight reach the cap after the same share of
      the training as in the paper's run on ML-20M.
    weight_decay: Multiplier of the sum of squared weights in the loss.
    finetune_epochs: Number of passes over the users in fine-tuning.
  """

  variational: bool = True
  hidden_dim: int = 600
  latent_dim: int = 200
  dropout: float = config_lib.field(0.5, least=0, below=1)
  epochs: int = 200
  batch_size: int = 500
  lr: float = 1e-3
  anneal_cap: float = 0.2
  anneal_steps: int | None = None
  weight_decay: float = 0.0
  finetune_epochs: int = 20

  def __post_init__(self):
    config_lib.check(self)


def mult_vae(**hyperparameters: Any) -> Model:
  """Mult-VAE (Liang et al., WWW 2018); its state is the network's parameters.

  A new user needs only a forward pass. Another catalogue takes over the inner
  layers (hidden -> latent -> hidden); the input and output layers, whose width
  is the number of items, are initialised again.

  Args:
    **hyperparameters: fields of `MultVaeConfig`.
  """
  return _model('mult_vae', MultVaeConfig(**hyperparameters))


def mult_dae(**hyperparameters: Any) -> Model:
  """Mult-DAE of the same paper; another catalogue takes over no layer of it.

  Args:
    **hyperparameters: fields of `MultVaeConfig`.
  """
  defaults = {'variational': False, 'weight_decay': 0.01 / 500}
  config = MultVaeConfig(**{**defaults, **hyperparameters})
  return _model('mult_dae', config)


def _model(name: str, config: MultVaeConfig) -> Model:
  """Either model; only Mult-VAE can be carried to another catalogue."""
  return Model(
    name,
    config,
    functools.partial(fit, config),
    functools.partial(score, config),
    carry=functools.partial(_carry, config) if config.variational else None,
    program=functools.partial(program, config),
  )


def fit(
  config: MultVaeConfig,
  data: Interactions,
  key: jax.Array,
  start: Any = None,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Trains the network on all users with at least one item.

  Args:
    config: hyperparameters.
    data: the users' items.
    key: typed random key for initialisation, order of the users, dropout and
      samples of the code.
    start: parameters to fine-tune for `config.finetune_epochs`, with the KL
      weight at its cap; None trains from scratch for `config.epochs`.
    run: how the training is evaluated, logged and saved.

  Raises:
    CannotServe: there are no interactions.
  """
  x_UxV = data.csr(bool)
  x_UxV = x_UxV[np.flatnonzero(np.diff(x_UxV.indptr))]
  if x_UxV.shape[0] == 0:
    raise CannotServe(
      'a network cannot be trained for a catalogue without interactions'
    )
  if start is not None:
    _, key = jax.random.split(key)  # `_carry` uses the first part
  init_key, order_key, noise_key = jax.random.split(key, 3)
  batch_size = min(config.batch_size, x_UxV.shape[0])
  epochs = config.epochs if start is None else config.finetune_epochs
  num_steps = math.ceil(epochs * x_UxV.shape[0] / batch_size)
  beta = _annealing(config, num_steps if start is None else 0)
  order_seed = int(jax.random.bits(order_key))

  def batch_at(step):
    rows = loop.batch_rows(step, batch_size, x_UxV.shape[0], order_seed)
    return {'x': x_UxV[rows].toarray(), 'beta': np.float32(beta(step))}

  model = make_model(config, data.num_items)
  params = _init(model, init_key) if start is None else start
  step_fn, tx = train_step(model, config.lr, config.weight_decay)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, noise_key),
    batch_at,
    num_steps,
    run,
  )
  operations = num_steps * variational_autoencoder.train_step_flops(
    variational_autoencoder.layer_sizes(params), batch_size
  )
  return Outcome(result.params, Cost(operations))


def _carry(
  config: MultVaeConfig, params: Any, data: Interactions, key: jax.Array
) -> Outcome:
  """Keeps the inner layers of `params`; the input and output layers are new."""
  init_key, _ = jax.random.split(key)  # `fit` uses the second part
  fresh = _init(make_model(config, data.num_items), init_key)
  return Outcome(variational_autoencoder.keep_inner_layers(params, fresh))


def score(
  config: MultVaeConfig, params: Any, histories: Histories
) -> np.ndarray:
  """Logits [B, V] at the mean of the code.

  The batch is padded to a power of two, so that few shapes are compiled.
  """
  x_BxV = histories.csr(bool).toarray()
  more = padding.power_of_two(len(x_BxV)) - len(x_BxV)
  model = make_model(config, histories.num_items)
  x_BxV = np.pad(x_BxV, ((0, more), (0, 0)))
  logits_BxV = np.asarray(logits(model, params, x_BxV))
  return logits_BxV[: len(histories.items)]


def program(config: MultVaeConfig, params: Any) -> Program:
  """The same logits as a program."""
  num_items = len(params['logits']['bias'])
  model = make_model(config, num_items)

  def score_histories(params, items_BxL, mask_BxL):
    x_BxV = program_lib.multi_hot(items_BxL, mask_BxL, num_items, bool)
    return logits(model, params, x_BxV)

  return Program(params, score_histories)


def pass_flops(params: Any) -> float:
  """Operations of scoring one user."""
  return 2.0 * sum(
    inputs * outputs
    for inputs, outputs in variational_autoencoder.layer_sizes(params)
  )


def _annealing(config: MultVaeConfig, num_steps: int):
  """Function from step to KL weight; num_steps=0 keeps it at the cap."""
  cap, steps = config.anneal_cap, config.anneal_steps
  if num_steps == 0:
    return lambda step: cap
  if steps is None:
    return lambda step: cap * min(1.0, step / (_ANNEALED_SHARE * num_steps))
  return lambda step: min(cap, step / steps)


def make_model(config: MultVaeConfig, num_items: int) -> nn.Module:
  """The network that `config` describes, without parameters."""
  sizes = {'latent_dim': config.latent_dim, 'dropout': config.dropout}
  if not config.variational:
    return variational_autoencoder.MultDAE(num_items, **sizes)
  return variational_autoencoder.MultVAE(
    num_items, hidden_dim=config.hidden_dim, **sizes
  )


@functools.partial(jax.jit, static_argnames='model')
def _init(model: nn.Module, key: jax.Array):
  """Random parameters of `model`."""
  x_1xV = jnp.zeros((1, model.num_items))
  return model.init(key, x_1xV, train=False)['params']


@functools.partial(jax.jit, static_argnames='model')
def logits(model: nn.Module, params: Any, x_BxV: jax.Array):
  """Logits [B, V] of 0/1 histories [B, V], at the mean of the code."""
  return model.apply({'params': params}, x_BxV, train=False).logits


@functools.lru_cache(maxsize=16)
def train_step(model: nn.Module, lr: float, weight_decay: float):
  """The training step and its optimizer; cached, so equal models compile once.

  The loss is the negative ELBO, NLL + beta KL (Liang et al., equation 5), plus
  the weight decay.
  """

  def loss_fn(params, batch, key, step):
    del step
    dropout_key, sample_key = jax.random.split(key)
    rngs = {'dropout': dropout_key, 'sample': sample_key}
    out = model.apply({'params': params}, batch['x'], train=True, rngs=rngs)
    nll_B = variational_autoencoder.multinomial_nll(out.logits, batch['x'])
    nll, kl = nll_B.mean(), out.kl.mean()
    loss = nll + batch['beta'] * kl
    if weight_decay:
      penalty = variational_autoencoder.kernel_penalty(params)
      loss += weight_decay * penalty
    return loss, {'nll': nll, 'kl': kl}

  tx = optax.adam(lr)
  return step_lib.make_train_step(loss_fn, tx), tx
