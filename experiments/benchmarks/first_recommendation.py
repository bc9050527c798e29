"""Compares the time from an own CSV file to the first recommendations.

  python -m experiments.benchmarks.first_recommendation \
    --rectools_python=rectools/bin/python --lenskit_python=lenskit/bin/python

Each measurement is a fresh process that imports one library, reads the file,
fits EASE and recommends 10 items to 10 users, in the way that the library's
documentation shows (`first_recommendation_worker`).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from experiments import script
from experiments.benchmarks import logs, measure, other_pythons, peers

Comparison = measure.Comparison
ROOT = pathlib.Path(__file__).parents[2]
WORKER = pathlib.Path(__file__).with_name('first_recommendation_worker.py')
# Rows, users and items of the files.
SIZES = ((100_000, 2_000, 2_000), (1_000_000, 20_000, 5_000))
NUM_USERS = 10


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('first_recommendation', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons on every file."""
  pythons = interpreters(skipped)
  with tempfile.TemporaryDirectory() as folder:
    comparisons = []
    for num_rows, num_users, num_items in SIZES:
      path = pathlib.Path(folder) / f'log{num_rows}.csv'
      logs.write(path, num_rows, num_users=num_users, num_items=num_items)
      comparisons += compare(path, pythons, min(3, measure.repeats()))
  return comparisons


def interpreters(skipped: list[str]) -> dict[str, str]:
  """The interpreter of each library that is there; hyperrec comes first."""
  found = {'hyperrec': sys.executable}
  if peers.has('recbole'):
    found['recbole'] = sys.executable
  else:
    skipped.append(measure.skip('recbole'))
  for package in ('rectools', 'lenskit'):
    if other_pythons.interpreter(package):
      found[package] = other_pythons.interpreter(package)
    else:
      skipped.append(other_pythons.skip(package))
  return found


def compare(
  path: pathlib.Path, pythons: dict[str, str], repeats: int
) -> list[Comparison]:
  """Compares fresh processes, in turns after a warm-up of each.

  Raises:
    AssertionError: a library gave too few recommendations.
    RuntimeError: a library failed.
  """
  users = first_users(path)
  seconds = {library: [] for library in pythons}
  for repeat in range(repeats + 1):
    for library, python in pythons.items():
      elapsed = recommend(library, python, path, users)
      if repeat:  # the first fills the caches of the file system
        seconds[library].append(elapsed)
  with path.open() as file:
    num_rows = sum(1 for _ in file) - 1
  return [
    Comparison(
      f'log: {num_rows:,} rows',
      'process to first recommendations',
      _name(library),
      's',
      seconds['hyperrec'],
      found,
      '>= 1',
    )
    for library, found in seconds.items()
    if library != 'hyperrec'
  ]


def first_users(path: pathlib.Path) -> list[str]:
  """The ids of the users of the first rows of a file."""
  with path.open() as file:
    next(file)
    users = dict.fromkeys(line.split(',')[0].strip('"') for line in file)
  return list(users)[:NUM_USERS]


def recommend(
  library: str, python: str, path: pathlib.Path, users: list[str]
) -> float:
  """The seconds of one process; for errors see `compare`."""
  start = time.perf_counter()
  done = subprocess.run(
    [python, str(WORKER), library, str(path), ','.join(users)],
    cwd=path.parent,  # where RecBole writes its logs
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    check=False,
    capture_output=True,
    text=True,
  )
  seconds = time.perf_counter() - start
  if done.returncode:
    raise RuntimeError(f'{library} failed: {done.stderr[-2000:]}')
  found = json.loads(done.stdout.splitlines()[-1])
  if found != {'lists': len(users), 'shortest': 10}:
    raise AssertionError(f'{library} gave {found}')
  return seconds


def _name(library: str) -> str:
  """The library, with its version where `measure` does not record it."""
  if library == 'recbole':
    return 'RecBole'
  shown = {'rectools': 'RecTools', 'lenskit': 'LensKit'}[library]
  return f'{shown} {other_pythons.version(library)}'


if __name__ == '__main__':
  script.run(main)
