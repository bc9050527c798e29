"""Sparse columns of new items against those of `item_columns`."""

import jax
import numpy as np
import pytest
import scipy.sparse

from experiments.benchmarks import catalogues
from hyperrec import method as method_lib
from hyperrec.systems.hyperease import (
  column_update,
  item_columns,
  local_columns,
)

V, KEY = 300, jax.random.key(0)
MADE = catalogues.made(V, width=16)
NEW = np.sort(np.random.default_rng(0).permutation(V)[:25])
KNOWN = np.setdiff1d(np.arange(V), NEW)
DENSE = item_columns.ItemColumnsConfig(neighbours=20)


def features(data, known=None):
  del known
  return MADE.features if data.num_items == V else MADE.features[KNOWN]


@pytest.fixture(scope='module')
def model():
  return local_columns.local_columns(
    features, l2=30.0, similar=20, candidates=V
  )


@pytest.fixture(scope='module')
def state(model):
  return model.fit(MADE.data.take_items(KNOWN), KEY).state


@pytest.fixture(scope='module')
def dense(state):
  """The same catalogue with dense weights, and its grown one."""
  old = item_columns.Catalogue(state.weights.toarray(), None, state.watched)
  made = item_columns.generate(
    DENSE, old, MADE.features[KNOWN], MADE.features[NEW]
  )
  columns = made.columns.copy()
  grown, _ = item_columns.take_in(DENSE, old, columns, MADE.data, KNOWN)
  return made.columns, grown


def test_generated_columns_are_those_of_dense_weights(model, state, dense):
  rows = local_columns.generate(
    model.config, state, MADE.features[KNOWN], MADE.features[NEW]
  )
  generated, _ = dense
  np.testing.assert_allclose(rows.T.toarray(), generated, atol=1e-6)
  assert rows.nnz < generated.size
  assert np.abs(generated).max() > 0.05


def test_a_grown_catalogue_scores_as_the_dense_one(model, state, dense):
  _, expected = dense
  outcome = model.grow(state, MADE.data, KNOWN)
  histories = method_lib.Histories.of(
    MADE.data.by_user_and_time(), np.arange(40)
  )
  np.testing.assert_allclose(
    model.score(outcome.state, histories),
    item_columns.score(expected, histories),
    atol=1e-6,
  )
  assert outcome.cost.operations > 0
  assert not outcome.state[NEW].nnz


def test_interactions_update_columns_exactly(state):
  x = MADE.data.csr()
  x_known, x_new = x[:, KNOWN], x[:, NEW]
  random = np.random.default_rng(0)
  columns = random.normal(size=(len(KNOWN), len(NEW))).astype(np.float32)
  columns[random.random(columns.shape) < 0.8] = 0
  rows = scipy.sparse.csr_matrix(columns.T)
  found = local_columns.update(rows, x_known, x_new, 30.0)
  column_update.update(columns, x_known, x_new, 30.0)
  np.testing.assert_allclose(found.T.toarray(), columns, atol=1e-5)


def test_watched_users_take_no_part_in_the_fit(model, state):
  assert 0 < state.watched.histories.shape[0] <= 6
  assert (state.watched.ranks >= 1).all()
  scores = (state.watched.histories @ state.weights).toarray()
  for user, score, rank in zip(
    state.watched.users, state.watched.scores, state.watched.ranks, strict=True
  ):
    shown = state.watched.histories[user].indices
    others = np.delete(scores[user], shown)
    assert rank == (others >= score).sum()


def test_bad_numbers_are_named():
  with pytest.raises(Exception, match='similar'):
    local_columns.local_columns(features, similar=0)
