"""Sources as TFDS data sets, stored as ArrayRecord without TensorFlow.

The split `users` holds one example per user, with the items, ratings and times
in order of time; the split `items` holds the catalogue. Fields that the source
lacks (ratings, times, text) are empty, and the metadata say so. This format is
for storing and sharing; the published files are usually faster to read.
"""

import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sources
from hyperrec.data.sources import files

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
Path = str | os.PathLike

_ROWS = {'items': np.int32, 'ratings': np.float32, 'timestamps': np.int64}


class InteractionsBuilder(tfds.core.GeneratorBasedBuilder):
  """Stores one `Interactions`, or reads a stored one if `data` is None."""

  VERSION = tfds.core.Version('1.1.0')
  name = 'interactions'

  def __init__(self, folder: Path, data: Interactions | None = None):
    self._data = data
    super().__init__(data_dir=str(folder), file_format='array_record')

  def _info(self) -> tfds.core.DatasetInfo:
    features = {'index': np.int64}
    features |= {name: tfds.features.Text() for name in ('id', 'text')}
    for name, dtype in _ROWS.items():
      features[name] = tfds.features.Tensor(shape=(None,), dtype=dtype)
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(features),
      metadata=tfds.core.MetadataDict(_metadata(self._data)),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    data = self._data.by_user_and_time()
    return {
      'users': self._generate_examples(_user_examples(data)),
      'items': self._generate_examples(_item_examples(data)),
    }

  def _generate_examples(self, examples):
    yield from examples


def prepare(source: str, cache_dir: Path, **options: Any) -> pathlib.Path:
  """Reads a source by `sources.load(source, **options)` and stores it.

  Nothing is done if the source is already stored with the same options and its
  files have not changed. The folder gets its name only after all files have
  been written.

  Returns:
    The folder of the data set, below `cache_dir`.
  """
  folder = _folder(source, cache_dir, options)
  if folder.is_dir():
    return folder
  data = sources.load(source, **options)
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
    InteractionsBuilder(unfinished, data).download_and_prepare()
    os.rename(pathlib.Path(unfinished) / folder.name, folder)
  logging.info('stored %r in %s', data, folder)
  return folder


def load_prepared(source: str, cache_dir: Path, **options: Any) -> Interactions:
  """Reads what `prepare` stored for the same arguments.

  Returns:
    The interactions, sorted by user and then by time.

  Raises:
    DataError: nothing is stored for these arguments.
  """
  folder = _folder(source, cache_dir, options)
  if not folder.is_dir():
    raise DataError(
      f'{folder} does not exist: source {source} is not prepared with these '
      'options; call prepare first'
    )
  stored = InteractionsBuilder(folder.parent)
  about = stored.info.metadata
  users, items = (_examples(stored, split) for split in ('users', 'items'))
  columns = {
    field: np.concatenate([user[field] for user in users])
    for field in _ROWS
    if about[field]
  }
  text = np.array([item['text'].decode() for item in items], object)
  return Interactions(
    users=np.repeat(np.arange(len(users)), [len(u['items']) for u in users]),
    num_users=len(users),
    num_items=len(items),
    user_ids=_ids(users, about['user_ids']),
    item_ids=_ids(items, about['item_ids']),
    item_text=text if about['text'] else None,
    name=about['name'],
    notes=tuple(about['notes']),
    is_order_only=about['is_order_only'],
    **columns,
  )


def _user_examples(data: Interactions):
  """One example for each user; `data` is sorted by user."""
  ends = np.cumsum(data.user_counts())
  for user, end in enumerate(ends):
    example = {'index': user, 'id': str(data.user_ids[user]), 'text': ''}
    for field, dtype in _ROWS.items():
      column = getattr(data, field)
      rows = slice(ends[user - 1] if user else 0, end)
      example[field] = np.zeros(0, dtype) if column is None else column[rows]
    yield user, example


def _item_examples(data: Interactions):
  """One example for each item, with empty columns of interactions."""
  nothing = {field: np.zeros(0, dtype) for field, dtype in _ROWS.items()}
  for item, name in enumerate(data.item_ids):
    text = '' if data.item_text is None else data.item_text[item]
    yield item, {'index': item, 'id': str(name), 'text': text, **nothing}


def _metadata(data: Interactions | None) -> dict[str, Any]:
  """What the examples lack: name, types of ids, and which columns exist."""
  if data is None:
    return {}
  about = {field: getattr(data, field) is not None for field in _ROWS}
  about |= {'name': data.name, 'text': data.item_text is not None}
  about |= {'notes': data.notes, 'is_order_only': data.is_order_only}
  return about | {
    field: getattr(data, field).dtype.str for field in ('user_ids', 'item_ids')
  }


def _examples(stored: InteractionsBuilder, split: str) -> list[dict[str, Any]]:
  """The examples of a split in their original order; TFDS shuffles files."""
  examples = stored.as_data_source(split)
  found = examples.__getitems__(range(len(examples)))
  return sorted(found, key=lambda example: example['index'])


def _ids(examples: list[dict[str, Any]], dtype: str) -> np.ndarray:
  """The ids of the examples in their original type."""
  ids = np.array([example['id'].decode() for example in examples])
  return ids.astype(dtype)


def _content(path: pathlib.Path) -> list[Any]:
  """Path and SHA-256 of a file; for a folder, its files' sizes and times."""
  if path.is_file():
    return [str(path.resolve()), files.sha256(path)]
  inside = ((p, p.stat()) for p in sorted(path.rglob('*')) if p.is_file())
  return [
    str(path.resolve()),
    [(str(p), about.st_size, about.st_mtime_ns) for p, about in inside],
  ]


def _folder(source: str, cache_dir: Path, options: dict) -> pathlib.Path:
  """The folder of a source with these options and contents of files."""
  key = {'data_dir': os.environ.get(files.DATA_DIR_VARIABLE), **options}
  for name in ('data_dir', 'path', 'item_path'):
    paths = key.get(name) or []
    paths = [paths] if isinstance(paths, Path) else paths
    key[name] = [
      _content(pathlib.Path(os.path.expanduser(path))) for path in paths
    ]
  digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
  folder = pathlib.Path(cache_dir) / f'{source}-{digest.hexdigest()[:16]}'
  return folder / InteractionsBuilder.name
