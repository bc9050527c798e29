"""How long the trials take, from times measured on data of several sizes.

`results/times.json` holds, for each case and method, the coefficients of
`terms`, of which the time in seconds is the sum, and the speed of the machine
on which they were measured. `experiments.recommend.measure_times` makes it.
"""

import functools
import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from experiments import needs
from experiments.recommend import cases as cases_lib
from hyperrec.cost import memory
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.linear import linear_autoencoder

TIMES = pathlib.Path(__file__).with_name('results') / 'times.json'
# A method that takes fewer seconds says nothing about the pace of a run.
_TELLING = 5.0


class Size(NamedTuple):
  """What times depend on."""

  num_items: int
  num_interactions: int

  @classmethod
  def of(cls, data: interactions_lib.Interactions) -> 'Size':
    """The size of a data set."""
    return cls(data.num_items, len(data))


@functools.cache
def _measured() -> dict[str, Any]:
  if not TIMES.exists():
    return {'flops_per_second': None, 'times': {}}
  return json.loads(TIMES.read_text(encoding='utf-8'))


@functools.cache
def _slowness() -> float:
  """The time of this machine over that of the one that was measured."""
  return _measured()['flops_per_second'] / needs.flops_per_second()


def name(case: cases_lib.Case, method: str) -> str:
  """The name of a method in a case, in the file of times."""
  return f'{case.regime} {method}'


def seconds(
  case: cases_lib.Case, method: str, size: Size, trials: int
) -> float | None:
  """The time of a method in a case at all its budgets; None if unknown.

  Args:
    case: the case.
    method: name of the method.
    size: of the data.
    trials: number of hyperparameter settings.
  """
  times = _measured()['times']
  # Where a generator reads text or not, it takes about as long.
  found = times.get(name(case, method)) or times.get(
    name(case, f'{method}:text')
  )
  if found is None:
    return None
  parts = {
    key: found[key] * value
    for key, value in terms(size.num_items, size.num_interactions).items()
  }
  # The floor is mostly compilation, which all fits share.
  floor = parts.pop('floor')
  grown = sum(parts.values()) * _fits(trials) / _fits(_measured()['trials'])
  return (floor + grown) * _slowness()


def terms(num_items: int, num_interactions: int) -> dict[str, float]:
  """What the time of a method is a sum of, by its coefficients.

  Reading and training grow with the interactions, matrices of items with their
  square, and their inverses with their cube.

  Args:
    num_items: V.
    num_interactions: N.
  """
  thousands = num_items / 1e3
  return {
    'floor': 1.0,
    'interactions': num_interactions / 1e5,
    'items': thousands,
    'items^2': thousands**2,
    'items^3': thousands**3,
  }


def _fits(trials: int) -> int:
  """How often a method is fitted: once, and for each setting that is tried."""
  return 1 + trials if trials > 1 else 1


def announced(jobs: Iterable[Any], data: interactions_lib.Interactions) -> str:
  """A sentence on the time and the memory, before the start.

  Args:
    jobs: methods in cases, each with its `seconds`.
    data: the interactions.
  """
  jobs = list(jobs)
  known = [job.seconds for job in jobs if job.seconds is not None]
  needed = linear_autoencoder.solve_peak_bytes(data.num_users, data.num_items)
  free = memory.available_bytes()
  text = f'{len(jobs)} methods and cases'
  if known:
    text += f', about {needs.duration(sum(known))}'
  if len(known) < len(jobs):
    text += f' (and {len(jobs) - len(known)} of unknown time)'
  text += f'; up to {3 * needed / 2**30:.2f} GiB of memory'
  return text + ('' if free is None else f' ({free / 2**30:.1f} GiB are free)')


def next_pace(foretold: float | None, taken: float, pace: float) -> float:
  """How many times as long as foretold the next method will take.

  The methods of a run come in the order of their forecasts, so the next one is
  most like the last. A few seconds tell nothing, and no forecast becomes
  shorter.

  Args:
    foretold: seconds that were foretold of the last method; None if unknown.
    taken: seconds that it took.
    pace: the value so far.
  """
  if foretold is None or taken < _TELLING:
    return pace
  return max(1.0, taken / foretold)
