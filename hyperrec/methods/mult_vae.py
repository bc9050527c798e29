"""Mult-VAE and Mult-DAE: the deep models to retrain or to fine-tune."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.models import variational_autoencoder
from hyperrec.training import loop
from hyperrec.training import step as step_lib

CannotServe = method_lib.CannotServe
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Method = method_lib.Method

# Liang et al. on ML-20M: the KL weight stops rising at step 40,000 of 46,800.
_ANNEALED_SHARE = 40_000 / 46_800


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyper-parameters; the defaults are those of Liang et al. (WWW 2018).

  Attributes:
    variational: True is Mult-VAE, False is Mult-DAE.
    hidden_dim: width of the layers around the code (Mult-VAE only).
    latent_dim: width of the code.
    dropout: share of the input dropped in training.
    epochs: passes over the users.
    batch_size: users a step; all of them where there are fewer.
    lr: Adam's.
    anneal_cap: the largest weight of the KL term, beta.
    anneal_steps: the weight is min(anneal_cap, step / anneal_steps); 200,000
      in the paper. None reaches the cap at the same share of a run of any
      length as the paper's run on ML-20M did.
    weight_decay: times the sum of squared weights, added to the loss.
    finetune_epochs: passes over the evidence in fine-tuning.
  """

  variational: bool = True
  hidden_dim: int = 600
  latent_dim: int = 200
  dropout: float = 0.5
  epochs: int = 200
  batch_size: int = 500
  lr: float = 1e-3
  anneal_cap: float = 0.2
  anneal_steps: int | None = None
  weight_decay: float = 0.0
  finetune_epochs: int = 20


class Fitted(NamedTuple):
  """A network over one catalogue.

  Attributes:
    params: of the network; None where nothing was trained yet.
    steps: train steps that made them from what they started with.
    batch_size: users a step.
    source: what they were trained on; None once adapted.
    item_ids: the catalogue.
  """

  params: Any
  steps: int
  batch_size: int
  source: Interactions | None
  item_ids: np.ndarray


def mult_vae(*, retrain: bool = False, **hyper_parameters: Any) -> Method:
  """Mult-VAE, trained once on the source; new users need a forward pass.

  On another catalogue it is trained from scratch on the evidence.

  Args:
    retrain: prepare nothing, train on source and evidence at each adaptation.
    **hyper_parameters: fields of `Config`.
  """
  return _from_scratch('mult_vae', Config(**hyper_parameters), retrain)


def mult_dae(*, retrain: bool = False, **hyper_parameters: Any) -> Method:
  """Mult-DAE under the same terms; see `mult_vae`."""
  defaults = {'variational': False, 'weight_decay': 0.01 / 500}
  config = Config(**{**defaults, **hyper_parameters})
  return _from_scratch('mult_dae', config, retrain)


