"""Linear methods for a large catalogue, with their cost and quality."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from hyperrec import method as method_lib
from hyperrec.cost import measure
from hyperrec.data import interactions, splits
from hyperrec.evaluation import held_out, ranking, significance
from hyperrec.systems.linear import (
  ease,
  ease_sparse,
  esler,
  gradient_autoencoder,
  item_knn,
  sparse_autoencoder,
  spd_inverse,
)

METRICS = ('recall@20', 'mrr@20')


class Way(NamedTuple):
  """A model, the settings to choose from, and the memory of its fit.

  Attributes:
    build: settings -> model.
    grid: settings to choose from.
    peak_bytes: (interactions, settings) -> predicted peak memory of the fit;
      None without a prediction.
  """

  build: Callable[..., method_lib.Model]
  grid: tuple[Mapping[str, Any], ...]
  peak_bytes: Callable[..., int] | None


WAYS = {
  'itemknn': Way(
    item_knn.item_knn,
    tuple({'neighbours': 100, 'shrink': s} for s in (0.0, 10.0)),
    None,
  ),
  'ease_sparse': Way(
    ease_sparse.ease_sparse,
    tuple(
      {'l2': l2, 'neighbours': n}
      for l2 in (60.0, 200.0, 600.0)
      for n in (30, 100)
    ),
    lambda data, neighbours, **_: sparse_autoencoder.neighbour_peak_bytes(
      data.csr(), neighbours
    ),
  ),
  'sansa': Way(
    ease_sparse.sansa,
    tuple({'l2': l2, 'density': 5e-4} for l2 in (5.0, 15.0, 45.0)),
    lambda data, density, **_: sparse_autoencoder.sansa_peak_bytes(
      data.csr(), density
    ),
  ),
  'elsa': Way(
    esler.elsa,
    tuple(
      {'rank': 64, 'epochs': 4, 'batch_size': 256, 'lr': lr}
      for lr in (0.1, 0.02)
    ),
    lambda data, rank, batch_size, **_: gradient_autoencoder.elsa_peak_bytes(
      data.num_items, rank, batch_size, int(data.user_counts().max())
    ),
  ),
  'ease': Way(
    ease.ease,
    ({'l2': 200.0},),  # the choice of `ease_sparse`, since a fit is costly
    lambda data, **_: spd_inverse.spd_inverse_peak_bytes(data.num_items),
  ),
}


def run(
  way: Way,
  data: interactions.Interactions,
  prefixes: splits.HeldOut,
  num_validation: int,
  seed: int,
) -> dict[str, Any]:
  """Chooses settings on held-out sessions, fits all sessions, evaluates.

  Args:
    way: the method to run.
    data: the sessions, sorted by session and time.
    prefixes: prefixes of test sessions, and the items that followed.
    num_validation: number of held-out sessions; unused with one setting.
    seed: seed of the held-out sessions and of the fits.
  """
  key = jax.random.key(seed)
  trials = []
  if len(way.grid) > 1:
    train, held = hold_out(data, num_validation, seed)
    for options in way.grid:
      model = way.build(**options)
      fitted = model.fit(train, key).state
      found = judge(model, fitted, held).mean('recall@20')
      logging.info('%s %s: recall@20 %.4f', model.name, options, found)
      trials.append({'options': options, 'recall@20': found})
  best = max(trials, key=lambda t: t['recall@20'], default=None)
  options = best['options'] if best else way.grid[0]
  model = way.build(**options)
  predicted = way.peak_bytes(data, **options) if way.peak_bytes else None
  start = time.perf_counter()
  fitted, peak = measure.peak_bytes(lambda: model.fit(data, key))
  seconds = time.perf_counter() - start
  found = judge(model, fitted.state, prefixes)
  return {
    'options': options,
    'trials': trials,
    'metrics': {metric: found.mean(metric) for metric in METRICS},
    'interval': {
      metric: list(
        significance.bootstrap_interval(found.values[metric], seed=0)
      )
      for metric in METRICS
    },
    'prefixes': len(found.users),
    'prepare': {
      'flops': fitted.cost.operations,
      'seconds': seconds,
      'predicted_bytes': predicted,
      'peak_bytes': peak,
      'stored_bytes': measure.stored_bytes(fitted.state, ()),
    },
  }


def hold_out(
  data: interactions.Interactions, number: int, seed: int
) -> tuple[interactions.Interactions, splits.HeldOut]:
  """Returns training sessions, and held-out sessions with their last item."""
  long = np.flatnonzero(data.user_counts() > 1)
  held = np.random.default_rng(seed).choice(long, number, replace=False)
  train = data.take_users(np.setdiff1d(np.arange(data.num_users), held))
  rows = data.take_users(np.sort(held)).by_user_and_time()
  is_last = np.append(np.diff(rows.users) > 0, True)
  return train, splits.HeldOut(rows.rows(~is_last), rows.rows(is_last))


def judge(model, state, held: splits.HeldOut) -> ranking.Evaluation:
  """Evaluates the full ranking, seen items included: sessions repeat items."""
  return held_out.evaluate(
    lambda histories: model.score(state, histories),
    *held,
    metrics=METRICS,
    seen=held.histories.rows([]),
    batch_size=256,
  )
