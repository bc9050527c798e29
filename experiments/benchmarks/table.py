"""Rewrites the tables of the README from the committed results.

  python -m experiments.benchmarks.table

Run it in the root of the repository.
"""

import json
import pathlib
import statistics
from typing import Any

from experiments import pictures, readme, script
from experiments.benchmarks import measure, power_laws

HERE = pathlib.Path('experiments/benchmarks')
HEAD = ('input', 'measured', 'hyperrec', 'compared with', '', 'ratio', 'goal')
# Sections that say "not run" where there is no result.
NAMED = ('accelerator', 'chaos')
ACCELERATOR_HEAD = (
  'part', 'measured', 'precision', 'time', 'operations/s', 'share of peak',
  'energy',
)  # fmt: skip
STEPS_HEAD = ('model', 'largest difference of scores', 'as on the CPU')
KILLS_HEAD = (
  'command', 'kills', 'during a write', 'lost or half-written', 'result',
)  # fmt: skip
MISHAPS_HEAD = ('mishap', 'as it should be', 'what the command said')
LARGE_HEAD = (
  'file', 'size', 'users', 'items', 'read', 'fit EASE', 'memory said before',
  'peak while reading', 'peak of the process',
)  # fmt: skip
SHARDED_HEAD = (
  'method', 'time', 'iterations', 'operations', 'residual',
  'error relative to LAPACK',
)  # fmt: skip
SIZE_HEAD = (
  'items', 'users', 'interactions', 'time', 'predicted', 'time of cores',
  'predicted', 'peak memory', 'predicted', 'users ranked/s',
)  # fmt: skip
ARRIVAL_HEAD = (
  'items', 'build', 'new items', 'their columns', 'update by interactions',
  'new users', 'columns solved again', 'update', 'NDCG@100', 'of popularity',
)  # fmt: skip
QUALITY_HEAD = (
  'data', 'items', 'regime', 'form', 'local', 'dense', 'time of local', 'dense',
)  # fmt: skip
THROUGHPUT_HEAD = (
  'input', 'method', 'kind', 'users/s by the recommender',
  'users/s exported, by NumPy', 'users/s exported, by the program',
)  # fmt: skip


def main(argv):
  """Reads results/*.json and rewrites the block of README.md."""
  del argv
  readme.replace_block(HERE / 'README.md', 'benchmarks', tables(HERE))


def tables(folder: pathlib.Path) -> str:
  """Returns one section for each file in the results, and for each of `NAMED`.

  Args:
    folder: the folder of the benchmarks.
  """
  sections = {
    'accelerator': accelerator_section,
    'chaos': chaos_section,
    'large_log': large_section,
    'sharded_ease': sharded_section,
    'size': size_section,
    'throughput': throughput_section,
  }
  files = {file.stem: file for file in (folder / 'results').glob('*.json')}
  return '\n\n'.join(
    sections.get(name, section)(json.loads(files[name].read_text()))
    if name in files
    else f'### {name}\n\nNot run yet.'
    for name in sorted({*files, *NAMED})
  )


def section(result: dict[str, Any]) -> str:
  """A benchmark of `measure`: its command, comparisons and machine."""
  name = result['benchmark']
  lines = [
    f'### {name}',
    '',
    _command(name),
    '',
    _row(HEAD),
    _row(['---'] * len(HEAD)),
    *(_row(_cells(row)) for row in result['comparisons']),
    '',
    *(f'Skipped: {reason}' for reason in result['skipped']),
    _machine(result),
  ]
  return '\n'.join(lines)


