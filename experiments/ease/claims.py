"""Tests claims about linear models on one data set.

  python -m experiments.ease.claims \
    --flagfile=experiments/ease/claims_steam.flags --data_dir=DIR

The claims come from notes on EASE (which call it "ESLER"): a linear model beats
deep ones, the zero diagonal does the work, negative weights matter, clipping
them gives the quality of SLIM, and SLIM is far slower. Users are held out
(strong generalization). All arms are tuned on validation users with the same
number of trials, and evaluated on test users.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from absl import flags, logging

from experiments import script, source_flags
from experiments.adaptation import grids
from hyperrec import adapting, laboratory
from hyperrec import method as method_lib
from hyperrec.evaluation import significance
from hyperrec.regimes import new_users
from hyperrec.systems.baselines import popularity
from hyperrec.systems.linear import (
  ease,
  item_item,
  item_knn,
  linear_autoencoder,
  slim,
)
from hyperrec.systems.mult_vae import mult_vae

_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout',
  500,
  'Number of held-out users.',
  lower_bound=1,
)
_TRIALS = flags.DEFINE_integer(
  'trials',
  4,
  'Number of trials of every tuned arm.',
  lower_bound=1,
)
_SEED = script.define_seed('seed', 'Seed of the random split.')
_OUTPUT = flags.DEFINE_string(
  'output', None, 'JSON file that is written.', required=True
)

L2 = (100.0, 300.0, 30.0, 1000.0, 10.0, 3.0, 3000.0, 600.0)
NEAREST = (100, 400, 20, 1000)


class Arm(NamedTuple):
  """A model's builder, and the hyperparameters to choose from."""

  build: Callable[..., method_lib.Model]
  trials: tuple[grids.Trial, ...]


def arms() -> dict[str, Arm]:
  """The arms that the claims compare."""
  linear = tuple({'l2': l2} for l2 in L2)
  relaxed = tuple(
    {'l2': l2, 'relax': relax}
    for l2, relax in ((100, 0.3), (300, 0.3), (30, 0.3), (1000, 0.5))
  )
  denoised = tuple(
    {'l2': l2, 'dropout': p}
    for l2, p in ((100, 0.33), (30, 0.33), (10, 0.5), (300, 0.25))
  )
  vae = tuple(
    {
      'hidden_dim': hidden,
      'latent_dim': latent,
      'epochs': 60,
      'batch_size': 100,
      'anneal_cap': cap,
    }
    for hidden, latent, cap in (
      (600, 200, 0.2),
      (600, 200, 1.0),
      (200, 64, 0.2),
      (200, 64, 1.0),
    )
  )
  part = functools.partial
  return {
    'popularity': Arm(popularity.popularity, ({},)),
    'itemknn': Arm(
      item_knn.item_knn,
      tuple({'neighbours': n, 'shrink': 10.0} for n in NEAREST),
    ),
    'ease': Arm(ease.ease, linear),
    'ease:unconstrained': Arm(part(ease.ease, constrained=False), linear),
    'ease:relaxed': Arm(ease.ease, relaxed),
    'ease:denoising': Arm(ease.ease, denoised),
    'ease:nonnegative': Arm(part(ease.ease, nonnegative=True), linear),
    'slim:no_l1': Arm(part(slim.slim, l1=0.0), tuple({'l2': l2} for l2 in L2)),
    'slim': Arm(
      slim.slim,
      tuple(
        {'l1': l1, 'l2': l2}
        for l1, l2 in ((1.0, 100.0), (1.0, 300.0), (3.0, 30.0), (0.3, 30.0))
      ),
    ),
    'mult_vae': Arm(mult_vae.mult_vae, vae),
  }


def main(argv):
  """Runs every arm, then writes one JSON file."""
  del argv
  data = source_flags.load()
  everything = int(data.user_counts().max())
  task = new_users.make_task(data, everything, _SEED.value, _NUM_HELDOUT.value)
  rows, values = {}, {}
  for name, arm in arms().items():
    rows[name], values[name] = run_arm(arm, task)
    logging.info('%s: %s', name, rows[name])
  document = {
    'dataset': data.name,
    'users': data.num_users,
    'items': data.num_items,
    'interactions': len(data),
    'train_users': task.source.num_users,
    'arms': rows,
    'against_ease': {
      name: significance.paired_bootstrap(
        value, values['ease'], seed=0
      )._asdict()
      for name, value in values.items()
      if name != 'ease'
    },
    'flags': script.script_flags(),
    **script.provenance(),
  }
  script.write_document(document, _OUTPUT.value)


def run_arm(arm, task):
  """Tunes on validation users, fits, and evaluates on test users."""
  key = jax.random.key(_SEED.value)
  trials = arm.trials[: _TRIALS.value]
  fits = {}

  def prepare(method, index):
    if index not in fits:
      fits[index] = laboratory.prepare(method, task.source, key)
    return fits[index]

  def build(**trial):
    return adapting.frozen(arm.build(**trial))

  tuned = laboratory.tune(build, trials, prepare, task.validation, key)
  method = build(**tuned.trial)
  shared, spent = prepare(method, tuned.index)
  adapted = method.adapt(shared, task.test.evidence, key)
  evaluation = laboratory.judge(method, adapted.state, task.test)
  row = {
    'metrics': {n: evaluation.mean(n) for n in laboratory.METRICS},
    'hyperparameters': tuned.trial,
    'trials': tuned.trials,
    'fit_seconds': spent['seconds'],
    'fit_flops': spent['flops'],
  }
  if method.model.score is item_item.score:
    row |= weight_signs(adapted.state, task.source.item_counts())
  return row, evaluation.values[laboratory.PRIMARY]


def weight_signs(
  weights: linear_autoencoder.Weights, popularity_V: np.ndarray
) -> dict[str, float]:
  """Shares of negative weights: of pairs, of the sum |B|, and by popularity."""
  if not isinstance(weights, np.ndarray):
    weights = (
      weights.dense() if hasattr(weights, 'dense') else weights.toarray()
    )
  off = ~np.eye(len(weights), dtype=bool)
  negative = (weights < 0) & off
  size = np.abs(weights) * off
  pairs = np.outer(popularity_V, popularity_V) * off
  return {
    'negative_share': float(negative.sum() / off.sum()),
    'negative_share_by_size': float(size[negative].sum() / size.sum()),
    'negative_share_by_popularity': float(pairs[negative].sum() / pairs.sum()),
  }


if __name__ == '__main__':
  script.run(main)
