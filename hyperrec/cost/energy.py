"""Energy that processors say they used; nothing is ever estimated.

    before = energy.read()
    work()
    joules = energy.between(before, energy.read())   # None without counters

CPUs count by RAPL (Linux shows the counters in /sys/class/powercap, often to
root alone). Nvidia GPUs count by NVML, which needs `pip install ".[energy]"`;
they are read only where JAX computes on GPUs. The counters are those of the
whole machine, so other programs that run meanwhile are included.
"""

import contextlib
import functools
import math
import pathlib
from typing import Any, NamedTuple

import jax

POWERCAP = pathlib.Path('/sys/class/powercap')


class Counter(NamedTuple):
  """The state of a counter.

  Attributes:
    joules: energy that it has counted.
    wraps_at: value in joules after which it starts at 0 again.
  """

  joules: float
  wraps_at: float


def read(folder: pathlib.Path = POWERCAP) -> dict[str, Counter]:
  """Returns all counters that this process may read, by name.

  Args:
    folder: where the system shows the counters of its CPUs.
  """
  return {**_cpus(folder), **_gpus()}


def between(
  before: dict[str, Counter], after: dict[str, Counter]
) -> float | None:
  """Joules between two readings; None if no counter is in both."""
  spent = [
    (counter.joules - before[name].joules) % counter.wraps_at
    for name, counter in after.items()
    if name in before
  ]
  return sum(spent) if spent else None


def _cpus(folder: pathlib.Path) -> dict[str, Counter]:
  """The counters of CPUs and of their memory, which the CPUs do not include."""
  found = {}
  for zone in folder.glob('intel-rapl:*'):
    with contextlib.suppress(OSError, ValueError):
      name = (zone / 'name').read_text().strip()
      if name.startswith('package-') or name == 'dram':
        found[zone.name] = Counter(
          _joules(zone / 'energy_uj'), _joules(zone / 'max_energy_range_uj')
        )
  return found


def _joules(path: pathlib.Path) -> float:
  return int(path.read_text()) / 1e6


def _gpus() -> dict[str, Counter]:
  nvml = _nvml()
  if nvml is None or jax.default_backend() != 'gpu':
    return {}
  found = {}
  for number in range(nvml.nvmlDeviceGetCount()):
    with contextlib.suppress(nvml.NVMLError):  # Old GPUs do not count.
      device = nvml.nvmlDeviceGetHandleByIndex(number)
      millijoules = nvml.nvmlDeviceGetTotalEnergyConsumption(device)
      found[f'gpu {number}'] = Counter(millijoules / 1e3, math.inf)
  return found


@functools.cache
def _nvml() -> Any:
  """The library of Nvidia's counters, or None without it or its driver."""
  try:
    import pynvml
  except ModuleNotFoundError:
    return None
  try:
    pynvml.nvmlInit()
  except pynvml.NVMLError:
    return None
  return pynvml