def accelerator_section(result: dict[str, Any]) -> str:
  """The speed of an accelerator, and whether it computes what a CPU does."""
  parts = dict(result['parts'])
  steps = parts.pop('steps', [])
  peak = result['peak']
  if isinstance(peak, dict):
    peak = ', '.join(f'{v / 1e12:g} TFLOP/s in {k}' for k, v in peak.items())
  missing = ', '.join(result['not_finished'])
  lines = [
    '### accelerator',
    '',
    f'{result["device"]}; published peak: {peak}.'
    + ' Tiny inputs: the times mean nothing.' * result['small']
    + f' Not finished: {missing}.' * bool(missing)
    + ''.join(f' {k} failed: {v}.' for k, v in result['failed'].items()),
    '',
    _row(ACCELERATOR_HEAD),
    _row(['---'] * len(ACCELERATOR_HEAD)),
    *(
      _row([name, *_accelerator_cells(row)])
      for name, rows in parts.items()
      for row in rows
    ),
    '',
    _row(STEPS_HEAD),
    _row(['---'] * len(STEPS_HEAD)),
    *(_row(_step_cells(row)) for row in steps),
    '',
    f'Made by {_made_by(result)}.',
  ]
  return '\n'.join(lines)


def _accelerator_cells(row: dict[str, Any]) -> list[str]:
  share, joules = row.get('share_of_peak'), row.get('joules')
  quality = ', '.join(f'{k} {v:.4f}' for k, v in row.get('metrics', {}).items())
  return [
    row['what'] + f' ({quality})' * bool(quality),
    row['precision'],
    measure.amount(row['seconds'], 's'),
    f'{row["operations_per_second"] / 1e12:.3g} TFLOP/s',
    'unknown' if share is None else f'{share:.1%}',
    '' if joules is None else f'{joules:.3g} J',
  ]


def _step_cells(row: dict[str, Any]) -> list[str]:
  verdict = 'yes' if row['is_close'] else '**no**'
  if 'error' in row:
    return [row['what'], row['error'], verdict]
  return [row['what'], f'{row["difference"]:.1e}', verdict]


def chaos_section(result: dict[str, Any]) -> str:
  """Commands that are killed or disturbed otherwise, and how they ended."""
  lines = [
    '### chaos',
    '',
    _row(KILLS_HEAD),
    _row(['---'] * len(KILLS_HEAD)),
    *(_row(_killed_cells(found)) for found in result['commands']),
    '',
    _row(MISHAPS_HEAD),
    _row(['---'] * len(MISHAPS_HEAD)),
    *(_row(_mishap_cells(found)) for found in result['mishaps']),
    '',
    f'{result["steps"]} training steps; {_made_by(result)}.',
  ]
  return '\n'.join(lines)


def _killed_cells(found: dict[str, Any]) -> list[str]:
  return [
    found['what'],
    str(found['kills']),
    'not counted' if found['in_a_write'] is None else str(found['in_a_write']),
    '; '.join(found['problems']) or 'nothing',
    'identical' if found['is_identical'] else '**differs**',
  ]


def _mishap_cells(found: dict[str, Any]) -> list[str]:
  verdict = {True: 'yes', False: '**no**', None: 'not tried'}
  # As code, since a message may hold what Markdown takes for a link.
  told = f'`{found["told"]}`' if found['told'] else ''
  return [found['name'], verdict[found['is_as_wanted']], told]


def large_section(result: dict[str, Any]) -> str:
  """A log that is read and fitted: time, and memory said and needed."""
  threads = result['threads']
  lines = [
    '### large_log',
    '',
    _row(LARGE_HEAD),
    _row(['---'] * len(LARGE_HEAD)),
    *(_row(_large_cells(row)) for row in result['rows']),
    '',
    f'{result["rows_of_log"]:,} rows; {threads["cores"]} CPU cores, BLAS '
    f'threads: {threads["blas"]}, {_others(result)}; {_made_by(result)}.',
  ]
  return '\n'.join(lines)


def _large_cells(row: dict[str, Any]) -> list[str]:
  gib = lambda size: f'{size / 2**30:.2f}'  # noqa: E731
  return [
    row['format'],
    f'{gib(row["file_bytes"])} GiB',
    f'{row["users"]:,}',
    f'{row["items"]:,}',
    f'{row["read_seconds"]:.0f} s',
    f'{row["fit_seconds"]:.0f} s',
    f'{" to ".join(map(gib, row["forecast_bytes"]))} GiB',
    f'{gib(row["read_peak_bytes"])} GiB',
    f'{gib(row["peak_bytes"])} GiB',
  ]


