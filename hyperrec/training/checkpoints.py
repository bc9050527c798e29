"""Checkpoints of a run; no other module uses Orbax."""

import contextlib
import os
import pathlib
import textwrap
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from hyperrec import folder_lock, whole_file
from hyperrec.training import mesh


class CheckpointError(RuntimeError):
  """The checkpoints of a directory cannot be read or written."""


class Checkpoints:
  """The newest checkpoints of a run in a directory, written asynchronously.

  It is a context manager that waits for the last write when it is left. A
  write in progress never replaces a finished checkpoint, so a killed run keeps
  its last one. Only one run at a time can have a directory open.
  """

  def __init__(self, directory: str | pathlib.Path, max_to_keep: int = 2):
    """Opens `directory`, which is created if it does not exist.

    Args:
      directory: the folder of the checkpoints.
      max_to_keep: number of checkpoints to keep; older ones are deleted.

    Raises:
      CheckpointError: the directory can be neither opened nor created.
      FolderInUse: another run has it open.
    """
    self.directory = pathlib.Path(directory).absolute()
    options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    self._lock = contextlib.ExitStack()
    with self._explained():
      if mesh.is_writer():
        self._lock.enter_context(folder_lock.held(self.directory))
      self._manager = ocp.CheckpointManager(self.directory, options=options)

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused: Any) -> None:
    del unused
    with self._lock, self._explained():
      self._manager.close()

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Explains a full disk or a folder without write access in one sentence."""
    try:
      yield
    except Exception as error:  # Orbax wraps the system's errors.
      reason = _no_space_or_access(error)
      if reason is None:
        raise
      raise CheckpointError(
        f'cannot write checkpoints in {self.directory}: {reason}; free some '
        'space or give another workdir; earlier checkpoints are kept'
      ) from error

  @property
  def latest_step(self) -> int | None:
    """The step of the newest checkpoint, or None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, tree: Any) -> None:
    """Copies `tree` and returns; the files are written in the background.

    Args:
      step: number of steps done.
      tree: a tree of arrays.

    Raises:
      CheckpointError: this or an earlier write failed because the disk is full
        or the folder is not writable.
    """
    args = ocp.args.Composite(
      tree=ocp.args.StandardSave(tree),
      form=ocp.args.JsonSave(_form(tree)),
      sums=ocp.args.JsonSave(_sums(tree)),
    )
    with self._explained():
      self._manager.save(step, args=args)

  def restore_latest(self, like: Any) -> Any | None:
    """Returns the newest readable checkpoint; None if the directory is empty.

    If a checkpoint cannot be read but an older one can, the newer one is
    deleted with a warning.

    Args:
      like: a tree of arrays with the wanted structure, shapes and placement.

    Raises:
      CheckpointError: there are checkpoints, but none that can be read fits
        `like`.
    """
    unreadable = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        tree = self._restore(step, like)
      except Exception as error:  # Orbax raises many types.
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        unreadable[step] = textwrap.shorten(reason, 120)
        continue
      for bad, reason in unreadable.items():
        logging.warning(
          'checkpoint %d in %s cannot be read (%s); it is deleted and the run '
          'continues from step %d',
          bad,
          self.directory,
          reason,
          step,
        )
        self._manager.delete(bad)
      return tree
    if unreadable:
      newest = max(unreadable)
      raise CheckpointError(
        f'no checkpoint in {self.directory} can be restored (step {newest}: '
        f'{unreadable[newest]}); use the flags of the run that wrote them, or '
        'an empty workdir'
      )
    return None

  def _restore(self, step: int, like: Any) -> Any:
    # The form is compared first, so that a mismatch gives a short message and
    # no tensor is read.
    form = ocp.args.Composite(form=ocp.args.JsonRestore())
    found = self._manager.restore(step, args=form).form
    wanted = _form(like)
    for name in sorted({*found, *wanted}):
      if found.get(name) != wanted.get(name):
        raise CheckpointError(
          f'{name} is {found.get(name)} in the checkpoint, but '
          f'{wanted.get(name)} in this run'
        )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    args = ocp.args.Composite(tree=ocp.args.StandardRestore(abstract))
    tree = self._manager.restore(step, args=args).tree
    self._check_sums(step, tree)
    return tree

  def _check_sums(self, step: int, tree: Any) -> None:
    """Raises CheckpointError if a tensor is not the one that was saved.

    Orbax notices a file that was cut, but not a byte that was changed.
    """
    if not (self.directory / str(step) / 'sums').exists():
      return  # An earlier version wrote it.
    args = ocp.args.Composite(sums=ocp.args.JsonRestore())
    wanted = self._manager.restore(step, args=args).sums
    for name, found in _sums(tree).items():
      if wanted.get(name, found) != found:
        raise CheckpointError(f'{name} differs from what was saved')


def _no_space_or_access(error: BaseException | None) -> str | None:
  """Finds the system's disk error in the chain of causes, or returns None."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in whole_file.DISK_ERRORS:
      return error.strerror
    text = str(error)
    for number in whole_file.DISK_ERRORS:
      if os.strerror(number) in text:
        return os.strerror(number)
    error = error.__cause__ or error.__context__
  return None


def _form(tree: Any) -> dict[str, str]:
  """Describes a tree: path of each leaf -> its type and shape."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path): f'{leaf.dtype}{list(leaf.shape)}'
    for path, leaf in leaves
  }


def _sums(tree: Any) -> dict[str, int]:
  """Path of each leaf -> CRC-32 of its values.

  Leaves of which this process holds only a part are left out.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path): zlib.crc32(_values(leaf).tobytes())
    for path, leaf in leaves
    if getattr(leaf, 'is_fully_addressable', True)
  }


def _values(leaf: Any) -> np.ndarray:
  if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  return np.asarray(leaf)
