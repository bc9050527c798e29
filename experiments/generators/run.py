r"""Trains the generators of items and users in a larger form.

Papers: none; these are the generators of experiments/new_items and new_users,
with wider and more networks and longer training.
Expected: unknown; this has not been run at full size (see README.md).
Time: to be measured; the aim is 8 minutes on one H100-class GPU.

  python -m experiments.generators.run --data_dir=DIR --workdir=DIR

Each data set and generator has a folder in the workdir, which holds the
checkpoints of its networks (the weights) and score.json. The same command
continues where the last one stopped, in the middle of a network, too.
"""

import functools
import pathlib
import time
from typing import Any, NamedTuple

import jax
from absl import flags, logging

from experiments import script, source_flags
from hyperrec import adapting, laboratory, regimes
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import item_features
from hyperrec.systems.hyperease import (
  hyperease_user,
  item_columns,
  item_generator,
)
from hyperrec.systems.linear import l3ae
from hyperrec.training import loop

_SETS = flags.DEFINE_list(
  'domains',
  ['movielens_small', 'lastfm', 'online_retail', 'steam', 'office', 'anime'],
  'Data sets to train on, such as lastfm,steam; they need item text.',
)
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
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that caches embeddings of item text.'
)
_SEED = script.define_seed('seed', 'Seed of the split and of the training.')
_WORKDIR = flags.DEFINE_string(
  'workdir', 'results/generators', 'Folder of the checkpoints and scores.'
)

_FEATURES = 128
_HELD_OUT = 500
_USER_BUDGETS, _ITEM_BUDGETS = (1, 5, 20), (0, 1, 5, 20)
# The hyperparameters of the closed forms are those that the development sets
# prefer most often.
_ITEM_BASE = {'l2': 100.0, 'l2_kernel': 3.0, 'sharpness': 1.0}
_USER_BASE = {'l2': 1000.0, 'alpha': 5.0}


class Generator(NamedTuple):
  """A generator and the closed form at which it starts, in one regime."""

  regime: str
  budgets: tuple[int, ...]
  model: method_lib.Model
  base: method_lib.Method


def main(argv):
  """Trains and scores all generators that have no score yet."""
  del argv
  workdir = pathlib.Path(_WORKDIR.value)
  script.check_place('workdir', workdir / 'manifest.json')
  for name in _SETS.value:
    (data,) = source_flags.load_domains([name])
    script.claim(
      workdir / name,
      'experiments.generators.run',
      {'data': data},
      keeps={'score.json': 1},
      free={'domains': 'each data set has a folder of its own'},
      settings={'text encoder in use': item_features.in_use(_ENCODER.value)},
    )
    features = features_lib.read(
      [data],
      _ENCODER.value,
      cache_folder=_CACHE_DIR.value,
      num_features=_FEATURES,
    )
    for kind, generator in generators(features).items():
      folder = workdir / name / kind
      if (folder / 'score.json').exists():
        continue
      run = loop.Run(workdir=folder, checkpoint_every=_CHECKPOINTS.value)
      score = train(generator, data, run, _SEED.value)
      script.write_document({'dataset': name, **score}, folder / 'score.json')
      logging.info('%s, %s: %s', name, kind, score['ndcg@100'])


def generators(features: features_lib.Features) -> dict[str, Generator]:
  """The generators in their larger form, by the kind of their tasks."""
  common = {
    'steps': _STEPS.value,
    'members': _MEMBERS.value,
    'hidden_dim': _WIDTH.value,
    'batch_size': _BATCH.value,
  }
  return {
    'items': Generator(
      'new_items',
      _ITEM_BUDGETS,
      item_generator.item_generator(
        features.units, features.views, rank=128, **_ITEM_BASE, **common
      ),
      adapting.generated(
        item_columns.item_columns(features.units, **_ITEM_BASE)
      ),
    ),
    'users': Generator(
      'new_users',
      _USER_BUDGETS,
      hyperease_user.hyperease_user(
        features.units, rank=64, z_dim=128, **_USER_BASE, **common
      ),
      adapting.frozen(l3ae.cease(features.units, **_USER_BASE)),
    ),
  }


def train(
  generator: Generator,
  data: regimes.Interactions,
  run: loop.Run,
  seed: int,
) -> dict[str, Any]:
  """Trains a generator, or goes on with it, and scores it beside its base.

  Args:
    generator: see `Generator`.
    data: the data set.
    run: where the networks are saved.
    seed: of the split and of the training.

  Returns:
    NDCG@100 by budget of both, and what the training took.
  """
  make_task = functools.partial(
    regimes.find(generator.regime).make_task,
    data,
    seed=seed,
    num_heldout=min(_HELD_OUT, data.num_users // 5),
  )
  key = jax.random.key(seed)
  source = make_task(generator.budgets[0]).source
  start = time.perf_counter()
  fitted = generator.model.fit(source, key, run=run)
  seconds = time.perf_counter() - start
  method = adapting.generated(generator.model)
  shared = adapting.Shared(fitted.state, source)
  base = generator.base.prepare(source, key).state

  def ndcg(judged_by, state) -> dict[str, float]:
    return {
      str(budget): _ndcg(judged_by, state, make_task(budget), key)
      for budget in generator.budgets
    }

  return {
    'ndcg@100': {'generated': ndcg(method, shared),
                 'closed form': ndcg(generator.base, base)},
    'operations': float(fitted.cost.operations),
    'seconds_since_start_or_resumption': seconds,
    **script.provenance(),
  }  # fmt: skip


def _ndcg(
  method: method_lib.Method, shared: Any, task: regimes.Task, key: jax.Array
) -> float:
  adapted = method.adapt(shared, task.test.evidence, key)
  found = laboratory.judge(method, adapted.state, task.test, ('ndcg@100',))
  return found.mean('ndcg@100')


if __name__ == '__main__':
  script.run(main)
