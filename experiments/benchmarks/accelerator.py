"""Checks and times the library on an accelerator, in one command.

  python -m experiments.benchmarks.accelerator --minutes=8 \
    --output=experiments/benchmarks/results/accelerator.json

Every trained model takes its first steps on the accelerator and on the CPU, and
both must agree. Then EASE, the generators, SASRec, a step of P5-small and the
ranking of a million items are timed, in float32 and in bfloat16. Their
operations are set against the published peak of the device, where it is known.
Parts run from the most to the least important; each result is written at once,
and what --minutes leaves no room for is named. --small takes tiny inputs, to
try the command on a CPU. If a model differs from the CPU's or
a part fails, the exit code is 1.
"""

import os
import sys
import threading
import time

import jax
from absl import app, flags

from experiments import script
from experiments.benchmarks import accelerator_budget, accelerator_parts

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
  _check_cpu()
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
  document = accelerator_budget.run(parts, left, write, small=_SMALL.value)
  guard.cancel()
  differing = [
    row['what']
    for row in document['parts'].get('steps', ())
    if not row['is_close']
  ]
  if differing:
    print(f'other results than on the CPU: {", ".join(differing)}')
  for name, error in document['failed'].items():
    print(f'{name} failed: {error}')
  print(f'written to {_OUTPUT.value}')
  return 1 if differing or document['failed'] else 0


def _check_known(names: list[str]) -> None:
  for name in _PARTS.value:
    if name not in names:
      raise app.UsageError(
        f'--parts={name} is unknown; use some of {", ".join(names)}'
      )


def _check_cpu() -> None:
  try:
    jax.devices('cpu')
  except RuntimeError as error:
    raise app.UsageError(
      'JAX was started without its CPU, with which the accelerator is '
      'compared; unset JAX_PLATFORMS, or add cpu to it'
    ) from error


def _give_up() -> None:
  """Ends the process at the time limit; what was written is complete.

  A compilation or a call of the device cannot be interrupted otherwise.
  """
  print('the time limit ended the run; the results so far are written')
  sys.stdout.flush()
  os._exit(0)


if __name__ == '__main__':
  script.run(main)
