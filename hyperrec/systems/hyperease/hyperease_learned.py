"""HyperEASE whose strengths a network generates, meta-trained by the solve."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.hyperease import (
  hyperease,
  item_popularity,
  prior_generator,
)
from hyperrec.systems.hyperease import strength_generator as strengths_lib
from hyperrec.systems.linear import item_item, weights_program

Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Domain = prior_generator.Domain
Generated = strengths_lib.Generated
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class LearnedConfig:
  """Hyperparameters of HyperEASE with learned strengths.

  Attributes:
    l2: Ridge of the distance to the prior at the start of training.
    l2_features: Ridge of C, see `hyperease.HyperEaseConfig`; it is not learned.
    trust: Multiplier of C at the start of training.
    relation: Multiplier of the learned feature map at the start of training.
    transfer: Multiplier of the sources' weights at the start of training.
    popularity: Exponent of the popularity at the start of training.
    sharpness: Sharpness of the kernel; it is not learned.
    num_sets: Number of catalogues from which tasks are drawn if there is only
      one source.
    max_items: Number of items in such a catalogue if there are several
      sources.
    max_users: Largest number of evidence users in a task; the number is drawn
      log-uniformly up to it.
    num_queries: Number of users on whom a task computes its loss.
    tasks: Number of tasks per training step.
    steps: Number of training steps.
    learning_rate: Learning rate at the start; it falls to 0 along a cosine.
    penalty: Weight of the squared log distance from the base strengths.
  """

  l2: float = 30.0
  l2_features: float = 2.0
  trust: float = 0.8
  relation: float = 0.2
  transfer: float = 0.2
  popularity: float = 0.2
  sharpness: float = 1.0
  num_sets: int = 4
  max_items: int = 1200
  max_users: int = 100
  num_queries: int = 48
  tasks: int = 3
  steps: int = 150
  learning_rate: float = 0.02
  penalty: float = 0.02

  @property
  def base(self) -> Generated:
    """The ridge and the strengths at the start of training."""
    return Generated(
      self.l2, self.trust, self.relation, self.transfer, self.popularity
    )

  def at(self, generated: Generated) -> hyperease.HyperEaseConfig:
    """The HyperEASE configuration with this ridge and these strengths."""
    options = {name: float(v) for name, v in generated._asdict().items()}
    return hyperease.HyperEaseConfig(
      l2_features=self.l2_features, sharpness=self.sharpness, **options
    )


class Catalogue(NamedTuple):
  """A catalogue from which tasks are drawn.

  Attributes:
    parts: parts of the prior, from a generator that has not seen these items.
    evidence: [U, V], users who may serve as evidence.
    queries: [W, V], other users, on whom the loss is computed.
  """

  parts: strengths_lib.Parts
  evidence: Csr
  queries: Csr


class Task(NamedTuple):
  """Evidence [K, V], padded by rows of zeros; histories and targets [B, V]."""

  x: np.ndarray
  histories: np.ndarray
  targets: np.ndarray


class Learned(NamedTuple):
  """State learned on the sources: the priors' and the strengths' generator."""

  generator: prior_generator.Generator
  params: dict


def hyperease_learned(
  features: hyperease.Features,
  shared_features: hyperease.Features | None = None,
  **hyperparameters: Any,
) -> Model:
  """A `hyperease` model whose ridge and strengths depend on the evidence.

  Args:
    features: see `hyperease`.
    shared_features: see `hyperease`.
    **hyperparameters: fields of `LearnedConfig`.
  """
  config = LearnedConfig(**hyperparameters)
  shared_features = shared_features or features
  network = strengths_lib.StrengthGenerator(config.base)
  base = config.at(config.base)

  def fit(source, key, start=None, run=None):
    del start, run
    domains = [
      (Domain(d.csr(), shared_features(d)), features(d))
      for d in hyperease.domains_of(source)
    ]
    order_key, init_key = jax.random.split(key)
    rng = np.random.default_rng(int(jax.random.bits(order_key)))
    unit = prior_generator.Strengths(
      config.l2_features, 0.0, 0.0, 0.0, 0.0, config.sharpness
    )
    catalogues = list(_catalogues(domains, unit, config, rng))
    params = train(network, catalogues, config, rng, init_key)
    learned = hyperease.learn(base, source, shared_features)
    width = domains[0][0].features.shape[1]
    trained = train_flops([d.x for d, _ in domains], width, config)
    state = Learned(learned.state, params)
    return Outcome(state, learned.cost + Cost(trained))

  def generate(state, data, key):
    del key
    # The description reads only the numbers of users and of interactions.
    rows_U = jnp.asarray(data.csr().sum(axis=1), jnp.float32)
    generated = network.apply(
      {'params': state.params['network']}, strengths_lib.describe(rows_U)
    )
    return hyperease.generate(
      config.at(generated),
      state.generator,
      features(data),
      shared_features(data),
      data,
    )

  return Model(
    'hyperease_learned',
    config,
    fit,
    item_item.score,
    generate=generate,
    program=weights_program.of_weights,
    generates_catalogues=True,
    takes_domains=True,
    needs_interactions=False,
  )


def _catalogues(domains, unit, config, rng) -> Iterator[Catalogue]:
  """Catalogues whose parts come from a generator that has not seen them.

  With one source, the items are cut into halves and the users four to one; the
  generator learns from the larger part of the users on the other half. With
  several sources, each in turn is left out and cut down to the same number of
  items, so that all steps have one shape.
  """
  if len(domains) > 1:
    size = min(config.max_items, *(d.x.shape[1] for d, _ in domains))
    for place, (domain, own) in enumerate(domains):
      others = [d for d, _ in domains[:place] + domains[place + 1 :]]
      items = rng.choice(domain.x.shape[1], size, replace=False)
      cut = Cut(items, *_four_to_one(domain, rng))
      seen = prior_generator.learn(others)
      yield _catalogue(seen, domain, own, cut, unit)
    return
  ((domain, own),) = domains
  half = domain.x.shape[1] // 2
  for _ in range(config.num_sets):
    order = rng.permutation(domain.x.shape[1])
    cut = Cut(order[half : 2 * half], *_four_to_one(domain, rng))
    known = domain.x[cut.shown][:, order[:half]]
    seen = prior_generator.learn([Domain(known, domain.features[order[:half]])])
    yield _catalogue(seen, domain, own, cut, unit)


class Cut(NamedTuple):
  """Items of a catalogue, evidence users (shown), its query users (judged)."""

  items: np.ndarray
  shown: np.ndarray
  judged: np.ndarray


def _four_to_one(domain, rng):
  users = rng.permutation(domain.x.shape[0])
  return np.split(users, [len(users) * 4 // 5])


def _catalogue(seen, domain, own, cut: Cut, unit) -> Catalogue:
  x = domain.x[:, cut.items]
  rows = x.getnnz(axis=1)
  return Catalogue(
    _parts(seen, own[cut.items], domain.features[cut.items], unit),
    x[cut.shown[rows[cut.shown] > 0]],
    x[cut.judged[rows[cut.judged] > 2]],
  )


def _parts(generator, own, shared, unit) -> strengths_lib.Parts:
  """The parts that `prior_generator.generate` weights, each by itself."""
  nothing = scipy.sparse.csr_matrix((0, len(own)), dtype=np.float32)
  centred = shared - shared.mean(axis=0)
  units = [
    unit._replace(**{name: 1.0}) for name in ('trust', 'relation', 'transfer')
  ]
  generate = functools.partial(
    prior_generator.generate, generator, own, shared, nothing
  )
  parts = strengths_lib.Parts(
    *(_factors(generate(one).prior) for one in units),
    item_popularity.log_posterior(generator.popularity, centred, nothing),
    np.asarray(max(generator.popularity.variance, 1e-6)),
  )
  return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parts)


def _factors(prior) -> prior_generator.Prior:
  if not isinstance(prior, np.ndarray):
    return prior
  return prior_generator.Prior(prior, np.eye(len(prior)))


def draw(catalogue: Catalogue, config: LearnedConfig, rng) -> Task:
  """Draws a budget, as many evidence users, and queries with split items."""
  most = min(config.max_users, catalogue.evidence.shape[0])
  budget = int(np.floor(np.exp(rng.uniform(0, np.log(most + 1))))) - 1
  chosen = rng.choice(catalogue.evidence.shape[0], budget, replace=False)
  x = np.zeros((config.max_users, catalogue.evidence.shape[1]), np.float32)
  x[:budget] = catalogue.evidence[chosen].toarray()
  judged = rng.integers(0, catalogue.queries.shape[0], config.num_queries)
  rows = catalogue.queries[judged].toarray().astype(np.float32)
  targets = rows * (rng.random(rows.shape) < 0.25)
  return Task(x, rows - targets, targets)


def task_loss(network, params, parts, task: Task, penalty: float):
  """The loss of one task plus the penalty on how far its strengths moved."""
  generated = network.apply(
    {'params': params['network']}, strengths_lib.describe(task.x)
  )
  moved = sum(
    jnp.square(jnp.log(g / b))
    for g, b in zip(generated, network.base, strict=True)
  )
  scores = strengths_lib.scores(generated, parts, task.x, task.histories)
  return penalty * moved + strengths_lib.multinomial_loss(
    scores, task.histories, task.targets, params['log_temperature']
  )


def train(network, catalogues, config: LearnedConfig, rng, key) -> dict:
  """Runs Adam on `config.tasks` tasks per step, catalogue after catalogue.

  Raises:
    CannotServe: a source leaves no evidence users or no query users.
  """
  for c in catalogues:
    if min(c.evidence.shape[0], c.queries.shape[0]) < 1:
      raise method_lib.CannotServe(
        'HyperEASE learns its strengths on source users with three or more '
        'items in half of the catalogue; the source has too few such users'
      )
  params = {
    'network': network.init(key, jnp.zeros(2))['params'],
    'log_temperature': jnp.log(5.0),
  }
  tx = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.adam(
      optax.cosine_decay_schedule(config.learning_rate, max(1, config.steps))
    ),
  )

  @jax.jit
  def step(params, state, parts, tasks):
    def loss(params):
      # The tasks run in turn, not by vmap: each keeps only thin products.
      return jnp.mean(
        jax.lax.map(
          lambda t: task_loss(network, params, parts, t, config.penalty), tasks
        )
      )

    updates, state = tx.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state

  state = tx.init(params)
  for number in range(config.steps):
    catalogue = catalogues[number % len(catalogues)]
    tasks = [draw(catalogue, config, rng) for _ in range(config.tasks)]
    tasks = jax.tree.map(lambda *a: np.stack(a), *tasks)
    params, state = step(params, state, catalogue.parts, tasks)
  return params


def train_flops(domains: list[Csr], width: int, config: LearnedConfig) -> float:
  """Operations of the meta-training: three times those of its forward passes.

  Args:
    domains: users' items [U, V] of each source.
    width: F of the features.
    config: hyperparameters.
  """
  items = min(x.shape[1] for x in domains)
  items = min(items, config.max_items) if len(domains) > 1 else items // 2
  users, rank = config.max_users, 2 * width + 256
  solve = 2 * users**2 * items + counts.cholesky(users)
  columns = rank + config.num_queries
  one = solve + 4 * users * items * columns
  one += 4 * config.num_queries * items * rank
  sets = len(domains) if len(domains) > 1 else config.num_sets
  learned = prior_generator.learn_flops(domains, width)
  return 3 * config.steps * config.tasks * one + sets * learned
