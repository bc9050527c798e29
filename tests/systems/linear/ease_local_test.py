"""Local closed forms against the dense ones, and over devices and processes."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.sparse

from experiments.benchmarks import catalogues
from hyperrec.data import interactions, joining
from hyperrec.systems.hyperease import local_columns
from hyperrec.systems.linear import (
  ease_local,
  ease_sparse,
  item_kernel,
  l3ae,
  local_kernel,
  local_solve,
  near_items,
)

ROOT = pathlib.Path(__file__).parents[3]
KEY = jax.random.key(0)
V = 240
MADE = catalogues.made(V, width=16)
X = MADE.data.csr()


def features(data):
  assert data.num_items == V
  return MADE.features


def all_others():
  groups = near_items.groups(MADE.features)
  return near_items.by_features(
    MADE.features, groups, MADE.features, V - 1, V, is_known=True
  )


@pytest.mark.parametrize('neighbours', [1, 20, 300])
def test_the_weights_are_those_of_sparse_ease(neighbours):
  found = ease_local.ease_local(l2=30.0, neighbours=neighbours)
  sparse = ease_sparse.ease_sparse(l2=30.0, neighbours=neighbours)
  ours, theirs = (m.fit(MADE.data, KEY).state for m in (found, sparse))
  assert ours.nnz == theirs.nnz
  np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=1e-6)


def test_popular_items_are_solved_as_accurately():
  users = np.repeat(np.arange(4000), 4)
  random = np.random.default_rng(0)
  items = random.integers(0, 12, len(users)) // random.integers(1, 4, 16000)
  data = interactions.from_columns(users, items)
  found = ease_local.ease_local(l2=1.0, neighbours=11)
  sparse = ease_sparse.ease_sparse(l2=1.0, neighbours=11)
  ours, theirs = (m.fit(data, KEY).state.toarray() for m in (found, sparse))
  np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_items_without_users_have_no_weights():
  data = MADE.data.rows(MADE.data.items != 7)
  weights = ease_local.ease_local(neighbours=5).fit(data, KEY).state
  assert not weights[:, [7]].nnz
  assert not weights[[7]].nnz
  assert np.isfinite(weights.data).all()


def test_all_items_as_neighbours_give_the_dense_kernel():
  near = all_others()
  values = local_kernel.columns(MADE.features, near, MADE.features, 1.5, 2.0)
  dense = item_kernel.relation(MADE.features, 1.5, 2.0)
  found = local_solve.as_matrix(near, values, V).toarray()
  np.testing.assert_allclose(found, dense, atol=2e-6)


def test_all_items_as_neighbours_give_the_dense_l3ae():
  settings = {'l2': 30.0, 'l2_features': 3.0, 'trust': 0.7, 'sharpness': 1.0}
  local = ease_local.l3ae_local(
    features, neighbours=V - 1, similar=V - 1, **settings
  )
  ours = local.fit(MADE.data, KEY).state.toarray()
  theirs = l3ae.l3ae(features, **settings).fit(MADE.data, KEY).state
  np.testing.assert_allclose(ours, theirs, atol=2e-6)
  assert np.abs(theirs).max() > 0.05


def test_a_regression_costs_a_kernel_a_factor_and_two_solves():
  near, width = 12, 5
  expected = 2 * near**2 * width + near**3 / 3 + 2 * near**2
  assert local_kernel.flops(near, width, search=0.0) == expected
  assert local_kernel.flops(near, width, search=7.0) == expected + 7


def test_neighbours_of_two_kinds_occur_once():
  first = np.array([[3, 1, -1], [2, 0, 4]])
  second = np.array([[1, 5], [6, 7]])
  np.testing.assert_array_equal(
    near_items.joined(first, second), [[3, 1, -1, -1, 5], [2, 0, 4, 6, 7]]
  )


def test_neighbours_by_features_are_exact_where_all_are_compared():
  cosines = MADE.features @ MADE.features.T
  np.fill_diagonal(cosines, -np.inf)
  want = np.argsort(-cosines, axis=1, kind='stable')[:, :9]
  groups = near_items.groups(MADE.features)
  found = near_items.by_features(
    MADE.features, groups, MADE.features, 9, V, is_known=True
  )
  np.testing.assert_array_equal(found, want)


def test_neighbours_among_groups_are_nearly_exact():
  made = catalogues.made(4000, width=16)
  groups = near_items.groups(made.features)
  assert sorted(groups.items) == list(range(4000))
  assert len(groups.ends) == 8
  found = near_items.by_features(
    made.features, groups, made.features, 10, 1500, is_known=True
  )
  assert (found != np.arange(4000)[:, None]).all()
  cosines = made.features[:200] @ made.features.T
  cosines[np.arange(200), np.arange(200)] = -np.inf
  exact = np.argsort(-cosines, axis=1)[:, :10]
  shared = [np.isin(e, f).mean() for e, f in zip(exact, found, strict=False)]
  assert 0.85 < np.mean(shared) <= 1


def test_counts_of_pairs_are_those_of_the_gram_matrix(monkeypatch):
  monkeypatch.setattr(local_solve, '_BLOCK', 50)
  gram = (X.T @ X).toarray()
  first, second = np.triu_indices(V, 1)
  counted = local_solve.together(X)
  assert counted.halves[0].nnz == (gram[first, second] > 0).sum()
  for one, other in ((first, second), (second, first)):
    np.testing.assert_array_equal(
      counted.of_pairs(one, other), gram[one, other]
    )
  before = scipy.sparse.diags([1.0, 1, 0, 0, 0]).tocsr() @ X[:5]
  after = X[5:10]
  changed = counted.changed(before, after)
  gram += (after.T @ after - before.T @ before).toarray()
  np.testing.assert_array_equal(
    changed.of_pairs(first, second), gram[first, second]
  )
  np.testing.assert_array_equal(changed.counts, np.diagonal(gram))


def test_an_update_is_exact_for_known_and_new_users():
  data = MADE.data
  model = ease_local.ease_local(l2=30.0, neighbours=20)
  kept = np.random.default_rng(0).random(len(data)) < 0.9
  old = data.rows(kept & (data.users < 470)).take_users(np.arange(470))
  evidence = data.take_users(np.arange(465, 480))
  state = model.fit(old, KEY).state
  updated = model.update(state, old, evidence)
  both = interactions.drop_duplicates(
    joining.join_users(old, evidence), 'first'
  )
  near = ease_local.neighbours_of(state, 20)
  values = local_solve.solve(local_solve.together(both.csr()), near, 30.0)
  expected = local_solve.as_matrix(near, values, V).toarray()
  np.testing.assert_allclose(updated.state.toarray(), expected, atol=1e-7)
  assert np.abs(expected - state.toarray()).max() > 1e-3


def test_only_columns_that_an_item_reaches_are_solved_again():
  near = np.array([[1, 2], [0, -1], [1, 0], [-1, -1]])
  assert local_solve.touched(near, np.array([2])).tolist() == [0, 2]
  assert local_solve.touched(near, np.array([3])).tolist() == [3]


CODE = """
import sys
import jax, numpy as np
from experiments.benchmarks import catalogues
from hyperrec.systems.hyperease import local_columns
from hyperrec.systems.linear import ease_local
from hyperrec.training import mesh

