"""Synthetic interactions with realistic lengths and popularity."""

import numpy as np

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions


def skewed(
  num_users: int, num_items: int, mean_length: int = 50, seed: int = 0
) -> Interactions:
  """Returns users with log-normal lengths and items with Zipf-like popularity.

  Both decide the cost of a Gram matrix and of a sparse product. The users have
  no preferences, so quality metrics on these data are meaningless.

  Args:
    num_users: U.
    num_items: V; items without users stay in the catalogue.
    mean_length: average number of draws of a user; repeated draws count once.
    seed: seed of all draws.
  """
  random = np.random.default_rng(seed)
  popularity_V = (np.arange(num_items) + 10.0) ** -0.8
  edges_V = np.cumsum(popularity_V / popularity_V.sum())
  spread = 1.0  # of the logarithm; the mean is exp(mu + spread^2 / 2)
  length_U = random.lognormal(
    np.log(mean_length) - spread**2 / 2, spread, num_users
  )
  length_U = length_U.astype(int).clip(5, max(5, num_items // 4))
  users = np.repeat(np.arange(num_users), length_U)
  rank = np.searchsorted(edges_V, random.random(len(users)))
  items = random.permutation(num_items)[rank.clip(max=num_items - 1)]
  pairs = np.unique(users * num_items + items)
  return Interactions(
    users=pairs // num_items,
    items=pairs % num_items,
    num_users=num_users,
    num_items=num_items,
    name='skewed',
  )


def describe(data: Interactions) -> str:
  """Returns the name and the sizes of the data, for the table."""
  return (
    f'{data.name}: {data.num_users:,} users, {data.num_items:,} items, '
    f'{len(data):,} interactions'
  )
