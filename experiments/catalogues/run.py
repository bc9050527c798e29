r"""Compares ways to choose the composition of a kernel in a new domain.

  python -m experiments.catalogues.run --targets=steam,office --data_dir=DIR \
    --sources=movielens_small,lastfm --output=results/catalogues/steam.json

The model is L3AE with a kernel of several views of the text. Its composition
(six hyperparameters and the weights of the views) is

- fixed: trained on sub-catalogues of the sources, the same for every target;
- generated: by `catalogue_generator`, from the evidence, in one pass;
- shuffled: its control, told of another catalogue;
- folds: chosen by folds of the evidence among the fixed one and the grid of
  `l3ae:kernel`, each with several weights of the views;
- grid: the setting of that grid, with equal views, that is best on the
  sub-catalogues of the sources; this is `l3ae:kernel` as it stands.

A row has the NDCG@100 of test users of one target at one budget and seed, the
operations of the adaptation, and those of the tuning on the evidence.
"""

import itertools

import jax
from absl import flags, logging

from experiments import script, source_flags
from experiments.catalogues import compare
from hyperrec import features as features_lib
from hyperrec import regimes
from hyperrec.data import splits
from hyperrec.regimes import new_domain
from hyperrec.systems.hyperease import catalogue_generator as generator_lib
from hyperrec.systems.hyperease import composition as composition_lib

_TARGETS = flags.DEFINE_list('targets', None, 'Short names of the targets.')
_SOURCES = flags.DEFINE_list('sources', None, 'Short names of the sources.')
_BUDGETS = script.define_whole_numbers(
  'budgets', ['0', '5', '20', '50', '200'], 'Evidence users K.'
)
_SEEDS = flags.DEFINE_integer('seeds', 2, 'Number of seeds.', 1)
_MOST_ITEMS = flags.DEFINE_integer(
  'most_items', 800, 'Most popular items that are kept of each data set.', 10
)
_SOURCE_ITEMS = flags.DEFINE_integer(
  'source_items', 2500, 'The same, of each source.', 10
)
_SOURCE_USERS = flags.DEFINE_integer(
  'source_users', 20000, 'Most users that are kept of each source.', 10
)
_TASKS = flags.DEFINE_integer('tasks', 40, 'Sub-catalogues of each source.', 1)
_STEPS = flags.DEFINE_integer('steps', 300, 'Steps of the network.', 0)
_BASE_STEPS = flags.DEFINE_integer('base_steps', 150, 'Steps of the base.', 0)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 4, 'Tasks of a step.', 1)
_COLUMNS = flags.DEFINE_integer('columns', 512, 'Columns of words, n-grams.', 1)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/catalogues/run.json', 'JSON file that is written.'
)
flags.mark_flags_as_required(['targets', 'sources'])

_LEAST_ROWS, _MOST_HELDOUT = 5, 500


def main(argv):
  """Learns once, adapts to every target, and writes rows as they come."""
  del argv
  sources = tuple(
    splits.most_popular(
      d, _SOURCE_ITEMS.value, 1, num_users=_SOURCE_USERS.value
    )
    for d in source_flags.load_domains(_SOURCES.value)
  )
  targets = tuple(
    splits.most_popular(d, _MOST_ITEMS.value, _LEAST_ROWS)
    for d in source_flags.load_domains(_TARGETS.value)
  )
  read = features_lib.read(
    sources + targets,
    'all',
    cache_folder=_CACHE_DIR.value,
    num_features=_COLUMNS.value,
  )
  models = {
    kind: generator_lib.catalogue_generator(
      read.views,
      conditioning=kind,
      num_tasks=_TASKS.value,
      steps=_STEPS.value,
      base_steps=_BASE_STEPS.value,
      batch_size=_BATCH_SIZE.value,
    )
    for kind in ('evidence', 'shuffled')
  }
  key = jax.random.key(0)
  # The control differs in what it is told after the training.
  learned = models['evidence'].fit(sources, key)
  fitted = dict.fromkeys(models, learned)
  grid = compare.best_of_grid(sources, read.views, num_tasks=_TASKS.value // 4)
  base = composition_lib.settle(learned.state.base)
  logging.info('base %s; best of the grid %s', base, grid)
  document = {
    'sizes': {
      d.name: [d.num_users, d.num_items, len(d)] for d in sources + targets
    },
    'prepare_operations': learned.cost.operations,
    'base': compare.plain(base),
    'grid': compare.plain(grid),
    'rows': [],
    'flags': script.script_flags(),
    **script.provenance(),
  }
  for target, seed, budget in itertools.product(
    targets, range(_SEEDS.value), map(int, _BUDGETS.value)
  ):
    held = min(_MOST_HELDOUT, target.num_users // 4)
    try:
      task = new_domain.make_task(target, budget, seed, held, sources)
    except regimes.task.BudgetError as error:
      logging.warning('%s', error)
      continue
    for row in compare.rows(
      task, read.views, models, fitted, base=base, grid=grid
    ):
      row |= {'target': target.name, 'seed': seed, 'budget': budget}
      logging.info('%s', row)
      document['rows'].append(row)
    script.write_document(document, _OUTPUT.value)


if __name__ == '__main__':
  script.run(main)
