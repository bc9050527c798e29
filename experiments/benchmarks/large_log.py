"""Measures a large log from the file to a fitted EASE: time and memory.

  python -m experiments.benchmarks.large_log

The log is made in --folder, where 50 million rows need 1.4 GiB, and removed at
the end. Each format is read and fitted in a process of its own, since memory is
measured as the peak of the process.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags

from experiments import script
from experiments.benchmarks import logs, machine

_ROWS = flags.DEFINE_integer(
  'num_rows', 50_000_000, 'Number of rows in the log.', lower_bound=1
)
_USERS = flags.DEFINE_integer(
  'num_users', 2_000_000, 'Number of users who may occur.', lower_bound=2
)
_ITEMS = flags.DEFINE_integer(
  'num_items', 20_000, 'Number of items that may occur.', lower_bound=2
)
_FORMATS = flags.DEFINE_multi_enum(
  'formats',
  ['csv', 'parquet'],
  ['csv', 'parquet'],
  'Format of the log, such as csv; may be given twice.',
)
_FOLDER = flags.DEFINE_string(
  'folder', None, 'Folder for the log; by default that of temporary files.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/benchmarks/large_log.json', 'JSON file that is written.'
)

L2 = 500.0


def main(argv):
  """Measures each format, prints the rows and writes them."""
  del argv
  start, others = time.perf_counter(), machine.others_seconds()
  rows = []
  for suffix in _FORMATS.value:
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
      path = pathlib.Path(folder) / f'log.{suffix}'
      logs.write(
        path,
        _ROWS.value,
        num_users=_USERS.value,
        num_items=_ITEMS.value,
      )
      rows.append(measure(path))
    print(rows[-1])
  elapsed = time.perf_counter() - start
  document = {
    'rows_of_log': _ROWS.value,
    'rows': rows,
    'threads': machine.threads(),
    'cores_used_by_others': (
      None if others is None else (machine.others_seconds() - others) / elapsed
    ),
    **script.provenance(),
  }
  script.write_document(document, _OUTPUT.value)


def measure(path: pathlib.Path) -> dict:
  """Returns the format of a log and what `large_log_worker` measures on it."""
  module = 'experiments.benchmarks.large_log_worker'
  done = subprocess.run(
    [sys.executable, '-m', module, str(path), str(L2)],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  found = json.loads(done.stdout.splitlines()[-1])
  return {'format': path.suffix.removeprefix('.'), **found}


if __name__ == '__main__':
  script.run(main)
