"""Reads stored rows, and checks that they may be compared."""

import pathlib
from collections.abc import Iterable

from hyperrec import regimes
from hyperrec.evaluation import results
from hyperrec.training import manifest

# Flags that choose the cells, the tuning, the text encoder or the timing. They
# do not change the test users.
_MAY_DIFFER = frozenset(
  (
    'regimes', 'methods', 'seeds', 'first_seed', 'oracle', 'trials',
    'evidence_folds', 'rehearsal_domains', 'text_encoder', 'features',
    'repeats', 'max_seconds', 'validate', 'path', 'item_path',
    *(regime.flag for regime in regimes.WITH_EVIDENCE),
  )
)  # fmt: skip


def read(workdir: str | pathlib.Path) -> list[results.Row]:
  """Returns the rows of a workdir, with the checksums of their data.

  If two runs did the same cell at the same time, the later row counts.

  Raises:
    OtherRunError: the workdir has no manifest.
    ResultError: a line is not a row.
  """
  workdir = pathlib.Path(workdir)
  parts = manifest.read(workdir)['data']
  checksums = {part: about['sha256'] for part, about in parts.items()}
  rows = results.read_json_lines(workdir / 'cells.jsonl')
  last = {row_key(row): row for row in rows}
  return [{**row, 'data': checksums} for row in last.values()]


def row_key(row: results.Row) -> tuple[str, str, str, int, int]:
  """Returns the data set, regime, method, budget and seed of a row."""
  names = ('dataset', 'regime', 'method', 'budget', 'seed')
  return tuple(row[name] for name in names)


def check_alike(rows: Iterable[results.Row]) -> None:
  """Raises ResultError if rows of a task have different test users or data.

  A task is a data set and a regime. A flag or checksum that a row lacks is not
  compared. Rows made before they had `people` cannot stand beside newer ones,
  whose test users are drawn in another way.
  """
  known: dict[tuple, object] = {}
  for row in rows:
    task = row['dataset'], row['regime']
    if 'cannot' not in row:
      split = (*task, row['seed'], row['budget'])
      people = row.get('people')
      if known.setdefault(split, people) != people:
        raise results.ResultError(
          f'{", ".join(task)}, budget {row["budget"]}, seed {row["seed"]}: '
          f'{row["method"]} was judged on other test users than other methods; '
          'run it again, or keep one kind of rows'
        )
    for name, value in _facts(row).items():
      first = known.setdefault((*task, name), value)
      if first != value:
        raise results.ResultError(
          f'{", ".join(task)}: rows with {name}={first} and with '
          f'{name}={value} have different test users; keep one kind'
        )


def _facts(row: results.Row) -> dict[str, object]:
  """Returns name -> value for all that decides the test users of a row."""
  flags = {
    f'--{name}': value
    for name, value in row.get('flags', {}).items()
    if name not in _MAY_DIFFER
  }
  regime = regimes.BY_NAME.get(row.get('regime'))
  if regime is None or not regime.has_domains:
    flags.pop('--domains', None)
  return {
    **flags,
    **{f'sha256 of {k}': v for k, v in row.get('data', {}).items()},
  }
