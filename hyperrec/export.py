"""A trained recommender as files, and back without the code that trained it.

A folder holds `recommender.json` (what it is, and the SHA-256 of the others),
`items.json` (ids and titles), `tensors.safetensors`, and for networks
`score.jaxexport`, StableHLO with a symbolic number of users. Reading needs
NumPy and safetensors; networks need JAX besides. `methods/exports.py` makes a
`Model` of what a method learned.
"""

import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import scipy.sparse
from jaxtyping import Float

FORMAT = 1
KINDS = ('popularity', 'dense', 'sparse', 'factored', 'subset', 'network')
_HEAD = 'recommender.json'
_ITEMS = 'items.json'
_TENSORS = 'tensors.safetensors'
_PROGRAM = 'score.jaxexport'


class ExportError(ValueError):
  """A recommender cannot be written or read; says which file and why."""


class Model(NamedTuple):
  """What is written of a recommender.

  Attributes:
    kind: one of `KINDS`; how `tensors` become scores.
    tensors: name -> array.
    program: of a network, a serialized `jax.export` of (tensors, items [b, l],
      mask [b, l]) -> scores [b, V].
    length: items of a history that a network reads, the last ones; None reads
      all.
  """

  kind: str
  tensors: dict[str, np.ndarray]
  program: bytes | None = None
  length: int | None = None


class Recommender:
  """A recommender that was read; ids are strings."""

  def __init__(self, head: dict, items: dict, score: Callable):
    """Made by `load`."""
    self.head = head
    self.item_ids: list[str] = items['ids']
    self.titles: list[str] | None = items['titles']
    self._number = {name: i for i, name in enumerate(self.item_ids)}
    self._score = score

  def score(
    self, histories: Sequence[Sequence[Any]], *, ignore_unknown: bool = False
  ) -> Float[np.ndarray, 'B V']:
    """Scores of the whole catalogue, higher is better.

    Args:
      histories: ids of the items that each user took up, oldest first.
      ignore_unknown: leave out ids that are not in the catalogue.

    Raises:
      ExportError: an id is not in the catalogue.
    """
    return self._score(self._numbers(histories, ignore_unknown))

  def recommend(
    self,
    histories: Sequence[Sequence[Any]],
    k: int = 10,
    *,
    exclude_seen: bool = True,
    ignore_unknown: bool = False,
  ) -> list[list[tuple[str, float]]]:
    """The `k` best items of each user as (id, score), best first.

    Args:
      histories: see `score`.
      k: how many; all of a smaller catalogue.
      exclude_seen: leave out what is in the history.
      ignore_unknown: see `score`.
    """
    numbers = self._numbers(histories, ignore_unknown)
    scores = np.array(self._score(numbers), np.float64)
    if exclude_seen:
      for row, seen in zip(scores, numbers, strict=True):
        row[seen] = -np.inf
    best = np.argsort(-scores, axis=1, kind='stable')[:, :k]
    return [
      [(self.item_ids[i], float(row[i])) for i in top if np.isfinite(row[i])]
      for row, top in zip(scores, best, strict=True)
    ]

  def _numbers(self, histories, ignore_unknown) -> list[list[int]]:
    out = []
    for user, history in enumerate(histories):
      names = [str(name) for name in history]
      unknown = [name for name in names if name not in self._number]
      if unknown and not ignore_unknown:
        raise ExportError(
          f'history {user} has {len(unknown)} ids that are not in the '
          f'catalogue, such as {unknown[0]!r}; leave them out, or pass '
          'ignore_unknown=True'
        )
      out.append([self._number[n] for n in names if n in self._number])
    return out


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
    folder: is made.
    model: see `Model`.
    item_ids: [V] of the catalogue; written as strings.
    titles: [V] or None.
    about: what else recommender.json tells: method, settings, data, versions.
    overwrite: replace a folder that is there.

  Raises:
    ExportError: the folder is there, an unknown kind, or ids that are not
      distinct or do not fit.
  """
  folder = pathlib.Path(folder).absolute()
  ids = [str(name) for name in item_ids]
  if model.kind not in KINDS:
    raise ExportError(f'kind={model.kind!r} is unknown; use one of {KINDS}')
  if len(set(ids)) < len(ids):
    raise ExportError(f'{folder}: item ids are not distinct as strings')
  if titles is not None and len(titles) != len(ids):
    raise ExportError(f'{folder}: {len(titles)} titles for {len(ids)} items')
  if folder.exists() and not overwrite:
    raise ExportError(f'{folder} is there already; choose another folder')
  folder.parent.mkdir(parents=True, exist_ok=True)
  made = pathlib.Path(tempfile.mkdtemp(prefix='.export-', dir=folder.parent))
  try:
    _write(made, model, ids, titles, about or {})
    if folder.exists():
      old = made.with_name(made.name + '-old')
      folder.rename(old)
      made.rename(folder)
      shutil.rmtree(old)
    else:
      made.rename(folder)
  finally:
    shutil.rmtree(made, ignore_errors=True)


def _write(folder, model, ids, titles, about) -> None:
  tensors = {k: np.ascontiguousarray(v) for k, v in model.tensors.items()}
  files = {
    _ITEMS: json.dumps(
      {'ids': ids, 'titles': None if titles is None else list(map(str, titles))}
    ).encode(),
    _TENSORS: safetensors.numpy.save(tensors),
  }
  if model.program is not None:
    files[_PROGRAM] = model.program
  head = {
    'format': FORMAT,
    'kind': model.kind,
    'length': model.length,
    'num_items': len(ids),
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
    ExportError: a file is missing or is not what was written, or is of another
      format.
  """
  folder = pathlib.Path(folder)
  try:
    head = json.loads(_bytes(folder, _HEAD))
    sums, kind, found = head['sha256'], head['kind'], head['format']
  except (ValueError, KeyError, TypeError) as error:
    raise ExportError(
      f'{folder / _HEAD} is no description of a recommender ({error!r}); '
      'export it again'
    ) from error
  if found != FORMAT:
    raise ExportError(
      f'{folder / _HEAD}: format {found!r}; this version reads {FORMAT}'
    )
  if kind not in KINDS:
    raise ExportError(f'{folder / _HEAD}: kind {kind!r} is none of {KINDS}')
  files = {name: _bytes(folder, name) for name in sums}
  for name, content in files.items():
    if hashlib.sha256(content).hexdigest() != sums[name]:
      raise ExportError(
        f'{folder / name} is not the file that was written (its SHA-256 '
        f'differs from the one in {_HEAD}); copy or export it again'
      )
  for name in (_ITEMS, _TENSORS, *([_PROGRAM] if kind == 'network' else [])):
    if name not in files:
      raise ExportError(f'{folder / _HEAD} names no {name}; export it again')
  tensors = safetensors.numpy.load(files[_TENSORS])
  items = json.loads(files[_ITEMS])
  size = head['num_items']
  if kind == 'network':
    score = _network(files[_PROGRAM], tensors, head['length'])
  else:
    score = _linear(kind, tensors, size)
  return Recommender(head, items, score)


