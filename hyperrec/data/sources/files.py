"""Finds the files of a source and checks that they are complete."""

import hashlib
import os
import pathlib
from typing import NamedTuple

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import checksums

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = str | os.PathLike | None

DATA_DIR_VARIABLE = 'HYPERREC_DATA_DIR'


class About(NamedTuple):
  """Origin, licence and size of a data set.

  Attributes:
    folder: Its folder below the data directory.
    origin: Public page of its publisher.
    licence: Terms of its publisher.
    counts: Published numbers of users, items and interactions; None if they
      vary.
  """

  folder: str
  origin: str
  licence: str
  counts: tuple[int, int, int] | None = None


def find(
  about: About, file: str, data_dir: DataDir, *, check: bool = True
) -> pathlib.Path:
  """The path of a file of a source.

  The file may be in the source's own folder below `data_dir`, or in `data_dir`
  itself.

  Args:
    about: the source.
    file: name of the file.
    data_dir: the data directory, or the source's own folder; None takes it from
      the environment variable HYPERREC_DATA_DIR.
    check: whether to compare the file's SHA-256 with the published one, if that
      is known.

  Raises:
    DataError: no data directory is given, the file is in neither place, or its
      SHA-256 differs.
  """
  root = data_dir or os.environ.get(DATA_DIR_VARIABLE)
  root = root and pathlib.Path(os.path.expanduser(root))
  if not root:
    raise DataError(
      f'{about.folder}/{file} is needed: pass data_dir (or set '
      f'{DATA_DIR_VARIABLE}); get the files from {about.origin}'
    )
  places = [pathlib.Path(root) / about.folder / file, pathlib.Path(root) / file]
  for path in places:
    if path.is_file():
      expected = checksums.SHA256.get(f'{about.folder}/{file}')
      if check and expected:
        check_sha256(path, expected)
      return path
  raise DataError(
    f'{file} is missing: looked for {places[0]} and {places[1]}; get it from '
    f'{about.origin} and put it there'
  )


def sha256(path: pathlib.Path) -> str:
  """The SHA-256 of a file's content, in hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def check_sha256(path: pathlib.Path, expected: str) -> None:
  """Raises DataError unless the file has the expected SHA-256."""
  found = sha256(path)
  if found != expected:
    raise DataError(
      f'{path}: sha256 is {found}, expected {expected}; the file is damaged '
      'or another edition: get it again, or read your own with source table'
    )


def check_counts(
  data: Interactions, counts: tuple[int, int, int]
) -> Interactions:
  """Returns `data`; raises DataError unless it has the published counts."""
  found = (data.num_users, data.num_items, len(data))
  if found != counts:
    raise DataError(
      f'{data.name}: {found} users, items, interactions; published are '
      f'{counts}: the files are cut or of another edition'
    )
  return data
