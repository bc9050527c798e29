"""Measures the local closed forms on catalogues of many items.

  python -m experiments.benchmarks.size --catalogues=12500,25000,50000,100000

Each size is measured in a process of its own, since memory is measured as the
peak of the process. Before a size starts, its time and memory are predicted by
those that have been measured. The result is written after each size, and a size
that it has is not measured again.
"""

import json
import pathlib
import subprocess
import sys
from typing import Any

from absl import app, flags

from experiments import script
from experiments.benchmarks import (
  machine,
  measure,
  power_laws,
  size_quality,
  size_worker,
)
from hyperrec.cost import memory

_DATA = flags.DEFINE_list(
  'quality_data',
  ['steam', 'citeulike_a', 'games', 'diginetica'],
  'Data sets on which the local forms are compared with the dense ones, such '
  'as citeulike_a. An empty list compares on none.',
)

SIZES = (3125, 6250, 12_500, 25_000, 50_000, 100_000)


def main(argv):
  """Measures each size that the result lacks, and writes after each."""
  del argv
  path = measure.result_path('size')
  document = _read(path)
  for name in _DATA.value:
    if any(row['data'] == name for row in document['quality']):
      print(f'{name}: compared before, in {path}')
      continue
    document['quality'] += run_module(size_quality.__name__, name)
    script.write_document(document, path)
  for size in sorted(set(measure.catalogues(SIZES))):
    rows = document['rows']
    if any(row['items'] == size for row in rows):
      print(f'{size:,} items: measured before, in {path}')
      continue
    predicted = power_laws.predict(rows, size)
    print(f'{size:,} items: {_said(predicted)}', flush=True)
    if predicted is not None:
      memory.check_memory(
        int(predicted['peak_bytes']),
        f'the local closed forms on {size:,} items',
        'give smaller --catalogues',
      )
    (row,) = run_module(size_worker.__name__, str(size))
    row['predicted'] = predicted
    rows.append(row)
    rows.sort(key=lambda row: row['items'])
    document |= {'threads': machine.threads(), **script.provenance()}
    if len(rows) > 1:
      laws = power_laws.exponents(rows)
      document['exponents'] = {
        name: law._asdict() for name, law in laws.items()
      }
    script.write_document(document, path)
    print(f'{size:,} items: {_found(row)}', flush=True)
  for name, law in document.get('exponents', {}).items():
    print(f'{name} grow as V^{law["exponent"]:.2f}')


def _read(path: pathlib.Path) -> dict[str, Any]:
  """The result so far; an empty one if there is none.

  Raises:
    UsageError: the result was made with other settings.
  """
  settings = dict(size_worker.SETTINGS)
  if not path.exists():
    return {'settings': settings, 'quality': [], 'rows': []}
  document = json.loads(path.read_text(encoding='utf-8'))
  if document.get('settings') != settings:
    raise app.UsageError(
      f'--results_dir: {path} was measured with other settings '
      f'({document.get("settings")}, now {settings}); name another folder'
    )
  return document


def run_module(name: str, argument: str) -> list[dict[str, Any]]:
  """Runs a module in a process of its own; returns the JSON lines it prints."""
  done = subprocess.run(
    [sys.executable, '-m', name, argument],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  lines = done.stdout.splitlines()
  return [json.loads(line) for line in lines if line.startswith('{')]


def _said(predicted: dict[str, float] | None) -> str:
  if predicted is None:
    return 'nothing is predicted, since fewer than two smaller sizes are known'
  return f'predicted are {_amounts(predicted)}'


def _found(row: dict[str, Any]) -> str:
  measured = power_laws.measured(row)
  told = f'measured were {_amounts(measured)}'
  if row['predicted'] is None:
    return told
  missed = [
    name
    for name, value in row['predicted'].items()
    if not power_laws.is_met(value, measured[name])
  ]
  verdict = f'MISSED by {", ".join(missed)}' if missed else 'met'
  return f'{told}; within a factor of {power_laws.FACTOR}: {verdict}'


def _amounts(row: dict[str, float]) -> str:
  return (
    f'{row["seconds"]:.0f} s ({row["core_seconds"]:.0f} s of cores) and '
    f'{row["peak_bytes"] / 2**30:.2f} GiB'
  )


if __name__ == '__main__':
  script.run(main)
