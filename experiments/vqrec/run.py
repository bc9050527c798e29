"""VQ-Rec on one target: every arm of the table, several seeds.

  python -m experiments.vqrec.run --data_dir=DIR --workdir=WORKDIR \
    --flagfile=experiments/vqrec/office.flags

Paper: Hou, He, McAuley & Zhao, "Learning vector-quantized item representation
for transferable sequential recommenders", WWW 2023, arXiv 2210.12316. Each
user's last item is test, the one before it validation; the whole catalogue is
ranked. Each seed pre-trains once on the source domains; the parameters judged
are those with the best validation NDCG@10. The same command with the same
workdir resumes: an arm that is done is not done again.
"""

import functools
import json
import pathlib
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags, logging

from experiments import script, source_flags
from experiments.vqrec import arms as arms_lib
from experiments.vqrec import config_flags, item_tables, model_file, rows
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences, splits
from hyperrec.evaluation import ranking
from hyperrec.methods import (
  vqrec,
  vqrec_index,
  vqrec_training,
)
from hyperrec.training import run_log

_ROW = flags.DEFINE_string('row', None, 'Name of the target.', required=True)
_DOMAINS = flags.DEFINE_list('domains', [], 'Sources of pre-training.')
_ARMS = flags.DEFINE_list('arms', list(arms_lib.ARMS), 'Which are run.')
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Runs of each.', lower_bound=1)
_MASK_SEEN = flags.DEFINE_bool(
  'mask_seen', True, 'Leave the history out of the ranking.'
)
_EVALUATE_EVERY = flags.DEFINE_integer(
  'evaluate_every', 100, 'Steps between validations.', lower_bound=1
)
_EXPECT = flags.DEFINE_list(
  'expect', [], 'Published metrics of arms, as full/ndcg@10=0.0643.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'For what is pre-trained, and done.', required=True
)
_SAVE = flags.DEFINE_string(
  'save', None, 'File to keep seed 0 of the one arm in, for new_items.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'The JSON file; default experiments/vqrec/results/ROW.json.'
)


def main(argv):
  """Trains and judges every arm."""
  del argv
  chosen = _chosen_arms()
  expected = rows.parse_expected(_EXPECT.value, arms_lib.ARMS)
  data = source_flags.load()
  domains = source_flags.load_domains(_DOMAINS.value)
  *source_tables, table = item_tables.of([*domains, data])
  split = splits.leave_one_out(data)
  if _MASK_SEEN.value:
    for held in (split.validation, split.test):
      sequences.check_targets_unseen(held.histories, held.targets)
  workdir = pathlib.Path(_WORKDIR.value)
  rows.check_same(workdir, script.script_flags())
  record = run_log.manifest(script.script_flags(), {'train': split.train})
  run_log.write_manifest(workdir, record)
  for seed in range(_SEEDS.value):
    source = _pretraining(domains, source_tables, seed)
    judged = _judged(split, table, seed)
    for name, arm in chosen.items():
      path = workdir / 'cells' / f'{name}_{seed}.json'
      unsaved = _SAVE.value and not pathlib.Path(_SAVE.value).exists()
      if not path.exists() or unsaved:
        rows.write_cell(path, _cell(arm, judged, source, seed))
  cells = rows.read_cells(workdir / 'cells', chosen, _SEEDS.value)
  document = {
    'row': _ROW.value,
    'dataset': data.name,
    'users': len(cells[0]['users']),
    'items': data.num_items,
    'sources': [d.name for d in domains],
    'text_encoder': item_tables.encoder_name(),
    'arms': rows.summarise(cells, chosen),
    'expected': expected,
    'flags': script.script_flags(),
    **script.provenance(),
  }
  path = pathlib.Path(
    _OUTPUT.value or f'experiments/vqrec/results/{_ROW.value}.json'
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(document, indent=2) + '\n')
  print(rows.as_table(document))


def judge(config, fitted, held, metrics):
  """Full ranking of the next item."""
  histories = held.histories.by_user_and_time()
  shown = held.histories.csr()
  return ranking.evaluate(
    lambda users: vqrec.score(
      config, fitted, method_lib.Histories.of(histories, users)
    ),
    shown,
    held.targets.csr(),
    metrics=metrics,
    seen=shown if _MASK_SEEN.value else shown * 0,
  )


