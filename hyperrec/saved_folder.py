"""The folder of a recommender: written whole or not at all, checked if read.

One file, the head, is JSON: it says what the folder is, and holds the SHA-256
of the other files.

A folder `made` is written as `.made-saving` beside it. An older one is moved to
`.made-old` before the new one takes its place. If the process is killed between
these two moves, readers find the older one there, and the next `write` puts the
new one in its place. Nothing else that a killed process leaves behind is read.
"""

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from hyperrec import folder_lock, ranker, whole_file

# Errors of JSON files that are incomplete, too deep, or lack a field.
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)


class FolderError(ranker.RecommenderError):
  """The folder of a recommender cannot be used, written or read."""


def check(
  folder: str | pathlib.Path, names: set[str], what: str, *, overwrite: bool
) -> pathlib.Path:
  """Returns the absolute path of a folder that may be written.

  Args:
    folder: the folder.
    names: all files that such a folder may hold.
    what: what it holds, for the error message, such as 'recommender'.
    overwrite: whether the folder may be replaced.

  Raises:
    FolderError: the folder exists and `overwrite` is False, it holds other
      files, or a parent of it is a file.
  """
  folder = pathlib.Path(os.path.expanduser(folder)).absolute()
  present = _present(folder)
  if not present.exists():
    above = next(path for path in folder.parents if path.exists())
    if not above.is_dir():
      raise FolderError(
        f'{above} is a file; choose another folder than {folder}'
      )
    return folder
  if not overwrite:
    raise FolderError(
      f'{folder} is there already; choose another folder, or overwrite it'
    )
  found = {''}
  if present.is_dir():
    found = {path.name for path in present.iterdir()}
  if found - names:
    raise FolderError(
      f'{folder} is no {what}, and is not overwritten; choose another folder'
    )
  return folder


def write(
  folder: pathlib.Path,
  head_name: str,
  head: Mapping[str, Any],
  files: Mapping[str, bytes],
) -> None:
  """Writes a folder; a reader sees the old one or the new one.

  Args:
    folder: the folder, as `check` returns it.
    head_name: name of the head.
    head: its content; `sha256` is added.
    files: name -> content of the other files.

  Raises:
    FolderInUse: another process is writing the same folder.
  """
  sums = {name: hashlib.sha256(c).hexdigest() for name, c in files.items()}
  text = json.dumps({**head, 'sha256': sums}, indent=2) + '\n'
  made = folder.with_name(f'.{folder.name}-saving')
  with folder_lock.held(made):
    _clear(made)
    try:
      for name, content in {**files, head_name: text.encode()}.items():
        with whole_file.named(folder), (made / name).open('wb') as file:
          file.write(content)
          file.flush()
          os.fsync(file.fileno())
      _replace(folder, made)
    except BaseException:
      shutil.rmtree(made, ignore_errors=True)
      raise


def _clear(folder: pathlib.Path) -> None:
  for path in folder.iterdir():
    path.unlink()


def _old(folder: pathlib.Path) -> pathlib.Path:
  """Returns the place of a folder while a new one takes its place."""
  return folder.with_name(f'.{folder.name}-old')


def _present(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder, or its older one if a killed process moved that."""
  old = _old(folder)
  return old if old.exists() and not folder.exists() else folder


def _replace(folder: pathlib.Path, made: pathlib.Path) -> None:
  old = _old(folder)
  if folder.exists():
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
  try:
    made.rename(folder)
  except BaseException:
    if old.exists():
      old.rename(folder)
    raise
  shutil.rmtree(old, ignore_errors=True)


def read_head(
  folder: str | pathlib.Path, head_name: str, what: str
) -> tuple[pathlib.Path, dict[str, Any]]:
  """Returns the path of a folder and the content of its head.

  Raises:
    FolderError: there is no such folder or head, or it is no JSON object.
  """
  folder = _present(pathlib.Path(os.path.expanduser(folder)))
  path = folder / head_name
  if not path.exists():
    raise FolderError(
      f'{folder} holds no {what}, since there is no {head_name} in it; name '
      f'the folder of the {what}'
    )
  try:
    head = json.loads(_bytes(path))
    head.items()
  except (*UNREADABLE, AttributeError) as error:
    raise FolderError(
      f'{path} is no description of the {what} ({error!r}); write it again'
    ) from error
  return folder, head


def read_files(
  folder: pathlib.Path, head_name: str, head: Mapping[str, Any], names: set[str]
) -> dict[str, bytes]:
  """Returns name -> content of the files beside the head.

  Args:
    folder: the folder.
    head_name: name of the head.
    head: its content.
    names: names of the files, those that `head` has checksums of.

  Raises:
    FolderError: a file is missing or is not the one that was written.
  """
  sums = head.get('sha256')
  if not isinstance(sums, dict) or set(sums) != names:
    raise FolderError(
      f'{folder / head_name}: sha256 must name {sorted(names)}, and names '
      f'{sorted(sums) if isinstance(sums, dict) else sums!r}; write it again'
    )
  files = {name: _bytes(folder / name) for name in sums}
  for name, content in files.items():
    if hashlib.sha256(content).hexdigest() != sums[name]:
      raise FolderError(
        f'{folder / name} is not the file that was written (its SHA-256 '
        f'differs from the one in {head_name}); copy or write it again'
      )
  return files


def _bytes(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as error:
    raise FolderError(
      f'{path} cannot be read: {error.strerror}; write it again'
    ) from error
