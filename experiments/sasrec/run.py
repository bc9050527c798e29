"""One row of the SASRec table: train, rank, compare with what is published.

  python -m experiments.sasrec.run --data_dir=DIR --workdir=WORKDIR \
    --flagfile=experiments/sasrec/beauty.flags

Paper: Kang & McAuley, "Self-attentive sequential recommendation", ICDM 2018,
arXiv 1808.09781. Each user's last item is test, the one before it validation;
the whole catalogue is ranked without the items seen. The parameters judged are
those with the best validation NDCG@10. The same command with the same workdir
resumes.
"""

import dataclasses
import json
import pathlib
import time

import jax
from absl import flags, logging

from experiments import script, source_flags
from hyperrec.cost import measure
from hyperrec.data import sequences, splits
from hyperrec.evaluation import held_out, significance
from hyperrec.methods import next_item, sasrec
from hyperrec.training import mesh, run_log

_DEFAULT = sasrec.Config()

_ROW = flags.DEFINE_string('row', None, 'Name of the row.', required=True)
_LENGTH = flags.DEFINE_integer(
  'length',
  _DEFAULT.length,
  'Number of items of a history that are read, the last ones.',
  lower_bound=1,
)
_DIM = flags.DEFINE_integer(
  'dim',
  _DEFAULT.dim,
  'Width of the embeddings.',
  lower_bound=1,
)
_LAYERS = flags.DEFINE_integer(
  'num_layers',
  _DEFAULT.num_layers,
  'Number of transformer blocks.',
  lower_bound=1,
)
_HEADS = flags.DEFINE_integer(
  'num_heads',
  _DEFAULT.num_heads,
  'Number of attention heads.',
  lower_bound=1,
)
_DROPOUT = flags.DEFINE_float(
  'dropout',
  _DEFAULT.dropout,
  'Share of values that dropout sets to 0, from 0 to below 1.',
  lower_bound=0.0,
  upper_bound=1.0,
)
_ITEM_DROPOUT = flags.DEFINE_float(
  'item_dropout',
  _DEFAULT.item_dropout,
  'Share of the item table that dropout sets to 0, from 0 to below 1.',
  lower_bound=0.0,
  upper_bound=1.0,
)
_EPOCHS = flags.DEFINE_integer(
  'epochs',
  _DEFAULT.epochs,
  'Number of passes over the users.',
  lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size',
  _DEFAULT.batch_size,
  'Number of packed rows in a training step.',
  lower_bound=1,
)
_LR = flags.DEFINE_float(
  'lr',
  _DEFAULT.lr,
  'Learning rate of AdamW at the start, such as 0.001.',
  lower_bound=0.0,
)
_WEIGHT_DECAY = flags.DEFINE_float(
  'weight_decay',
  _DEFAULT.weight_decay,
  'Weight decay of AdamW, such as 0.01.',
  lower_bound=0.0,
)
_NEGATIVES = flags.DEFINE_integer(
  'num_negatives',
  _DEFAULT.num_negatives,
  'Number of negative items in a step; 0 means the full softmax.',
  lower_bound=0,
)
_LOGQ = flags.DEFINE_bool(
  'logq',
  _DEFAULT.logq,
  'Draw negatives by popularity and correct for it (logQ); otherwise draw '
  'all items alike.',
)
_HIDDEN_RATIO = flags.DEFINE_integer(
  'hidden_ratio',
  _DEFAULT.hidden_ratio,
  'Width of the feed-forward network of a block, as a multiple of dim.',
  lower_bound=1,
)
_FROM_THE_END = flags.DEFINE_bool(
  'from_the_end', _DEFAULT.from_the_end, 'Count positions from the last item.'
)
_SEES_PADDING = flags.DEFINE_bool(
  'sees_padding',
  _DEFAULT.sees_padding,
  'Attend also to the padding before the first item.',
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')
_MASK_SEEN = flags.DEFINE_bool(
  'mask_seen', True, 'Leave the history out of the ranking.'
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
  """Trains and judges one row."""
  del argv
  expected = script.parse_expected(_EXPECT.value, METRICS)
  data = source_flags.load()
  split = splits.leave_one_out(data)
  if _MASK_SEEN.value:
    for held in (split.validation, split.test):
      sequences.check_targets_unseen(held.histories, held.targets)
  config = _config()
  claim(data)
  start = time.perf_counter()
  fitted, peak = measure.peak_bytes(lambda: _fit(config, split))
  seconds = time.perf_counter() - start
  if _WORKDIR.value:
    path = pathlib.Path(_WORKDIR.value) / 'metrics.jsonl'
    seconds = run_log.training_seconds(run_log.read_metrics(path))
  validation = judge(config, fitted, split.validation, METRICS)
  test = judge(config, fitted, split.test, METRICS)
  row = {
    'row': _ROW.value,
    'dataset': data.name,
    'split': 'leave_one_out',
    'method': 'sasrec',
    'config': dataclasses.asdict(config),
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
      'flops': sasrec.fit_flops(config, fitted),
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
  """Refuses the workdir of another run."""
  script.claim(
    _WORKDIR.value,
    'experiments.sasrec.run',
    {'data': data},
    keeps=_KEEPS,
    free=_FREE,
  )


def judge(config, fitted, held, metrics):
  """Full ranking of the next item."""
  return held_out.evaluate(
    lambda histories: sasrec.score(config, fitted, histories),
    *held,
    metrics=metrics,
    seen=held.histories if _MASK_SEEN.value else held.histories.rows([]),
  )


def _fit(config, split):
  template = sasrec.Fitted(
    None, next_item.popularity(split.train), 0, 0, None, split.train.item_ids
  )
  start = time.perf_counter()

  def evaluate(params):
    fitted = template._replace(params=params)
    found = judge(config, fitted, split.validation, ('recall@10', 'ndcg@10'))
    values = {f'validation_{n}': found.mean(n) for n in found.values}
    logging.info('%s', values)
    return {**values, 'seconds': time.perf_counter() - start}

  every = _EVALUATE_EVERY.value
  return sasrec.fit(
    config,
    split.train,
    jax.random.key(_SEED.value),
    evaluate=evaluate,
    workdir=_WORKDIR.value,
    description=_ROW.value,
    loop={
      'evaluate_every': every,
      'checkpoint_every': every,
      'best_metric': 'validation_ndcg@10',
    },
  )


def _config() -> sasrec.Config:
  return sasrec.Config(
    length=_LENGTH.value,
    dim=_DIM.value,
    num_layers=_LAYERS.value,
    num_heads=_HEADS.value,
    dropout=_DROPOUT.value,
    item_dropout=_ITEM_DROPOUT.value,
    epochs=_EPOCHS.value,
    batch_size=_BATCH_SIZE.value,
    lr=_LR.value,
    weight_decay=_WEIGHT_DECAY.value,
    num_negatives=_NEGATIVES.value,
    logq=_LOGQ.value,
    hidden_ratio=_HIDDEN_RATIO.value,
    from_the_end=_FROM_THE_END.value,
    sees_padding=_SEES_PADDING.value,
  )


def _compare(row) -> None:
  print(json.dumps(row['metrics'], indent=2))
  for name, value in row['expected'].items():
    found = row['metrics'][name]
    gap = found / value - 1
    print(f'{name}: {found:.4f}, published {value:.4f}: {gap:+.1%}')


if __name__ == '__main__':
  script.run(main, is_multihost=True)
