"""Measures one EASE fit in a process of its own, for its peak memory.

  python -m experiments.benchmarks.ease_worker SYSTEM DATA.npz L2

Prints {"seconds", "peak_bytes", "rise_bytes", "sample"} as JSON. `ease_fit`
starts this script. Neither library is imported when the other is measured.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np

from hyperrec.data import interactions as interactions_lib


def main(system: str, path: str, l2: float) -> None:
  """Fits the system and prints the measurements."""
  with np.load(path) as file:
    data = interactions_lib.Interactions(
      file['users'], file['items'], int(file['U']), int(file['V'])
    )
  ways = {'hyperrec': _hyperrec, 'recbole': _recbole, 'irspack': _irspack}
  fit = ways[system](data, l2)
  before = _memory('VmRSS')
  start = time.perf_counter()
  weights = fit()
  seconds = time.perf_counter() - start
  peak = _memory('VmHWM')
  result = {
    'seconds': seconds,
    'peak_bytes': peak,
    'rise_bytes': peak - before,
    'sample': _sample(weights, data.num_items),
  }
  print(json.dumps(result))


def _hyperrec(data, l2):
  import jax

  from hyperrec.systems.linear import ease

  model, key = ease.ease(l2=l2), jax.random.key(0)
  return lambda: model.fit(data, key).state


def _recbole(data, l2):
  from experiments.benchmarks import peers

  return peers.recbole_ease(data, l2)


def _irspack(data, l2):
  from experiments.benchmarks import peers

  return peers.irspack_ease(data, l2)


def _sample(weights, num_items: int, size: int = 1000) -> list[float]:
  """Returns weights at random places, which are the same for every system."""
  row, column = np.random.default_rng(0).integers(0, num_items, (2, size))
  dense = weights if hasattr(weights, 'shape') else weights.dense()
  return np.asarray(dense[row, column]).ravel().tolist()


def _memory(field: str) -> int:
  status = pathlib.Path('/proc/self/status')
  if not status.exists():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  for line in status.read_text().splitlines():
    if line.startswith(field):
      return int(line.split()[1]) * 1024
  raise AssertionError(f'no {field} in {status}')


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
