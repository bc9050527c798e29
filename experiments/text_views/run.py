r"""What each view of the items' text gives a kernel, on one data set.

  python -m experiments.text_views.run --source=office --data_dir=DIR \
    --min_user_interactions=5 --min_item_interactions=5 --cache_dir=CACHE

The views are MiniLM, words and character n-grams. Each mixture of them makes
the kernel of two methods: `hyperease_item` for new items without interactions,
and `l3ae:kernel` for a new catalogue with the evidence of 20 users. The value
of a mixture is that of the best of `--trials` settings on rehearsals, so no
test user takes part. About a minute for 1,000 items and 15 for 5,000. A larger
catalogue is cut to the items with the most interactions by `--most_items`.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import numpy as np
from absl import flags, logging

from experiments import catalogue, script, source_flags
from hyperrec import features as features_lib
from hyperrec import laboratory, regimes
from hyperrec.data import interactions, splits

_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_WIDTHS = script.define_whole_numbers(
  'widths', ['128', '512'], 'Columns of words and of character n-grams.'
)
_TRIALS = flags.DEFINE_integer(
  'trials', 2, 'Number of settings that each mixture is tuned over.', 2
)
_SEEDS = flags.DEFINE_integer(
  'seeds', 3, 'Number of rehearsals, each with items and users of its own.', 1
)
_MOST_ITEMS = flags.DEFINE_integer(
  'most_items',
  None,
  'Keeps this many items, those with the most interactions, and the users who '
  'have five interactions or more with them; by default everything.',
  10,
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'JSON file; default results/text_views/DATA_SET.json.'
)

# Users that no rehearsal sees: this share of all, and this many at most.
_HELDOUT_SHARE, _MOST_HELDOUT = 0.2, 500
# Fewest interactions of a user in a catalogue that was cut.
_LEAST_INTERACTIONS = 5
# Weights of MiniLM, words and character n-grams.
MIXTURES = {
  'MiniLM': (1, 0, 0),
  'words': (0, 1, 0),
  'characters': (0, 0, 1),
  'MiniLM, words': (1, 1, 0),
  'MiniLM, words 3:1': (3, 1, 0),
  'MiniLM, characters': (1, 0, 1),
  'words, characters': (0, 1, 1),
  'all three': (1, 1, 1),
}


class Case(NamedTuple):
  """A method that reads text by a kernel, and where it is tried."""

  method: str
  regime: str
  budget: int


CASES = (
  Case('hyperease_item', 'new_items', 0),
  Case('l3ae:kernel', 'new_catalogue', 20),
)


def main(argv):
  """Tunes each mixture in each case; the file is written as values come."""
  del argv
  data = source_flags.load()
  if _MOST_ITEMS.value:
    data = splits.most_popular(data, _MOST_ITEMS.value, _LEAST_INTERACTIONS)
  document = {
    'dataset': data.name,
    'sizes': [data.num_users, data.num_items, len(data)],
    'values': [],
    'flags': script.script_flags(),
    **script.provenance(),
  }
  output = _OUTPUT.value or f'results/text_views/{data.name}.json'
  for width in map(int, _WIDTHS.value):
    read = features_lib.read(
      [data], 'all', cache_folder=_CACHE_DIR.value, num_features=width
    )
    for (mixture, weights), case in itertools.product(MIXTURES.items(), CASES):
      if width != int(_WIDTHS.value[0]) and not any(weights[1:]):
        continue  # MiniLM has one width.
      values = [
        best_value(data, mixed(read, weights), case, seed)
        for seed in range(_SEEDS.value)
      ]
      value = {
        'mixture': mixture,
        'weights': weights,
        'width': width,
        **case._asdict(),
        'validation': float(np.mean(values)),
      }
      logging.info('%s', value)
      document['values'].append(value)
      script.write_document(document, output)


def mixed(
  read: features_lib.Features, weights: tuple[float, ...]
) -> features_lib.Features:
  """The same features with other weights of the views."""

  def units(part, known=None):
    return features_lib.weighted(read.views(part, known), weights)

  return read._replace(units=units)


def best_value(
  data: interactions.Interactions,
  features: features_lib.Features,
  case: Case,
  seed: int,
) -> float:
  """NDCG@100 of a method's best setting on the rehearsals of a task."""
  system = catalogue.BY_NAME[case.method]
  arm = system.arms[case.regime]
  held = min(_MOST_HELDOUT, int(_HELDOUT_SHARE * data.num_users))
  task = regimes.find(case.regime).make_task(data, case.budget, seed, held)
  key = jax.random.key(seed)
  stages = [
    laboratory.Stage(functools.partial(_prepare, source, key), *judged)
    for source, *judged in laboratory.tuning_sets(task, False, seed)
  ]
  build = functools.partial(system.build, case.regime, features)
  return laboratory.tune_on(
    build, arm.trials[: _TRIALS.value], stages, key
  ).validation


def _prepare(source, key, method, index):
  del index
  return laboratory.prepare(method, source, key)


if __name__ == '__main__':
  script.run(main)
