"""Reads a log and fits EASE in a process of its own, for its peak memory.

  python -m experiments.benchmarks.large_log_worker LOG L2

Prints the measurements as JSON. `large_log` starts this script.
"""

import json
import resource
import sys
import time

import jax

from experiments.benchmarks import logs
from hyperrec.data import sources
from hyperrec.data.sources import forecast, reading
from hyperrec.systems.linear import ease


def main(path: str, l2: float) -> None:
  """Reads and fits, and prints what that took."""
  opened = reading.open_files(path)
  expected = forecast.forecast(opened, logs.COLUMNS.names)
  at_start = _peak_bytes()
  start = time.perf_counter()
  data = sources.load('table', path=path, timestamp_column='time')
  read_seconds, read_peak = time.perf_counter() - start, _peak_bytes()
  start = time.perf_counter()
  weights = ease.ease(l2=l2).fit(data, jax.random.key(0)).state
  result = {
    'file_bytes': expected.file_bytes,
    'users': data.num_users,
    'items': data.num_items,
    'interactions': len(data),
    'read_seconds': read_seconds,
    'fit_seconds': time.perf_counter() - start,
    'imports_bytes': at_start,
    'forecast_bytes': [expected.least_bytes, expected.most_bytes],
    'read_peak_bytes': read_peak,
    'peak_bytes': _peak_bytes(),
    'weights_bytes': weights.nbytes,
  }
  print(json.dumps(result))


def _peak_bytes() -> int:
  """The largest resident memory of this process so far."""
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == '__main__':
  main(sys.argv[1], float(sys.argv[2]))
