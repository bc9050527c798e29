"""Checkpoints of a run: the only place that knows Orbax."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from hyperrec import whole_file


class CheckpointError(RuntimeError):
  """A directory's checkpoints cannot be read or written; says what to do."""


class Checkpoints:
  """The newest few checkpoints in a directory, written asynchronously.

  A context manager: leaving it waits for the last write. A write in progress
  never replaces a finished one, so a killed run keeps its last checkpoint.
  """

  def __init__(self, directory: str | pathlib.Path, max_to_keep: int = 2):
    """Opens `directory`, making it where it is missing.

    Raises:
      CheckpointError: it can be neither opened nor made.
    """
    self.directory = pathlib.Path(directory).absolute()
    options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    with self._explained():
      self._manager = ocp.CheckpointManager(self.directory, options=options)

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused: Any) -> None:
    del unused
    with self._explained():
      self._manager.close()

  @contextlib.contextmanager
  def _explained(self) -> Iterator[None]:
    """Explains a full disk or a folder without write access in one sentence."""
    try:
      yield
    except Exception as error:  # Orbax wraps what the system says
      reason = _no_space_or_access(error)
      if reason is None:
        raise
      raise CheckpointError(
        f'cannot write checkpoints in {self.directory}: {reason}; make room '
        'or give another workdir; what was saved before is kept'
      ) from error

  @property
  def latest_step(self) -> int | None:
    """The step of the newest checkpoint, None without one."""
    return self._manager.latest_step()

  def save(self, step: int, tree: Any) -> None:
    """Copies `tree` and returns; the files are written in the background.

    Raises:
      CheckpointError: this or an earlier write found no room or no access.
    """
    args = ocp.args.Composite(
      tree=ocp.args.StandardSave(tree), form=ocp.args.JsonSave(_form(tree))
    )
    with self._explained():
      self._manager.save(step, args=args)

  def restore_latest(self, like: Any) -> Any | None:
    """The newest checkpoint that can be read, None in an empty directory.

    One that cannot be read is deleted, with a warning, where an older one can.

    Args:
      like: a tree of arrays with the structure, shapes and placement wanted.

    Raises:
      CheckpointError: checkpoints exist and none of them fits `like`.
    """
    unreadable = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        tree = self._restore(step, like)
      except Exception as error:  # Orbax raises many types
        unreadable[step] = f'{type(error).__name__}: {error}'.splitlines()[0]
        continue
      for bad, reason in unreadable.items():
        logging.warning(
          'checkpoint %d in %s cannot be read (%s); it is deleted and the run '
          'goes on from step %d',
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
        f'{unreadable[newest]}); give the flags that wrote them, or an empty '
        'workdir'
      )
    return None

  def _restore(self, step: int, like: Any) -> Any:
    # The form first: a misfit then has a short reason, and costs no read.
    form = ocp.args.Composite(form=ocp.args.JsonRestore())
    found = self._manager.restore(step, args=form).form
    wanted = _form(like)
    for name in sorted({*found, *wanted}):
      if found.get(name) != wanted.get(name):
        raise CheckpointError(
          f'{name} is {found.get(name)} there, but {wanted.get(name)} here'
        )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    tree = ocp.args.Composite(tree=ocp.args.StandardRestore(abstract))
    return self._manager.restore(step, args=tree).tree


def _no_space_or_access(error: BaseException | None) -> str | None:
  """What the system said of the disk, somewhere in the chain of causes."""
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
  """What a tree is like: path of each leaf -> its type and shape."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path): f'{leaf.dtype}{list(leaf.shape)}'
    for path, leaf in leaves
  }
