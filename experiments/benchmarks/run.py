"""Runs all benchmarks one after another, and rewrites the README's table.

  python -m experiments.benchmarks.run \
    --rectools_python=rectools/bin/python --lenskit_python=lenskit/bin/python

Run it in the root of the repository, on a machine that does nothing else; it
takes less than an hour on two cores. Each benchmark is a process of its own.
One that fails is told at the end; its section of the README keeps the last
result.
"""

import os
import signal
import subprocess
import sys
import time

from absl import flags

from experiments import script
from experiments.benchmarks import other_pythons, table

# Modules that compare or measure, with what makes them short enough.
BENCHMARKS = (
  'ease_fit',
  'ials_fit',
  'item_knn_fit',
  'evaluation',
  'mult_vae_step',
  'transformer_step',
  'csv_reading',
  'first_recommendation',
  'throughput',
  'size',
)
NEED_OTHER_PYTHONS = ('evaluation', 'first_recommendation')

_BENCHMARKS = flags.DEFINE_list(
  'benchmarks', list(BENCHMARKS), 'Those to run, such as ials_fit,csv_reading.'
)
_MINUTES = flags.DEFINE_integer(
  'most_minutes', 15, 'Minutes after which a benchmark is ended.', lower_bound=1
)
flags.register_validator(
  'benchmarks',
  lambda names: set(names) <= set(BENCHMARKS),
  f'--benchmarks must name some of {", ".join(BENCHMARKS)}',
)


def main(argv):
  """Runs the benchmarks; the exit status is 1 if one of them failed."""
  del argv
  failed = []
  for name in _BENCHMARKS.value:
    start = time.perf_counter()
    reason = run(name, [*command(name), *extra(name)], 60 * _MINUTES.value)
    minutes = (time.perf_counter() - start) / 60
    print(f'{name}: {reason or "done"}, {minutes:.1f} minutes', flush=True)
    if reason:
      failed.append(f'{name} ({reason})')
  table.main([])
  if failed:
    sys.exit(f'failed: {", ".join(failed)}; the README keeps the last ones')


def command(name: str) -> list[str]:
  """The command of a benchmark that writes to the committed results."""
  module = f'experiments.benchmarks.{name}'
  return [sys.executable, '-m', module, f'--results_dir={table.HERE}/results']


def extra(name: str) -> list[str]:
  """The user's flags that this benchmark has."""
  return other_pythons.given_flags() if name in NEED_OTHER_PYTHONS else []


def run(name: str, arguments: list[str], seconds: float) -> str:
  """Runs a command; returns why it failed, or '' if it did not."""
  print(f'{name}: {" ".join(arguments[1:])}', flush=True)
  process = subprocess.Popen(arguments, start_new_session=True)
  try:
    status = process.wait(seconds)
  except subprocess.TimeoutExpired:
    return f'ended after {seconds / 60:.0f} minutes'
  finally:
    _end(process)
  return f'exit status {status}' if status else ''


def _end(process: subprocess.Popen) -> None:
  """Ends a process, if it still runs, and those that it started."""
  if process.poll() is None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == '__main__':
  script.run(main)
