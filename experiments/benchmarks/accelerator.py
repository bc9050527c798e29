"""Checks and times the library on an accelerator, in one command.

  python -m experiments.benchmarks.accelerator --minutes=8 \
    --output=experiments/benchmarks/results/accelerator.json

Every trained model takes its first steps on the accelerator and on the CPU, and
both must agree. Then EASE, the generators, SASRec, a step of P5-small and the
ranking of a million items are timed, in float32 and in bfloat16. Their
operations are set against the published peak of the device, where it is known.
Parts run from the most to the least important; each result is written at once,
and what --minutes leaves no room for is named. --small takes tiny inputs, to
try the command on a CPU. If a model differs from the CPU's, the exit code is 1.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
from absl import flags

from experiments import script
from experiments.benchmarks import accelerator_parts, peaks

_MINUTES = flags.DEFINE_float(
  'minutes', 8.0, 'Time limit of the whole run in minutes.', lower_bound=0.0
)
_SMALL = flags.DEFINE_bool(
  'small', False, 'Takes tiny inputs: seconds on a CPU; no times of interest.'
)
_PARTS = flags.DEFINE_list(
  'parts', [], 'Names of the parts to run, such as ease,p5; by default all.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/benchmarks/accelerator.json', 'JSON file that is written.'
)


def main(argv):
  """Runs the parts, and writes the JSON file after each row."""
  del argv
  start = time.monotonic()
  parts = accelerator_parts.all_of(small=_SMALL.value)
  _check_known([part.name for part in parts])
  if _PARTS.value:
    parts = [part for part in parts if part.name in _PARTS.value]
  left = lambda: 60 * _MINUTES.value - (time.monotonic() - start)  # noqa: E731
  write = lambda document: script.write_document(document, _OUTPUT.value)  # noqa: E731
  guard = threading.Timer(max(0.0, left()), _give_up)
  guard.daemon = True
  guard.start()
  document = run(parts, left, write)
  guard.cancel()
  differing = [
    row['what']
    for row in document['parts'].get('steps', ())
    if not row['is_close']
  ]
  if differing:
    print(f'other results than on the CPU: {", ".join(differing)}')
  print(f'written to {_OUTPUT.value}')
  return 1 if differing else 0


def _check_known(names: list[str]) -> None:
  for name in _PARTS.value:
    if name not in names:
      raise flags.IllegalFlagValueError(
        f'--parts={name} is unknown; use some of {", ".join(names)}'
      )


def _give_up() -> None:
  """Ends the process at the time limit; what was written is complete.

  A compilation or a call of the device cannot be interrupted otherwise.
  """
  print('the time limit ended the run; the results so far are written')
  sys.stdout.flush()
  os._exit(0)


def run(
  parts: list[accelerator_parts.Part],
  left: Callable[[], float],
  write: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
  """Runs the parts for which there is time.

  Args:
    parts: the most important ones first.
    left: () -> seconds that are left.
    write: receives the document after each row.

  Returns:
    The document: the device, its peaks, the rows of each part, and the parts
    that have not run to their end.
  """
  device = jax.devices()[0]
  peak = peaks.of(device.device_kind)
  document = {
    'device': device.device_kind,
    'platform': device.platform,
    'peak': peak or 'unknown',
    'small': _SMALL.value,
    'parts': {},
    'not_finished': [part.name for part in parts],
    **script.provenance(),
  }
  for part in parts:
    if part.seconds > left() and not _SMALL.value:
      continue
    document['parts'][part.name] = rows = []
    for row in part.run():
      rows.append(row | _share(row, peak))
      print(part.name, rows[-1], flush=True)
      write(document)
    document['not_finished'].remove(part.name)
    write(document)
  write(document)
  return document


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


if __name__ == '__main__':
  script.run(main)
