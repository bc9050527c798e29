r"""Attention over the nearest old items, in the trained column of a new one.

Papers: none; queries and keys are those of Vaswani et al. (NeurIPS 2017). The
closed form's column is (a I + B) s with s the shares of the old items. The
trained generator scales it, mixes it with other closed forms and adds a part
of low rank. Here a network also changes the shares of the nearest old items.
Expected: a small gain at most, since the other closed forms already change all
shares alike, and there is one task for each old item only.
Time: for a seed on a busy core, 1 minute on msweb, 5 on office, and 15 on
movielens_small with --min_rating=4.

  python -m experiments.new_items.attention --source=msweb --data_dir=DIR \
    --min_item_interactions=5 --seeds=0,1,2

No test user is looked at: the rehearsal of the regime hides a random fifth of
the old items, and judges users whom no test draws. Cells that are in --output
with the same flags are not run again.
"""

import json
import pathlib

from absl import flags, logging

from experiments import script, source_flags
from experiments.adaptation import grids
from experiments.new_items import attended_columns
from hyperrec import features as features_lib
from hyperrec.data import item_features
from hyperrec.systems.hyperease import (
  item_generator,
)

_SEEDS = script.define_whole_numbers('seeds', ['0', '1', '2'], 'Seeds.')
_STEPS = flags.DEFINE_integer('steps', 400, 'Training steps.', lower_bound=1)
_MEMBERS = flags.DEFINE_integer(
  'members', 4, 'Networks that are averaged.', lower_bound=1
)
_NEIGHBOURS = flags.DEFINE_integer(
  'neighbours', 64, 'Old items that a new one attends to.', lower_bound=1
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'both', item_features.ENCODERS, 'Encoder of the item text.'
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'experiments/new_items/results/attention.json', 'File of results.'
)
_ARMS = flags.DEFINE_multi_enum(
  'arms',
  list(attended_columns.ARMS)[:3],
  list(attended_columns.ARMS),
  'Kinds of attention to train, beside the closed form and the generator.',
)


def main(argv):
  """Runs the cells that are missing."""
  del argv
  path = pathlib.Path(_OUTPUT.value)
  cells = json.loads(path.read_text()) if path.exists() else {}
  free = ('seeds', 'arms', 'output')
  asked = {k: v for k, v in script.script_flags().items() if k not in free}
  config = item_generator.ItemGeneratorConfig(
    **grids.ITEM_GENERATOR[0], steps=_STEPS.value, members=_MEMBERS.value
  )
  data = source_flags.load()
  features = features_lib.read(
    [data],
    _ENCODER.value,
    cache_folder=_CACHE_DIR.value,
    num_features=128,
  )
  for seed in map(int, _SEEDS.value):
    name = f'{data.name}:{seed}'
    cell = cells.get(name, {})
    done = cell['arms'] if cell.get('flags') == asked else {}
    missing = [arm for arm in _ARMS.value if arm not in done]
    if not missing:
      continue
    found = attended_columns.run(
      config,
      data,
      features,
      seed,
      arms=missing,
      num_neighbours=_NEIGHBOURS.value,
    )
    arms = {**done, **found}
    cells[name] = {'arms': arms, 'flags': asked, **script.provenance()}
    script.write_document(cells, path)
    for arm, one in found.items():
      logging.info('%s %s %.4f', name, arm, one['ndcg@100'])


if __name__ == '__main__':
  script.run(main)
