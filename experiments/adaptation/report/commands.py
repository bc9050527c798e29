"""The command lines that reproduce the rows of a report."""

import shlex
from collections.abc import Iterable
from typing import Any

from experiments import arm_names
from hyperrec import regimes
from hyperrec.evaluation import results

# Regime -> the flag of its budgets.
_BUDGETS = {regime.name: regime.flag for regime in regimes.WITH_EVIDENCE}
# Flags that choose the cells; their values are derived from the rows.
_CHOICES = {
  'regimes', 'methods', 'seeds', 'first_seed', 'oracle', *_BUDGETS.values(),
}  # fmt: skip
# Flags that only regimes with source domains use.
_OF_DOMAINS = {'domains', 'rehearsal_domains'}
_PACKAGED = 'movielens_small'


def commands(rows: Iterable[results.Row]) -> dict[str, list[str]]:
  """Returns command line -> methods, one command for each set of flags.

  Each command writes to a folder of its own, since a workdir accepts one set of
  flags. Rows without flags are left out.
  """
  groups: dict[tuple[str, ...], list[results.Row]] = {}
  for row in rows:
    if row.get('flags'):
      groups.setdefault(_settings(row), []).append(row)
  made = {}
  for number, (settings, own) in enumerate(groups.items(), 1):
    methods = list(dict.fromkeys(arm_names.plain(row['method']) for row in own))
    folder = '_'.join(results.task_of(own[0])).replace('/', '_')
    parts = [
      'python -m experiments.adaptation.run',
      *settings,
      *_choices(own),
      shlex.quote(f'--methods={",".join(methods)}'),
      shlex.quote(f'--workdir=again/{folder}_{number}'),
    ]
    made[' '.join(parts)] = methods
  return made


def _settings(row: results.Row) -> tuple[str, ...]:
  """Returns the flags that a cell depends on, and --data_dir if needed."""
  flags, regime = row['flags'], results.task_of(row).regime
  left_out = _CHOICES if _has_domains(regime) else _CHOICES | _OF_DOMAINS
  parts = []
  for name, value in sorted(flags.items()):
    if name in left_out or value is None or value in ('', []):
      continue
    if name == 'evidence_folds' and not value:
      continue
    if isinstance(value, bool):
      parts.append(f'--{"" if value else "no"}{name}')
      continue
    values = value if name == 'path' and isinstance(value, list) else [value]
    parts += [shlex.quote(f'--{name}={_text(one)}') for one in values]
  needed = flags.get('source') != _PACKAGED or _has_domains(regime)
  return (*parts, '--data_dir=DIR') if needed else tuple(parts)


def _has_domains(name: str) -> bool:
  regime = regimes.BY_NAME.get(name)
  return regime is not None and regime.has_domains


def _text(value: Any) -> str:
  """The value of a flag; list items that contain a comma are quoted."""
  if not isinstance(value, list):
    return str(value)
  return ','.join(f'"{v}"' if ',' in str(v) else str(v) for v in value)


def _choices(rows: list[results.Row]) -> list[str]:
  """Returns flags that choose these cells, or a grid that contains them."""
  regime = results.task_of(rows[0]).regime
  chosen = [f'--regimes={regime}']
  if regime in _BUDGETS:
    budgets = sorted({row['budget'] for row in rows})
    chosen.append(f'--{_BUDGETS[regime]}={",".join(map(str, budgets))}')
  seeds = [row['seed'] for row in rows]
  first = min(seeds)
  chosen += [f'--first_seed={first}'] if first else []
  chosen.append(f'--seeds={1 + max(seeds) - first}')
  if not any(arm_names.is_oracle(row['method']) for row in rows):
    chosen.append('--nooracle')
  return chosen
