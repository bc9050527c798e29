"""The training loop of all models.

A resumed run gives bit-identical results. A loss or a parameter that is not
finite stops the run.
"""

import contextlib
import functools
import math
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.training import mesh as mesh_lib
from hyperrec.training import run as run_lib
from hyperrec.training import run_log
from hyperrec.training import step as step_lib

Run = run_lib.Run


class TrainingDiverged(RuntimeError):  # noqa: N818 - names what happened
  """A loss or a parameter is not finite; the last good checkpoint is kept."""

  def __init__(self, step: int, what: str, checkpoint: str):
    self.step = step
    super().__init__(
      f'{what} after {step} steps; {checkpoint}; lower the learning rate or '
      'check the data of that step'
    )


class Stopped(RuntimeError):  # noqa: N818 - names what happened
  """The run received SIGTERM and stopped after saving a checkpoint."""

  def __init__(self, step: int, num_steps: int):
    self.step = step
    super().__init__(
      f'stopped after step {step} of {num_steps}, which is saved; the same '
      'command continues from there'
    )


class Best(NamedTuple):
  """The parameters with the best validation metric.

  Attributes:
    params: the parameters.
    value: float32 [], their validation metric; -inf before any evaluation.
    step: int32 [], steps done when they were evaluated; -1 before any
      evaluation.
  """

  params: Any
  value: Float[Array, '']
  step: Int[Array, '']


class Result(NamedTuple):
  """The result of a run; `best` is None if the run has no `evaluate`."""

  state: step_lib.TrainState
  best: Best | None

  @property
  def params(self) -> Any:
    """The best parameters, or the last ones if `best` is None."""
    return self.best.params if self.best else self.state.params