def sharded_section(result: dict[str, Any]) -> str:
  """The inverse over several devices: time, operations and errors."""
  lines = [
    '### sharded_ease',
    '',
    _row(SHARDED_HEAD),
    _row(['---'] * len(SHARDED_HEAD)),
    *(_row(_sharded_cells(row)) for row in result['rows']),
    '',
    f'{result["users"]:,} users, {result["items"]:,} items (V), '
    f'{result["devices"]} devices; {_made_by(result)}.',
  ]
  return '\n'.join(lines)


def size_section(result: dict[str, Any]) -> str:
  """Local closed forms by size: predicted and measured, and their quality."""
  laws = result['exponents']
  seconds, peak = (laws[n]['exponent'] for n in ('core_seconds', 'peak_bytes'))
  first, last = result['rows'][0]['items'], result['rows'][-1]['items']
  threads = result['threads']
  lines = [
    '### size',
    '',
    _command('size'),
    '',
    f'From {first:,} to {last:,} items. Over the four largest sizes, the time '
    f'of all cores grows as V^{seconds:.2f}, and the memory beyond that of the '
    f'libraries as V^{peak:.2f}.',
    '',
    _size_picture(result),
    '',
    _row(SIZE_HEAD),
    _row(['---'] * len(SIZE_HEAD)),
    *(_row(_size_cells(row)) for row in result['rows']),
    '',
    f'A prediction is met within a factor of {power_laws.FACTOR}.',
    '',
    _row(ARRIVAL_HEAD),
    _row(['---'] * len(ARRIVAL_HEAD)),
    *(_row(_arrival_cells(row)) for row in result['rows']),
    '',
    *_quality_lines(result['quality']),
    f'{threads["cores"]} CPU cores, BLAS threads: {threads["blas"]}, '
    f'{_others_of(result["rows"])}; {_made_by(result)}.',
  ]
  return '\n'.join(lines)


def _others_of(rows: list[dict[str, Any]]) -> str:
  """The least and the most load by other processes during several runs."""
  cores = [row['cores_used_by_others'] for row in rows]
  if None in cores:
    return 'load by other processes unknown'
  least, most = min(cores), max(cores)
  return f'{least:.2f} to {most:.2f} cores used by other processes'


def _size_picture(result: dict[str, Any]) -> str:
  """Time and memory over the number of items, with their laws."""
  rows = result['rows']
  laws = {n: power_laws.Law(**law) for n, law in result['exponents'].items()}
  curves = {
    'time of all cores (s)': (
      {r['items']: power_laws.total(r, 'core_seconds') for r in rows},
      laws['core_seconds'],
    ),
    'memory beyond the libraries (GiB)': (
      {r['items']: (r['peak_bytes'] - r['base_bytes']) / 2**30 for r in rows},
      laws['peak_bytes']._replace(factor=laws['peak_bytes'].factor / 2**30),
    ),
  }
  return pictures.save(
    HERE / 'results' / 'size',
    lambda: pictures.laws(curves, 'items V'),
    'Time and memory of the local closed forms over the number of items, with '
    'fitted power laws',
    HERE,
  )


def _size_cells(row: dict[str, Any]) -> list[str]:
  ranking = row['phases']['ranking']['seconds']
  cells = [f'{row[n]:,}' for n in ('items', 'users', 'interactions')]
  for name, measured in power_laws.measured(row).items():
    unit = 'bytes' if name == 'peak_bytes' else 's'
    cells.append(measure.amount(measured, unit))
    predicted = (row['predicted'] or {}).get(name)
    if predicted is None:
      cells.append('')
      continue
    mark = '' if power_laws.is_met(predicted, measured) else ' **missed**'
    cells.append(measure.amount(predicted, unit) + mark)
  rate = float(f'{row["ranked_users"] / ranking:.2g}')
  return [*cells, f'{rate:,.0f}']


