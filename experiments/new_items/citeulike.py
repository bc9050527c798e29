r"""New items on the public cold split of CiteULike-a.

Papers: ALDI (Huang et al., SIGIR 2023) and ColdRec (github.com/YuanchenBei).
Expected: see README.md; the split is ALDI's, the text is another.
Time: minutes for a method on one core; the memory is that of a few matrices of
13,584 x 13,584 numbers, 4 GiB.

  python -m experiments.new_items.citeulike --data_dir=DIR \
    --methods=content_knn,hyperease_item

Each method is tuned by NDCG@20 on the validation items and evaluated once on
the test items. The same command adds methods to results/citeulike/.
"""

import functools
import pathlib
import time

import jax
from absl import app, flags, logging

from experiments import catalogue, script, source_flags
from hyperrec import features as features_lib
from hyperrec import laboratory
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features, joining
from hyperrec.data.sources import domains
from hyperrec.evaluation import significance
from hyperrec.regimes import task as task_lib

_METHODS = flags.DEFINE_list(
  'methods',
  ['random', 'content_knn', 'hyperease_item'],
  'Methods of the regime new_items to run, such as content_knn,marec.',
)
_TRIALS = flags.DEFINE_integer(
  'trials',
  5,
  'Number of hyperparameter settings that each method is tuned over.',
  lower_bound=1,
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'both', item_features.ENCODERS, 'Encoder of the item text.'
)
_FEATURES = flags.DEFINE_integer(
  'features', 128, 'Number of TF-IDF features.', lower_bound=1
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')

RESULTS = pathlib.Path('experiments/new_items/results/citeulike')
METRICS = ('recall@20', 'ndcg@20')
# The metric that the papers choose hyperparameters by.
_CHOOSES = 'ndcg@20'


def main(argv):
  """Runs the methods, one file for each."""
  del argv
  for name in _METHODS.value:
    system = catalogue.BY_NAME.get(name)
    if system is None or 'new_items' not in system.arms:
      known = [s.name for s in catalogue.SYSTEMS if 'new_items' in s.arms]
      raise app.UsageError(
        f'--methods={name} does not run on new items; use some of {known}'
      )
  split = domains.citeulike_cold_split(source_flags.data_dir())
  source, validation, test = judged_of(split)
  features = features_lib.read(
    [split.warm_train],
    _ENCODER.value,
    cache_folder=_CACHE_DIR.value,
    num_features=_FEATURES.value,
  )
  for name in _METHODS.value:
    row = run(name, features, source, validation, test)
    script.write_document(row, RESULTS / f'{name.replace(":", "_")}.json')
    logging.info('%s %s', name, row['metrics'])


def judged_of(
  split: domains.ColdSplit,
) -> tuple[interactions_lib.Interactions, task_lib.Judged, task_lib.Judged]:
  """The source over the old items, and the users of validation and test.

  The candidates are all new items, those of validation and of test together.
  What a user took up of the other part is known to be no mistake, and is left
  out of the user's ranking.
  """
  train = split.warm_train
  is_old = train.item_counts() > 0
  old, new = (is_old.nonzero()[0], (~is_old).nonzero()[0])
  nothing = train.rows([])

  def judged(targets, others):
    seen = joining.join_users(train, others)
    return task_lib.Judged(train, targets, seen, nothing, new)

  return (
    train.take_items(old),
    judged(split.cold_validation, split.cold_test),
    judged(split.cold_test, split.cold_validation),
  )


def run(name, features, source, validation, test) -> dict:
  """Tunes a method on the validation items and evaluates it on test items."""
  system = catalogue.BY_NAME[name]
  build = functools.partial(system.build, 'new_items', features)
  key = jax.random.key(_SEED.value)
  tried, best = [], None
  for trial in system.arms['new_items'].trials[: _TRIALS.value]:
    start = time.perf_counter()
    method = build(**trial)
    prepared = method.prepare(source, key)
    adapted = method.adapt(prepared.state, validation.evidence, key)
    seconds = time.perf_counter() - start
    found = laboratory.judge(method, adapted.state, validation, METRICS)
    value = found.mean(_CHOOSES)
    tried.append({'trial': trial, 'validation': value, 'seconds': seconds})
    logging.info('%s %s %.4f', name, trial, value)
    if best is None or value > best[0]:
      best = value, trial, method, prepared.cost, adapted
  value, trial, method, prepare_cost, adapted = best
  found = laboratory.judge(method, adapted.state, test, METRICS)
  return {
    'method': name,
    'hyperparameters': trial,
    'validation': value,
    'metrics': {metric: found.mean(metric) for metric in METRICS},
    'interval': {
      metric: list(
        significance.bootstrap_interval(found.values[metric], seed=0)
      )
      for metric in METRICS
    },
    'per_user': [round(float(v), 4) for v in found.values[_CHOOSES]],
    'users': len(found.users),
    'num_arriving': len(test.candidates),
    'prepare_flops': prepare_cost.operations,
    'adapt_flops': adapted.cost.operations,
    'tried': tried,
    'flags': script.script_flags(),
    'text_encoder': features.encoder,
    **script.provenance(),
  }


if __name__ == '__main__':
  script.run(main)
