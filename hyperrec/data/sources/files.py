"""Where a source's files lie, whether they are whole, and whose they are."""

import hashlib
import os
import pathlib
from typing import NamedTuple

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions

DATA_DIR_VARIABLE = 'HYPERREC_DATA_DIR'


class About(NamedTuple):
  """What a reader should know of a data set.

  Attributes:
    folder: its folder below the data directory.
    origin: its makers' public page.
    licence: the terms of its makers.
  """

  folder: str
  origin: str
  licence: str


def find(about: About, file: str, data_dir: str | os.PathLike | None):
  """The path of a file of a source.

  Looks in `data_dir` (else in the environment's HYPERREC_DATA_DIR), in the
  source's own folder there and then directly.

  Raises:
    DataError: no data directory is named, or the file is in neither place.
  """
  root = data_dir or os.environ.get(DATA_DIR_VARIABLE)
  if not root:
    raise DataError(
      f'{about.folder}/{file} is needed: pass data_dir (or set '
      f'{DATA_DIR_VARIABLE}); get the files from {about.origin}'
    )
  places = [pathlib.Path(root) / about.folder / file, pathlib.Path(root) / file]
  for path in places:
    if path.is_file():
      return path
  raise DataError(
    f'{file} is missing: looked for {places[0]} and {places[1]}; get it from '
    f'{about.origin} and put it there'
  )


def check_sha256(path: pathlib.Path, expected: str) -> None:
  """Raises DataError where the file is not the published one, bit for bit."""
  with path.open('rb') as file:
    found = hashlib.file_digest(file, 'sha256').hexdigest()
  if found != expected:
    raise DataError(
      f'{path}: sha256 is {found}, expected {expected}; the file is damaged '
      'or another edition: fetch it again'
    )


def check_counts(
  data: Interactions, users: int, items: int, interactions: int
) -> Interactions:
  """Returns `data`; raises DataError unless it has the published counts."""
  found = (data.num_users, data.num_items, len(data))
  expected = (users, items, interactions)
  if found != expected:
    raise DataError(
      f'{data.name}: {found} users, items, interactions; published are '
      f'{expected}: the files are cut or of another edition'
    )
  return data
