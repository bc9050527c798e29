"""Cells, each the result of one arm under one seed, and their summary."""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from experiments import script
from hyperrec import whole_file
from hyperrec.evaluation import significance
from hyperrec.systems.vqrec import product_quantizer

METRICS = ('recall@10', 'ndcg@10', 'recall@50', 'ndcg@50')
BASELINE = 'scratch'

Cell = dict[str, Any]


def write_cell(path: pathlib.Path, cell: Cell) -> None:
  """Writes a cell to a JSON file."""
  whole_file.write_whole(path, (json.dumps(cell) + '\n').encode())


def read_cells(
  folder: pathlib.Path, arms: Iterable[str], num_seeds: int
) -> list[Cell]:
  """Reads the cells of all arms and seeds.

  Args:
    folder: folder of the cells' files.
    arms: names of the arms.
    num_seeds: number of seeds, from 0 on.

  Returns:
    The cells, to each of which its arm and seed are added.
  """
  return [
    {
      **json.loads((folder / f'{arm}_{seed}.json').read_text()),
      'arm': arm,
      'seed': seed,
    }
    for arm in arms
    for seed in range(num_seeds)
  ]


def describe_codes(state) -> dict[str, Any]:
  """Measures the use of the codes, and the stored bytes.

  Args:
    state: a `VqrecState`.
  """
  num_codes = state.params['codes'].shape[1]
  bits = product_quantizer.entropy_bits(state.codes, num_codes)
  return {
    'entropy_bits': {'mean': float(bits.mean()), 'min': float(bits.min())},
    'collision_share': product_quantizer.collision_share(state.codes),
    'codes_bytes': state.codes.nbytes,
    'index_bytes': sum(np.asarray(part).nbytes for part in state.index),
    'table_bytes': np.asarray(state.params['codes']).nbytes,
  }


def summarise(cells: list[Cell], arms: dict[str, Any]) -> dict[str, Any]:
  """Computes means, intervals over users and seeds, and effects over scratch.

  Args:
    cells: from `read_cells`.
    arms: maps names to arms.

  Returns:
    Maps the name of each arm to its part of the row's document.
  """
  document = {}
  for name, arm in arms.items():
    mine = [cell for cell in cells if cell['arm'] == name]
    rival = [cell for cell in cells if cell['arm'] == BASELINE]
    document[name] = {
      'title': arm.title,
      'metrics': {m: _metric(mine, m) for m in METRICS},
      'validation': float(np.mean([cell['validation'] for cell in mine])),
      'adapt': {
        what: float(np.median([cell['adapt'][what] for cell in mine]))
        for what in ('seconds', 'flops')
      },
      'prepare_flops': mine[0]['prepare_flops'],
      'codes': mine[0]['codes'],
    }
    if rival and name != BASELINE:
      document[name]['against_scratch'] = significance.paired_bootstrap(
        _values(mine, 'ndcg@10'), _values(rival, 'ndcg@10'), seed=0
      )._asdict()
  return document


def _values(cells, metric):
  return [np.array(cell['values'][metric]) for cell in cells]


def _metric(cells, metric) -> dict[str, Any]:
  values = _values(cells, metric)
  low, high = significance.bootstrap_interval(values, seed=0)
  by_seed = [float(v.mean()) for v in values]
  return {
    'mean': float(np.mean(by_seed)),
    'low': low,
    'high': high,
    'by_seed': by_seed,
  }


def parse_expected(
  entries: Iterable[str], arms: Iterable[str]
) -> dict[str, dict[str, float]]:
  """Parses published metrics.

  Args:
    entries: entries of the form ARM/METRIC=NUMBER.
    arms: known names of arms.

  Returns:
    Maps arm and metric to the number.

  Raises:
    UsageError: an entry has another form or an unknown arm or metric.
  """
  names = [f'{arm}/{metric}' for arm in arms for metric in METRICS]
  expected = {}
  found = script.parse_expected(entries, names, 'ARM/METRIC=NUMBER')
  for name, value in found.items():
    arm, _, metric = name.partition('/')
    expected.setdefault(arm, {})[metric] = value
  return expected


def as_table(document) -> str:
  """Makes a Markdown table of the arms of one target."""
  expected = document['expected']
  lines = [
    '| arm | R@10 | NDCG@10 (95%) | R@50 | NDCG@50 | over scratch (95%) | '
    'seconds | FLOP | published R@10, NDCG@10 | over scratch |',
    '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
  ]
  for name, arm in document['arms'].items():
    r10, n10, r50, n50 = (arm['metrics'][m] for m in METRICS)
    effect = arm.get('against_scratch')
    gain = ''
    if effect:
      gain = (
        f'{effect["relative"]:+.1%} '
        f'({effect["low"]:+.1%} to {effect["high"]:+.1%})'
      )
    lines.append(
      f'| {arm["title"]} | {r10["mean"]:.4f} | {n10["mean"]:.4f} '
      f'({n10["low"]:.4f} to {n10["high"]:.4f}) | {r50["mean"]:.4f} | '
      f'{n50["mean"]:.4f} | {gain} | {arm["adapt"]["seconds"]:.0f} | '
      f'{arm["adapt"]["flops"]:.1e} | {_published(expected, name)} |'
    )
  return '\n'.join(lines)


def _published(expected, name) -> str:
  """Published metrics of an arm, and its gain over the published scratch."""
  mine, scratch = expected.get(name, {}), expected.get(BASELINE, {})
  numbers = [f'{mine[m]:.4f}' for m in METRICS[:2] if m in mine]
  if name == BASELINE or not {'ndcg@10'} <= mine.keys() & scratch.keys():
    return f'{", ".join(numbers)} | '
  return (
    f'{", ".join(numbers)} | {mine["ndcg@10"] / scratch["ndcg@10"] - 1:+.1%}'
  )
