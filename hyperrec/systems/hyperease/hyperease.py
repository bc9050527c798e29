"""HyperEASE: EASE around a generated prior of a catalogue's weights.

A generator that was learned on other items (`prior_generator`) maps the
features of a catalogue to B0, the prior mean of its item-item weights. EASE
around B0 then uses the evidence. Without evidence, B0 itself gives the scores.
"""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.hyperease import prior_generator
from hyperrec.systems.linear import (
  item_item,
  linear_autoencoder,
  weights_program,
)
from hyperrec.systems.linear import prior as prior_lib

Cost = method_lib.Cost
Features = method_lib.Features
Generator = prior_generator.Generator
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class HyperEaseConfig:
  """Hyperparameters of HyperEASE.

  With sharpness, relation, transfer and popularity at 0, the model is L3AE.
  With relation, transfer and popularity at 0, it learns nothing from sources.

  Attributes:
    l2: Ridge that penalises the distance to the prior.
    l2_features: Ridge of C, the relation made from the target's own features.
    trust: Multiplier of C in the prior; 0 leaves C out.
    relation: Multiplier of the feature map that is learned on the sources.
    transfer: Multiplier of the sources' weights, which are carried over to
      items with similar features.
    popularity: Exponent of the item popularity that features and evidence
      predict; 0 ignores popularity.
    sharpness: Sharpness of the kernel of which C is made; 0 is the linear
      kernel. With a kernel, B0 is dense and costs one matrix inverse, as much
      as a refit.
    solve: Whether EASE is solved around the prior. False serves the prior
      itself; the evidence then only tells how popular items are.
    constrained: Whether the diagonal is kept at zero. False is an ablation
      and needs the kernel.
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
    """The multiplier of each part of the prior."""
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
  """A model that generates a prior and solves EASE around it.

  Args:
    features: gives the item features of which C is made.
    shared_features: gives the item features for all that is learned on the
      sources; a column must mean the same in every domain. None uses
      `features`.
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
    program=weights_program.of_weights,
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
  """A control that is linear in features: B0 = F M F', learned on sources."""
  nothing = dict.fromkeys(('trust', 'transfer', 'popularity'), 0.0)
  return hyperease(
    features, shared_features, l2=l2, l2_features=1.0, relation=relation,
    **nothing,
  )  # fmt: skip


def learn(
  config: HyperEaseConfig, source: method_lib.Source, features: Features
) -> Outcome:
  """Learns the generator of priors; its state is None if no part needs it.

  Raises:
    CannotServe: a source has fewer than two items, so no relation between
      items can be learned.
  """
  if not any((config.relation, config.transfer, config.popularity)):
    return Outcome(None)
  for domain in domains_of(source):
    if domain.num_items < 2:
      raise method_lib.CannotServe(
        'HyperEASE learns relations between items and needs two items or '
        f'more; {domain.name or "the source"} has {domain.num_items}'
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
  """Generates the prior of a catalogue and solves EASE around it.

  Args:
    config: hyperparameters.
    generator: generator of priors from `learn`.
    own: features [V, G] of which C is made.
    shared: features [V, F] with the sources' columns.
    data: the evidence.

  Raises:
    CannotServe: `constrained` is False and the prior is in factors.
  """
  prior, cost = prior_generator.generate(
    generator, own, shared, data.csr(), config.strengths
  )
  if not config.solve:
    return Outcome(prior_lib.as_weights(prior), cost)
  ridge = np.full(data.num_items, float(config.l2))
  try:
    weights, operations = linear_autoencoder.solve_from_prior(
      data.csr(), ridge, prior, constrained=config.constrained
    )
  except linear_autoencoder.ConstraintError as error:
    raise method_lib.CannotServe(f'HyperEASE: {error}') from error
  return Outcome(weights, cost + Cost(operations))


def domains_of(source: method_lib.Source) -> tuple[Interactions, ...]:
  """The source domains as a tuple, also if there is only one."""
  return (source,) if isinstance(source, Interactions) else source
