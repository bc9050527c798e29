"""Catalogues on demand: a network generates the composition of a kernel.

L3AE with a kernel (`l3ae`) has six hyperparameters, and a weight for each view
of the text. They are usually tuned on the evidence, which takes a solve for
each trial and fold. Here they are generated:

    composition = base + net(description)

`base` is the best fixed composition: trained through the exact solve on
sub-catalogues of the sources, from several starts. The description says what
the evidence itself would change: the gradient of its leave-one-user-out loss at
the base, in two halves of its users so that the network sees how far they
agree, and how much evidence there is.

So the network makes one learned step. At the start of its training there is no
step, which is the base exactly; domains that are kept from training decide when
to stop, or not to begin. All views of the text share one part of the network.
The description of a large catalogue is that of a part of its items.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from absl import logging
from jaxtyping import Array, Float

from hyperrec import config as config_lib
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.hyperease import composition as composition_lib
from hyperrec.systems.hyperease import sub_catalogues
from hyperrec.systems.linear import item_item, l3ae, weights_program

Composition = composition_lib.Composition
Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Domain = sub_catalogues.Domain
Model = method_lib.Model
Outcome = method_lib.Outcome
SubCatalogue = sub_catalogues.SubCatalogue

# Where the base starts: near its text, and far from it with a strong ridge.
_STARTS = (
  l3ae.L3aeConfig(
    l2=50.0, l2_features=2.5, trust=0.9, sharpness=2.0, popularity=0.4
  ),
  l3ae.L3aeConfig(
    l2=300.0, l2_features=2.5, trust=0.2, sharpness=2.0, popularity=0.5
  ),
)
# Change of each number for an output of 1, in the order of `NAMES`.
_UNITS = (1.0, 1.0, 1.0, 1.0, 0.3, 1.0)
# Users of the evidence in each half of the description.
_HALF = 64
# The gradient of a number is squashed beyond this size, that of a view's
# weight, which is smaller, beyond the second.
_LARGE, _LARGE_VIEW = 0.06, 0.03
# One in so many domains is kept from training.
_KEPT = 3


@dataclasses.dataclass(frozen=True)
class CatalogueConfig:
  """Hyperparameters of the training.

  Attributes:
    conditioning: what the network reads: `evidence`, `shuffled` (what the
      evidence of another catalogue says) or `constant` (nothing: the base).
    num_tasks: Sub-catalogues of each source.
    max_items: Most items of a sub-catalogue.
    max_users: Most users of evidence in a task.
    max_described: Most items of which a catalogue is described.
    num_queries: Users on whom a task computes its loss.
    batch_size: Tasks of a step.
    base_steps: Training steps of the base, from each of its starts.
    base_lr: Learning rate of the base; it falls to 0 along a cosine.
    steps: Training steps of the network.
    lr: Learning rate of the network; it falls to 0 along a cosine.
    weight_decay: Weight decay of AdamW.
    evaluate_every: Steps between two validations.
  """

  conditioning: str = config_lib.field(
    'evidence', choices=('evidence', 'shuffled', 'constant')
  )
  num_tasks: int = config_lib.field(60, least=1)
  max_items: int = config_lib.field(400, least=8)
  max_users: int = config_lib.field(400, least=1)
  max_described: int = config_lib.field(400, least=8)
  num_queries: int = config_lib.field(40, least=1)
  batch_size: int = config_lib.field(6, least=1)
  base_steps: int = config_lib.field(200, least=0)
  base_lr: float = config_lib.field(0.03, above=0)
  steps: int = config_lib.field(400, least=0)
  lr: float = config_lib.field(0.02, above=0)
  weight_decay: float = config_lib.field(1e-2, least=0)
  evaluate_every: int = config_lib.field(60, least=1)

  def __post_init__(self):
    config_lib.check(self)


class Description(NamedTuple):
  """What a network reads of a catalogue and its evidence.

  Attributes:
    sizes: whether there is evidence, and how much.
    numbers: gradient by `Composition.numbers`, of two halves of the evidence.
    views: gradient by `Composition.views`, of the same.
  """

  sizes: Float[Array, '5']
  numbers: Float[Array, '2 6']
  views: Float[Array, '2 n']


class State(NamedTuple):
  """What the sources taught.

  Attributes:
    base: the best fixed composition.
    params: of the network.
    others: descriptions of tasks, stacked, for the control `shuffled`.
  """

  base: Composition
  params: dict
  others: Description


class Network(nn.Module):
  """A description -> a step from the base.

  Each number moves along its own gradient alone, by a length that depends on
  how much evidence there is; the weights of all views share one length. It
  starts at no step, and without evidence there is none.
  """

  @nn.compact
  def __call__(
    self, base: Composition, description: Description
  ) -> Composition:
    """The composition; that of `base` at the start."""
    sizes = jnp.append(description.sizes, 1.0)
    zeros = nn.initializers.zeros
    count = len(_UNITS)
    lengths = self.param('numbers', zeros, (2, count, len(sizes))) @ sizes
    of_view = self.param('views', zeros, (2, len(sizes))) @ sizes
    numbers = _squashed(description.numbers, _LARGE) * lengths
    views = _squashed(description.views, _LARGE_VIEW) * of_view[:, None]
    return Composition(
      base.numbers + jnp.sum(numbers, 0) * jnp.asarray(_UNITS),
      base.views + jnp.sum(views, 0),
    )


def _squashed(halves, large):
  """The mean gradient of two halves, and the part on which they agree."""
  mean = jnp.mean(halves, axis=0)
  agreed = jnp.sign(mean) * jnp.sqrt(jnp.maximum(halves[0] * halves[1], 0))
  return jnp.tanh(jnp.stack([mean, agreed]) / large)


_gradient = jax.jit(jax.grad(composition_lib.loss))


def describe(base: Composition, task: SubCatalogue, rng) -> Description:
  """What the evidence of a task would change at the base."""
  evidence = task.evidence
  users, items = evidence.shape
  rows = float(evidence.nnz)
  sizes = np.array(
    [
      users == 0,
      np.log1p(users) / 5,
      np.log1p(rows) / 8,
      np.log1p(rows / max(users, 1)) / 4,
      np.log(items) - 6,
    ],
    np.float32,
  )
  nothing = jax.tree.map(np.zeros_like, base)
  halves = [nothing, nothing]
  if (evidence.getnnz(1) > 1).any():
    catalogue = task.catalogue
    halves = [
      _gradient(base, catalogue, queries) if queries.weight.any() else nothing
      for queries in sub_catalogues.own_queries(evidence, _HALF, rng)
    ]
  numbers, views = (np.stack(pair) for pair in zip(*halves, strict=True))
  return Description(sizes, np.nan_to_num(numbers), np.nan_to_num(views))


def part_of(domain: Domain, most: int, rng) -> SubCatalogue:
  """A catalogue as a task without judged users, of at most `most` items.

  Up to half of them are those that the evidence touches most; the others are
  drawn.
  """
  total = domain.x.shape[1]
  items = np.arange(total)
  if total > most:
    touched = domain.x.getnnz(0)
    order = np.argsort(-touched, kind='stable')
    first = order[: min(most // 2, np.count_nonzero(touched))]
    others = rng.permutation(np.setdiff1d(items, first))
    items = np.sort(np.concatenate([first, others[: most - len(first)]]))
  x = domain.x[:, items]
  x = x[x.getnnz(1) > 0]
  return SubCatalogue(sub_catalogues.cosines(domain.views, items), x, x[:0])


def catalogue_generator(
  views: features_lib.Views, **hyperparameters: Any
) -> Model:
  """L3AE with a kernel whose composition a network generates.

  Args:
    views: interactions -> features of their catalogue, a table [V, F_k] for
      each view.
    **hyperparameters: fields of `CatalogueConfig`.
  """
  config = CatalogueConfig(**hyperparameters)
  network = Network()

  def fit(source, key, start=None, run=None):
    del start, run
    sources = (source,) if not isinstance(source, tuple) else source
    domains = [Domain(d.csr(), views(d)) for d in sources]
    return learn(network, domains, config, key)

  def generate(state, data, key):
    rng = np.random.default_rng(int(jax.random.bits(key)))
    domain = Domain(data.csr(), views(data))
    made = compose(network, state, domain, config, rng)
    settings, weights = composition_lib.settle(made.state)
    table = features_lib.weighted(domain.views, weights)
    solved = l3ae.l3ae(lambda _: table, **vars(settings)).fit(data, key)
    if config.conditioning == 'constant':
      return solved
    # The kernel's composition follows the evidence, so none of it depends on
    # the text alone.
    return Outcome(solved.state, made.cost + Cost(solved.cost.operations))

  return Model(
    'catalogue_generator',
    config,
    fit,
    item_item.score,
    generate=generate,
    program=weights_program.of_weights,
    generates_catalogues=True,
    takes_domains=True,
    needs_interactions=False,
  )


def compose(
  network: Network,
  state: State,
  domain: Domain,
  config: CatalogueConfig,
  rng: np.random.Generator,
) -> Outcome:
  """The composition for a catalogue and its evidence, and what it cost."""
  if config.conditioning == 'constant':
    return Outcome(state.base)
  described = part_of(domain, config.max_described, rng)
  description = describe(state.base, described, rng)
  if config.conditioning == 'shuffled':
    place = rng.integers(len(state.others.sizes))
    other = jax.tree.map(lambda leaf: leaf[place], state.others)
    description = other._replace(sizes=description.sizes)
  made = network.apply({'params': state.params}, state.base, description)
  width = sum(view.shape[1] for view in domain.views)
  items = described.cosines.shape[1]
  operations = counts.matmul(items, items, width) + description_flops(described)
  return Outcome(made, Cost(operations))


def description_flops(task: SubCatalogue) -> float:
  """Operations of `describe`, whose gradients are those of two halves."""
  num_views, num_items, _ = task.cosines.shape
  if not (task.evidence.getnnz(1) > 1).any():
    return 0.0
  return 2 * composition_lib.gradient_flops(num_views, num_items, _HALF)


class Example(NamedTuple):
  """A task of the training, and its description."""

  task: SubCatalogue
  description: Description


class Pools(NamedTuple):
  """Examples by domain: to train on, and kept to decide when to stop."""

  training: list[list[Example]]
  kept: list[list[Example]]


def learn(
  network: Network, domains: list[Domain], config: CatalogueConfig, key
) -> Outcome:
  """Learns the base and the network on sub-catalogues of the sources.

  Raises:
    CannotServe: no source has users with three items to make a task of.
  """
  order_key, init_key = jax.random.split(key)
  rng = np.random.default_rng(int(jax.random.bits(order_key)))
  drawn = [pool for d in domains if (pool := _draw(d, config, rng))]
  if not drawn:
    raise method_lib.CannotServe(
      'the generator of compositions learns on users with three or more items '
      'in a part of the catalogue; the sources have no such users'
    )
  starts = [
    composition_lib.start(config, len(domains[0].views)) for config in _STARTS
  ]
  nothing = Description(
    np.zeros(5, np.float32),
    *(np.zeros((2, len(leaf)), np.float32) for leaf in starts[0]),
  )
  examples = [[Example(t, nothing) for t in pool] for pool in drawn]
  # So few numbers do not overfit: the base learns from all domains, which
  # decide between the starts, too.
  schedule = Schedule(config.base_steps, config.base_lr, 0.0)
  pools = Pools(examples, examples)
  found = [
    _train(lambda base, _: base, start, pools, schedule, config, rng=rng)
    for start in starts
  ]
  base = min(found, key=lambda trained: trained.loss).params
  spent = sum(trained.operations for trained in found)

  params = network.init(init_key, base, nothing)['params']
  if config.conditioning == 'constant':
    return Outcome(State(base, params, nothing), Cost(spent))
  examples = [
    [Example(e.task, describe(base, e.task, rng)) for e in pool]
    for pool in examples
  ]
  described = list(itertools.chain(*examples))
  spent += sum(description_flops(e.task) for e in described)
  schedule = Schedule(config.steps, config.lr, config.weight_decay)
  trained = _train(
    lambda params, d: network.apply({'params': params}, base, d),
    params, _split(examples, rng), schedule, config, rng=rng,
  )  # fmt: skip
  stacked = jax.tree.map(
    lambda *leaves: np.stack(leaves), *(e.description for e in described)
  )
  spent += trained.operations
  return Outcome(State(base, trained.params, stacked), Cost(spent))


def _draw(domain, config, rng) -> list[SubCatalogue]:
  """Tasks of a domain."""
  drawn = (
    sub_catalogues.draw(
      domain,
      size=config.max_items,
      most_users=config.max_users,
      num_judged=4 * config.num_queries,
      rng=rng,
    )
    for _ in range(config.num_tasks)
  )
  return [task for task in drawn if task is not None]


def _split(pools: list[list[Example]], rng) -> Pools:
  """Keeps whole domains from training, or tasks where domains are few.

  A task that is alone in its domain serves for both.
  """
  number = len(pools) // _KEPT
  if number:
    order = rng.permutation(len(pools))
    return Pools(
      [pools[i] for i in order[number:]], [pools[i] for i in order[:number]]
    )
  return Pools(
    [pool[len(pool) // _KEPT :] for pool in pools],
    [pool[: max(1, len(pool) // _KEPT)] for pool in pools],
  )


class Schedule(NamedTuple):
  """Steps, the first learning rate, and the weight decay of AdamW."""

  steps: int
  lr: float
  weight_decay: float


class Trained(NamedTuple):
  """The best parameters, their loss on the kept examples, and operations."""

  params: Any
  loss: float
  operations: float


def _train(
  compose_fn, params, pools: Pools, schedule: Schedule, config, *, rng
) -> Trained:
  """The best parameters on the kept examples.

  Args:
    compose_fn: (params, description) -> composition.
    params: at the start; they are kept if none are better.
    pools: examples; each pool is drawn equally often.
    schedule: of the optimizer.
    config: hyperparameters.
    rng: of the draws.
  """

  def loss(params, example):
    composition = compose_fn(params, example[0])
    return composition_lib.loss(composition, *example[1:])

  def arrays(example, rng):
    queries = sub_catalogues.queries(example.task, config.num_queries, rng)
    return example.description, example.task.catalogue, queries

  one = jax.jit(loss)
  gradient = jax.jit(jax.grad(loss))

  def validate(params):
    # The same users each time.
    fixed = np.random.default_rng(0)
    values = [
      np.mean([one(params, arrays(e, fixed)) for e in pool])
      for pool in pools.kept
    ]
    return float(np.mean(values))

  steps, lr, weight_decay = schedule
  tx = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.adamw(
      optax.cosine_decay_schedule(lr, max(1, steps)), weight_decay=weight_decay
    ),
  )
  state = tx.init(params)
  best, spent = (validate(params), params), 0.0
  logging.info('composition: loss of kept tasks %.4f', best[0])
  for step in range(1, steps + 1):
    gradients = []
    for _ in range(config.batch_size):
      pool = pools.training[rng.integers(len(pools.training))]
      example = pool[rng.integers(len(pool))]
      gradients.append(gradient(params, arrays(example, rng)))
      spent += composition_lib.gradient_flops(
        *example.task.cosines.shape[:2], config.num_queries
      )
    mean = jax.tree.map(lambda *g: jnp.nan_to_num(sum(g) / len(g)), *gradients)
    updates, state = tx.update(mean, state, params)
    params = optax.apply_updates(params, updates)
    if step % config.evaluate_every == 0 or step == steps:
      value = validate(params)
      logging.info('composition: step %d, loss of kept tasks %.4f', step, value)
      best = min((value, params), best, key=lambda pair: pair[0])
      spent += sum(
        composition_lib.loss_flops(
          *e.task.cosines.shape[:2], config.num_queries
        )
        for pool in pools.kept
        for e in pool
      )
  return Trained(best[1], best[0], spent)
