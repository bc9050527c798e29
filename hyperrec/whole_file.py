"""Files and lines that are written whole or not at all."""

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Iterator

# System errors of a path that cannot be written, because of a user's mistake or
# a full disk.
DISK_ERRORS = (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EROFS,
  errno.EACCES,
  errno.EPERM,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EEXIST,
  errno.ENAMETOOLONG,
)


@contextlib.contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
  """Adds the path to an error of the system that names no file.

  Only the opening of a file names it, not a write to a full disk.
  """
  try:
    yield
  except OSError as error:
    if error.errno is not None and error.filename is None:
      error.filename = str(path)
    raise


def write_whole(path: str | os.PathLike, content: bytes) -> None:
  """Writes a file and creates its folder; no reader ever sees a partial file.

  Args:
    path: path of the file; an existing file is replaced.
    content: content of the file.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Several processes may write the same file at the same time.
  unfinished = path.with_name(f'.{uuid.uuid4().hex}.tmp')
  try:
    with named(path):
      unfinished.write_bytes(content)
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)


def append_line(path: str | os.PathLike, line: str) -> None:
  """Appends a line to a file, after a last line that was cut is removed.

  The lines that are there are never written again, so that a process that is
  killed loses at most the line that it was adding.

  Args:
    path: path of the file; it and its folder are created if they do not exist.
    line: the line, without its end.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with named(path), path.open('ab+') as file:
    file.seek(0)
    content = file.read()
    if not content.endswith(b'\n'):
      file.truncate(content.rfind(b'\n') + 1)
    file.write(line.encode() + b'\n')