def _arrival_cells(row: dict[str, Any]) -> list[str]:
  seconds = {name: part['seconds'] for name, part in row['phases'].items()}
  build = sum(seconds[name] for name in power_laws.BUILD)
  told = lambda name: measure.amount(seconds[name], 's')  # noqa: E731
  return [
    f'{row["items"]:,}',
    measure.amount(build, 's'),
    f'{row["new_items"]:,}',
    told('new items'),
    told('interactions of new items'),
    f'{row["changed_users"]:,}',
    f'{row["changed_columns"]:,}',
    told('new users'),
    f'{row["ndcg"]:.3f}',
    f'{row["ndcg_of_popularity"]:.3f}',
  ]


def _quality_lines(rows: list[dict[str, Any]]) -> list[str]:
  """NDCG@100 of local and dense forms on real data, one line for each form."""
  if not rows:
    return []
  found = {}
  for row in rows:
    name = row['data'], row['items'], row['regime'], row['form']
    found.setdefault(name, {})[row['kind']] = row
  lines = [_row(QUALITY_HEAD), _row(['---'] * len(QUALITY_HEAD))]
  for (data, items, regime, form), kinds in found.items():
    sides = [kinds.get(kind) for kind in ('local', 'dense')]
    if not any(sides):
      continue
    cells = [data, f'{items:,}', regime.replace('_', ' '), form]
    cells += [f'{s["ndcg@100"]:.4f}' if s else '' for s in sides]
    cells += [measure.amount(s['seconds'], 's') if s else '' for s in sides]
    lines.append(_row(cells))
  return [*lines, '']


def throughput_section(result: dict[str, Any]) -> str:
  """How many users per second each recommender serves, in each way."""
  lines = [
    '### throughput',
    '',
    _command('throughput'),
    '',
    _row(THROUGHPUT_HEAD),
    _row(['---'] * len(THROUGHPUT_HEAD)),
    *(_row(_throughput_cells(row)) for row in result['rows']),
    '',
    f'The {result["k"]} best items of each user; {_machine(result)}',
  ]
  return '\n'.join(lines)


def _throughput_cells(row: dict[str, Any]) -> list[str]:
  found = row['users_per_second']
  rates = [found.get(side) for side in ('batches', 'numpy', 'program')]
  shown = [
    '' if rate is None else f'{float(f"{rate:.2g}"):,.0f}' for rate in rates
  ]
  return [row['case'], row['method'], row['kind'], *shown]


def _sharded_cells(row: dict[str, Any]) -> list[str]:
  return [
    row['name'],
    measure.amount(row['seconds'], 's'),
    str(row['steps']),
    f'{row["operations_per_cubed_size"]:g} V^3',
    f'{row["residual"]:.1e}',
    f'{row["error_relative_to_lapack"]:.1e}',
  ]


def _made_by(result: dict[str, Any]) -> str:
  """The commit and the versions that made a result."""
  versions = ', '.join(
    f'{package} {version}' for package, version in result['versions'].items()
  )
  return f'commit {result["commit"]}; {versions}'


def _command(name: str) -> str:
  return (
    f'`python -m experiments.benchmarks.{name} --results_dir={HERE}/results`'
  )


def _machine(result: dict[str, Any]) -> str:
  """Cores, threads, load by others, the commit and the versions."""
  threads = result['threads']
  return (
    f'{threads["cores"]} CPU cores, BLAS threads: {threads["blas"]}, '
    f'{_others(result)}; {_made_by(result)}.'
  )


def _others(result: dict[str, Any]) -> str:
  cores = result['cores_used_by_others']
  if cores is None:
    return 'load by other processes unknown'
  return f'{cores:.2f} cores used by other processes'


def _cells(row: dict[str, Any]) -> list[str]:
  ours, theirs = (
    measure.amount(statistics.median(row[side]), row['unit'])
    for side in ('ours', 'theirs')
  )
  mark = {None: '', True: ' met', False: ' **missed**'}[row['is_met']]
  ratio = f'{row["ratio"]:.2f}'
  goal = row['goal'] + mark
  return [row['case'], row['what'], ours, row['peer'], theirs, ratio, goal]


def _row(cells) -> str:
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  script.run(main)
