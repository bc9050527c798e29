"""Files that are written whole or not at all."""

import errno
import os
import pathlib
import uuid

# What the system says of a place that cannot be written: a user's mistake or a
# full disk, and no fault of the program.
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


def write_whole(path: str | os.PathLike, content: bytes) -> None:
  """Writes a file, and its folder; no reader ever finds a part of it.

  Args:
    path: of the file; one that is there is replaced.
    content: of the file.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Several processes may write the same file at the same time.
  unfinished = path.with_name(f'.{uuid.uuid4().hex}.tmp')
  try:
    unfinished.write_bytes(content)
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)
