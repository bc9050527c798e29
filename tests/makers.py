"""Small made-up inputs that several tests share."""

import dataclasses

import numpy as np

from hyperrec.data import interactions, item_features, sources


def make_data(num_users=40, num_items=30, seed=0, timestamps=True):
  """Random interactions with shuffled rows, a third of the matrix filled."""
  random = np.random.default_rng(seed)
  dense = random.random((num_users, num_items)) < 0.35
  users, items = np.nonzero(dense)
  order = random.permutation(len(users))
  return interactions.from_columns(
    users[order],
    items[order],
    timestamp=random.permutation(len(users)) if timestamps else None,
    name='made',
  )


def made_domain(name, seed, num_users=90, num_items=40):
  """A synthetic set with item text, by a name of its own."""
  data = sources.load(
    'synthetic', num_users=num_users, num_items=num_items, seed=seed
  )
  return dataclasses.replace(data, name=name)


def pairs(data):
  """The set of (user id, item id) of some interactions."""
  users = data.user_ids[data.users].tolist()
  return set(zip(users, data.item_ids[data.items].tolist(), strict=True))


def text_features(data):
  """A look-up of features [V', 8], of the items' text, for parts of `data`."""
  table = item_features.tfidf_svd(data.item_text, num_features=8, seed=0)
  order = np.argsort(data.item_ids)

  def lookup(part):
    places = np.searchsorted(data.item_ids, part.item_ids, sorter=order)
    return table[order[places]]

  return lookup
