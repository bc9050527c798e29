"""Users who walk from kind to kind of items, for the tests of VQ-Rec."""

import numpy as np

from hyperrec.data import interactions

KINDS, WIDTH, LENGTH = 6, 8, 5
# Few shapes in this file, so that little is compiled.
SMALL = {
  'num_groups': 2,
  'num_codes': 8,
  'length': 8,
  'dim': 16,
  'num_layers': 1,
  'num_heads': 1,
  'hidden_dim': 16,
  'dropout': 0.0,
  'epochs': 2,
  'align_epochs': 1,
  'finetune_epochs': 2,
  'batch_size': 8,
  'lr': 1e-2,
}


def kinds_of(data):
  """The kind of each item, which its features tell and its id does not."""
  return data.item_ids % KINDS


def features(data):
  centres = np.random.default_rng(3).normal(size=(KINDS, WIDTH)) * 3
  noise = [
    np.random.default_rng(int(i)).normal(size=WIDTH) for i in data.item_ids
  ]
  return (centres[kinds_of(data)] + 0.3 * np.array(noise)).astype(np.float32)


def chain(first_item=0, num_users=160, num_items=30, seed=0, name='chain'):
  """Users walk from kind to kind in a fixed order, to any item of each."""
  random = np.random.default_rng(seed)
  kinds = (
    random.integers(0, KINDS, num_users)[:, None] + np.arange(LENGTH)[None]
  ) % KINDS
  items = kinds + KINDS * random.integers(0, num_items // KINDS, kinds.shape)
  return interactions.Interactions(
    np.repeat(np.arange(num_users), LENGTH),
    items.reshape(-1),
    num_users,
    num_items,
    timestamps=np.tile(np.arange(LENGTH), num_users),
    item_ids=np.arange(first_item, first_item + num_items),
    name=name,
  )
