"""Sources as a TFDS data set, stored as ArrayRecord; TensorFlow is not needed.

One example is a user: items, ratings and times in the order of time. A second
split holds the catalogue: each item's id and text.
"""

import os
import pathlib
import shutil

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

_NO_RATING = np.nan
_COLUMN = tfds.features.Tensor


class InteractionsBuilder(tfds.core.GeneratorBasedBuilder):
  """Stores one `Interactions`; `name` and `pkg_dir_path` are set per data set.

  Splits: `users` (user, items, ratings, timestamps) and `items` (index, id,
  text). Original ids are kept as text, with whether they were integers.
  """

  VERSION = tfds.core.Version('1.0.0')
  name = 'interactions'

  def __init__(self, data: Interactions | None, data_dir: str):
    """Builds from `data`; None reads what was built before."""
    self._interactions = data
    super().__init__(data_dir=data_dir, file_format='array_record')

  def _info(self) -> tfds.core.DatasetInfo:
    def rows(dtype):
      return _COLUMN(shape=(None,), dtype=dtype)

    features = tfds.features.FeaturesDict(
      {
        'index': np.int64,
        'id': tfds.features.Text(),
        'text': tfds.features.Text(),
        'items': rows(np.int32),
        'ratings': rows(np.float32),
        'timestamps': rows(np.int64),
      }
    )
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, dl_manager):
    del dl_manager
    return {'users': self._users(), 'items': self._items()}

  def _generate_examples(self):
    raise AssertionError('the splits generate their own examples')

  def _users(self):
    data = self._interactions.by_user_and_time()
    ends = np.cumsum(data.user_counts())
    for user, end in enumerate(ends):
      rows = slice(end - data_count(ends, user), end)
      yield (
        user,
        {
          'index': user,
          'id': str(data.user_ids[user]),
          'text': '',
          'items': data.items[rows],
          'ratings': _part(data.ratings, rows, np.float32),
          'timestamps': _part(data.timestamps, rows, np.int64),
        },
      )

  def _items(self):
    data = self._interactions
    nothing = {
      'items': np.zeros(0, np.int32),
      'ratings': np.zeros(0, np.float32),
      'timestamps': np.zeros(0, np.int64),
    }
    for item in range(data.num_items):
      text = '' if data.item_text is None else str(data.item_text[item])
      example = {'index': item, 'id': str(data.item_ids[item]), 'text': text}
      yield item, {**example, **nothing}


def data_count(ends: np.ndarray, user: int) -> int:
  """Rows of a user, from where each user's rows end."""
  return int(ends[user] - (ends[user - 1] if user else 0))


def _part(column, rows: slice, dtype) -> np.ndarray:
  return np.zeros(0, dtype) if column is None else column[rows]


def prepare(data: Interactions, cache_dir: str | os.PathLike) -> pathlib.Path:
  """Writes `data` as a TFDS data set below `cache_dir`; whole or not at all.

  Returns:
    The folder of the data set, which `load_prepared` reads.
  """
  folder = pathlib.Path(cache_dir) / _folder_name(data.name)
  unfinished = folder.with_name(folder.name + '.unfinished')
  shutil.rmtree(unfinished, ignore_errors=True)
  InteractionsBuilder(data, str(unfinished)).download_and_prepare()
  shutil.rmtree(folder, ignore_errors=True)
  unfinished.rename(folder)
  logging.info('wrote %r to %s', data, folder)
  return folder


def load_prepared(name: str, cache_dir: str | os.PathLike) -> Interactions:
  """Reads what `prepare` wrote: rows sorted by user and time.

  Raises:
    DataError: there is no whole data set of that name.
  """
  folder = pathlib.Path(cache_dir) / _folder_name(name)
  if not folder.is_dir():
    raise DataError(f'{folder} does not exist; call prepare first')
  built = InteractionsBuilder(None, str(folder))
  users = sorted(built.as_data_source('users'), key=lambda e: e['index'])
  items = sorted(built.as_data_source('items'), key=lambda e: e['index'])
  counts = [len(user['items']) for user in users]
  columns = {
    name: np.concatenate([user[name] for user in users])
    for name in ('items', 'ratings', 'timestamps')
  }
  total = sum(counts)
  text = np.array([_decode(item['text']) for item in items], object)
  return Interactions(
    users=np.repeat(np.arange(len(users)), counts),
    items=columns['items'],
    num_users=len(users),
    num_items=len(items),
    ratings=columns['ratings'] if len(columns['ratings']) == total else None,
    timestamps=(
      columns['timestamps'] if len(columns['timestamps']) == total else None
    ),
    user_ids=_ids(users),
    item_ids=_ids(items),
    item_text=text if any(text) else None,
    name=name,
  )


def _ids(examples) -> np.ndarray:
  """Original ids; text that is all whole numbers becomes integers again."""
  ids = [_decode(example['id']) for example in examples]
  try:
    return np.array([int(i) for i in ids])
  except ValueError:
    return np.array(ids)


def _decode(value) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)


def _folder_name(name: str) -> str:
  return ''.join(c if c.isalnum() else '_' for c in name) or 'interactions'
