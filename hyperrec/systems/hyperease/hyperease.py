"""HyperEASE: a generated prior of a new catalogue's weights, an exact solve.

A generator learned on other items (`prior_generator`) maps the features of a
catalogue to the prior mean B0 of its item-item weights. EASE around B0 then
uses what evidence there is; without any, B0 itself scores.
"""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.hyperease import prior_generator
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Features = method_lib.Features
Generator = prior_generator.Generator
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class HyperEaseConfig:
  """Hyperparameters of HyperEASE.

  With sharpness, relation, transfer and popularity 0 it is L3AE. With the last
  three 0 it learns nothing from its sources.

  Attributes:
    l2: Ridge of the distance to the prior.
    l2_features: Ridge of the target's own relation C.
    trust: Strength of C.
    relation: Strength of the map that is learned on the sources.
    transfer: Strength of the sources' weights, carried over by likeness.
    popularity: Exponent of the popularity that features and evidence predict.
    sharpness: Sharpness of the kernel that C is made of; 0 is linear. With a
      kernel B0 is dense, and generating it costs an inverse, as a refit does.
    solve: Solve EASE around the prior. False serves the prior as it is; what
      evidence there is tells only how popular items are.
    constrained: Keep the diagonal at zero. False is an ablation, which needs
      the kernel.
  """

  l2: float
  l2_features: float
  trust: float
  relation: float
  transfer: float
  popularity: float
  sharpness: float = 0.0
  solve: bool = True
  constrained: bool = True

  @property
  def strengths(self) -> prior_generator.Strengths:
    """How much each part of the prior counts."""
    return prior_generator.Strengths(
      self.l2_features,
      self.trust,
      self.relation,
      self.transfer,
      self.popularity,
      self.sharpness,
    )


def hyperease(
  features: Features,
  shared_features: Features | None = None,
  **hyperparameters: Any,
) -> Model:
  """The generated prior and the closed form around it.

  Args:
    features: of the items; those that C is made of.
    shared_features: of the items; those that sources teach about, so that the
      columns must mean the same in every domain. None takes `features`.
    **hyperparameters: fields of `HyperEaseConfig`.
  """
  config = HyperEaseConfig(**hyperparameters)
  shared_features = shared_features or features

  def fit(source, key, start=None, run=None):
    del key, start, run
    return learn(config, source, shared_features)

  def generate_weights(generator, data, key):
    del key
    tables = features(data), shared_features(data)
    return generate(config, generator, *tables, data)

  return Model(
    'hyperease',
    config,
    fit,
    item_item.score,
    generate=generate_weights,
    generates_catalogues=True,
    takes_domains=True,
    needs_interactions=False,
  )


def ridge_map(
  features: Features,
  shared_features: Features | None = None,
  *,
  l2: float,
  relation: float,
) -> Model:
  """The control that is linear in features: B0 = F M F', learned on sources."""
  nothing = dict.fromkeys(('trust', 'transfer', 'popularity'), 0.0)
  return hyperease(
    features, shared_features, l2=l2, l2_features=1.0, relation=relation,
    **nothing,
  )  # fmt: skip


def learn(
  config: HyperEaseConfig, source: method_lib.Source, features: Features
) -> Outcome:
  """The generator of priors; None where no part of the prior is learned.

  Raises:
    CannotServe: a source has a single item, which is like no other.
  """
  if not any((config.relation, config.transfer, config.popularity)):
    return Outcome(None)
  for domain in domains_of(source):
    if domain.num_items < 2:
      raise method_lib.CannotServe(
        f'HyperEASE learns how items relate, and {domain.name or "the source"} '
        f'has {domain.num_items} of them'
      )
  domains = [
    prior_generator.Domain(d.csr(), features(d)) for d in domains_of(source)
  ]
  carries = config.transfer > 0
  operations = prior_generator.learn_flops(
    [d.x for d in domains], domains[0].features.shape[1], carries=carries
  )
  generator = prior_generator.learn(domains, carries=carries)
  return Outcome(generator, Cost(operations))


def generate(
  config: HyperEaseConfig,
  generator: Generator | None,
  own: np.ndarray,
  shared: np.ndarray,
  data: Interactions,
) -> Outcome:
  """Weights of a catalogue: the prior, and EASE around it.

  Args:
    config: hyperparameters.
    generator: of priors, see `learn`.
    own: features [V, G] that C is made of.
    shared: features [V, F] in the sources' columns.
    data: the evidence.

  Raises:
    CannotServe: not constrained, and the prior is in factors.
  """
  prior, cost = prior_generator.generate(
    generator, own, shared, data.csr(), config.strengths
  )
  if not config.solve:
    return Outcome(linear_autoencoder.prior_weights(prior), cost)
  ridge = np.full(data.num_items, float(config.l2))
  try:
    weights, operations = linear_autoencoder.solve_from_prior(
      data.csr(), ridge, prior, constrained=config.constrained
    )
  except linear_autoencoder.ConstraintError as error:
    raise method_lib.CannotServe(f'HyperEASE: {error}') from error
  return Outcome(weights, cost + Cost(operations))


def domains_of(source: method_lib.Source) -> tuple[Interactions, ...]:
  """The source domains, one or several."""
  return (source,) if isinstance(source, Interactions) else source
