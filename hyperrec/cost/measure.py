"""What a method costs: seconds, joules, memory, stored bytes, break-even."""

import contextlib
import gc
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse

from hyperrec.cost import energy

# Counters of energy change about every millisecond (CPUs) or 20 ms (GPUs), so
# that shorter work in seconds has no reading.
_SHORTEST = 0.2


class Timing(NamedTuple):
  """Compile and run times of a function.

  Attributes:
    compile_seconds: compile time: first call minus the median warm call. If
      only one call was made, the time that JAX reported for compiling. Programs
      that JAX loads from a folder count with the time that compiling them took.
    median_seconds: median of the warm calls, or the single call without its
      compile time.
    iqr_seconds: interquartile range of the warm calls; 0 for a single call.
    repeats: number of warm calls, or 1.
    joules: mean energy of a warm call, or that of the single call with its
      compiling; None where it cannot be read, or the calls are too short for
      the counters (`_SHORTEST`).
  """

  compile_seconds: float
  median_seconds: float
  iqr_seconds: float
  repeats: int
  joules: float | None = None


class Measured(NamedTuple):
  """A function's value, its time, and its first call's peak memory."""

  value: Any
  timing: Timing
  peak_bytes: int


def call(
  fn: Callable[[], Any], *, repeats: int = 20, max_seconds: float = 10.0
) -> Measured:
  """Measures memory and time of fn(); for the arguments see `timing`."""
  (value, first), peak = peak_bytes(lambda: _first_call(fn))
  return Measured(value, _timing(fn, first, repeats, max_seconds), peak)


def timing(
  fn: Callable[[], Any], *, repeats: int = 20, max_seconds: float = 10.0
) -> Timing:
  """Times warm calls of fn(), waiting for each result.

  Args:
    fn: the function to time.
    repeats: maximum number of warm calls.
    max_seconds: maximum total time of the warm calls. A function whose first
      call takes longer than this, without compiling, is called only once.
  """
  _, first = _first_call(fn)
  return _timing(fn, first, repeats, max_seconds)


class _First(NamedTuple):
  """A first call: seconds, those of compiling, those saved, and joules."""

  seconds: float
  compiling: float
  saved: float
  joules: float | None


def _first_call(fn: Callable[[], Any]) -> tuple[Any, _First]:
  """fn() and what it took."""
  before = energy.read()
  with _compile_durations() as (compiling, saved):
    start = time.perf_counter()
    value = jax.block_until_ready(fn())
    seconds = time.perf_counter() - start
  joules = _joules_since(before, seconds)
  compiled = min(seconds, sum(compiling))
  return value, _First(seconds, compiled, sum(saved), joules)


def _timing(
  fn: Callable[[], Any], first: _First, repeats: int, max_seconds: float
) -> Timing:
  once = first.seconds - first.compiling
  if once > max_seconds:
    compiled = first.compiling + first.saved
    return Timing(compiled, once, 0.0, 1, first.joules)
  seconds = []
  before = energy.read()
  while len(seconds) < repeats and (
    not seconds or sum(seconds) + seconds[-1] < max_seconds
  ):
    start = time.perf_counter()
    jax.block_until_ready(fn())
    seconds.append(time.perf_counter() - start)
  joules = _joules_since(before, sum(seconds))
  low, median, high = np.percentile(seconds, [25, 50, 75])
  return Timing(
    max(0.0, first.seconds - median) + first.saved,
    median,
    high - low,
    len(seconds),
    None if joules is None else joules / len(seconds),
  )


def _joules_since(before: dict[str, Any], seconds: float) -> float | None:
  """Energy since a reading, unless the work took too few seconds for it."""
  if not before or seconds < _SHORTEST:
    return None
  return energy.between(before, energy.read())


@contextlib.contextmanager
def _compile_durations() -> Iterator[tuple[list[float], list[float]]]:
  """Seconds that JAX reports meanwhile.

  Yields:
    Seconds of each step of compiling, or of loading what was compiled before;
    and seconds that each loaded program saved.
  """
  durations, saved = [], []

  def listen(event: str, seconds: float, **unused: Any) -> None:
    del unused
    if event.startswith('/jax/core/compile/'):
      durations.append(seconds)
    elif event == '/jax/compilation_cache/compile_time_saved_sec':
      saved.append(seconds)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield durations, saved
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


def peak_bytes(fn: Callable[[], Any]) -> tuple[Any, int]:
  """Returns fn() and the peak increase of host memory, in bytes.

  On systems that cannot reset the recorded peak (Linux can), only the increase
  beyond an earlier peak is measured, which is a lower bound. Accelerator memory
  is not counted.
  """
  gc.collect()
  before = _resident('VmRSS')
  try:
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  except OSError:
    before = _resident('VmHWM')
  value = jax.block_until_ready(fn())
  return value, max(0, _resident('VmHWM') - before)


def _resident(field: str) -> int:
  try:
    text = pathlib.Path('/proc/self/status').read_text()
  except OSError:
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  for line in text.splitlines():
    if line.startswith(field):
      return int(line.split()[1]) * 1024
  return 0


def _leaves(tree: Any) -> list[Any]:
  return jax.tree.leaves(tree, is_leaf=scipy.sparse.issparse)


def _bytes(leaf: Any) -> int:
  if scipy.sparse.issparse(leaf):
    return leaf.data.nbytes + leaf.indices.nbytes + leaf.indptr.nbytes
  return getattr(leaf, 'nbytes', 0)


def stored_bytes(adapted: Any, shared: Any) -> int:
  """Bytes of the arrays in `adapted` that are not the ones in `shared`."""
  known = {id(leaf) for leaf in _leaves(shared)}
  return sum(_bytes(leaf) for leaf in _leaves(adapted) if id(leaf) not in known)


def break_even(
  prepare: float, adapt_baseline: float, adapt_method: float
) -> float | None:
  """Number of adaptations after which `prepare` pays off; None if never."""
  saved = adapt_baseline - adapt_method
  return prepare / saved if saved > 0 else None
