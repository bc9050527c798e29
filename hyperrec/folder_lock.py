"""A lock on a folder, so that only one process at a time writes in it.

The operating system releases the lock of a process that ends, also by a kill or
a crash; hence no lock file is left behind, and no clock is read.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator

try:
  import fcntl
except ModuleNotFoundError:  # Windows has no such locks.
  fcntl = None


class FolderInUse(RuntimeError):  # noqa: N818 - a refusal, not a failure
  """Another process is writing in the folder."""


@contextlib.contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
  """Holds the lock of a folder.

  Where the system has no such locks, as on some network file systems, nothing
  is refused.

  Args:
    folder: a folder; it is created if it does not exist.

  Raises:
    FolderInUse: another holder has the lock.
  """
  pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
  if fcntl is None:
    yield
    return
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise FolderInUse(
        f'another process is writing in {folder}; wait until it ends, or give '
        'another folder'
      ) from error
    except OSError:
      pass
    yield
  finally:
    os.close(descriptor)
