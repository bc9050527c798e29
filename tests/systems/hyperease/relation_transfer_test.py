"""Carried weights: exact for the same items, soft for others like them."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import relation_transfer
from hyperrec.systems.linear import linear_autoencoder


def make(num_users=60, num_items=14, width=5, seed=0):
  random = np.random.default_rng(seed)
  x = (random.random((num_users, num_items)) < 0.3).astype(np.float64)
  return scipy.sparse.csr_matrix(x), random.normal(size=(num_items, width))


def product(prior):
  return prior.left @ prior.right


def test_the_same_items_get_the_same_weights():
  """One neighbour each, itself: T is the identity, B0 is EASE."""
  x, features = make()
  anchors = relation_transfer.fit(x, features, l2=5.0)
  own = relation_transfer.likeness(features, anchors.features, neighbours=1)
  np.testing.assert_allclose(own.toarray(), np.eye(14), atol=1e-12)
  carried = relation_transfer.carry([anchors], own, 2.0)
  ease = linear_autoencoder.solve_primal(x, np.full(14, 5.0), dtype=np.float64)
  np.testing.assert_allclose(product(carried), 2 * ease, atol=1e-6)


def test_factors_are_the_best_of_their_rank():
  x, features = make(num_items=40)
  full = product(relation_transfer.fit(x, features, l2=5.0).weights)
  short = product(relation_transfer.fit(x, features, l2=5.0, rank=12).weights)
  left, scale, right = np.linalg.svd(full)
  best = (left[:, :12] * scale[:12]) @ right[:12]
  lost, least = (np.linalg.norm(full - b) for b in (short, best))
  assert lost < 1.02 * least


def test_likeness_is_a_softmax_of_cosines():
  _, anchors = make(num_items=6)
  _, items = make(num_items=3, seed=1)
  units = relation_transfer.normalised(anchors)
  t = relation_transfer.likeness(items, units, neighbours=2, temperature=0.2)
  cosines = relation_transfer.normalised(items) @ units.T
  for row, cosine in zip(t.toarray(), cosines, strict=True):
    nearest = np.argsort(-cosine)[:2]
    assert set(np.flatnonzero(row)) == set(nearest)
    weights = np.exp(cosine[nearest] / 0.2)
    np.testing.assert_allclose(row[nearest], weights / weights.sum(), 1e-5)


def test_of_equally_near_anchors_the_first_are_taken():
  kinds = np.random.default_rng(0).normal(size=(3, 5))
  anchors = relation_transfer.normalised(np.repeat(kinds, 8, axis=0))
  t = relation_transfer.likeness(kinds, anchors, neighbours=5).toarray()
  assert np.flatnonzero(t[0]).tolist() == [0, 1, 2, 3, 4]
  assert np.flatnonzero(t[1]).tolist() == [8, 9, 10, 11, 12]


def test_an_item_can_be_kept_from_being_its_own_neighbour():
  _, features = make()
  units = relation_transfer.normalised(features)
  t = relation_transfer.likeness(features, units, exclude_self=True)
  assert not t.diagonal().any()
  np.testing.assert_allclose(t.sum(axis=1), 1)


def test_only_the_most_popular_items_are_anchors():
  x, features = make()
  popular = np.sort(np.argsort(-x.getnnz(axis=0), kind='stable')[:5])
  anchors = relation_transfer.fit(x, features, num_anchors=5)
  np.testing.assert_allclose(
    anchors.features, relation_transfer.normalised(features[popular])
  )
  assert anchors.weights.left.shape == (5, 5)


def test_weights_of_domains_stand_side_by_side():
  domains = [make(seed=1), make(num_items=9, seed=2)]
  anchors = [relation_transfer.fit(*d) for d in domains]
  _, features = make(num_items=4, seed=3)
  table = np.concatenate([a.features for a in anchors])
  t = relation_transfer.likeness(features, table).toarray()
  blocks = [product(a.weights) for a in anchors]
  expected = t[:, :14] @ blocks[0] @ t[:, :14].T
  expected += t[:, 14:] @ blocks[1] @ t[:, 14:].T
  prior = relation_transfer.prior(anchors, features)
  np.testing.assert_allclose(product(prior), expected, atol=1e-12)


def test_another_encoder_is_refused():
  anchors = relation_transfer.fit(*make())
  _, features = make(width=3)
  with pytest.raises(ValueError, match=r'width 3, but the anchors have 5'):
    relation_transfer.prior([anchors], features)
