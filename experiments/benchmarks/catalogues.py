"""Made catalogues of any size: items with texts, and users with tastes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions

# Items of an average cluster, and users for each item of the catalogue.
_CLUSTER = 200
_USERS_PER_ITEM = 2
# Mean number of draws of a user, and the spread of its logarithm.
_LENGTH, _SPREAD = 15, 1.0
# Share of a user's draws that are from the clusters that the user likes, and
# how many of these there are.
_TASTE, _LIKED = 0.8, 3
# Length of the part of an item's features that is the item's own; the part of
# the cluster has length 1.
_OWN = 1.0


class Catalogue(NamedTuple):
  """A made catalogue.

  Attributes:
    data: what users did.
    features: of the items, rows of length 1; items of one cluster are alike.
    clusters: the cluster of each item.
  """

  data: Interactions
  features: Float[np.ndarray, 'V F']
  clusters: Int[np.ndarray, ' V']


def made(num_items: int, width: int = 64, seed: int = 0) -> Catalogue:
  """Draws a catalogue; the draw is the same for equal arguments.

  Popularity of items and sizes of clusters follow power laws, and the lengths
  of users a log-normal law. A user draws most items from three clusters. Texts
  share these clusters, so they tell which items go together.

  Args:
    num_items: V; there are twice as many users.
    width: F, number of features of an item.
    seed: seed of all draws.
  """
  random = np.random.default_rng(seed)
  num_clusters = max(4, num_items // _CLUSTER)
  mass_C = (np.arange(num_clusters) + 10.0) ** -0.5
  clusters_V = np.sort(
    random.choice(num_clusters, num_items, p=mass_C / mass_C.sum())
  )
  pairs = _pairs(random, clusters_V, num_clusters)
  users, items = np.divmod(pairs, num_items)
  # Numbers of items say nothing about clusters.
  number_V = random.permutation(num_items)
  features = _features(random, clusters_V, num_clusters, width)
  shuffled, clusters = np.empty_like(features), np.empty_like(clusters_V)
  shuffled[number_V], clusters[number_V] = features, clusters_V
  data = Interactions(
    users=users.astype(np.int32),
    items=number_V[items].astype(np.int32),
    num_users=_USERS_PER_ITEM * num_items,
    num_items=num_items,
    name='made',
  )
  return Catalogue(data, shuffled, clusters)


def _pairs(random, clusters_V, num_clusters: int) -> Int[np.ndarray, ' n']:
  """Distinct pairs as user * V + item; items are sorted by cluster."""
  num_items = len(clusters_V)
  num_users = _USERS_PER_ITEM * num_items
  popularity_V = (random.permutation(num_items) + 10.0) ** -0.8
  ends_V = np.cumsum(popularity_V / popularity_V.sum())
  edges = np.searchsorted(clusters_V, np.arange(num_clusters + 1))
  # The share of draws below each edge between clusters.
  below_E = np.concatenate([[0.0], ends_V])[edges]
  below_E[-1] = ends_V[-1]
  lengths_U = random.lognormal(
    np.log(_LENGTH) - _SPREAD**2 / 2, _SPREAD, num_users
  )
  lengths_U = lengths_U.astype(int).clip(3, num_items // 8)
  users = np.repeat(np.arange(num_users), lengths_U)
  liked_UxL = np.searchsorted(
    below_E[1:-1], random.random((num_users, _LIKED)), side='right'
  )
  cluster = liked_UxL[users, random.integers(0, _LIKED, len(users))]
  is_liked = random.random(len(users)) < _TASTE
  low = np.where(is_liked, below_E[cluster], 0.0)
  high = np.where(is_liked, below_E[cluster + 1], 1.0)
  draw = low + (high - low) * random.random(len(users))
  items = np.searchsorted(ends_V, draw).clip(max=num_items - 1)
  return np.unique(users * num_items + items)


def _features(random, clusters_V, num_clusters: int, width: int):
  """Features [V, F] of items around the middle of their cluster."""
  middle_CxF = random.standard_normal((num_clusters, width), np.float32)
  middle_CxF /= np.linalg.norm(middle_CxF, axis=1, keepdims=True)
  own_VxF = random.standard_normal((len(clusters_V), width), np.float32)
  own_VxF *= np.float32(_OWN / np.sqrt(width))
  own_VxF += middle_CxF[clusters_V]
  own_VxF /= np.linalg.norm(own_VxF, axis=1, keepdims=True)
  return own_VxF
