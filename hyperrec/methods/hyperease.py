"""HyperEASE: a generated prior of a new catalogue's weights, an exact solve.

A generator learned on other items (`prior_generator`) maps the features of a
catalogue to the prior mean B0 of its item-item weights. EASE around B0 then
uses what evidence there is; without any, B0 itself scores.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder, prior_generator

Features = Callable[[interactions_lib.Interactions], np.ndarray]
Generator = prior_generator.Generator
Interactions = interactions_lib.Interactions
Method = method_lib.Method


class Shared(NamedTuple):
  """What the sources teach.

  Attributes:
    generator: of priors; None where no part of the prior is learned.
    catalogues: names and item ids of the sources, which are not served.
    source: of a catalogue that grows, what is known of it.
  """

  generator: Generator | None
  catalogues: tuple[tuple[str, np.ndarray], ...]
  source: Interactions | None = None


def hyperease(
  features: Features,
  shared_features: Features | None = None,
  *,
  l2: float,
  l2_features: float,
  trust: float,
  relation: float,
  transfer: float,
  popularity: float,
  sharpness: float = 0.0,
  solve: bool = True,
  grows: bool = False,
  constrained: bool = True,
  name: str = 'hyperease',
) -> Method:
  """The generated prior and, with `solve`, the closed form around it.

  With sharpness, relation, transfer and popularity 0 this is L3AE. With the
  last three 0 it learns nothing from its sources.

  Args:
    features: interactions -> features of their catalogue, float [V, G]; those
      that C is made of.
    shared_features: likewise, those that sources teach about: the columns must
      mean the same in every domain. None takes `features`.
    l2: ridge of the distance to the prior.
    l2_features: see `prior_generator.Strengths`, as the next five.
    trust: of the target's own relation C.
    relation: of the map learned on the sources.
    transfer: of the sources' weights, carried by likeness.
    popularity: exponent of the popularity.
    sharpness: of the kernel that C is made of; 0 is linear. With a kernel B0
      is dense, and generating it costs an inverse as a refit does.
    solve: False serves the prior as it is; what evidence there is tells only
      how popular items are.
    grows: the catalogue is the source's own, over time; source and evidence
      are solved together around what the generator learned on the source.
    constrained: False drops the zero diagonal. Ablation, needs the kernel.
    name: in result rows.
  """
  shared_features = shared_features or features
  strengths = prior_generator.Strengths(
    l2_features, trust, relation, transfer, popularity, sharpness
  )
  is_taught = any((relation, transfer, popularity))

  def prepare(source, key):
    del key
    domains = domains_of(source)
    generator = None
    if is_taught:
      generator = prior_generator.learn(
        [prior_generator.Domain(d.csr(), shared_features(d)) for d in domains],
        carries=transfer > 0,
      )
    if grows:
      return Shared(generator, (), source)
    return Shared(generator, tuple((d.name, d.item_ids) for d in domains))

  def adapt(shared, evidence, key):
    del key
    if grows:
      evidence = interactions_lib.join_users(shared.source, evidence)
    if any(
      source == evidence.name and np.array_equal(ids, evidence.item_ids)
      for source, ids in shared.catalogues
    ):
      raise method_lib.CannotServe(
        f'{name} generates weights of a catalogue that its source does not hold'
      )
    prior = prior_generator.generate(
      shared.generator,
      features(evidence),
      shared_features(evidence),
      evidence.csr(),
      strengths,
    )
    ridge = np.full(evidence.num_items, float(l2))
    if isinstance(prior, np.ndarray):
      weights = prior
      if solve:
        weights = linear_autoencoder.solve_around(
          evidence.csr(), ridge, prior, constrained=constrained
        )
    elif not constrained:
      raise method_lib.CannotServe(
        f'{name} keeps B0 in factors here, with the zero diagonal'
      )
    elif solve:
      weights = linear_autoencoder.solve(evidence.csr(), ridge, prior)
    else:
      weights = linear_autoencoder.factored(*prior)
    return item_item.Fitted(weights, None, evidence.item_ids)

  def prepare_flops(source, shared):
    del shared
    if not is_taught:
      return 0.0
    domains = domains_of(source)
    width = shared_features(domains[0]).shape[1]
    return prior_generator.learn_flops(
      [d.csr() for d in domains], width, carries=transfer > 0
    )

  def adapt_flops(shared, evidence, adapted):
    del adapted
    if grows:
      evidence = interactions_lib.join_users(shared.source, evidence)
    items = evidence.num_items
    generated, rank = prior_generator.generate_flops(
      shared.generator, items, features(evidence).shape[1], strengths
    )
    if not solve:
      return generated
    counts = evidence.csr().getnnz(1)
    if prior_generator.has_kernel(strengths, items):
      solved = linear_autoencoder.solve_around_flops(counts, items)
    else:
      solved = linear_autoencoder.solve_flops(counts, items, rank)
    return generated + solved

  return Method(
    name if solve else f'{name}_zero',
    prepare,
    adapt,
    item_item.score,
    prepare_flops,
    adapt_flops,
  )


def ridge_map(
  features: Features,
  shared_features: Features | None = None,
  *,
  l2: float,
  relation: float,
) -> Method:
  """The control that is linear in features: B0 = F M F', learned on sources."""
  return hyperease(
    features,
    shared_features,
    l2=l2,
    l2_features=1.0,
    trust=0.0,
    relation=relation,
    transfer=0.0,
    popularity=0.0,
    name='ridge_map',
  )


def domains_of(source: method_lib.Source) -> tuple[Interactions, ...]:
  """The source domains, one or several."""
  return (source,) if isinstance(source, Interactions) else source
