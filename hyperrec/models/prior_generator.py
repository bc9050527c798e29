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

from hyperrec.models import (
  item_kernel,
  item_popularity,
  linear_autoencoder,
  relation_map,
  relation_transfer,
)

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
) -> Prior | Float[np.ndarray, 'V V']:
  """B0 of a catalogue; a strength of 0 leaves its part out.

  Args:
    generator: what the sources taught; None where no strength calls for it.
    own: features that C is made of.
    shared: features in the sources' columns.
    evidence: [U, V], binary; what it tells is only how popular items are.
    strengths: of the parts.

  Returns:
    B0 in factors; with a kernel dense, and with a diagonal of 0.

  Raises:
    ValueError: the features do not fit the generator.
  """
  for table in (own, shared):
    relation_map.check_features(table, evidence.shape[1])
  shared = _centred(shared)
  parts = _learned_parts(generator, shared, strengths)
  tilt_V = _tilt(generator, shared, evidence, strengths.popularity)
  if not has_kernel(strengths, evidence.shape[1]):
    linear = strengths.l2_features, strengths.trust
    if strengths.trust:
      parts.insert(0, linear_autoencoder.feature_prior(own, *linear))
    if not parts:
      return Prior(np.zeros((len(own), 0)), np.zeros((0, len(own))))
    total = relation_map.add(*parts)
    return Prior(total.left / tilt_V[:, None], total.right * tilt_V)
  dense = item_kernel.relation(own, strengths.sharpness, strengths.l2_features)
  dense *= dense.dtype.type(strengths.trust)
  for part in parts:
    dense = linear_autoencoder.add_prior(dense, 1.0, part)
  dense /= tilt_V[:, None].astype(dense.dtype)
  dense *= tilt_V.astype(dense.dtype)
  return dense


def has_kernel(strengths: Strengths, num_items: int) -> bool:
  """Whether C is made of a kernel, and B0 dense; not in large catalogues."""
  is_asked = strengths.trust > 0 and strengths.sharpness > 0
  return is_asked and num_items <= item_kernel.LIMIT


def _learned_parts(generator, shared, strengths) -> list[Prior]:
  parts = []
  if strengths.relation:
    parts.append(
      relation_map.prior(shared, generator.relation, strengths.relation)
    )
  if strengths.transfer:
    parts.append(
      relation_transfer.prior(generator.anchors, shared, strengths.transfer)
    )
  return parts


def _tilt(generator, shared, evidence, exponent) -> np.ndarray:
  """D^k, as a vector."""
  if not exponent:
    return np.ones(len(shared))
  log_rate_V = item_popularity.log_posterior(
    generator.popularity, shared, evidence
  )
  return np.exp(exponent * log_rate_V)


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
  gram = 2 * float(np.square(x.getnnz(axis=1)).sum())
  factors = 16 * anchors**2 * rank + 4 * anchors * rank**2
  return gram + anchors**3 + factors + 2 * anchors**2 * width


def generate_flops(
  generator: Generator | None,
  num_items: int,
  own_width: int,
  strengths: Strengths,
) -> tuple[float, int]:
  """Operations of `generate`, and the rank of the prior (V where dense).

  Args:
    generator: what the sources taught, or None; see `generate`.
    num_items: V of the catalogue.
    own_width: G.
    strengths: a strength of 0 leaves its part out.
  """
  width = len(generator.relation) if generator else 0
  flops, rank = 0.0, 0
  is_dense = has_kernel(strengths, num_items)
  if is_dense:
    flops += item_kernel.flops(num_items, own_width)
  elif strengths.trust:
    flops += 2 * num_items * own_width**2 + own_width**3 / 3
    rank += own_width
  if strengths.relation:
    flops += 2 * num_items * width**2
    rank += width
  if strengths.transfer:
    anchors = sum(len(a.features) for a in generator.anchors)
    carried = sum(len(a.weights.right) for a in generator.anchors)
    flops += 2 * num_items * anchors * width
    flops += 4 * num_items * relation_transfer.NEIGHBOURS * carried
    rank += carried
  if strengths.popularity:
    flops += 2 * num_items * (width + (num_items if is_dense else rank))
  if not is_dense:
    return flops, rank
  return flops + 2.0 * num_items**2 * rank, num_items
