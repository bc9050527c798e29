"""Runs the parts of `accelerator` within a time limit."""

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from experiments import script
from experiments.benchmarks import peaks

Row = dict[str, Any]


class Part(NamedTuple):
  """A part of the benchmark.

  Attributes:
    name: name in the results and in the table.
    seconds: time that it is expected to take on a large GPU. It is left out if
      less is left.
    run: () -> rows, each made as soon as it is measured.
  """

  name: str
  seconds: float
  run: Callable[[], Iterator[Row]]


def run(
  parts: list[Part],
  left: Callable[[], float],
  write: Callable[[dict[str, Any]], None],
  *,
  small: bool,
) -> dict[str, Any]:
  """Runs the parts for which there is time.

  Args:
    parts: the most important ones first.
    left: () -> seconds that are left.
    write: receives the document after each row.
    small: whether the inputs are tiny, so that every part fits.

  Returns:
    The document: the device, its peaks, the rows of each part, the parts that
    have not run to their end, and the errors of those that failed.
  """
  device = jax.devices()[0]
  peak = peaks.of(device.device_kind)
  document = {
    'device': device.device_kind,
    'platform': device.platform,
    'peak': peak or 'unknown',
    'small': small,
    'parts': {},
    'not_finished': [part.name for part in parts],
    'failed': {},
    **script.provenance(),
  }
  for part in parts:
    if part.seconds > left() and not small:
      continue
    document['parts'][part.name] = rows = []
    try:
      for row in part.run():
        rows.append(row | _share(row, peak))
        print(part.name, rows[-1], flush=True)
        write(document)
      document['not_finished'].remove(part.name)
    except Exception as error:  # The other parts are run all the same.
      document['failed'][part.name] = told(error)
    write(document)
  write(document)
  return document


def told(error: Exception) -> str:
  """An error as one line."""
  return textwrap.shorten(f'{type(error).__name__}: {error}', 200)


def _share(
  row: dict[str, Any], peak: dict[str, float] | None
) -> dict[str, float]:
  """Operations per second, and their share of the device's peak if known."""
  if 'operations' not in row:
    return {}
  speed = row['operations'] / row['seconds']
  known = (peak or {}).get(row['precision'])
  share = {} if known is None else {'share_of_peak': speed / known}
  return {'operations_per_second': speed, **share}
