"""Interleaved timing, comparisons with a goal, and their result file."""

import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags

from experiments import script
from experiments.benchmarks import machine, peers

_CATALOGUES = flags.DEFINE_list(
  'catalogues',
  None,
  'Catalogue sizes to measure, such as 3000,10000; by default those of the '
  'script.',
)
_REPEATS = flags.DEFINE_integer(
  'timing_repeats',
  5,
  'Number of measurements of each side.',
  lower_bound=1,
)
_RESULTS_DIR = flags.DEFINE_string(
  'results_dir',
  'results/benchmarks',
  'Folder that the JSON file is written to.',
)


class Comparison(NamedTuple):
  """One quantity, measured for hyperrec (ours) and for a peer (theirs).

  Attributes:
    case: the input and its sizes.
    what: name of the quantity.
    peer: name of the other library.
    unit: 's' or 'bytes'.
    ours: every measurement.
    theirs: every measurement.
    goal: '<= 1.5' bounds ours / theirs, '>= 5' bounds theirs / ours; '' means
      no goal, and the ratio is ours / theirs.
  """

  case: str
  what: str
  peer: str
  unit: str
  ours: Sequence[float]
  theirs: Sequence[float]
  goal: str = ''

  @property
  def ratio(self) -> float:
    """Ratio of the medians, in the direction that the goal bounds."""
    ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
    return theirs / ours if self.goal.startswith('>') else ours / theirs

  @property
  def is_met(self) -> bool | None:
    """Whether the goal is reached; None without one."""
    if not self.goal:
      return None
    sign, bound = self.goal.split()
    if sign == '<=':
      return self.ratio <= float(bound)
    return self.ratio >= float(bound)


def catalogues(default: Sequence[int]) -> list[int]:
  """Returns the sizes of --catalogues, or the default."""
  if _CATALOGUES.value is None:
    return list(default)
  return [int(size) for size in _CATALOGUES.value]


def repeats() -> int:
  """Returns the number of measurements of each side."""
  return _REPEATS.value


def interleave(
  sides: Mapping[str, Callable[[], Any]], count: int
) -> dict[str, list[float]]:
  """Returns the times of `count` calls of each side, after a warm-up call.

  The sides take turns, so that other load on the machine affects all alike.
  """
  for call in sides.values():
    jax.block_until_ready(call())
  seconds = {name: [] for name in sides}
  for _ in range(count):
    for name, call in sides.items():
      start = time.perf_counter()
      jax.block_until_ready(call())
      seconds[name].append(time.perf_counter() - start)
  return seconds


def skip(package: str) -> str:
  """Prints and returns that a peer is missing, and how to install it."""
  message = (
    f'{package} is not installed, its comparison is skipped; '
    'pip install ".[peers]"'
  )
  print(message)
  return message


def record(name: str, run: Callable[[list[str]], Sequence[Comparison]]) -> None:
  """Runs a benchmark, prints its comparisons and writes them to a file.

  Args:
    name: name of the benchmark and of its file in --results_dir.
    run: returns the comparisons; appends skipped ones and the reason to its
      argument.
  """

  def compared():
    skipped: list[str] = []
    comparisons = run(skipped)
    for comparison in comparisons:
      print(line(comparison))
    rows = [
      {**c._asdict(), 'ratio': c.ratio, 'is_met': c.is_met} for c in comparisons
    ]
    return {'comparisons': rows, 'skipped': skipped}

  write(name, compared)


def write(name: str, run: Callable[[], Mapping[str, Any]]) -> None:
  """Runs a benchmark, and writes what it returns and what made it to a file.

  Args:
    name: name of the benchmark and of its file in --results_dir.
    run: returns what was measured, as JSON.
  """
  start, others = time.perf_counter(), machine.others_seconds()
  measured = run()
  elapsed = time.perf_counter() - start
  origin = script.provenance()
  result = {
    'benchmark': name,
    'threads': machine.threads(),
    'cores_used_by_others': (
      None if others is None else (machine.others_seconds() - others) / elapsed
    ),
    **measured,
    'commit': origin['commit'],
    'versions': origin['versions'] | peers.versions(),
  }
  path = result_path(name)
  script.write_document(result, path)
  print(f'written to {path}')


def result_path(name: str) -> pathlib.Path:
  """Returns the file of a benchmark in --results_dir."""
  return pathlib.Path(_RESULTS_DIR.value) / f'{name}.json'


def line(comparison: Comparison) -> str:
  """A comparison as one line of text."""
  ours, theirs = (
    amount(statistics.median(side), comparison.unit)
    for side in (comparison.ours, comparison.theirs)
  )
  verdict = {None: '', True: 'met', False: 'MISSED'}[comparison.is_met]
  goal = f' (goal {comparison.goal}: {verdict})' if comparison.goal else ''
  return (
    f'{comparison.case} | {comparison.what}: {ours}, {comparison.peer} '
    f'{theirs}, ratio {comparison.ratio:.2f}{goal}'
  )


def amount(value: float, unit: str) -> str:
  """Formats a measurement with its unit."""
  if unit == 'bytes':
    return f'{value / 2**20:,.0f} MiB'
  return f'{value:.2f} s' if value >= 1 else f'{value * 1e3:.3g} ms'
