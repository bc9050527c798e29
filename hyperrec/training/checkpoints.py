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
    args = ocp.args.Composite(
      tree=ocp.args.StandardSave(tree), form=ocp.args.JsonSave(_form(tree))
    )
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


def _form(tree: Any) -> dict[str, str]:
  """What a tree is like: path of each leaf -> its type and shape."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {
    jax.tree_util.keystr(path): f'{leaf.dtype}{list(leaf.shape)}'
    for path, leaf in leaves
  }
