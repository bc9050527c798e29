"""HyperEASE: a generated prior of a new catalogue's weights, an exact solve.

The generator maps the features of any two items to the prior mean of their
weight, B0 = trust C + F M F': a relation that the target's own features tell
(C, EASE on features, which is L3AE's prior) plus one that a source teaches (M,
in closed form). EASE around B0 then uses what evidence there is; without any,
B0 itself scores.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder, relation_map

Features = Callable[[interactions_lib.Interactions], np.ndarray]
Interactions = interactions_lib.Interactions
Method = method_lib.Method


class Generator(NamedTuple):
  """What a source teaches.

  Attributes:
    relation: M, float64 [F, F].
    item_ids: the source's catalogue, which is not served.
  """

  relation: np.ndarray
  item_ids: np.ndarray


def hyperease(
  features: Features,
  *,
  l2: float,
  l2_features: float,
  trust: float,
  weight: float,
  l2_users: float = 300.0,
  l2_items: float = 3.0,
  solve: bool = True,
) -> Method:
  """The generated prior and, with `solve`, the closed form around it.

  weight 0 is L3AE; trust 0 is the ridge map alone.

  Args:
    features: interactions -> features of their catalogue, float [V, F].
    l2: ridge of the distance to the prior.
    l2_features: ridge of C.
    trust: what C is multiplied by.
    weight: what the source's relation is multiplied by.
    l2_users: ridge of M on the side of the histories.
    l2_items: ridge of M on the side of the scored items.
    solve: False serves the prior as it is, whatever the evidence.
  """
  name = 'hyperease' if trust else 'ridge_map'

  def prepare(source, key):
    del key
    relation = relation_map.fit(
      source.csr(),
      _centred(features(source)),
      l2_users=l2_users,
      l2_items=l2_items,
    )
    return Generator(relation, source.item_ids)

  def adapt(shared, evidence, key):
    del key
    if np.array_equal(shared.item_ids, evidence.item_ids):
      raise method_lib.CannotServe(
        f'{name} generates weights of a catalogue that its source does not hold'
      )
    prior = _prior(features(evidence), shared.relation)
    if not solve:
      return item_item.Fitted(
        linear_autoencoder.factored(*prior), None, evidence.item_ids
      )
    ridge = np.full(evidence.num_items, float(l2))
    weights = linear_autoencoder.solve(evidence.csr(), ridge, prior)
    return item_item.Fitted(weights, None, evidence.item_ids)

  def _prior(table, relation):
    learned = relation_map.prior(_centred(table), relation, weight)
    if not trust:
      return learned
    own = linear_autoencoder.feature_prior(table, l2_features, trust)
    return relation_map.add(own, learned)

  def prepare_flops(source, shared):
    width = len(shared.relation)
    gram = 2 * len(source) * width + 2 * width**2 * source.num_users
    return gram + 4 * width**2 * source.num_items + 5 * width**3

  def adapt_flops(shared, evidence, adapted):
    del adapted
    width, items = len(shared.relation), evidence.num_items
    generated = 2 * items * width**2
    if trust:
      generated += 2 * items * width**2 + width**3 / 3
    if not solve:
      return generated
    rank = width * (2 if trust else 1)
    return generated + linear_autoencoder.solve_flops(
      evidence.csr().getnnz(1), items, rank
    )

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
  *,
  l2: float,
  weight: float,
  l2_users: float = 300.0,
  l2_items: float = 3.0,
) -> Method:
  """The control without the target's own relation: B0 = F M F' alone."""
  return hyperease(
    features,
    l2=l2,
    l2_features=1.0,
    trust=0.0,
    weight=weight,
    l2_users=l2_users,
    l2_items=l2_items,
  )


def _centred(table):
  """What sets an item apart from its catalogue, not what all of it shares."""
  return table - table.mean(axis=0)
