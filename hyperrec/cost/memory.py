"""Checks that enough memory is available before it is allocated."""

import pathlib
from collections.abc import Iterator

from absl import logging


class InsufficientMemoryError(MemoryError):
  """The machine has less memory than is about to be needed."""


def available_bytes(root: pathlib.Path = pathlib.Path('/')) -> int | None:
  """Returns the available memory in bytes; None if it is unknown.

  Args:
    root: holds proc/ and sys/, as Linux has them.

  Returns:
    The least of MemAvailable and what the process's control groups leave.
  """
  try:
    text = (root / 'proc/meminfo').read_text()
  except OSError:
    return None
  # Lines of "MemAvailable:   123 kB".
  fields = dict(line.split(':') for line in text.splitlines() if ':' in line)
  if 'MemAvailable' not in fields:
    return None
  machine = int(fields['MemAvailable'].split()[0]) * 1024
  return max(0, min([machine, *_cgroup_bytes(root)]))


def _cgroup_bytes(root: pathlib.Path) -> Iterator[int]:
  """What each control group above the process leaves: limit less usage."""
  try:
    groups = (root / 'proc/self/cgroup').read_text().splitlines()
  except OSError:
    return
  names = {
    '': ('memory.max', 'memory.current', 'inactive_file'),
    'memory': (
      'memory.limit_in_bytes',
      'memory.usage_in_bytes',
      'total_inactive_file',
    ),
  }
  for group in groups:
    _, controller, path = group.split(':', 2)
    if controller not in names:
      continue
    limit, usage, cache = names[controller]
    top = root / 'sys/fs/cgroup' / controller
    here = top / path.strip('/')
    # In a container the group's own path may be missing, but not the top.
    for folder in (here, *here.parents):
      if folder.is_relative_to(top):
        yield from _folder_bytes(folder, limit, usage, cache)


def _folder_bytes(folder, limit, usage, cache) -> Iterator[int]:
  try:
    text = (folder / limit).read_text().strip()
    used = int((folder / usage).read_text())
    stat = (folder / 'memory.stat').read_text()
  except OSError:
    return
  if text != 'max':
    # Cached files count as used, but give way.
    fields = dict(line.split() for line in stat.splitlines())
    yield int(text) - used + int(fields.get(cache, 0))


def check_memory(
  required: int,
  what: str,
  remedy: str = 'drop rare items (min_item_interactions), use float32, weights '
  'of low rank (elsa) or sparse ones (ease_sparse)',
) -> None:
  """Logs the required memory and raises an error if it is not available.

  Args:
    required: required memory in bytes.
    what: the computation that needs it, for the message.
    remedy: advice on how to need less memory, for the message.

  Raises:
    InsufficientMemoryError: less memory is available.
  """
  available = available_bytes()
  if available is None:
    return
  needs = (
    f'{what} needs {required / 2**30:.2f} GiB and {available / 2**30:.1f} GiB '
    'are free'
  )
  if required > available:
    raise InsufficientMemoryError(f'{needs}; {remedy}, or a larger machine')
  logging.info(needs)