output, *processes = sys.argv[1:]
if processes:
  mesh.initialize(processes[0], 2, int(processes[1]))
made = catalogues.made(240, width=16)
local = ease_local.l3ae_local(
  lambda data: made.features, neighbours=20, similar=20
)
x = made.data.csr()
with mesh.use():
  weights = local.fit(made.data, jax.random.key(0)).state.toarray()
  updated = local_columns.update(
    local.fit(made.data, jax.random.key(0)).state[:9], x, x[:, :9], 30.0
  ).toarray()
assert jax.device_count() in (2, 8)
if mesh.is_writer():
  np.savez(output, weights=weights, updated=updated)
"""


def run(output, *processes, devices=1):
  return subprocess.Popen(
    [sys.executable, '-c', CODE, str(output), *processes],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu',
         'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'},
  )  # fmt: skip


@pytest.mark.parametrize('kind', ['devices', 'processes'])
def test_shared_items_have_the_same_weights(kind, tmp_path):
  path = tmp_path / 'found.npz'
  if kind == 'devices':
    started = [run(path, devices=8)]
  else:
    with socket.socket() as free:
      free.bind(('localhost', 0))
      address = f'localhost:{free.getsockname()[1]}'
    started = [run(path, address, str(number)) for number in range(2)]
  for process in started:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
  local = ease_local.l3ae_local(features, neighbours=20, similar=20)
  weights = local.fit(MADE.data, KEY).state
  updated = local_columns.update(weights[:9], X, X[:, :9], 30.0)
  found = np.load(path)
  np.testing.assert_allclose(found['weights'], weights.toarray(), atol=1e-7)
  np.testing.assert_allclose(found['updated'], updated.toarray(), atol=1e-7)
