"""Saves a trained recommender, and loads it without its training code.

A folder holds `recommender.json` (a description, and the SHA-256 of the other
files), `items.json` (ids, titles, and the number of interactions of each item),
`tensors.safetensors`, and `score.jaxexport` (StableHLO with a symbolic number
of users, which reads the tensors). `load` returns a `ranker.Ranker`. It scores
linear kinds by NumPy and networks by the program, which needs JAX.
`systems/exports.py` converts a fitted method to a `Model`.
`experiments/export/consumer.py` serves any folder without this package.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from hyperrec import ranker, saved_folder, scorers

# Since format 3, linear kinds have a program, too.
FORMAT = 3
_HEAD = 'recommender.json'
_ITEMS = 'items.json'
_TENSORS = 'tensors.safetensors'
_PROGRAM = 'score.jaxexport'
_FILES = {_HEAD, _ITEMS, _TENSORS, _PROGRAM}
_WHAT = 'exported recommender'

ExportError = ranker.RecommenderError
Ranker = ranker.Ranker


class Model(NamedTuple):
  """A recommender in the form in which it is saved.

  Attributes:
    kind: one of `scorers.KINDS`; it decides how scores are computed.
    tensors: name -> array.
    program: a serialized `jax.export` of (tensors, items [b, l], mask [b, l])
      -> scores [b, V]. The items of a history are distinct and start at column
      0; beyond them the mask is False.
    length: number of last history items that a network reads; None reads all.
    counts: [V] number of interactions of each item, by which items are ranked
      for users with unusable histories; None refuses such users.
  """

  kind: str
  tensors: dict[str, np.ndarray]
  program: bytes = b''
  length: int | None = None
  counts: np.ndarray | None = None


def save(
  folder: str | pathlib.Path,
  model: Model,
  *,
  item_ids: Sequence[Any],
  titles: Sequence[str] | None = None,
  about: dict[str, Any] | None = None,
  overwrite: bool = False,
) -> None:
  """Writes a recommender, whole or not at all.

  Args:
    folder: the folder to create.
    model: the recommender.
    item_ids: [V] ids of the catalogue; they are written as text.
    titles: [V] titles of the items, or None.
    about: further entries of recommender.json: method, settings, data,
      versions.
    overwrite: whether to replace a recommender in the folder.

  Raises:
    ExportError: the folder cannot be used (see `check_folder`), the tensors
      are invalid (see `scorers.check`), there is no program, or the ids, titles
      or counts are not those of V distinct items.
  """
  folder = check_folder(folder, overwrite=overwrite)
  ids = [ranker.id_text(name, 'item_ids') for name in item_ids]
  items = {
    'ids': ids,
    'titles': None if titles is None else list(map(str, titles)),
    'counts': None
    if model.counts is None
    else np.asarray(model.counts).tolist(),
  }
  _check_items(items, len(ids), folder)
  scorers.check(model.kind, model.tensors, len(ids), folder)
  if not model.program:
    raise ExportError(
      f'{folder}: the model has no program; make it by systems.exports.of'
    )
  tensors = {k: np.ascontiguousarray(v) for k, v in model.tensors.items()}
  head = {
    'format': FORMAT,
    'kind': model.kind,
    'length': model.length,
    'num_items': len(ids),
    'tensors': {
      name: {'shape': list(t.shape), 'dtype': str(t.dtype)}
      for name, t in tensors.items()
    },
    'about': about or {},
  }
  files = {
    _ITEMS: json.dumps(items).encode(),
    _TENSORS: safetensors.numpy.save(tensors),
    _PROGRAM: model.program,
  }
  saved_folder.write(folder, _HEAD, head, files)


def check_folder(
  folder: str | pathlib.Path, *, overwrite: bool
) -> pathlib.Path:
  """Returns the absolute path of a folder that may receive a recommender.

  Raises:
    FolderError: see `saved_folder.check`.
  """
  return saved_folder.check(folder, _FILES, _WHAT, overwrite=overwrite)


def load(folder: str | pathlib.Path) -> Ranker:
  """Reads a recommender.

  Raises:
    ExportError: a file is missing or invalid, was changed after it was written,
      or has another format.
  """
  folder, head = _head(folder)
  kind, size = head['kind'], head['num_items']
  files = saved_folder.read_files(folder, _HEAD, head, _FILES - {_HEAD})
  try:
    items = json.loads(files[_ITEMS])
    items = {name: items[name] for name in ('ids', 'titles', 'counts')}
    tensors = safetensors.numpy.load(files[_TENSORS])
  except (*saved_folder.UNREADABLE, safetensors.SafetensorError) as error:
    raise ExportError(
      f'{folder} holds no items or no tensors of a recommender ({error!r}); '
      'export it again'
    ) from error
  _check_items(items, size, folder)
  scorers.check(kind, tensors, size, folder)
  if kind == 'network':
    score = scorers.network(
      files[_PROGRAM], tensors, head['length'], size, folder / _PROGRAM
    )
  else:
    score = scorers.linear(kind, tensors, size)
  return Ranker(head, items, score)


def _head(folder: str | pathlib.Path) -> tuple[pathlib.Path, dict[str, Any]]:
  """Reads recommender.json and checks the types of its fields."""
  folder, head = saved_folder.read_head(folder, _HEAD, _WHAT)
  path = folder / _HEAD
  try:
    kind, found, _ = head['kind'], head['format'], head['sha256']
    size, length = head['num_items'], head['length']
  except saved_folder.UNREADABLE as error:
    raise ExportError(
      f'{path} is no description of the {_WHAT} ({error!r}); export it again'
    ) from error
  if found != FORMAT:
    raise ExportError(
      f'{path}: format {found!r}; this version reads {FORMAT}; export it again'
    )
  if kind not in scorers.KINDS:
    raise ExportError(f'{path}: kind {kind!r} is none of {scorers.KINDS}')
  for name, value, least in (('num_items', size, 1), ('length', length, 1)):
    is_missing = name == 'length' and value is None
    if not is_missing and (type(value) is not int or value < least):
      raise ExportError(
        f'{path}: {name} is {value!r} and must be a whole number of at least '
        f'{least}; export it again'
      )
  return folder, head


def _check_items(items: dict, size: int, folder: pathlib.Path) -> None:
  """Raises ExportError if ids, titles or counts do not match `size` items."""
  for name, what, is_right in (
    ('ids', 'item ids', lambda value: isinstance(value, str)),
    ('titles', 'titles', lambda value: isinstance(value, str)),
    ('counts', 'item counts', _is_count),
  ):
    values = items[name]
    if values is None and name != 'ids':
      continue
    if not isinstance(values, list) or len(values) != size:
      count = len(values) if isinstance(values, list) else repr(values)
      raise ExportError(f'{folder}: {count} {what} for {size} items')
    wrong = [value for value in values if not is_right(value)]
    if wrong:
      raise ExportError(f'{folder}: {wrong[0]!r:.60} is none of the {what}')
    if name == 'ids' and len(set(values)) < size:
      raise ExportError(f'{folder}: item ids are not distinct as strings')
  if size < 1:
    raise ExportError(f'{folder}: a recommender needs at least one item')


def _is_count(value: Any) -> bool:
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return is_number and 0 <= value <= sys.float_info.max
