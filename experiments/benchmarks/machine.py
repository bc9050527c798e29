"""What else the machine does while a benchmark runs on it."""

import os
import pathlib
from typing import Any


def threads() -> dict[str, Any]:
  """Returns the number of threads that both sides may use."""
  # Not every platform has it.
  affinity = getattr(os, 'sched_getaffinity', None)
  cores = len(affinity(0)) if affinity else os.cpu_count()
  found = {'cores': cores, 'blas': None}
  try:
    import threadpoolctl
  except ModuleNotFoundError:
    return found
  pools = threadpoolctl.threadpool_info()
  blas = [pool for pool in pools if pool['user_api'] == 'blas']
  return {**found, 'blas': max((p['num_threads'] for p in blas), default=None)}


def others_seconds() -> float | None:
  """CPU seconds of all processes except this one and its children."""
  stat = pathlib.Path('/proc/stat')
  if not stat.exists():
    return None
  user, nice, system, _, _, irq, softirq = (
    int(ticks) for ticks in stat.read_text().split(maxsplit=8)[1:8]
  )
  busy = (user + nice + system + irq + softirq) / os.sysconf('SC_CLK_TCK')
  own = os.times()
  return busy - sum(own[:4])
