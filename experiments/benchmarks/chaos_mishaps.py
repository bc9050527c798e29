"""Mishaps other than kills: damaged files, full disks, two runs at once."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from experiments.benchmarks import chaos_kills, chaos_subjects

Path = pathlib.Path

_YEAR = 365 * 24 * 3600


class CannotTry(Exception):  # noqa: N818 - a refusal, not a failure
  """The machine does not allow the mishap."""


class Calm(NamedTuple):
  """A training run and a fit that nothing disturbed.

  Attributes:
    training: the subject.
    fit: the subject.
    workdir: folder of the finished training.
    trained: digest of the training.
    fitted: digest of the fit.
  """

  training: chaos_kills.Subject
  fit: chaos_kills.Subject
  workdir: Path
  trained: str
  fitted: str

  def resumes(self, workdir: Path) -> bool:
    """Whether the same command ends as the undisturbed training did."""
    output = chaos_kills.finish(self.training.command(workdir))
    return output.strip() == self.trained


def all_of(
  training: chaos_kills.Subject, fit: chaos_kills.Subject, folder: Path
) -> list[dict[str, Any]]:
  """Tries every mishap; returns its name, what was said, and how it ended.

  Args:
    training: the subject of that name.
    fit: the subject of that name.
    folder: an empty folder.
  """
  (folder / 'fit').mkdir(parents=True)
  workdir = folder / 'training'
  trained = chaos_kills.finish(training.command(workdir)).strip()
  chaos_kills.finish(fit.command(folder / 'fit'))
  calm = Calm(training, fit, workdir, trained, fit.digest(folder / 'fit', ''))
  return [_tried(mishap, calm, folder) for mishap in MISHAPS]


def _tried(mishap: Callable, calm: Calm, folder: Path) -> dict[str, Any]:
  place = folder / mishap.__name__
  place.mkdir()
  name = mishap.__doc__.splitlines()[0].rstrip('.')
  try:
    is_as_wanted, told = mishap(calm, place)
  except CannotTry as reason:
    return {'name': name, 'is_as_wanted': None, 'told': f'not tried: {reason}'}
  told = told.replace(str(place), 'FOLDER')
  return {'name': name, 'is_as_wanted': is_as_wanted, 'told': told}


def cut_checkpoint(calm: Calm, folder: Path) -> tuple[bool, str]:
  """The largest file of the newest checkpoint is cut in half."""
  return _damaged(calm, folder / 'w', _cut)


def changed_checkpoint(calm: Calm, folder: Path) -> tuple[bool, str]:
  """One byte in the largest file of the newest checkpoint is changed."""
  return _damaged(calm, folder / 'w', _change)


def _damaged(calm, workdir, damage) -> tuple[bool, str]:
  shutil.copytree(calm.workdir, workdir)
  damage(_checkpoints(workdir)[-1])
  code, output, errors = chaos_kills.start(calm.training.command(workdir)).end()
  is_right = code == 0 and output.strip() == calm.trained
  return is_right, _line(errors, 'cannot be read')


def every_checkpoint_cut(calm: Calm, folder: Path) -> tuple[bool, str]:
  """The largest file of every checkpoint is cut in half."""
  workdir = folder / 'w'
  shutil.copytree(calm.workdir, workdir)
  for checkpoint in _checkpoints(workdir):
    _cut(checkpoint)
  code, _, errors = chaos_kills.start(calm.training.command(workdir)).end()
  told = _line(errors, 'error:')
  return code == 2 and 'an empty workdir' in told, told


def full_disk_in_training(calm: Calm, folder: Path) -> tuple[bool, str]:
  """The disk becomes full during a training; later there is room again."""
  with _small_disk(folder / 'disk', '64m') as disk:
    started = _trained_until(calm, disk / 'w', 3)
    fill = disk / 'fill'
    with fill.open('wb', buffering=0) as file, contextlib.suppress(OSError):
      while started.process.poll() is None:
        file.write(bytes(4096))
    code, _, errors = started.end()
    fill.unlink()
    is_right = code == 2 and calm.resumes(disk / 'w')
  return is_right, _line(errors, 'error:')


def read_only_training(calm: Calm, folder: Path) -> tuple[bool, str]:
  """A training continues on a read-only disk; later it can be written."""
  with _small_disk(folder / 'disk', '64m') as disk:
    chaos_kills.kill(_trained_until(calm, disk / 'w', 3))
    _mount('remount,ro', disk)
    code, _, errors = chaos_kills.start(calm.training.command(disk / 'w')).end()
    _mount('remount,rw', disk)
    is_right = code == 2 and calm.resumes(disk / 'w')
  return is_right, _line(errors, 'error:')


def full_disk_in_fit(calm: Calm, folder: Path) -> tuple[bool, str]:
  """The disk is too small for a fitted recommender; later it is larger."""
  with _small_disk(folder / 'disk', '2m') as disk:
    code, _, errors = chaos_kills.start(calm.fit.command(disk)).end()
    is_right = code == 2 and not list(disk.iterdir())
    _mount('remount,size=64m', disk)
    chaos_kills.finish(calm.fit.command(disk))
    is_right &= calm.fit.digest(disk, '') == calm.fitted
  return is_right, _line(errors, 'error:')


def told_to_stop(calm: Calm, folder: Path) -> tuple[bool, str]:
  """A training receives SIGTERM."""
  started = _trained_until(calm, folder / 'w', 3)
  started.process.send_signal(signal.SIGTERM)
  code, _, errors = started.end()
  told = _line(errors, 'stopped after')
  return code == 0 and bool(told) and calm.resumes(folder / 'w'), told


def clock_set_back(calm: Calm, folder: Path) -> tuple[bool, str]:
  """The clock is set back by a year between two parts of a training."""
  workdir = folder / 'w'
  chaos_kills.kill(_trained_until(calm, workdir, 3))
  past = ['faketime', '--exclude-monotonic', '-f', '-365d']
  if shutil.which('faketime') is None:
    past = []
    for path in workdir.rglob('*'):
      os.utime(path, times=(time.time() + _YEAR,) * 2)
  output = chaos_kills.finish([*past, *calm.training.command(workdir)])
  told = '' if past else 'faketime is absent: only the files were changed'
  return output.strip() == calm.trained, told


def two_at_once(calm: Calm, folder: Path) -> tuple[bool, str]:
  """A second training starts in the workdir of one that runs."""
  first = _trained_until(calm, folder / 'w', 3)
  code, _, errors = chaos_kills.start(calm.training.command(folder / 'w')).end()
  first_code, output, _ = first.end()
  is_unharmed = first_code == 0 and output.strip() == calm.trained
  return code == 2 and is_unharmed, _line(errors, 'error:')


MISHAPS = (
  cut_checkpoint,
  changed_checkpoint,
  every_checkpoint_cut,
  full_disk_in_training,
  read_only_training,
  full_disk_in_fit,
  told_to_stop,
  clock_set_back,
  two_at_once,
)


def _trained_until(calm: Calm, workdir: Path, step: int) -> chaos_kills.Started:
  """Starts the training and waits for the checkpoint of a step.

  Raises:
    RuntimeError: the training ended before.
  """
  started = chaos_kills.start(calm.training.command(workdir))
  while started.process.poll() is None:
    if chaos_subjects.newest_step(workdir) >= step:
      return started
    time.sleep(0.01)
  raise RuntimeError(f'the training ended early: {started.end()[2][-2000:]}')


def _checkpoints(workdir: Path) -> list[Path]:
  """Returns the folders of the checkpoints, the newest last."""
  found = (workdir / 'checkpoints').glob('[0-9]*')
  return sorted(found, key=lambda path: int(path.name))


def _largest(checkpoint: Path) -> Path:
  files = [path for path in checkpoint.rglob('*') if path.is_file()]
  return max(files, key=lambda path: (path.stat().st_size, path))


def _cut(checkpoint: Path) -> None:
  path = _largest(checkpoint)
  os.truncate(path, path.stat().st_size // 2)


def _change(checkpoint: Path) -> None:
  path = _largest(checkpoint)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


@contextlib.contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
  """Yields the folder of a file system in memory that holds `size`.

  Raises:
    CannotTry: mounting is not allowed, or this is not Linux.
  """
  folder.mkdir()
  _mount(f'size={size}', folder)
  try:
    yield folder
  finally:
    subprocess.run(['umount', '--lazy', folder], check=False)


def _mount(options: str, folder: Path) -> None:
  command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
  except FileNotFoundError as error:
    raise CannotTry('there is no mount') from error
  if done.returncode:
    raise CannotTry(f'mounting is not allowed ({done.stderr.strip()})')


def _line(text: str, part: str) -> str:
  """Returns the last line that has the part; '' if there is none."""
  found = [line for line in text.splitlines() if part in line]
  return found[-1][found[-1].index(part) :] if found else ''
