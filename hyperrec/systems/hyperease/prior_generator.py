"""HyperEASE's generator: maps item features to a prior of item-item weights.

    B0 = D^-k (trust C + relation F M F' + transfer T B T') D^k

C comes from the target's own features: it is EASE on features (the prior of
L3AE) or the same with a kernel between items (`item_kernel`). F M F'
(`relation_map`) and T B T' (`relation_transfer`) are learned on source domains.
D = diag(exp p) turns similarity into likelihood, where p is each item's log
popularity as predicted from features and evidence (`item_popularity`). Every
part has a closed form, and B0 stays in factors unless C is made of a kernel.

Both learned parts are scaled to the norm of C *on the source*, so that their
multipliers mean the same everywhere. T B T' is an average, which is small if no
anchor is similar; it therefore has little effect on an unfamiliar catalogue.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec.cost import counts
from hyperrec.systems.hyperease import (
  item_popularity,
  relation_map,
  relation_transfer,
)
from hyperrec.systems.linear import feature_relation, linear_autoencoder
from hyperrec.systems.linear import prior as prior_lib

Cost = counts.Cost
Counted = feature_relation.Counted
Csr = scipy.sparse.csr_matrix
Prior = linear_autoencoder.Prior

_L2_FEATURES = 3.0
# Relative ridges of M on the side of the users and of the items
# (`relation_map.fit`), and the ridge of EASE on each domain.
_L2_USERS, _L2_ITEMS = 1.0, 1.5
_L2_WEIGHTS = 100.0


class Domain(NamedTuple):
  """A source domain from which the generator learns.

  Attributes:
    x: [U, V], binary.
    features: [V, F]; a column means the same in every domain.
  """

  x: Csr
  features: np.ndarray


class Strengths(NamedTuple):
  """Multipliers of the parts; with only trust and l2_features above 0: L3AE.

  Attributes:
    l2_features: ridge of C.
    trust: multiplier of C.
    relation: multiplier of F M F'.
    transfer: multiplier of T B T'.
    popularity: the exponent k.
    sharpness: sharpness of the kernel of which C is made; 0 is the linear
      kernel.
  """

  l2_features: float
  trust: float
  relation: float
  transfer: float
  popularity: float
  sharpness: float = 0.0


class Generator(NamedTuple):
  """What was learned on the source domains.

  Attributes:
    relation: M, float64 [F, F].
    anchors: items of each domain and their weights.
    popularity: map from features to log popularity.
  """

  relation: np.ndarray
  anchors: tuple[relation_transfer.Anchors, ...]
  popularity: item_popularity.PopularityMap


def learn(domains: list[Domain], *, carries: bool = True) -> Generator:
  """Learns the generator on all domains, in closed form.

  Args:
    domains: one or more domains with the same number F of features.
    carries: whether anchors are learned; False for a transfer of 0.

  Raises:
    ValueError: there is no domain, or features do not fit their domain.
  """
  for x, features in domains:
    relation_map.check_features(features, x.shape[1])
  domains = [Domain(x, _centred(features)) for x, features in domains]
  relation = relation_map.fit(domains, l2_users=_L2_USERS, l2_items=_L2_ITEMS)
  own = [
    norm(prior_lib.from_features(d.features, _L2_FEATURES, 1.0))
    for d in domains
  ]
  mapped = [norm(relation_map.prior(d.features, relation)) for d in domains]
  return Generator(
    relation * _scale(own, mapped),
    _anchors(domains, own) if carries else (),
    item_popularity.pool([item_popularity.fit(*d) for d in domains]),
  )


def _anchors(domains, own):
  # The transfer costs the same for any number of domains.
  share = {
    'rank': max(1, relation_transfer.RANK // len(domains)),
    'num_anchors': max(1, relation_transfer.MAX_ANCHORS // len(domains)),
  }
  anchors = [
    relation_transfer.fit(*d, l2=_L2_WEIGHTS, **share) for d in domains
  ]
  carried = []
  for one in anchors:
    near = relation_transfer.likeness(
      one.features, one.features, exclude_self=True
    )
    carried.append(norm(relation_transfer.carry([one], near, 1.0)))
  scale = _scale(own, carried)
  return tuple(relation_transfer.scaled(one, scale) for one in anchors)


def _scale(own: list[float], learned: list[float]) -> float:
  """The factor that scales a part to the norm of C, averaged over the domains.

  A part without weights (no two items of the domain share a user) is 0 with
  any factor.
  """
  return float(
    np.mean([a / max(b, 1e-12) for a, b in zip(own, learned, strict=True)])
  )


def norm(prior: Prior) -> float:
  """The Frobenius norm of left @ right, in O(V r^2)."""
  left, right = prior.left.T @ prior.left, prior.right @ prior.right.T
  return float(np.sqrt(max(np.einsum('ij,ji->', left, right), 0.0)))


def generate(
  generator: Generator | None,
  own: Float[np.ndarray, 'V G'],
  shared: Float[np.ndarray, 'V F'],
  evidence: Csr,
  strengths: Strengths,
) -> Counted:
  """B0 of a catalogue; a strength of 0 leaves its part out.

  Args:
    generator: generator from `learn`; None if no multiplier needs it.
    own: features of which C is made.
    shared: features with the sources' columns.
    evidence: [U, V], binary; it only tells how popular items are.
    strengths: multipliers of the parts.

  Returns:
    B0 and its cost; all but the popularity depends on the text alone.

  Raises:
    ValueError: the features do not fit the generator.
  """
  for table in (own, shared):
    relation_map.check_features(table, evidence.shape[1])
  shared = _centred(shared)
  parts, of_text = _learned_parts(generator, shared, strengths)
  if strengths.trust:
    relation = feature_relation.relation(
      own, strengths.l2_features, strengths.trust, strengths.sharpness
    )
    parts.insert(0, relation.prior)
    of_text += relation.cost.operations
  total, of_sum = _sum(parts, len(own))
  of_text += of_sum
  if not strengths.popularity:
    return Counted(total, Cost(of_text, of_text))
  log_rate_V = item_popularity.log_posterior(
    generator.popularity, shared, evidence
  )
  tilted = prior_lib.tilted(total, np.exp(strengths.popularity * log_rate_V))
  rank = prior_lib.rank(tilted)
  of_tilt = 2.0 * len(shared) * (shared.shape[1] + rank)
  return Counted(tilted, Cost(of_text + of_tilt, of_text))


def _learned_parts(generator, shared, strengths) -> tuple[list[Prior], float]:
  """The parts learned on sources, and the operations of making them."""
  parts, operations = [], 0.0
  num_items, width = shared.shape
  if strengths.relation:
    parts.append(
      relation_map.prior(shared, generator.relation, strengths.relation)
    )
    operations += counts.matmul(num_items, width, width)
  if strengths.transfer:
    parts.append(
      relation_transfer.prior(generator.anchors, shared, strengths.transfer)
    )
    anchors = sum(len(a.features) for a in generator.anchors)
    carried = sum(len(a.weights.right) for a in generator.anchors)
    operations += counts.matmul(num_items, anchors, width)
    operations += 4 * num_items * relation_transfer.NEIGHBOURS * carried
  return parts, operations


def _sum(parts, num_items: int):
  """The sum of the parts, of which the first may be dense; its operations."""
  if not parts:
    nothing = np.zeros((num_items, 0))
    return Prior(nothing, nothing.T), 0.0
  first, *others = parts
  if not isinstance(first, np.ndarray):
    return relation_map.add(*parts), 0.0
  operations = 0.0
  for part in others:
    first = prior_lib.add(first, 1.0, part)
    operations += counts.matmul(num_items, num_items, prior_lib.rank(part))
  return first, operations


def _centred(table):
  """Features minus their mean over the catalogue."""
  table = np.asarray(table, np.float64)
  return table - table.mean(axis=0)


def learn_flops(
  domains: list[Csr], width: int, *, carries: bool = True
) -> float:
  """Operations of `learn` on domains x [U, V] with features of width F."""
  total = 5 * width**3
  for x in domains:
    users, items = x.shape
    total += 2 * x.nnz * width + 2 * (users + 2 * items) * width**2
    # The popularity map, and the norms of C and of F M F'.
    total += 8 * items * width**2 + 9 * width**3
    if carries:
      total += _anchor_flops(x, width, len(domains))
  return total


def _anchor_flops(x, width, num_domains):
  anchors = min(relation_transfer.MAX_ANCHORS // num_domains, x.shape[1])
  rank = min(relation_transfer.RANK // num_domains, anchors)
  gram = counts.gram(x.getnnz(axis=1))
  factors = 16 * anchors**2 * rank + 4 * anchors * rank**2
  return gram + counts.spd_inverse(anchors) + factors + 2 * anchors**2 * width
