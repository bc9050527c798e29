"""The manifest of a run, which ties the run to its workdir.

A run that can be resumed describes itself (`describe`) and claims its workdir
(`claim`) before it starts. The description is stored there in manifest.json; a
workdir with another description is rejected. When a run is resumed, the
manifest stays unchanged, and a line is added to resumed.jsonl.
"""

import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hyperrec import whole_file
from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import files as files_lib
from hyperrec.training import mesh

# Increase it when a description covers more, or when a checksum changes.
FORMAT = 1
PACKAGES = (
  'hyperrec',
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'numpy',
  'scipy',
  'orbax-checkpoint',
)

_FILE = 'manifest.json'
_RESUMED = 'resumed.jsonl'
# What a description holds besides the name of the script.
_PARTS = ('keeps', 'settings', 'flags', 'files', 'data')

Path = str | os.PathLike


class OtherRunError(ValueError):
  """A workdir belongs to another run, or the run that made it is unknown."""


def describe(
  script: str,
  flags: Mapping[str, Any],
  data: Mapping[str, interactions_lib.Interactions],
  *,
  keeps: Mapping[str, int],
  files: Mapping[str, Sequence[Path]] | None = None,
  settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Describes everything that determines the results of a run.

  Args:
    script: name of the script.
    flags: the resolved flags, name -> value.
    data: all data sets that the run reads, by their role in the run, such as
      {'data': ...}.
    keeps: the files that the script keeps in its workdir and reads again, as
      glob pattern -> version of the file format.
    files: the user's own files, by the flag that names them. Their names and
      contents must stay the same; their folders may change.
    settings: what else must stay the same, such as {'text encoder': 'tfidf'}.

  Returns:
    The description; it contains only the types of JSON.
  """
  description = {
    'format': FORMAT,
    'script': script,
    'keeps': dict(keeps),
    'settings': dict(settings or {}),
    'flags': dict(flags),
    'files': {
      flag: [_file(pathlib.Path(os.path.expanduser(path))) for path in paths]
      for flag, paths in (files or {}).items()
    },
    'data': {part: _data(value) for part, value in data.items()},
  }
  return json.loads(json.dumps(description, default=str))


def claim(
  workdir: Path, description: Mapping[str, Any], free: Collection[str] = ()
) -> None:
  """Claims a workdir for this run, or checks that the run owns it already.

  A workdir without kept files is claimed: manifest.json is written there, whole
  or not at all. Several processes with the same description may claim a workdir
  at the same time, and all of them continue.

  Args:
    workdir: a folder; it is created if it does not exist.
    description: what `describe` returns.
    free: flags that may differ when the run is resumed.

  Raises:
    OtherRunError: the workdir is a file, or its kept files have another
      description or none. The message names each difference with both values.
  """
  workdir = pathlib.Path(workdir)
  while not _is_own(workdir, description, free) and mesh.is_writer():
    try:
      workdir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
      raise OtherRunError(
        f'{workdir} is a file; give a folder as --workdir'
      ) from error
    content = {**description, **_circumstances()}
    text = json.dumps(content, indent=2) + '\n'
    # If another process was faster, the next pass checks its manifest.
    if _write_new(workdir / _FILE, text):
      return


def _is_own(workdir: pathlib.Path, description, free) -> bool:
  """Whether the workdir has this description; False if it has none."""
  # Kept files are listed before the manifest is looked for, since a run writes
  # its manifest first.
  kept = [
    path.name
    for pattern in description['keeps']
    for path in workdir.glob(pattern)
  ]
  if not (workdir / _FILE).exists():
    if kept:
      raise OtherRunError(
        f'{workdir} holds {min(kept)} but no {_FILE}, so the run that made it '
        'is unknown; give another --workdir, or delete that folder'
      )
    return False
  try:
    manifest = read(workdir)
    _check_same(workdir, manifest, description, free)
  except OtherRunError:
    if {p.name for p in workdir.iterdir()} - {_FILE, _RESUMED}:
      raise
    if _is_alive(workdir / _FILE):
      raise
    # That run ended before it kept any file, for example by an error.
    if mesh.is_writer():
      _discard(workdir)
    return False
  if mesh.is_writer():
    _note_resumption(workdir, manifest, description)
  return True


def _check_same(workdir, manifest, description, free) -> None:
  found = differences(manifest, description, free)
  if found:
    raise OtherRunError(
      f'{workdir} holds a run with {"; with ".join(found)}; give the same '
      'values, or another --workdir'
    )


def read(workdir: Path) -> dict[str, Any]:
  """Returns the manifest of a workdir, with the data that resumed runs added.

  Raises:
    OtherRunError: the manifest cannot be read, has another format, or is
      incomplete.
  """
  path = pathlib.Path(workdir) / _FILE
  try:
    manifest = json.loads(path.read_text(encoding='utf-8'))
    version = manifest.get('format')
  except (OSError, ValueError, RecursionError, AttributeError) as error:
    raise OtherRunError(
      f'{path} cannot be read ({error}), so the run that made this folder is '
      'unknown; give another --workdir, or delete that folder'
    ) from error
  if version != FORMAT:
    raise OtherRunError(
      f'{path} has format {version}, now it is {FORMAT}: another version of '
      'hyperrec wrote it; give another --workdir, or delete that folder'
    )
  _check_parts(path, manifest, _PARTS)
  for line in _resumptions(path.with_name(_RESUMED)):
    _check_parts(path.with_name(_RESUMED), line, ('data',))
    manifest['data'] = {**line['data'], **manifest['data']}
  return manifest


def _check_parts(path: pathlib.Path, record: Any, parts) -> None:
  """Raises OtherRunError if a record lacks a part, as after a manual edit."""
  wrong = [
    part
    for part in parts
    if not isinstance(record, dict) or not isinstance(record.get(part), dict)
  ]
  if wrong:
    raise OtherRunError(
      f'{path} lacks the {wrong[0]} of its run, so the run that made this '
      'folder is unknown; give another --workdir, or delete that folder'
    )


def differences(
  then: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()
) -> list[str]:
  """Lists the differences of two descriptions, as ['--seed=0, now it is 1'].

  The descriptions are compared in three steps: first the script; then formats,
  settings, flags and files; then the data sets that both descriptions have.

  Args:
    then: the description in the workdir.
    now: the description of the present run.
    free: flags that may differ.

  Returns:
    The differences of the first step in which there are any.
  """
  parts = set(then['data']) & set(now['data'])
  steps = [_steps(description, free, parts) for description in (then, now)]
  for before, after in zip(*steps, strict=True):
    found = [
      f'{name}{_text(before.get(name))}, now it is {_text(after.get(name))}'
      for name in {**before, **after}
      if before.get(name) != after.get(name)
    ]
    if found:
      return found
  return []


def _steps(description, free, parts) -> tuple[dict[str, Any], ...]:
  """The values that each step compares, keyed by their name in a message."""
  return (
    {'script ': description.get('script')},
    {
      **{f'format of {k} ': v for k, v in description['keeps'].items()},
      **{f'{k} ': v for k, v in description['settings'].items()},
      **{
        f'--{k}=': v for k, v in description['flags'].items() if k not in free
      },
      **{f'the file --{k}=': v for k, v in description['files'].items()},
    },
    {
      f'the data set {k}: ': v
      for k, v in description['data'].items()
      if k in parts
    },
  )


def _text(value: Any) -> str:
  """A value as text for a message; checksums are cut to 12 digits."""
  if isinstance(value, list):
    return ','.join(map(_text, value)) or 'none'
  if isinstance(value, dict) and {'name', 'sha256'} <= set(value):
    counts = [f'{v} {k}' for k, v in value.items() if isinstance(v, int)]
    checksum = f'sha256 {str(value["sha256"])[:12]}'
    return f'{value["name"]} ({", ".join([*counts, checksum])})'
  return 'none' if value is None else str(value)


def _file(path: pathlib.Path) -> dict[str, Any]:
  if not path.is_file():
    return {'name': path.name, 'sha256': None}
  return {'name': path.name, 'sha256': files_lib.sha256(path)}


def _data(data: interactions_lib.Interactions) -> dict[str, Any]:
  return {
    'name': data.name,
    'users': data.num_users,
    'items': data.num_items,
    'interactions': len(data),
    'sha256': data_checksum(data),
  }


def _circumstances() -> dict[str, Any]:
  """The circumstances of a run, which may differ when it is resumed."""
  return {
    'started': datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds'),
    'commit': git_commit(),
    'versions': versions(),
    'device': {
      'platform': jax.default_backend(),
      'kind': jax.devices()[0].device_kind,
      'count': jax.device_count(),
    },
    'process': {'host': platform.node(), 'id': os.getpid()},
  }


def _discard(workdir: pathlib.Path) -> None:
  """Removes the manifest of a run that ended.

  If several processes try this at the same time, only one of them removes it.
  """
  path = workdir / _FILE
  taken = _unfinished(path)
  try:
    path.rename(taken)
  except FileNotFoundError:
    return
  if _is_alive(taken):  # Another process has claimed the workdir meanwhile.
    taken.rename(path)
    return
  (workdir / _RESUMED).unlink(missing_ok=True)
  taken.unlink()


def _is_alive(path: pathlib.Path) -> bool:
  """Whether a process that claimed or resumed a run may still be running.

  Args:
    path: path of the manifest; resumed.jsonl is in the same folder.
  """
  text = path.read_bytes() if path.exists() else b''
  if path.exists() and not text:  # It is being written; see `_write_new`.
    return True
  try:
    records = [json.loads(text)]
  except (ValueError, RecursionError):
    records = []
  records += _resumptions(path.with_name(_RESUMED))
  return any(map(_is_at_work, records))


def _is_at_work(record: Any) -> bool:
  """Whether the process that wrote a record may still be running."""
  try:
    process = record['process']
    if process['host'] != platform.node() or os.name != 'posix':
      return True
    os.kill(process['id'], 0)
  except PermissionError:
    return True
  except (OSError, KeyError, TypeError):
    return False
  return process['id'] != os.getpid()


def _unfinished(path: pathlib.Path) -> pathlib.Path:
  """A path in the folder of `path` that no other process uses."""
  return path.with_name(f'{path.name}.{uuid.uuid4().hex}')


def _write_new(path: pathlib.Path, text: str) -> bool:
  """Writes a new file, whole or not at all; returns False if one exists.

  On a file system without links, the file is empty until it is complete.
  """
  unfinished = _unfinished(path)
  unfinished.write_text(text, encoding='utf-8')
  try:
    os.link(unfinished, path)
  except FileExistsError:
    return False
  except OSError:  # Some file systems have no links.
    try:
      path.open('x').close()
    except FileExistsError:
      return False
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)
  return True


def _note_resumption(workdir, manifest, description) -> None:
  """Adds a line to resumed.jsonl: circumstances, changed flags, added data."""
  flags, data = description['flags'], description['data']
  line = {
    **_circumstances(),
    'flags': {
      name: value
      for name, value in flags.items()
      if value != manifest['flags'].get(name)
    },
    'data': {k: v for k, v in data.items() if k not in manifest['data']},
  }
  whole_file.append_line(workdir / _RESUMED, json.dumps(line))


def _resumptions(path: pathlib.Path) -> Iterator[dict[str, Any]]:
  """Yields the lines of resumed.jsonl; skips a line cut short by a crash."""
  if path.exists():
    for line in path.read_bytes().splitlines():
      try:
        yield json.loads(line.decode())
      except (ValueError, RecursionError):
        continue


def versions() -> dict[str, str]:
  """Versions of Python and of the packages that affect the results."""
  found = {'python': platform.python_version()}
  for package in PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def git_commit() -> str | None:
  """Returns the git commit of this code, with "-dirty" after local changes.

  It is None if the package is not tracked by a git repository.
  """
  here = pathlib.Path(__file__).resolve()
  try:
    _git(here.parent, 'ls-files', '--error-unmatch', here.name)
    commit = _git(here.parent, 'rev-parse', 'HEAD')
    changed = _git(here.parent, 'status', '--porcelain', '-uno')
  except (OSError, subprocess.CalledProcessError):
    return None
  return commit + ('-dirty' if changed else '')


def _git(directory: pathlib.Path, *arguments: str) -> str:
  command = ['git', '-C', str(directory), *arguments]
  done = subprocess.run(command, check=True, capture_output=True, text=True)
  return done.stdout.strip()


def data_checksum(data: interactions_lib.Interactions) -> str:
  """Returns the SHA-256 of a data set: sizes, ordered rows, ids and item text.

  The name of the data set does not affect it. Each part is preceded by its own
  name and length.
  """
  digest = hashlib.sha256(f'{data.num_users} {data.num_items}'.encode())
  for field in ('users', 'items', 'ratings', 'timestamps'):
    column = getattr(data, field)
    if column is not None:
      _add(digest, field, np.ascontiguousarray(column).tobytes())
  for field in ('user_ids', 'item_ids', 'item_text'):
    column = getattr(data, field)
    if column is not None:
      parts = [_as_bytes(value) for value in column.tolist()]
      lengths = np.array([len(part) for part in parts], '<i8')
      _add(digest, f'{field} lengths', lengths.tobytes())
      _add(digest, field, b''.join(parts))
  return digest.hexdigest()


def _add(digest, name: str, content: bytes) -> None:
  digest.update(f'\n{name} {len(content)}\n'.encode())
  digest.update(content)


def _as_bytes(value: Any) -> bytes:
  """An id or a text with its type, so that 1 and '1' differ."""
  text = f'{type(value).__name__} {value}'
  return text.encode('utf-8', 'surrogatepass')
