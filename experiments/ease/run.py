"""Reproduces one row of an EASE table, and compares it with the paper.

  python -m experiments.ease.run --flagfile=experiments/ease/gowalla.flags \
    --data_dir=DIR

Paper: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
arXiv 1905.03375. Each row of the README's table is one flag file; its result
is a JSON file.
"""

import dataclasses
import json
import time

import jax
import numpy as np
from absl import flags, logging

from experiments import config_flags, script, source_flags
from hyperrec.cost import measure
from hyperrec.data import splits
from hyperrec.evaluation import held_out, significance
from hyperrec.systems.linear import ease

_ROW = flags.DEFINE_string(
  'row', None, 'Name of the row, such as gowalla.', required=True
)
_SPLIT = flags.DEFINE_enum(
  'split',
  'fixed',
  ['fixed', 'strong_generalization'],
  "Split of the data: the source's own training and test part (fixed), or "
  'held-out users (strong_generalization, Liang et al., 2018).',
)
_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout',
  10_000,
  'Number of held-out users, with --split=strong_generalization.',
  lower_bound=1,
)
_CONFIG = config_flags.define(ease.EaseConfig(l2=80.0))
_EXPECT = flags.DEFINE_list(
  'expect', [], 'Published metrics, such as recall@20=0.1765,ndcg@20=0.1467.'
)
_TOLERANCE = flags.DEFINE_float(
  'tolerance',
  1e-4,
  'Largest absolute difference from --expect that passes, such as 1e-4.',
  lower_bound=0.0,
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that the row is written to; by default results/ease/ROW.json.',
)

METRICS = (
  'recall@20',
  'recall@50',
  'recall_min@20',
  'recall_min@50',
  'ndcg@20',
  'ndcg@50',
  'ndcg@100',
  'hr@20',
)


def main(argv):
  """Fits and evaluates one row; the exit code is 1 if it misses --expect."""
  del argv
  expected = script.parse_expected(_EXPECT.value, METRICS)
  train, test = load_split()
  model = ease.ease(**dataclasses.asdict(_CONFIG.value()))
  start = time.perf_counter()
  fitted, peak = measure.peak_bytes(lambda: model.fit(train, jax.random.key(0)))
  fit_seconds = time.perf_counter() - start
  logging.info('fitted %r in %.1f s', train, fit_seconds)
  evaluation = evaluate(model, fitted.state, test)
  row = {
    'row': _ROW.value,
    'dataset': train.name,
    'split': _SPLIT.value,
    'method': model.name,
    'metrics': {name: evaluation.mean(name) for name in METRICS},
    'interval': {
      name: list(
        significance.bootstrap_interval(evaluation.values[name], seed=0)
      )
      for name in METRICS
    },
    'expected': expected,
    'negative_share': negative_share(fitted.state),
    'prepare': {
      'flops': fitted.cost.operations,
      'seconds': fit_seconds,
      'peak_bytes': peak,
    },
    'flags': script.script_flags(),
    **script.provenance(),
  }
  script.write_document(row, _OUTPUT.value or f'results/ease/{_ROW.value}.json')
  print(json.dumps(row['metrics'], indent=2))
  return script.report_misses({**row, 'tolerance': _TOLERANCE.value})


def load_split():
  """Returns the training data and the held-out users."""
  if _SPLIT.value == 'fixed':
    train, test = source_flags.load_train_test()
    held, unseen = splits.fixed(train, test)
    logging.info('%d test rows are of items unseen in training', unseen)
    return train, held
  split = splits.strong_generalization(source_flags.load(), _NUM_HELDOUT.value)
  return split.train, split.test


def evaluate(model, weights, held):
  """Evaluates the full ranking, with the histories masked."""
  return held_out.evaluate(
    lambda histories: model.score(weights, histories), *held, metrics=METRICS
  )


def negative_share(weights) -> float:
  """Returns the share of negative weights off the diagonal."""
  if not isinstance(weights, np.ndarray):
    weights = weights.dense()
  num_items = len(weights)
  negative = sum(int((row < 0).sum()) for row in weights)
  return negative / (num_items * (num_items - 1))


if __name__ == '__main__':
  script.run(main)