def _bytes(folder: pathlib.Path, name: str) -> bytes:
  try:
    return (folder / name).read_bytes()
  except OSError as error:
    raise ExportError(
      f'{folder / name} cannot be read: {error.strerror}; export it again'
    ) from error


def _linear(kind: str, tensors: dict[str, np.ndarray], num_items: int):
  """Scores x B of 0/1 histories x, or the same counts for everybody."""

  def score(histories: list[list[int]]) -> np.ndarray:
    if kind == 'popularity':
      counts = tensors['counts']
      return np.broadcast_to(counts, (len(histories), num_items))
    rows = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    columns = np.array([i for h in histories for i in h], np.int64)
    x_BxV = scipy.sparse.csr_matrix(
      (np.ones(len(rows), np.float32), (rows, columns)),
      shape=(len(histories), num_items),
    )
    x_BxV.data[:] = 1
    return _product(kind, x_BxV, tensors)

  return score


def _product(kind, x_BxV, tensors) -> np.ndarray:
  if kind == 'dense':
    return x_BxV @ tensors['weights']
  if kind == 'factored':
    out = (x_BxV @ tensors['left']) @ tensors['right']
    row = np.repeat(np.arange(x_BxV.shape[0]), np.diff(x_BxV.indptr))
    out[row, x_BxV.indices] += tensors['diagonal'][x_BxV.indices]
    return out
  if kind == 'subset':
    out = np.zeros(x_BxV.shape, tensors['weights'].dtype)
    chosen = tensors['items']
    out[:, chosen] = x_BxV[:, chosen] @ tensors['weights']
    return out
  size = x_BxV.shape[1]
  parts = tensors['data'], tensors['indices'], tensors['indptr']
  return (x_BxV @ scipy.sparse.csr_matrix(parts, (size, size))).toarray()


def _network(program: bytes, tensors: dict[str, np.ndarray], length):
  """Runs the exported program, users padded to a power of two."""
  import jax  # only networks need it
  import jax.export

  call = jax.jit(jax.export.deserialize(bytearray(program)).call)

  def score(histories: list[list[int]]) -> np.ndarray:
    kept = [h if length is None else h[-length:] for h in histories]
    longest = max([1, *map(len, kept)])
    width = length or 1 << (longest - 1).bit_length()
    height = 1 << max(0, len(kept) - 1).bit_length()
    items = np.zeros((height, width), np.int32)
    mask = np.zeros((height, width), bool)
    for row, history in enumerate(kept):
      items[row, : len(history)] = history
      mask[row, : len(history)] = True
    return np.asarray(call(tensors, items, mask))[: len(kept)]

  return score
