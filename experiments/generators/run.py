r"""Trains the generators of items and users in a larger form.

Papers: none; these are the generators of experiments/new_items and new_users,
with wider and more networks and longer training.
Expected: unknown; this has not been run at full size (see README.md).
Time: to be measured; the aim is 8 minutes for all data sets on one H100-class
GPU.

  python -m experiments.generators.run --source=lastfm --data_dir=DIR \
    --workdir=DIR

The workdir holds the checkpoints of all networks (the weights), and the scores.
The same command continues where the last one stopped, in the middle of a
network, too.
"""

import pathlib

from absl import flags, logging

from experiments import script, source_flags
from experiments.generators import training
from hyperrec import features as features_lib
from hyperrec.data import item_features
from hyperrec.training import loop

_STEPS = flags.DEFINE_integer(
  'steps', 2000, 'Training steps of each network.', lower_bound=1
)
_MEMBERS = flags.DEFINE_integer(
  'members', 8, 'Networks that are averaged in each generator.', lower_bound=1
)
_WIDTH = flags.DEFINE_integer(
  'hidden_dim', 512, 'Width of the hidden layers.', lower_bound=1
)
_BATCH = flags.DEFINE_integer(
  'batch_size', 512, 'Users in each training step.', lower_bound=1
)
_CHECKPOINTS = flags.DEFINE_integer(
  'checkpoint_every', 200, 'Steps between two checkpoints.', lower_bound=1
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'both', item_features.ENCODERS, 'Encoder of the item text.'
)
_FEATURES = flags.DEFINE_integer(
  'features', 128, 'Number of TF-IDF features of an item.', lower_bound=1
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_SEED = script.define_seed('seed', 'Seed of the split and of the training.')
_WORKDIR = flags.DEFINE_string(
  'workdir', 'results/generators', 'Folder of the checkpoints and scores.'
)

# What a resumed run finds in its workdir, with the version of its format.
_KEEPS = {'items': 1, 'users': 1, 'items.json': 1, 'users.json': 1}
_FREE = {}


def main(argv):
  """Trains and scores the generators that have no score yet."""
  del argv
  workdir = pathlib.Path(_WORKDIR.value)
  script.check_place('workdir', workdir / 'manifest.json')
  data = source_flags.load()
  claim(data)
  features = features_lib.read(
    [data],
    _ENCODER.value,
    cache_folder=_CACHE_DIR.value,
    num_features=_FEATURES.value,
  )
  generators = training.generators(
    features,
    steps=_STEPS.value,
    members=_MEMBERS.value,
    hidden_dim=_WIDTH.value,
    batch_size=_BATCH.value,
  )
  for kind, generator in generators.items():
    path = workdir / f'{kind}.json'
    if path.exists():
      continue
    run = loop.Run(workdir=workdir / kind, checkpoint_every=_CHECKPOINTS.value)
    score = training.train(generator, data, run, _SEED.value)
    script.write_document({**score, **script.provenance()}, path)
    logging.info('%s: %s', kind, score['ndcg@100'])


def claim(data) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value,
    'experiments.generators.run',
    {'data': data},
    keeps=_KEEPS,
    free=_FREE,
    settings={'text encoder in use': item_features.in_use(_ENCODER.value)},
  )


if __name__ == '__main__':
  script.run(main)
