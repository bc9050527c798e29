"""Attention over old items starts at the closed form, and its command runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.new_items import attended_columns
from hyperrec.features import unit_blocks
from hyperrec.systems.hyperease import hidden_items, item_generator
from hyperrec.training import loop
from tests.experiments import commands
from tests.makers import made_domain, text_features

KEY = jax.random.key(0)
CONFIG = item_generator.ItemGeneratorConfig(
  l2=20.0, rank=4, hidden_dim=8, members=1, steps=3, batch_size=16
)
ITEMS = np.array([1, 4, 17])


@pytest.fixture(scope='module')
def data():
  return made_domain('some', 3, num_users=150, num_items=60)


@pytest.fixture(scope='module')
def views(data):
  return [unit_blocks(text_features(data)(data))]


@pytest.fixture(scope='module')
def state(data, views):
  return item_generator.fit(CONFIG, data, views, KEY).state


@pytest.fixture(scope='module')
def tables(data, views, state):
  return attended_columns.tables_of(CONFIG, state, data, views, 100)


@pytest.mark.parametrize('arm', attended_columns.ARMS.values())
def test_it_starts_at_the_closed_form(tables, arm):
  params = attended_columns.start(CONFIG, arm, tables, KEY)
  made = attended_columns.columns_of(
    CONFIG, arm[0], params, tables, items=ITEMS
  )
  np.testing.assert_array_equal(made, tables.base.columns[ITEMS].T)
  moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
  made = attended_columns.columns_of(CONFIG, arm[0], moved, tables, items=ITEMS)
  assert not np.allclose(made, tables.base.columns[ITEMS].T)


def test_added_shares_are_smoothed_without_the_item(tables):
  """With all old items as neighbours, the shares give the closed form."""
  found = attended_columns.added_scores(
    CONFIG.identity,
    jnp.eye(len(tables.precision)),
    tables,
    ITEMS,
    tables.pairs.shares[ITEMS],
  )
  found = found.at[ITEMS, np.arange(3)].set(0)
  expected = tables.base.columns[ITEMS].T
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_shares_it_trains_as_the_library_does(data, tables):
  none = tables.pairs._replace(shares=jnp.zeros_like(tables.pairs.shares))
  parts = hidden_items.divide(data, np.arange(data.num_items), 0.2, KEY)
  ours, changes = attended_columns.train(
    CONFIG,
    ('reweighted', True),
    data.csr(),
    tables._replace(pairs=none),
    parts=parts,
    key=KEY,
  )
  theirs, expected, _ = item_generator.train(
    CONFIG, data.csr(), tables.base, parts, KEY, run=loop.Run()
  )
  for one, other in zip(
    jax.tree.leaves(ours['net']), jax.tree.leaves(theirs['net']), strict=True
  ):
    np.testing.assert_allclose(one, other, atol=1e-4)
  gains = [hidden_items.gain([c])[0] for c in changes]
  np.testing.assert_allclose(
    gains, [hidden_items.gain([c])[0] for c in expected], atol=1e-3
  )


@pytest.mark.slow
def test_the_command_runs_and_keeps_its_cells(tmp_path):
  output = tmp_path / 'found.json'
  flags = (
    '--source=synthetic', '--text_encoder=tfidf', '--seeds=0', '--steps=2',
    '--members=1', '--neighbours=5', '--arms=trained + softmax',
    f'--output={output}',
  )  # fmt: skip
  for _ in range(2):
    done = commands.run(None, *flags, module='experiments.new_items.attention')
    assert done.returncode == 0, done.stderr[-2000:]
    written = output.read_text()
  (cell,) = json.loads(written).values()
  assert list(cell['arms']) == ['closed form', 'trained', 'trained + softmax']
  assert all(0 < arm['ndcg@100'] < 1 for arm in cell['arms'].values())
