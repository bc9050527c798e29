"""How the composition of a kernel is chosen, and how each choice is judged."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import numpy as np

from experiments.adaptation import grids
from hyperrec import features as features_lib
from hyperrec import laboratory
from hyperrec import method as method_lib
from hyperrec.regimes import new_domain
from hyperrec.systems.hyperease import catalogue_generator as generator_lib
from hyperrec.systems.hyperease import composition as composition_lib
from hyperrec.systems.hyperease import sub_catalogues
from hyperrec.systems.linear import (
  feature_relation,
  item_item,
  l3ae,
  linear_autoencoder,
)
from hyperrec.systems.linear import prior as prior_lib

# Weights of MiniLM, words and n-grams in the grid, turn by turn.
MIXTURES = ((1, 1, 1), (3, 1, 1), (1, 0, 0), (1, 2, 0), (1, 0, 2))
_FOLDS = 3
_NO_TUNING = method_lib.Cost()
_NAMES = {'evidence': 'generated'}


def rows(task, views, models, fitted, *, base, grid) -> list[dict[str, Any]]:
  """One row for each way to choose the composition."""
  evidence, key = task.test.evidence, jax.random.key(1)
  tables = views(evidence)
  found = []
  for name, (settings, weights) in {'fixed': base, 'grid': grid}.items():
    weighted = features_lib.weighted(tables, weights)
    solved = l3ae.l3ae(lambda _, w=weighted: w, **vars(settings)).fit(
      evidence, key
    )
    found.append(_row(name, solved, task))
  for kind, model in models.items():
    solved = model.generate(fitted[kind].state, evidence, key)
    row = _row(_NAMES.get(kind, kind), solved, task)
    if kind == 'evidence':
      row['composition'] = plain(composition_of(model, fitted[kind], views,
                                                 evidence, key))  # fmt: skip
    found.append(row)
  return [*found, chosen_by_folds(task, tables, base)]


def composition_of(model, fitted, views, evidence, key):
  """The composition that the generator makes."""
  config = model.config
  made = generator_lib.compose(
    generator_lib.Network(),
    fitted.state,
    sub_catalogues.Domain(evidence.csr(), views(evidence)),
    config,
    np.random.default_rng(int(jax.random.bits(key))),
  )
  return composition_lib.settle(made.state)


def chosen_by_folds(task, tables, base) -> dict[str, Any]:
  """The setting with the best mean NDCG@100 on folds of the evidence.

  Without two users to make folds of it is the fixed composition. The prior of a
  setting is made once for all of its folds.
  """
  parts = new_domain.REGIME.folds(task, _FOLDS, 0)
  settings = [base, *grid_settings(len(tables))] if parts else [base]
  best, tuning = (-np.inf, None), _NO_TUNING
  for place, (config, weights) in enumerate(settings):
    prior = feature_relation.relation(
      features_lib.weighted(tables, weights), config.l2_features,
      config.trust, config.sharpness,
    )  # fmt: skip
    values = []
    for part in parts:
      weights_VxV, operations = solve(prior.prior, config, part.evidence)
      tuning += method_lib.Cost(operations)
      values.append(_ndcg(weights_VxV, part))
    value = float(np.mean(values)) if values else 0.0
    if value > best[0]:
      final, operations = solve(prior.prior, config, task.test.evidence)
      cost = prior.cost + method_lib.Cost(operations)
      best = value, method_lib.Outcome(final, cost), place
    if parts:
      tuning += prior.cost
  row = _row('folds', best[1], task, tuning)
  return row | {
    'trial': best[2],
    'validation': best[0],
    'trials': len(settings),
  }


def solve(prior, config, data):
  """L3AE around a prior that is made already, and the operations."""
  x = data.csr()
  tilt = (x.getnnz(0) + config.prior_count) ** config.popularity
  tilted = prior_lib.tilted(prior.copy(), tilt)
  ridge = np.full(x.shape[1], float(config.l2))
  return linear_autoencoder.solve_from_prior(x, ridge, tilted)


def grid_settings(num_views: int):
  """The grid of `l3ae:kernel`, with the mixtures of the views in turn."""
  mixtures = itertools.cycle(m[:num_views] for m in MIXTURES)
  return [
    (l3ae.L3aeConfig(**trial), mixture)
    for trial, mixture in zip(grids.L3AE_KERNEL, mixtures, strict=False)
  ]


def best_of_grid(sources, views, num_tasks: int):
  """The setting of `l3ae:kernel` that is best on tasks of the sources."""
  rng = np.random.default_rng(5)
  tasks = []
  for source in sources:
    domain = sub_catalogues.Domain(source.csr(), views(source))
    for _ in range(num_tasks):
      task = sub_catalogues.draw(
        domain, size=400, most_users=400, num_judged=80, rng=rng
      )
      if task is not None:
        tasks.append((task.catalogue, sub_catalogues.queries(task, 40, rng)))
  equal = len(views(sources[0]))
  loss = jax.jit(composition_lib.loss)
  configs = [l3ae.L3aeConfig(**trial) for trial in grids.L3AE_KERNEL]
  values = [
    np.mean([
      loss(composition_lib.start(config, equal), *arrays) for arrays in tasks
    ])
    for config in configs
  ]  # fmt: skip
  return configs[int(np.argmin(values))], (1.0,) * equal


def _ndcg(weights, judged) -> float:
  found = laboratory.judge(_model(), weights, judged, ('ndcg@100',))
  return found.mean('ndcg@100')


@functools.cache
def _model():
  """A model that scores by item-item weights."""
  return item_item.closed_form('weights', {}, lambda data: None)


def _row(name, solved, task, tuning=_NO_TUNING) -> dict[str, Any]:
  return {
    'method': name,
    'ndcg@100': float(_ndcg(solved.state, task.test)),
    'operations': solved.cost.operations,
    'operations_of_text': solved.cost.of_text,
    'tuning_operations': tuning.operations,
    'tuning_operations_of_text': tuning.of_text,
  }


def plain(composition) -> dict[str, Any]:
  """A composition for JSON."""
  settings, weights = composition
  return dataclasses.asdict(settings) | {'weights': [float(w) for w in weights]}
