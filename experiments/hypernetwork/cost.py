"""Measures the cost of an adaptation: generated weights or a refit of EASE.

  python -m experiments.hypernetwork.cost --refit \
    --output=experiments/hypernetwork/results/cost.json

A generator that was trained on one catalogue generates the item-item weights of
another catalogue of the same size, as factors and without a solve
(`hyperease_zero`). The refit inverts the item-item matrix of that catalogue. A
second generator corrects the weights of EASE for each user (`hyperease_user`).
Interactions and features are synthetic, since costs depend on their shapes
alone. Operations are counted, those of LAPACK by published totals; seconds are
medians of warm calls.
"""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from experiments import script
from experiments.adaptation import grids
from experiments.benchmarks import inputs
from hyperrec import method as method_lib
from hyperrec.cost import counts, measure
from hyperrec.systems.hyperease import caution, hyperease, hyperease_user
from hyperrec.systems.linear import linear_autoencoder

_NUM_ITEMS = flags.DEFINE_integer(
  'num_items', 20_000, 'Number of items in each catalogue.', lower_bound=2
)
_NUM_FEATURES = flags.DEFINE_integer(
  'num_features', 512, 'Number of features of an item.', lower_bound=1
)
_NUM_USERS = flags.DEFINE_integer(
  'num_users', 100_000, 'Number of users in each catalogue.', lower_bound=1
)
_MEAN_LENGTH = flags.DEFINE_integer(
  'mean_length', 50, 'Average number of items of a user.', lower_bound=1
)
_REFIT = flags.DEFINE_bool(
  'refit',
  False,
  'Also time the refit, once. It takes minutes and 4 V^2 bytes for V items.',
)
_REPEATS = flags.DEFINE_integer(
  'repeats',
  20,
  'Number of warm calls that are timed.',
  lower_bound=1,
)
_MAX_SECONDS = flags.DEFINE_float(
  'max_seconds',
  120.0,
  'Time limit for the repeats of one timing, in seconds.',
  lower_bound=0.0,
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/hypernetwork/cost.json', 'JSON file that is written.'
)

BATCHES = (1, 1024)
GOAL = 100.0
L2 = 100.0


class Row(NamedTuple):
  """The cost of one phase of a system; None means "not measured".

  Attributes:
    system: name of the system.
    what: "prepare", "adapt" or "score".
    batch: number of users at a time; 0 if the phase is not per user.
    flops: number of operations.
    seconds: median time of a call.
    seconds_iqr: interquartile range of the times.
    repeats: number of timed calls.
    stored_bytes: size of the arrays that the phase makes and keeps.
  """

  system: str
  what: str
  batch: int
  flops: float
  seconds: float | None
  seconds_iqr: float | None
  repeats: int
  stored_bytes: int | None


def main(argv):
  """Measures, prints and writes."""
  del argv
  rows = run()
  result = {
    'benchmark': 'hypernetwork.cost',
    'rows': [row._asdict() for row in rows],
    'summary': summary(rows),
    'cores': os.cpu_count(),
    'flags': script.script_flags(),
    **script.provenance(),
  }
  print(table(rows, result['summary']))
  script.write_document(result, _OUTPUT.value)
  print(f'written to {_OUTPUT.value}')


def run() -> list[Row]:
  """Returns all rows."""
  source, target = _catalogue('source', 0), _catalogue('target', 1)
  return [
    *generated(source, target),
    *refitted(target),
    *generated_for_users(target),
  ]


def generated(source, target) -> list[Row]:
  """Measures preparing, generating, and scoring with the generated weights."""
  random = np.random.default_rng(0)
  shape = (_NUM_ITEMS.value, _NUM_FEATURES.value)
  features = {
    name: random.standard_normal(shape, np.float32)
    for name in (source.name, target.name)
  }
  model = hyperease.hyperease(
    lambda data: features[data.name], **grids.HYPEREASE_ZERO[0]
  )
  key, name = jax.random.key(0), 'hyperease_zero'
  learned, prepared = _row(
    lambda: model.fit(source, key), name, 'prepare', repeats=1
  )
  prepared = prepared._replace(flops=learned.cost.operations)
  made, row = _row(
    lambda: model.generate(learned.state, target, key), name, 'adapt'
  )
  row = row._replace(
    flops=made.cost.operations,
    stored_bytes=measure.stored_bytes(made.state, learned.state),
  )
  return [prepared, row, *_scoring(name, made.state, target)]


def refitted(target) -> list[Row]:
  """Measures the primal closed form on all interactions; timed with --refit."""
  x_UxV = target.csr()
  num_items = target.num_items
  total = linear_autoencoder.solve_flops(
    x_UxV.getnnz(axis=1), num_items, primal=True
  )
  if not _REFIT.value:
    return [Row('ease', 'adapt', 0, total, None, None, 0, 4 * num_items**2)]
  ridge = np.full(num_items, L2)
  weights, row = _row(
    lambda: linear_autoencoder.solve_primal(x_UxV, ridge),
    'ease', 'adapt', repeats=1,
  )  # fmt: skip
  row = row._replace(flops=total, stored_bytes=weights.nbytes)
  return [row, *_scoring('ease', weights, target)]


