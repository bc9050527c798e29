"""AlphaRec (Sheng et al., ICLR 2025): a map from item text to a graph model.

"Language Representations Can be What Recommenders Need". One network of two
layers maps the text embeddings of items, and of users, whose text is the mean
of their items'. LightGCN's convolution follows, and a score is the cosine of
what results. All that is learned is the network, so that it serves items and
catalogues without interactions.

The loss is InfoNCE: for an interaction, the softmax of the item's score over
the temperature among known items that the user has not taken. The authors'
settings are 64 dimensions, 2 convolutions, 256 negatives, a temperature of 0.15
to 0.2, and Adam at a rate of 0.0005 with batches of 4,096 interactions for up
to 500 epochs. Here trainings are short, at a higher rate.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec import program as program_lib
from hyperrec.cost import counts
from hyperrec.systems.graph import light_convolution
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

Cost = method_lib.Cost
Csr = light_convolution.Csr
Features = method_lib.Features
Histories = method_lib.Histories
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program


# All items are scored where they are at most so many times the drawn ones: a
# product of matrices takes less time than to gather an embedding for each.
_GATHER_BEYOND = 16


@dataclasses.dataclass(frozen=True)
class AlpharecConfig:
  """Hyperparameters of AlphaRec.

  Attributes:
    hidden_dim: Width of the hidden layer of the map.
    dim: Width of the map's output.
    num_layers: Number of convolutions.
    temperature: Temperature of the softmax, such as 0.15.
    num_negatives: Number of items drawn for each interaction of a batch.
    steps: Steps of the training from scratch; source domains take turns.
    finetune_epochs: Passes over the interactions of the evidence.
    batch_size: Interactions of a step; all of them where there are fewer.
    lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
    finetune_lr: The same, in fine-tuning.
    weight_decay: Weight decay of AdamW.
  """

  hidden_dim: int = config_lib.field(256, least=1)
  dim: int = config_lib.field(64, least=1)
  num_layers: int = config_lib.field(2, least=0)
  temperature: float = config_lib.field(0.15, above=0)
  num_negatives: int = config_lib.field(256, least=1)
  steps: int = config_lib.field(300, least=0)
  finetune_epochs: int = config_lib.field(5, least=0)
  batch_size: int = config_lib.field(512, least=1)
  lr: float = config_lib.field(3e-3, above=0)
  finetune_lr: float = config_lib.field(1e-3, above=0)
  weight_decay: float = config_lib.field(1e-6, least=0)

  def __post_init__(self):
    config_lib.check(self)


class TextMap(nn.Module):
  """The network of two layers, from text [N, F] to embeddings [N, D]."""

  hidden_dim: int
  dim: int

  @nn.compact
  def __call__(self, text: Float[Array, 'N F']) -> Float[Array, 'N D']:
    """The embeddings of some texts."""
    hidden = nn.leaky_relu(nn.Dense(self.hidden_dim, name='hidden')(text))
    return nn.Dense(self.dim, name='out')(hidden)


class AlpharecState(NamedTuple):
  """The map; of one catalogue also what it makes of its items.

  Attributes:
    params: of the map.
    text: [V, F], the features of the items; None of several domains, as are
      the following.
    layers: [K + 1, V, D], the items before and after each convolution.
    items: [V, D], the mean over layers, with rows of length 1.
    degrees: [V], interactions of each item.
  """

  params: Any
  text: Float[np.ndarray, 'V F'] | None = None
  layers: Float[np.ndarray, 'K+1 V D'] | None = None
  items: Float[np.ndarray, 'V D'] | None = None
  degrees: Float[np.ndarray, ' V'] | None = None


class _Domain(NamedTuple):
  """What the network reads of a domain.

  Attributes:
    text: [V, F], of the items.
    user_text: [U, F], the means of the users' items.
    graph: the interactions.
  """

  text: Float[Array, 'V F']
  user_text: Float[Array, 'U F']
  graph: light_convolution.Edges


def alpharec(features: Features, **hyperparameters: Any) -> Model:
  """Serves any catalogue with features, without any interaction too.

  Args:
    features: interactions -> features of their catalogue, float [V, F], centred
      and with rows of length 1; the columns must mean the same in source and
      target.
    **hyperparameters: fields of `AlpharecConfig`.
  """
  config = AlpharecConfig(**hyperparameters)
  network = TextMap(config.hidden_dim, config.dim)

  def look_up(state, data):
    domain = _domain(data.csr(), features(data))
    return _served(config, network, state.params, domain)

  def fit(data, key, start=None, run=loop.Run()):
    parts = (data,) if isinstance(data, Interactions) else data
    domains = [_domain(part.csr(), features(part)) for part in parts]
    num_edges = [len(domain.graph.users) for domain in domains]

    def served(params):
      if len(domains) > 1:
        return Outcome(AlpharecState(params))
      return _served(config, network, params, domains[0])

    num_steps, lr = config.steps, config.lr
    if start is not None:
      batches = math.ceil(sum(num_edges) / config.batch_size)
      num_steps, lr = config.finetune_epochs * batches, config.finetune_lr
      if num_steps == 0:
        return served(start.params)
    elif not any(num_edges):
      raise method_lib.CannotServe(
        'AlphaRec cannot be trained without interactions'
      )
    init_key, key = jax.random.split(key)
    params = (
      _init(network, init_key, domains[0].text)
      if start is None
      else start.params
    )
    trained = _train(
      config,
      network,
      params,
      [domain for domain in domains if len(domain.graph.users)],
      num_steps=num_steps,
      lr=lr,
      key=key,
      run=run.of(lambda params: served(params).state),
    )
    made = served(trained.state)
    return Outcome(made.state, trained.cost + made.cost)

  return Model(
    'alpharec',
    config,
    fit,
    lambda state, histories: score(network, state, histories),
    look_up=look_up,
    carry=lambda state, data, key: Outcome(state),
    program=functools.partial(program, network),
    takes_domains=True,
    needs_history=True,
    needs_interactions=False,
  )


def score(
  network: TextMap, state: AlpharecState, histories: Histories
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V]: each user joins the graph, whose items stay as they are."""
  x_BxV = histories.csr()
  taken_B = np.maximum(x_BxV.getnnz(1), 1).astype(np.float32)
  text = (x_BxV @ state.text) / taken_B[:, None]
  total = np.asarray(_mapped(network, state.params, text))
  scaled = x_BxV.multiply(1 / np.sqrt(taken_B)[:, None])
  scaled = scaled.multiply(1 / np.sqrt(np.maximum(state.degrees, 1))).tocsr()
  total = total + scaled @ state.layers[:-1].sum(axis=0)
  return np.asarray(_units(total) @ state.items.T)


