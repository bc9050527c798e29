"""What a method costs: seconds, peak memory, stored bytes, break-even."""

import contextlib
import gc
import pathlib
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse


class Timing(NamedTuple):
  """Seconds of the first call beyond a warm one, and of warm calls."""

  compile_seconds: float
  median_seconds: float
  iqr_seconds: float
  repeats: int


def measure(
  fn: Callable[[], Any], *, repeats: int = 20, max_seconds: float = 10.0
) -> Timing:
  """Times fn() warm, results waited for; a slow one is timed fewer times."""
  start = time.perf_counter()
  jax.block_until_ready(fn())
  first = time.perf_counter() - start
  seconds = []
  while len(seconds) < repeats and (
    not seconds or sum(seconds) + seconds[-1] < max_seconds
  ):
    if first > max_seconds:
      return Timing(0.0, first, 0.0, 1)
    start = time.perf_counter()
    jax.block_until_ready(fn())
    seconds.append(time.perf_counter() - start)
  low, median, high = np.percentile(seconds, [25, 50, 75])
  return Timing(max(0.0, first - median), median, high - low, len(seconds))


def peak_bytes(fn: Callable[[], Any]) -> tuple[Any, int]:
  """fn() and how far it raised the memory that is held, at its peak."""
  gc.collect()
  before = _resident('VmRSS')
  with contextlib.suppress(OSError):
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  value = jax.block_until_ready(fn())
  return value, max(0, _resident('VmHWM') - before)


def _resident(field: str) -> int:
  try:
    text = pathlib.Path('/proc/self/status').read_text()
  except OSError:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
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
  """Adaptations after which `prepare` has paid off; None is never."""
  saved = adapt_baseline - adapt_method
  return prepare / saved if saved > 0 else None