def generated_for_users(target) -> list[Row]:
  """Measures what `hyperease_user` adds to EASE: generating and scoring."""
  config, few = hyperease_user.UserConfig(), target.csr()[:1000]
  params = hyperease_user.init(config, few, jax.random.key(0))
  nobody = np.zeros((0, target.num_items), bool)
  rows = []
  for what, fn in (
    ('adapt', hyperease_user.coefficients),
    ('score', hyperease_user.corrections),
  ):
    generate = jax.jit(functools.partial(fn, config))
    for batch in BATCHES:
      shown = _histories(target, batch).multi_hot()
      given = params, shown, nobody
      if what == 'score':
        whole = caution.all_kept()
        made = hyperease_user.Generators((params,), whole, nobody)
        given = made, shown, shown
      made, row = _row(
        functools.partial(generate, *given), 'hyperease_user', what, batch
      )
      row = row._replace(flops=counts.program(generate, *given))
      if what == 'adapt':
        row = row._replace(stored_bytes=measure.stored_bytes(made, params))
      rows.append(row)
  return rows


def summary(rows: list[Row]) -> dict[str, Any]:
  """Returns the costs of a refit over those of generating, and break-even.

  Break-even is None if it is never reached or was not measured.
  """
  by_name = {(r.system, r.what): r for r in rows if r.batch == 0}
  prepare, adapt, refit = (
    by_name[name]
    for name in (
      ('hyperease_zero', 'prepare'),
      ('hyperease_zero', 'adapt'),
      ('ease', 'adapt'),
    )
  )
  ratio = float(refit.flops / adapt.flops)
  is_timed = refit.seconds is not None
  return {
    'flops_ratio': ratio,
    'goal': f'>= {GOAL:g}',
    'is_met': bool(ratio >= GOAL),
    'break_even_flops': measure.break_even(
      prepare.flops, refit.flops, adapt.flops
    ),
    'seconds_ratio': refit.seconds / adapt.seconds if is_timed else None,
    'break_even_seconds': (
      measure.break_even(prepare.seconds, refit.seconds, adapt.seconds)
      if is_timed
      else None
    ),
    'bytes_ratio': refit.stored_bytes / adapt.stored_bytes,
  }


def table(rows: list[Row], totals: dict[str, Any]) -> str:
  """Returns the rows and the summary as text."""
  head = f'{"system":15}{"what":9}{"users":>6}{"FLOP":>10}{"s":>10}{"MB":>9}'
  lines = [head, *(_line(row) for row in rows)]
  verdict = 'met' if totals['is_met'] else 'MISSED'
  lines.append(
    f'refit / generation: operations {totals["flops_ratio"]:.0f} (goal '
    f'{totals["goal"]}: {verdict}), seconds {_short(totals["seconds_ratio"])}, '
    f'bytes {totals["bytes_ratio"]:.1f}'
  )
  lines.append(
    'adaptations that pay for preparing: '
    f'{_short(totals["break_even_flops"])} by operations, '
    f'{_short(totals["break_even_seconds"])} by seconds (- is not measured '
    'or never)'
  )
  return '\n'.join(lines)


def _line(row: Row) -> str:
  size = None if row.stored_bytes is None else row.stored_bytes / 1e6
  return (
    f'{row.system:15}{row.what:9}{row.batch or "":>6}{row.flops:>10.2e}'
    f'{_short(row.seconds):>10}{_short(size):>9}'
  )


def _short(value: float | None) -> str:
  return '-' if value is None else f'{value:.3g}'


def _scoring(system: str, weights: Any, data) -> list[Row]:
  """Measures scoring of one user and of many users."""
  rows = []
  for batch in BATCHES:
    x_BxV = _histories(data, batch).csr()
    _, row = _row(
      lambda x=x_BxV: linear_autoencoder.scores(x, weights),
      system, 'score', batch,
    )  # fmt: skip
    rows.append(row._replace(flops=score_flops(x_BxV, weights)))
  return rows


def score_flops(x_BxV: Any, weights: Any) -> float:
  """Counts the operations of x B, with B dense or in factors of rank r."""
  if not isinstance(weights, linear_autoencoder.FactoredWeights):
    return 2.0 * x_BxV.nnz * weights.shape[1]
  rank = weights.left.shape[1]
  return 2.0 * x_BxV.nnz * rank + counts.matmul(*x_BxV.shape, rank)


def _row(
  fn: Callable[[], Any],
  system: str,
  what: str,
  batch: int = 0,
  repeats: int | None = None,
) -> tuple[Any, Row]:
  """Returns the value of fn() and a row; the caller sets operations, bytes."""
  measured = measure.call(
    fn,
    repeats=repeats or _REPEATS.value,
    max_seconds=0.0 if repeats == 1 else _MAX_SECONDS.value,
  )
  _, seconds, spread, count = measured.timing
  return measured.value, Row(
    system, what, batch, 0.0, seconds, spread, count, None
  )


def _catalogue(name: str, seed: int):
  made = inputs.skewed(
    _NUM_USERS.value, _NUM_ITEMS.value, _MEAN_LENGTH.value, seed
  )
  return dataclasses.replace(made, name=name)


def _histories(data, batch: int) -> method_lib.Histories:
  users = np.arange(batch) % data.num_users
  return method_lib.Histories.of(data, users)


if __name__ == '__main__':
  script.run(main)