def batch_rows(
  step: int, batch_size: int, num_rows: int, seed: int
) -> np.ndarray:
  """Returns the row numbers, int [B], of the batch of a step.

  It is a pure function of its arguments. Each epoch has its own permutation of
  the rows, and a batch may continue into the next epoch. So all batches have
  one size, no row is dropped, and after n steps each row was used floor or ceil
  of n B / num_rows times.
  """
  first = step * batch_size
  epochs = range(first // num_rows, (first + batch_size - 1) // num_rows + 1)
  orders = [_permutation(num_rows, seed, epoch) for epoch in epochs]
  start = first % num_rows
  return np.concatenate(orders)[start : start + batch_size]


# The cache holds several permutations, since training may alternate between
# data sets.
@functools.lru_cache(maxsize=32)
def _permutation(num_rows: int, seed: int, epoch: int) -> np.ndarray:
  return np.random.default_rng((seed, epoch)).permutation(num_rows)


def train(
  step_fn: step_lib.Step,
  state: step_lib.TrainState,
  batch_at: Callable[[int], Any],
  num_steps: int,
  run: Run = run_lib.Run(),
) -> Result:
  """Trains until `num_steps` steps are done.

  If a mesh is in use (`mesh.use`), the state and the batches are placed on it.

  Args:
    step_fn: a jitted step (`step.make_train_step`); `loss` is one of its
      metrics. Metrics are read one step late, so that the device need not wait
      for the host.
    state: the initial state; it is copied, so that the caller may still use it
      although the steps donate theirs.
    batch_at: step -> batch, a pure function, so that a resumed run uses the
      same batches as an uninterrupted one.
    num_steps: number of steps of the whole run, including those before a
      resumption.
    run: how the run is evaluated, logged and saved.

  Raises:
    TrainingDiverged: the loss, or a parameter that is to be saved, is not
      finite.
    CheckpointError: the workdir holds checkpoints of another model, or it
      cannot be written.
    FolderInUse: another process trains in the workdir.
    Stopped: the process received SIGTERM; the step in progress was finished and
      saved.
    ValueError: `run.best_metric` is not a metric of `run.evaluate`.
  """
  placed = mesh_lib.current()
  evaluate, workdir, writers = run.evaluate, run.workdir, run.writers
  if placed is None:
    state = jax.tree.map(jnp.copy, state)
  else:
    state = mesh_lib.place_state(placed, state)
    batch_at = functools.partial(_placed_batch, placed, batch_at)
    evaluate = evaluate and functools.partial(_collected, placed, evaluate)
  best = _no_best(state.params) if evaluate else None
  result = Result(state, best)
  with contextlib.ExitStack() as stack:
    checkpoints = None
    if workdir is not None:
      checkpoints = stack.enter_context(_open_checkpoints(run))
      result = checkpoints.restore_latest(result) or result
      if mesh_lib.is_writer():
        log = run_log.MetricsLog(
          pathlib.Path(workdir) / 'metrics.jsonl', int(result.state.step)
        )
        writers = [*writers, stack.enter_context(log).write]
    bar = stack.enter_context(
      _progress(run.description, int(result.state.step), num_steps)
    )
    is_told = (
      (lambda: False)
      if workdir is None
      else stack.enter_context(_told_to_stop())
    )
    monitor = _Monitor(
      run,
      num_steps,
      writers=writers,
      checkpoints=checkpoints,
      bar=bar,
      is_told_to_stop=is_told,
    )
    result = _steps(step_fn, result, batch_at, evaluate, monitor)
  return result if placed is None else mesh_lib.collect(placed, result)


def _placed_batch(placed, batch_at, step):
  return mesh_lib.place_batch(placed, batch_at(step))


def _collected(placed, evaluate, params):
  return evaluate(mesh_lib.collect(placed, params))


def _steps(step_fn, result, batch_at, evaluate, monitor) -> Result:
  run, num_steps = monitor.run, monitor.num_steps
  state, best = result
  for step in range(int(state.step), num_steps):
    state, metrics = step_fn(state, batch_at(step))
    done = step + 1
    monitor.push(done, metrics)
    if evaluate and _is_due(run.evaluate_every, done, num_steps):
      monitor.flush()
      values = {k: float(v) for k, v in evaluate(state.params).items()}
      monitor.write(done, values)
      best = _better(best, state.params, values, done, run.best_metric)
    if _is_due(run.checkpoint_every, done, num_steps):
      monitor.flush()
      monitor.save(done, Result(state, best))
    if monitor.is_told_to_stop() and done < num_steps:
      monitor.flush()
      monitor.save(done, Result(state, best))
      raise Stopped(done, num_steps)
  monitor.flush()
  return Result(state, best)


def _is_due(every: int, done: int, num_steps: int) -> bool:
  return done == num_steps or (every > 0 and done % every == 0)


def _no_best(params: Any) -> Best:
  params = jax.tree.map(jnp.copy, params)
  return Best(params, jnp.float32(-np.inf), jnp.int32(-1))


def _better(best, params, values, done, metric) -> Best:
  if metric not in values:
    raise ValueError(
      f'best_metric={metric!r} is not a metric of the evaluation; it has '
      f'{sorted(values)}'
    )
  if not values[metric] > best.value:
    return best
  params = jax.tree.map(jnp.copy, params)
  return Best(params, jnp.float32(values[metric]), jnp.int32(done))


class _Monitor:
  """Reads metrics one step late, detects NaN, and writes the run's files."""

  def __init__(
    self, run, num_steps, *, writers, checkpoints, bar, is_told_to_stop
  ):
    self.is_told_to_stop = is_told_to_stop
    self.run = run
    self.num_steps = num_steps
    self._writers = writers
    self._checkpoints = checkpoints
    self._bar = bar
    self._pending = None

  def push(self, done: int, metrics: Mapping[str, jax.Array]) -> None:
    """Keeps the metrics of a dispatched step, and reads the previous ones."""
    self.flush()
    self._pending = done, metrics

  def flush(self) -> None:
    """Waits for the step whose metrics are pending, and reads them."""
    if self._pending is None:
      return
    (done, metrics), self._pending = self._pending, None
    loss = float(metrics['loss'])
    if not math.isfinite(loss):
      self._diverged(done, f'the loss is {loss}')
    self._bar(done, loss)
    if _is_due(self.run.log_every, done, self.num_steps):
      self.write(done, {k: float(v) for k, v in metrics.items()})

  def write(self, done: int, values: Mapping[str, float]) -> None:
    for writer in self._writers:
      writer(done, values)

  def save(self, done: int, result: Result) -> None:
    if self._checkpoints is None or self._checkpoints.latest_step == done:
      return
    if not _all_finite(result.state.params):
      self._diverged(done, 'a parameter is not finite')
    self._checkpoints.save(done, result)

  def _diverged(self, done: int, what: str):
    kept = 'nothing was saved: no workdir'
    if self._checkpoints is not None:
      step = self._checkpoints.latest_step
      where = self._checkpoints.directory
      kept = f'no checkpoint was written yet in {where}'
      if step is not None:
        kept = f'the last good checkpoint is step {step} in {where}'
    raise TrainingDiverged(done, what, kept)


@jax.jit
def _tree_finite(tree):
  leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
  return jnp.stack(leaves).all()


def _all_finite(tree: Any) -> bool:
  return bool(_tree_finite(tree))


def _open_checkpoints(run: Run):
  # It is imported here, since Orbax takes seconds to import and most runs write
  # no checkpoint.
  from hyperrec.training import checkpoints

  directory = pathlib.Path(run.workdir) / 'checkpoints'
  return checkpoints.Checkpoints(directory, run.max_to_keep)


@contextlib.contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
  """Yields a function that tells whether the process received SIGTERM.

  Outside the main thread it always returns False, since Python allows signal
  handlers in the main thread only.
  """
  told = threading.Event()
  if threading.current_thread() is not threading.main_thread():
    yield told.is_set
    return
  before = signal.signal(signal.SIGTERM, lambda *unused: told.set())
  try:
    yield told.is_set
  finally:
    signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress(
  description: str, start: int, total: int
) -> Iterator[Callable[[int, float], None]]:
  """Yields a function (steps done, loss) that updates a progress bar.

  The function does nothing unless stderr is a terminal.
  """
  if not description or not sys.stderr.isatty():
    yield lambda done, loss: None
    return
  from rich import console, progress

  columns = (
    progress.TextColumn('{task.description}'),
    progress.BarColumn(),
    progress.MofNCompleteColumn(),
    progress.TextColumn('loss {task.fields[loss]:.4g}'),
    progress.TimeRemainingColumn(),
  )
  screen = console.Console(stderr=True)
  with progress.Progress(*columns, console=screen) as bar:
    task = bar.add_task(
      description, total=total, completed=start, loss=math.nan
    )
    yield lambda done, loss: bar.update(task, completed=done, loss=loss)
