"""What a run writes of itself: metrics.jsonl and manifest.json."""

import datetime
import hashlib
import importlib.metadata
import json
import math
import pathlib
import platform
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hyperrec.data import interactions as interactions_lib

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


class MetricsLog:
  """One JSON object a record: {"step": 100, "loss": ...}, flushed at once.

  A context manager. Opened for a resumed run it drops the records after
  `step`, and a line torn by a crash, so that no step is there twice.
  """

  def __init__(self, path: str | pathlib.Path, step: int = 0):
    """Opens `path` after `step` steps, making its folder where missing."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _lines_until(path, step) if path.exists() else []
    temporary = path.with_suffix('.tmp')
    temporary.write_text(''.join(kept))
    temporary.replace(path)
    self._file = path.open('a')

  def __enter__(self) -> 'MetricsLog':
    return self

  def __exit__(self, *unused: Any) -> None:
    del unused
    self._file.close()

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Appends a record; NaN and infinity become null, as JSON has neither."""
    record = {'step': int(step)}
    for name, value in metrics.items():
      number = float(value)
      record[name] = number if math.isfinite(number) else None
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()


def read_metrics(path: str | pathlib.Path) -> list[dict[str, Any]]:
  """The records of a metrics.jsonl, in order."""
  lines = pathlib.Path(path).read_text().splitlines()
  return [json.loads(line) for line in lines]


def _lines_until(path: pathlib.Path, step: int) -> list[str]:
  kept = []
  for line in path.read_text().splitlines(keepends=True):
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      break
    if record['step'] <= step:
      kept.append(line)
  return kept


def tensorboard_writer(
  directory: str | pathlib.Path,
) -> Callable[[int, Mapping[str, float]], None]:
  """A writer for `loop.train` that makes TensorBoard event files.

  Raises:
    ModuleNotFoundError: tensorboardX is not installed.
  """
  try:
    import tensorboardX
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      'TensorBoard output needs the package tensorboardX: '
      'pip install tensorboardX'
    ) from error
  events = tensorboardX.SummaryWriter(str(directory))

  def write(step: int, metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
      events.add_scalar(name, value, step)
    events.flush()

  return write


def manifest(
  flags: Mapping[str, Any],
  data: Mapping[str, interactions_lib.Interactions],
) -> dict[str, Any]:
  """What it takes to run again: flags, versions, commit, device, data.

  Args:
    flags: the resolved flags, name to value.
    data: the data of the run, by its part in it (source, evidence, ...).
  """
  return {
    'flags': dict(flags),
    'versions': versions(),
    'commit': git_commit(),
    'device': {
      'platform': jax.default_backend(),
      'kind': jax.devices()[0].device_kind,
      'count': jax.device_count(),
    },
    'data': {part: _describe(value) for part, value in data.items()},
    'started': datetime.datetime.now(datetime.UTC).isoformat('T', 'seconds'),
  }


def write_manifest(
  workdir: str | pathlib.Path, content: Mapping[str, Any]
) -> None:
  """Writes `content` to manifest.json in `workdir`."""
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  text = json.dumps(content, indent=2, sort_keys=True, default=str)
  (workdir / 'manifest.json').write_text(text + '\n')


def versions() -> dict[str, str]:
  """Python's version and those of the packages that make the numbers."""
  found = {'python': platform.python_version()}
  for package in PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def git_commit() -> str | None:
  """The commit of this code, with "-dirty" after local changes.

  None where the package is not a tracked part of a git repository.
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
  """sha256 of sizes and rows, in their order; ids and text are left out."""
  digest = hashlib.sha256(f'{data.num_users} {data.num_items}'.encode())
  for field in ('users', 'items', 'ratings', 'timestamps'):
    column = getattr(data, field)
    digest.update(field.encode())
    if column is not None:
      digest.update(np.ascontiguousarray(column).tobytes())
  return digest.hexdigest()


def _describe(data: interactions_lib.Interactions) -> dict[str, Any]:
  return {
    'name': data.name,
    'users': data.num_users,
    'items': data.num_items,
    'interactions': len(data),
    'sha256': data_checksum(data),
  }


def training_seconds(records) -> float:
  """Of a whole run, from the clock of its records, which resuming resets."""
  total = last = 0.0
  for seconds in (r['seconds'] for r in records if 'seconds' in r):
    total += seconds - last if seconds >= last else seconds
    last = seconds
  return total