def program(network: TextMap, state: AlpharecState) -> Program:
  """The same scores as one function.

  Raises:
    CannotServe: the state has no items yet, after training on several domains.
  """
  if state.items is None:
    raise method_lib.CannotServe(
      'AlphaRec was trained on several domains and has no items; adapt it to a '
      'catalogue first'
    )
  degree_Vx1 = np.maximum(state.degrees, 1)[:, None]
  params = {
    'map': state.params,
    'text': state.text,
    'convolved': state.layers[:-1].sum(axis=0) / np.sqrt(degree_Vx1),
    'items': state.items,
  }

  def score_histories(params, items_BxL, mask_BxL):
    taken_Bx1 = jnp.maximum(mask_BxL.sum(axis=1, keepdims=True), 1)
    text, convolved = (
      program_lib.sum_rows(params[name], items_BxL, mask_BxL)
      for name in ('text', 'convolved')
    )
    total = _mapped(network, params['map'], text / taken_Bx1)
    total += convolved / jnp.sqrt(taken_Bx1)
    return _units(total) @ params['items'].T

  return Program(params, score_histories)


def map_flops(config: AlpharecConfig, num_rows: int, width: int) -> float:
  """Operations of the map of so many texts."""
  return counts.layers(num_rows, width, config.hidden_dim, config.dim)


def step_flops(config: AlpharecConfig, domain: _Domain) -> float:
  """Operations of one training step; the backward pass counts twice."""
  rows = len(domain.text) + len(domain.user_text)
  edges = len(domain.graph.users)
  scored = config.num_negatives
  if _scores_all(len(domain.text), scored):
    scored = len(domain.text)
  pairs = min(config.batch_size, edges) * (1 + scored)
  return 3 * (
    map_flops(config, rows, domain.text.shape[1])
    + light_convolution.flops(edges, config.dim, config.num_layers)
    + 2.0 * pairs * config.dim
  )


def _scores_all(num_items: int, num_negatives: int) -> bool:
  return num_items <= _GATHER_BEYOND * num_negatives


def _domain(x: Csr, text: Float[np.ndarray, 'V F']) -> _Domain:
  text = np.asarray(text, np.float32)
  taken_U = np.maximum(x.getnnz(1), 1).astype(np.float32)
  return _Domain(
    jnp.asarray(text),
    jnp.asarray((x @ text) / taken_U[:, None]),
    jax.tree.map(jnp.asarray, light_convolution.edges(x)),
  )