def _pretraining(domains, tables, seed):
  """Share of fakes' codes -> what is pre-trained, kept in the workdir."""
  names = [domain.name for domain in domains]
  index = _index_of(lambda: vqrec_index.stacked(tables, names), seed)

  @functools.cache
  def source(replaced):
    if not domains:
      raise interactions_lib.DataError(
        'this arm is pre-trained: name source domains, as --domains=beauty,'
        'steam, or run --arms=scratch'
      )
    kind = 'fakes' if replaced else 'no_fakes'
    return vqrec_training.pretrain(
      config_flags.pretraining(replaced),
      domains,
      tables,
      jax.random.key(seed),
      made=index(),
      workdir=pathlib.Path(_WORKDIR.value) / f'pretrained_{kind}_{seed}',
      description=f'pre-training, seed {seed}',
      loop={'checkpoint_every': 500},
    )

  return source


class _Judged(NamedTuple):
  """The target's parts and features, its text's at True, random at False."""

  split: splits.Split
  tables: dict[bool, np.ndarray]
  indices: dict[bool, Callable[[], vqrec_index.Made]]


def _judged(split, table, seed) -> _Judged:
  tables = {True: table, False: item_tables.random(len(table), seed)}
  indices = {
    has_text: _index_of(lambda made_of=made_of: made_of, seed)
    for has_text, made_of in tables.items()
  }
  return _Judged(split, tables, indices)


def _index_of(table, seed) -> Callable[[], vqrec_index.Made]:
  """Makes an index when it is first asked for: all arms of a seed share it."""
  config = config_flags.config()

  @functools.cache
  def made():
    return vqrec_index.make(
      table(),
      jax.random.fold_in(jax.random.key(seed), 2),
      num_groups=config.num_groups,
      num_codes=config.num_codes,
    )

  return made


def _cell(arm, judged: _Judged, source, seed) -> rows.Cell:
  """One arm under one seed, and its test users' values."""
  config = config_flags.config()
  split = judged.split

  def evaluate(fitted):
    found = judge(config, fitted, split.validation, ('ndcg@10',))
    return {'ndcg@10': found.mean('ndcg@10')}

  configured = arms_lib.configured(arm, config)
  needs_own = not arm.pretrained or configured.index == 'target'
  target = arms_lib.Target(
    split.train,
    judged.tables[arm.has_text],
    judged.indices[arm.has_text]() if needs_own else None,
    evaluate,
    {'evaluate_every': _EVALUATE_EVERY.value, 'best_metric': 'ndcg@10'},
  )
  shared = source(configured.replaced) if arm.pretrained else None
  key = jax.random.fold_in(jax.random.key(seed), 1)
  start = time.perf_counter()
  fitted = arms_lib.fit(arm, config, shared, target, key)
  seconds = time.perf_counter() - start
  if _SAVE.value and seed == 0:
    encoder = item_tables.encoder_name()
    model_file.save(_SAVE.value, model_file.Model(config, encoder, fitted))
  found = judge(config, fitted, split.test, rows.METRICS)
  logging.info('%s, %d: ndcg@10 %.4f', arm.title, seed, found.mean('ndcg@10'))
  return {
    'users': found.users.tolist(),
    'values': {m: np.asarray(v).tolist() for m, v in found.values.items()},
    'validation': evaluate(fitted)['ndcg@10'],
    'adapt': {'seconds': seconds, 'flops': fitted.flops},
    'prepare_flops': shared.flops if shared else 0.0,
    'codes': rows.describe_codes(fitted),
  }


def _chosen_arms() -> dict[str, arms_lib.Arm]:
  unknown = [name for name in _ARMS.value if name not in arms_lib.ARMS]
  if unknown or not _ARMS.value:
    raise app.UsageError(f'--arms={unknown}: use some of {[*arms_lib.ARMS]}')
  if _SAVE.value and len(_ARMS.value) > 1:
    raise app.UsageError('--save keeps one model: name one of the --arms')
  return {name: arms_lib.ARMS[name] for name in _ARMS.value}


if __name__ == '__main__':
  script.run(main)
