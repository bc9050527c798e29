"""Saves a trained recommender, and loads it without its training code.

A folder holds `recommender.json` (a description, and the SHA-256 of the other
files), `items.json` (ids, titles, and the number of interactions of each item),
`tensors.safetensors`, and `score.jaxexport` (StableHLO with a symbolic number
of users, which reads the tensors). `load` returns a `recommender.Recommender`.
It scores linear kinds by NumPy and networks by the program, which needs JAX.
`systems/exports.py` converts a fitted method to a `Model`.
`experiments/export/consumer.py` serves any folder without this package.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from hyperrec import recommender, scorers

# Since format 3, linear kinds have a program, too.
FORMAT = 3
_HEAD = 'recommender.json'
_ITEMS = 'items.json'
_TENSORS = 'tensors.safetensors'
_PROGRAM = 'score.jaxexport'
# Errors of JSON files that are incomplete, too deep, or lack a field.
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
_FILES = {_HEAD, _ITEMS, _TENSORS, _PROGRAM}

ExportError = recommender.ExportError
Recommender = recommender.Recommender


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
  ids = [recommender.id_text(name, 'item_ids') for name in item_ids]
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
  folder.parent.mkdir(parents=True, exist_ok=True)
  made = pathlib.Path(tempfile.mkdtemp(prefix='.export-', dir=folder.parent))
  try:
    _write(made, model, items, about or {})
    if folder.exists():
      old = made.with_name(made.name + '-old')
      folder.rename(old)
      try:
        made.rename(folder)
      except BaseException:
        old.rename(folder)
        raise
      shutil.rmtree(old)
    else:
      made.rename(folder)
  finally:
    shutil.rmtree(made, ignore_errors=True)


def check_folder(
  folder: str | pathlib.Path, *, overwrite: bool
) -> pathlib.Path:
  """Returns the absolute path of a folder that may receive a recommender.

  Raises:
    ExportError: the folder exists and `overwrite` is False, it holds other
      files than a recommender, or a parent of it is a file.
  """
  folder = pathlib.Path(os.path.expanduser(folder)).absolute()
  if not folder.exists():
    above = next(path for path in folder.parents if path.exists())
    if not above.is_dir():
      raise ExportError(
        f'{above} is a file; choose another folder than {folder}'
      )
    return folder
  if not overwrite:
    raise ExportError(
      f'{folder} is there already; choose another folder, or overwrite it'
    )
  found = {path.name for path in folder.iterdir()} if folder.is_dir() else {''}
  if found - _FILES:
    raise ExportError(
      f'{folder} is no recommender, and is not overwritten; choose another '
      'folder'
    )
  return folder


def _write(folder, model, items, about) -> None:
  tensors = {k: np.ascontiguousarray(v) for k, v in model.tensors.items()}
  files = {
    _ITEMS: json.dumps(items).encode(),
    _TENSORS: safetensors.numpy.save(tensors),
    _PROGRAM: model.program,
  }
  head = {
    'format': FORMAT,
    'kind': model.kind,
    'length': model.length,
    'num_items': len(items['ids']),
    'tensors': {
      name: {'shape': list(t.shape), 'dtype': str(t.dtype)}
      for name, t in tensors.items()
    },
    'sha256': {n: hashlib.sha256(c).hexdigest() for n, c in files.items()},
    'about': about,
  }
  files[_HEAD] = (json.dumps(head, indent=2) + '\n').encode()
  for name, content in files.items():
    with (folder / name).open('wb') as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
  folder.chmod(0o755)


def load(folder: str | pathlib.Path) -> Recommender:
  """Reads a recommender.

  Raises:
    ExportError: a file is missing or invalid, was changed after it was written,
      or has another format.
  """
  folder = pathlib.Path(os.path.expanduser(folder))
  if not folder.is_dir():
    raise ExportError(
      f'{folder} is no folder; name the folder that a recommender was written '
      'to'
    )
  head = _head(folder)
  kind, size = head['kind'], head['num_items']
  files = {name: _bytes(folder, name) for name in head['sha256']}
  for name, content in files.items():
    if hashlib.sha256(content).hexdigest() != head['sha256'][name]:
      raise ExportError(
        f'{folder / name} is not the file that was written (its SHA-256 '
        f'differs from the one in {_HEAD}); copy or export it again'
      )
  try:
    items = json.loads(files[_ITEMS])
    items = {name: items[name] for name in ('ids', 'titles', 'counts')}
    tensors = safetensors.numpy.load(files[_TENSORS])
  except (*_UNREADABLE, safetensors.SafetensorError) as error:
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
  return Recommender(head, items, score)


def _head(folder: pathlib.Path) -> dict[str, Any]:
  """Reads recommender.json and checks the types of its fields."""
  path = folder / _HEAD
  if not path.exists():
    raise ExportError(
      f'{folder} holds no recommender, since there is no {_HEAD} in it; name '
      'the folder that a recommender was written to'
    )
  content = _bytes(folder, _HEAD)
  try:
    head = json.loads(content)
    sums, kind, found = head['sha256'], head['kind'], head['format']
    size, length = head['num_items'], head['length']
  except _UNREADABLE as error:
    raise ExportError(
      f'{path} is no description of a recommender ({error!r}); export it again'
    ) from error
  if found != FORMAT:
    raise ExportError(
      f'{path}: format {found!r}; this version reads {FORMAT}; export it again'
    )
  if kind not in scorers.KINDS:
    raise ExportError(f'{path}: kind {kind!r} is none of {scorers.KINDS}')
  needed = _FILES - {_HEAD}
  if not isinstance(sums, dict) or set(sums) != needed:
    raise ExportError(
      f'{path}: sha256 must name {sorted(needed)}, and names '
      f'{sorted(sums) if isinstance(sums, dict) else sums!r}; export it again'
    )
  for name, value, least in (('num_items', size, 1), ('length', length, 1)):
    is_missing = name == 'length' and value is None
    if not is_missing and (type(value) is not int or value < least):
      raise ExportError(
        f'{path}: {name} is {value!r} and must be a whole number of at least '
        f'{least}; export it again'
      )
  return head


def _bytes(folder: pathlib.Path, name: str) -> bytes:
  try:
    return (folder / name).read_bytes()
  except OSError as error:
    raise ExportError(
      f'{folder / name} cannot be read: {error.strerror}; export it again'
    ) from error


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