def _served(config, network, params, domain: _Domain) -> Outcome:
  """The items of a catalogue, after the map and the convolutions."""
  _, layers = _layers(network, config.num_layers, params, domain)
  layers = np.asarray(layers)
  graph, items = domain.graph, np.asarray(_units(layers.mean(axis=0)))
  num_items, width = domain.text.shape
  degrees = np.bincount(graph.items, minlength=num_items).astype(np.float32)
  of_text = map_flops(config, num_items, width)
  operations = of_text + map_flops(config, len(domain.user_text), width)
  operations += light_convolution.flops(
    len(graph.users), config.dim, config.num_layers
  )
  return Outcome(
    AlpharecState(params, np.asarray(domain.text), layers, items, degrees),
    Cost(operations, of_text=of_text),
  )


def _train(
  config: AlpharecConfig,
  network: TextMap,
  params,
  domains: list[_Domain],
  *,
  num_steps,
  lr,
  key,
  run: loop.Run,
) -> Outcome:
  """Parameters trained on the interactions of each domain in turn."""
  order_key, step_key = jax.random.split(key)
  seed = int(jax.random.bits(order_key))
  samplers = [_sampler(config, domain, seed) for domain in domains]

  def batch_at(step):
    turn, place = divmod(step, len(domains))
    return {**samplers[place](turn), 'domain': domains[place]}

  step_fn = _train_step(
    network, config.num_layers, config.temperature, config.weight_decay
  )
  tx = optimizers.cosine_adamw(lr, num_steps, config.weight_decay)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, step_key),
    batch_at,
    num_steps,
    run,
  )
  of_step = np.mean([step_flops(config, domain) for domain in domains])
  return Outcome(result.params, Cost(num_steps * float(of_step)))


def _sampler(config: AlpharecConfig, domain: _Domain, seed: int):
  """A function: step -> interactions, and items drawn for each of them."""
  users, items = (np.asarray(a) for a in domain.graph[:2])
  num_items, size = len(domain.text), min(config.batch_size, len(users))
  # Nobody could take an item that is new, so none is drawn as not taken.
  known = np.unique(items)
  taken_UxV = scipy.sparse.csr_matrix(
    (np.ones(len(users), bool), (users, items)),
    (users.max(initial=-1) + 1, num_items),
  )

  def batch(step):
    rows = loop.batch_rows(step, size, len(users), seed)
    random = np.random.default_rng((seed, step))
    drawn = random.choice(known, (size, config.num_negatives))
    # Looking up in dense rows is ten times as fast as a search.
    taken_BxV = taken_UxV[users[rows]].toarray()
    return {
      'users': users[rows],
      'items': items[rows],
      'drawn': drawn.astype(np.int32),
      'is_taken': np.take_along_axis(taken_BxV, drawn, axis=1),
    }

  return batch


@functools.partial(jax.jit, static_argnames='network')
def _init(network, key, text):
  return network.init(key, text)['params']


@functools.partial(jax.jit, static_argnames='network')
def _mapped(network, params, text):
  return network.apply({'params': params}, text)


def _all_layers(network, num_layers, params, domain: _Domain):
  mapped = lambda text: network.apply({'params': params}, text)  # noqa: E731
  return light_convolution.layers(
    domain.graph, mapped(domain.user_text), mapped(domain.text), num_layers
  )


_layers = functools.partial(jax.jit, static_argnames=('network', 'num_layers'))(
  _all_layers
)


def _scores_of(user_BxD, items_VxD, drawn_BxN):
  """The score of each item that is drawn for each user."""
  if _scores_all(len(items_VxD), drawn_BxN.shape[1]):
    return jnp.take_along_axis(user_BxD @ items_VxD.T, drawn_BxN, axis=1)
  return jnp.einsum('bd,bnd->bn', user_BxD, items_VxD[drawn_BxN])


def _units(table):
  # The small number keeps the gradient of a row of zeros finite.
  squares = jnp.square(table).sum(axis=-1, keepdims=True)
  return table * jax.lax.rsqrt(squares + 1e-12)


@functools.lru_cache(maxsize=8)
def _train_step(
  network, num_layers: int, temperature: float, weight_decay: float
):
  """A step finds each interaction's item among those drawn for it."""

  def loss_fn(params, batch, key, step):
    del key, step
    users, items = (
      _units(layers.mean(axis=0))
      for layers in _all_layers(network, num_layers, params, batch['domain'])
    )
    user_BxD, item_BxD = users[batch['users']], items[batch['items']]
    of_item_B = jnp.einsum('bd,bd->b', user_BxD, item_BxD)
    of_drawn_BxN = _scores_of(user_BxD, items, batch['drawn'])
    of_drawn_BxN = jnp.where(batch['is_taken'], -jnp.inf, of_drawn_BxN)
    logits = jnp.concatenate([of_item_B[:, None], of_drawn_BxN], axis=1)
    return -jax.nn.log_softmax(logits / temperature)[:, 0].mean(), {}

  tx = optimizers.cosine_adamw(0.0, 1, weight_decay)
  return step_lib.make_train_step(loss_fn, tx)
