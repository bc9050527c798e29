"""Reproduces one row of the SASRec table, and compares it with the paper.

  python -m experiments.sasrec.run --data_dir=DIR --workdir=WORKDIR \
    --flagfile=experiments/sasrec/beauty.flags

Paper: Kang & McAuley, "Self-attentive sequential recommendation", ICDM 2018,
arXiv 1808.09781. The last item of each user is the test target, the one
before it the validation target. The whole catalogue is ranked without seen
items. The evaluated parameters are those with the best validation NDCG@10. The
same command with the same workdir resumes.
"""

import dataclasses
import json
import pathlib
import time

import jax
from absl import flags, logging

from experiments import config_flags, script, source_flags
from hyperrec.cost import measure
from hyperrec.data import sequences, splits
from hyperrec.evaluation import held_out, significance
from hyperrec.systems.sequential import sasrec
from hyperrec.training import loop, mesh, run_log

_ROW = flags.DEFINE_string(
  'row', None, 'Name of the row, such as beauty.', required=True
)
# A row is trained once, and never fine-tuned.
_CONFIG = config_flags.define(
  sasrec.SasrecConfig(), leave_out=['finetune_epochs']
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')
_MASK_SEEN = flags.DEFINE_bool(
  'mask_seen', True, 'Leave items of the history out of the ranking.'
)
_EVALUATE_EVERY = flags.DEFINE_integer(
  'evaluate_every',
  1000,
  'Steps between validations and checkpoints; 0 means only at the end.',
  lower_bound=0,
)
_EXPECT = flags.DEFINE_list(
  'expect', [], 'Published metrics, such as recall@10=0.0921,ndcg@10=0.0531.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Folder of checkpoints and metrics; without it, training cannot resume.',
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that the row is written to; by default WORKDIR/ROW.json, without '
  'a workdir results/sasrec/ROW.json.',
)

METRICS = ('recall@5', 'ndcg@5', 'recall@10', 'ndcg@10', 'mrr')

# What a resumed run finds in its workdir, with the version of its format.
_KEEPS = {'checkpoints': 1, 'metrics.jsonl': 1}
_FREE = {
  'row': 'it names the result',
  'expect': 'it is compared with the result',
}


def main(argv):
  """Trains and evaluates one row."""
  del argv
  expected = script.parse_expected(_EXPECT.value, METRICS)
  data = source_flags.load()
  split = splits.leave_one_out(data)
  if _MASK_SEEN.value:
    for held in (split.validation, split.test):
      sequences.check_targets_unseen(held.histories, held.targets)
  model = sasrec.sasrec(**dataclasses.asdict(_CONFIG.value()))
  claim(data)
  start = time.perf_counter()
  fitted, peak = measure.peak_bytes(lambda: _fit(model, split))
  seconds = time.perf_counter() - start
  if _WORKDIR.value:
    path = pathlib.Path(_WORKDIR.value) / 'metrics.jsonl'
    seconds = run_log.training_seconds(run_log.read_metrics(path))
  validation = judge(model, fitted.state, split.validation, METRICS)
  test = judge(model, fitted.state, split.test, METRICS)
  row = {
    'row': _ROW.value,
    'dataset': data.name,
    'split': 'leave_one_out',
    'method': 'sasrec',
    'config': dataclasses.asdict(model.config),
    'users': len(test.users),
    'items': data.num_items,
    'validation': {name: validation.mean(name) for name in METRICS},
    'metrics': {name: test.mean(name) for name in METRICS},
    'interval': {
      name: list(significance.bootstrap_interval(test.values[name], seed=0))
      for name in METRICS
    },
    'expected': expected,
    'prepare': {
      'flops': fitted.cost.operations,
      'seconds': seconds,
      'peak_bytes': peak,
    },
    'flags': script.script_flags(),
    **script.provenance(),
  }
  if mesh.is_writer():
    default = f'sasrec/{_ROW.value}.json'
    script.write_document(
      row, script.row_path(_OUTPUT.value, _WORKDIR.value, default)
    )
  _compare(row)


def claim(data) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value,
    'experiments.sasrec.run',
    {'data': data},
    keeps=_KEEPS,
    free=_FREE,
  )


def judge(model, state, held, metrics):
  """Evaluates the full ranking of the next item."""
  return held_out.evaluate(
    lambda histories: model.score(state, histories),
    *held,
    metrics=metrics,
    seen=held.histories if _MASK_SEEN.value else held.histories.rows([]),
  )


def _fit(model, split):
  start = time.perf_counter()

  def evaluate(state):
    found = judge(model, state, split.validation, ('recall@10', 'ndcg@10'))
    values = {f'validation_{n}': found.mean(n) for n in found.values}
    logging.info('%s', values)
    return {**values, 'seconds': time.perf_counter() - start}

  every = _EVALUATE_EVERY.value
  run = loop.Run(
    evaluate=evaluate,
    best_metric='validation_ndcg@10',
    evaluate_every=every,
    workdir=_WORKDIR.value,
    checkpoint_every=every,
    description=_ROW.value,
  )
  return model.fit(split.train, jax.random.key(_SEED.value), run=run)


def _compare(row) -> None:
  print(json.dumps(row['metrics'], indent=2))
  for name, value in row['expected'].items():
    found = row['metrics'][name]
    gap = found / value - 1
    print(f'{name}: {found:.4f}, published {value:.4f}: {gap:+.1%}')


if __name__ == '__main__':
  script.run(main, is_multihost=True)
