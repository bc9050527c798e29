"""Checkpoints of a run: the only place that knows Orbax."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging


class CheckpointError(RuntimeError):
  """No checkpoint of a directory can be restored; says what to do."""


class Checkpoints:
  """The newest few checkpoints in a directory, written asynchronously.

  A context manager: leaving it waits for the last write. A write in progress
  never replaces a finished one, so a killed run keeps its last checkpoint.
  """

  def __init__(self, directory: str | pathlib.Path, max_to_keep: int = 2):
    """Opens `directory`, making it where it is missing."""
    self.directory = pathlib.Path(directory).absolute()
    options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep)
    self._manager = ocp.CheckpointManager(self.directory, options=options)

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused: Any) -> None:
    del unused
    self._manager.close()

  @property
  def latest_step(self) -> int | None:
    """The step of the newest checkpoint, None without one."""
    return self._manager.latest_step()

  def save(self, step: int, tree: Any) -> None:
    """Copies `tree` and returns; the files are written in the background."""
    self._manager.save(step, args=ocp.args.StandardSave(tree))

  def restore_latest(self, like: Any) -> Any | None:
    """The newest checkpoint that can be read, None in an empty directory.

    Args:
      like: a tree of arrays with the structure, shapes and placement wanted.

    Raises:
      CheckpointError: checkpoints exist and none of them fits `like`.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    unreadable = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        tree = self._manager.restore(
          step, args=ocp.args.StandardRestore(abstract)
        )
      except Exception as error:  # Orbax raises many types
        unreadable[step] = error
        continue
      for bad, error in unreadable.items():
        logging.warning(
          'checkpoint %d in %s cannot be read (%s); it is deleted and the run '
          'goes on from step %d',
          bad,
          self.directory,
          _first_line(error),
          step,
        )
        self._manager.delete(bad)
      return tree
    if unreadable:
      newest = max(unreadable)
      raise CheckpointError(
        f'no checkpoint in {self.directory} can be restored (step {newest}: '
        f'{_first_line(unreadable[newest])}); give the flags that wrote them, '
        'or an empty workdir'
      )
    return None


def _first_line(error: Exception) -> str:
  text = str(error).strip().splitlines()
  return f'{type(error).__name__}: {text[0] if text else ""}'[:200]