def mult_vae_finetune(**hyper_parameters: Any) -> Method:
  """Mult-VAE whose training goes on, on the evidence alone.

  On another catalogue the layers that face the items start anew, the inner
  ones (hidden -> latent -> hidden) from the source's, and all are trained.

  Args:
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)

  def adapt(shared, evidence, key):
    is_new = not np.array_equal(shared.item_ids, evidence.item_ids)
    if len(evidence) == 0 and not is_new:
      return shared
    init_key, train_key = jax.random.split(key)
    params = shared.params
    if is_new:
      fresh = _init(make_model(config, evidence.num_items), init_key)
      params = variational_autoencoder.keep_inner_layers(params, fresh)
    else:
      evidence = interactions_lib.grown_users(shared.source, evidence)
    return fit(config, evidence, train_key, params)._replace(source=None)

  return Method(
    'mult_vae_finetune',
    lambda source, key: fit(config, source, key),
    adapt,
    functools.partial(score, config),
    lambda source, shared: fit_flops(shared),
    _adapt_flops,
  )


def _from_scratch(name: str, config: Config, retrain: bool) -> Method:
  def prepare(source, key):
    if retrain:
      return Fitted(None, 0, 0, source, source.item_ids)
    return fit(config, source, key)

  def adapt(shared, evidence, key):
    data = evidence
    if np.array_equal(shared.item_ids, evidence.item_ids):
      if not retrain:
        return shared
      data = interactions_lib.join_users(shared.source, evidence)
    return fit(config, data, key)._replace(source=None)

  return Method(
    name,
    prepare,
    adapt,
    functools.partial(score, config),
    lambda source, shared: fit_flops(shared),
    _adapt_flops,
  )


def fit(
  config: Config,
  data: Interactions,
  key: jax.Array,
  params: Any = None,
  **run: Any,
) -> Fitted:
  """Trains on the users of `data` that have a row.

  Args:
    config: hyper-parameters.
    data: the users' items.
    key: a typed key: initialisation, order of the users, noise.
    params: to fine-tune for `config.finetune_epochs`, the KL weight at its
      cap; None trains from scratch for `config.epochs`.
    **run: `evaluate`, `workdir`, ... of `loop.train`, and `loop`, fields of
      `LoopConfig`. With an evaluation the best parameters are kept.

  Raises:
    CannotServe: no user has a row.
  """
  x_UxV = data.csr(bool)
  x_UxV = x_UxV[np.flatnonzero(np.diff(x_UxV.indptr))]
  if x_UxV.shape[0] == 0:
    raise CannotServe(
      'a network cannot be trained for a catalogue without interactions'
    )
  init_key, order_key, noise_key = jax.random.split(key, 3)
  batch_size = min(config.batch_size, x_UxV.shape[0])
  epochs = config.epochs if params is None else config.finetune_epochs
  num_steps = math.ceil(epochs * x_UxV.shape[0] / batch_size)
  beta = _annealing(config, num_steps if params is None else 0)
  order_seed = int(jax.random.bits(order_key))

  def batch_at(step):
    rows = loop.batch_rows(step, batch_size, x_UxV.shape[0], order_seed)
    return {'x': x_UxV[rows].toarray(), 'beta': np.float32(beta(step))}

  model = make_model(config, data.num_items)
  params = _init(model, init_key) if params is None else params
  step_fn, tx = train_step(model, config.lr, config.weight_decay)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, noise_key),
    batch_at,
    loop.LoopConfig(num_steps, **run.pop('loop', {})),
    **run,
  )
  params = result.params
  return Fitted(params, num_steps, batch_size, data, data.item_ids)


def score(config: Config, fitted: Fitted, histories: Histories) -> np.ndarray:
  """Logits [B, V], from the mean of the code.

  Rows are padded to a power of two, so that few sizes are ever compiled.
  """
  x_BxV = histories.csr(bool).toarray()
  padding = (1 << max(0, len(x_BxV) - 1).bit_length()) - len(x_BxV)
  model = make_model(config, histories.num_items)
  x_BxV = np.pad(x_BxV, ((0, padding), (0, 0)))
  logits_BxV = np.asarray(logits(model, fitted.params, x_BxV))
  return logits_BxV[: len(histories.items)]


def fit_flops(fitted: Fitted) -> float:
  """Operations of the steps that were done."""
  if fitted.params is None:
    return 0.0
  layers = variational_autoencoder.layer_sizes(fitted.params)
  return fitted.steps * variational_autoencoder.train_step_flops(
    layers, fitted.batch_size
  )


def _adapt_flops(shared: Fitted, evidence: Interactions, adapted: Fitted):
  del evidence
  return 0.0 if adapted is shared else fit_flops(adapted)


def _annealing(config: Config, num_steps: int):
  """The weight of the KL term by step; at its cap with num_steps=0."""
  cap, steps = config.anneal_cap, config.anneal_steps
  if num_steps == 0:
    return lambda step: cap
  if steps is None:
    return lambda step: cap * min(1.0, step / (_ANNEALED_SHARE * num_steps))
  return lambda step: min(cap, step / steps)


def make_model(config: Config, num_items: int) -> nn.Module:
  """The network of a configuration, without parameters."""
  sizes = {'latent_dim': config.latent_dim, 'dropout': config.dropout}
  if not config.variational:
    return variational_autoencoder.MultDAE(num_items, **sizes)
  return variational_autoencoder.MultVAE(
    num_items, hidden_dim=config.hidden_dim, **sizes
  )


@functools.partial(jax.jit, static_argnames='model')
def _init(model: nn.Module, key: jax.Array):
  x_1xV = jnp.zeros((1, model.num_items))
  return model.init(key, x_1xV, train=False)['params']


@functools.partial(jax.jit, static_argnames='model')
def logits(model: nn.Module, params: Any, x_BxV: jax.Array):
  """Logits [B, V] of 0/1 histories, from the mean of the code."""
  return model.apply({'params': params}, x_BxV, train=False).logits


@functools.lru_cache(maxsize=16)
def train_step(model: nn.Module, lr: float, weight_decay: float):
  """The step and its optimizer; cached, so equal models compile once."""

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
