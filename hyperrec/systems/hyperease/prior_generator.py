"""HyperEASE's generator: from features of items to a prior of their weights.

    B0 = D^-k (trust C + relation F M F' + transfer T B T') D^k

C is what the target's own features tell: EASE on features, L3AE's prior, or the
same of a kernel between items (`item_kernel`). F M F' (`relation_map`) and T B
T' (`relation_transfer`) are what source domains teach; D = diag(exp p) turns
likeness into likelihood, p being each item's log popularity as far as features
and evidence tell it (`item_popularity`). Every part is a closed form, and B0
stays in factors unless C is made of a kernel.

Both learned parts are scaled to the norm of C *on the source*, so that their
strengths mean the same everywhere, and so that T B T', which averages to little
where no anchor is much alike, says little of an unfamiliar catalogue.
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

Cost = counts.Cost
Counted = feature_relation.Counted
Csr = scipy.sparse.csr_matrix
Prior = linear_autoencoder.Prior

_L2_FEATURES = 3.0


class Domain(NamedTuple):
  """What a generator learns from.

  Attributes:
    x: [U, V], binary.
    features: [V, F], columns that mean the same in every domain.
  """

  x: Csr
  features: np.ndarray


class Strengths(NamedTuple):
  """How much each part counts; all 0 but `trust` and l2_features is L3AE.

  Attributes:
    l2_features: ridge of C.
    trust: what C is multiplied by.
    relation: what F M F' is multiplied by.
    transfer: what T B T' is multiplied by.
    popularity: the exponent k.
    sharpness: of the kernel that C is made of; 0 is the linear one, which all
      catalogues beyond `item_kernel.LIMIT` have.
  """

  l2_features: float
  trust: float
  relation: float
  transfer: float
  popularity: float
  sharpness: float = 0.0


class Generator(NamedTuple):
  """What source domains teach.

  Attributes:
    relation: M, float64 [F, F].
    anchors: items of each domain, and their weights.
    popularity: a map from features.
  """

  relation: np.ndarray
  anchors: tuple[relation_transfer.Anchors, ...]
  popularity: item_popularity.PopularityMap


def learn(
  domains: list[Domain],
  *,
  carries: bool = True,
  l2_users: float = 1.0,
  l2_items: float = 1.5,
  l2_weights: float = 100.0,
) -> Generator:
  """Closed forms over all domains.

  Args:
    domains: one at least, all of one width F.
    carries: False learns no anchors, for a transfer of strength 0.
    l2_users: ridge of M, relative; see `relation_map.fit`.
    l2_items: likewise.
    l2_weights: ridge of EASE on each domain.

  Raises:
    ValueError: no domain, or features that do not fit their domain.
  """
  for x, features in domains:
    relation_map.check_features(features, x.shape[1])
  domains = [Domain(x, _centred(features)) for x, features in domains]
  relation = relation_map.fit(domains, l2_users=l2_users, l2_items=l2_items)
  own = [
    norm(linear_autoencoder.feature_prior(d.features, _L2_FEATURES, 1.0))
    for d in domains
  ]
  mapped = [norm(relation_map.prior(d.features, relation)) for d in domains]
  return Generator(
    relation * _scale(own, mapped),
    _anchors(domains, own, l2_weights) if carries else (),
    item_popularity.pool([item_popularity.fit(*d) for d in domains]),
  )


def _anchors(domains, own, l2_weights):
  # However many the domains, carrying costs the same.
  share = {
    'rank': max(1, relation_transfer.RANK // len(domains)),
    'num_anchors': max(1, relation_transfer.MAX_ANCHORS // len(domains)),
  }
  anchors = [relation_transfer.fit(*d, l2=l2_weights, **share) for d in domains]
  carried = []
  for one in anchors:
    near = relation_transfer.likeness(
      one.features, one.features, exclude_self=True
    )
    carried.append(norm(relation_transfer.carry([one], near, 1.0)))
  scale = _scale(own, carried)
  return tuple(relation_transfer.scaled(one, scale) for one in anchors)


def _scale(own: list[float], learned: list[float]) -> float:
  """What brings a part to the norm of C, on average over the domains.

  A part without any weight (a domain in which nothing was co-bought) is 0
  however it is scaled.
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
    generator: what the sources taught; None where no strength calls for it.
    own: features that C is made of.
    shared: features in the sources' columns.
    evidence: [U, V], binary; what it tells is only how popular items are.
    strengths: of the parts.

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
  tilted = _tilted(total, np.exp(strengths.popularity * log_rate_V))
  of_tilt = 2.0 * len(shared) * (shared.shape[1] + _rank(total))
  return Counted(tilted, Cost(of_text + of_tilt, of_text))


def _learned_parts(generator, shared, strengths) -> tuple[list[Prior], float]:
  """The parts that sources teach, and the operations of making them."""
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
  """The sum of parts, of which the first may be dense, and its operations."""
  if not parts:
    nothing = np.zeros((num_items, 0))
    return Prior(nothing, nothing.T), 0.0
  first, *others = parts
  if not isinstance(first, np.ndarray):
    return relation_map.add(*parts), 0.0
  operations = 0.0
  for part in others:
    first = linear_autoencoder.add_prior(first, 1.0, part)
    operations += counts.matmul(num_items, num_items, _rank(part))
  return first, operations


def _tilted(prior, tilt_V: Float[np.ndarray, ' V']):
  """D^-k B0 D^k of the vector of D^k; a dense B0 is overwritten."""
  if not isinstance(prior, np.ndarray):
    return Prior(prior.left / tilt_V[:, None], prior.right * tilt_V)
  prior /= tilt_V[:, None].astype(prior.dtype)
  prior *= tilt_V.astype(prior.dtype)
  return prior


def _rank(prior) -> int:
  """The rank of B0; that of a dense one is V."""
  return len(prior) if isinstance(prior, np.ndarray) else prior.left.shape[1]


def _centred(table):
  """What sets an item apart from its catalogue, not what all of it shares."""
  table = np.asarray(table, np.float64)
  return table - table.mean(axis=0)


def learn_flops(
  domains: list[Csr], width: int, *, carries: bool = True
) -> float:
  """Operations of `learn` on domains x [U, V] with features of a width F."""
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
