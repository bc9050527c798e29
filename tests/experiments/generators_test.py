"""The larger generators: they resume, and are scored beside their base."""

import shutil

import jax
import numpy as np
import pytest

from experiments.generators import training
from hyperrec import adapting
from hyperrec.features import unit_blocks
from hyperrec.systems.hyperease import (
  hyperease_user,
  item_columns,
  item_generator,
)
from hyperrec.systems.linear import ease
from hyperrec.training import loop
from tests.makers import made_domain, text_features

TRAINING = {'members': 2, 'steps': 4, 'hidden_dim': 8, 'batch_size': 16}


@pytest.fixture(scope='module')
def data():
  return made_domain('some', 3, num_users=150, num_items=60)


@pytest.fixture(params=['items', 'users'])
def generator(request, data):
  lookup = text_features(data)
  features = lambda part, known=None: unit_blocks(lookup(part), (), known)  # noqa: E731
  if request.param == 'items':
    return training.Generator(
      'new_items',
      (0, 5),
      item_generator.item_generator(features, rank=4, **TRAINING),
      adapting.generated(item_columns.item_columns(features)),
    )
  return training.Generator(
    'new_users',
    (1,),
    hyperease_user.hyperease_user(rank=4, **TRAINING),
    adapting.frozen(ease.ease(l2=300.0)),
  )


def saved(folder):
  return loop.Run(workdir=folder, checkpoint_every=2)


def test_it_saves_its_networks_and_continues_from_them(
  generator, data, tmp_path
):
  score = training.train(generator, data, saved(tmp_path / 'once'), 0)
  assert set(score['ndcg@100']) == {'generated', 'closed form'}
  for values in score['ndcg@100'].values():
    assert list(values) == [str(budget) for budget in generator.budgets]
    assert all(0 < value < 1 for value in values.values())
  members = sorted(p.name for p in (tmp_path / 'once').iterdir())
  assert members == ['member_0', 'member_1']
  # One network is there already; the other one is trained again.
  shutil.copytree(tmp_path / 'once' / 'member_0', tmp_path / 'twice/member_0')
  again = training.train(generator, data, saved(tmp_path / 'twice'), 0)
  assert again['ndcg@100'] == score['ndcg@100']
  trained = (tmp_path / 'twice/member_0/metrics.jsonl').read_text()
  assert trained == (tmp_path / 'once/member_0/metrics.jsonl').read_text()


def networks(state):
  return getattr(state, 'generators', state).members


def test_a_saved_run_equals_one_in_memory(generator, data, tmp_path):
  key = jax.random.key(0)
  kept = generator.model.fit(data, key, run=saved(tmp_path))
  plain = generator.model.fit(data, key)
  for one, other in zip(
    jax.tree.leaves(networks(kept.state)),
    jax.tree.leaves(networks(plain.state)),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)
