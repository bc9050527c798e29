"""Test that EASE on eight devices gives the same weights as LAPACK."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

CODE = """
import jax, numpy as np, pytest
from hyperrec import method
from hyperrec.data import sources
from hyperrec.systems.linear import ease
from hyperrec.systems.linear import ease_sharded
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.training import mesh

data = sources.load('synthetic', num_users=300, num_items=150, seed=0)
x, size, key = data.csr(), data.num_items, jax.random.key(0)
expected = linear_autoencoder.solve_primal(x, np.full(size, 5.0))
histories = method.Histories.of(data.by_user_and_time(), np.arange(9))
alone = ease.ease(l2=5.0)
scores = alone.score(alone.fit(data, key).state, histories)
sharded = ease_sharded.ease_sharded(l2=5.0, block=16)
assert jax.device_count() == 8
for items in (1, 2, None):
  if items is None:
    fitted = sharded.fit(data, key)
  else:
    with mesh.use(items):
      fitted = sharded.fit(data, key)
  found = fitted.state
  assert len(found.sharding.device_set) == 8
  shard = found.addressable_shards[0].data
  assert shard.shape == (found.shape[0] // 8, found.shape[1])
  found = np.asarray(found)
  assert found.shape[0] >= size
  np.testing.assert_allclose(found[:size, :size], expected, atol=2e-4)
  assert not np.diagonal(found).any()
  assert not found[size:].any() and not found[:, size:].any()
  np.testing.assert_allclose(
    sharded.score(fitted.state, histories), scores, atol=2e-3
  )
assert fitted.cost.operations >= 2.0 * size**3
with mesh.use() as devices:
  _, residual = ease_sharded.solve(x, 5.0, devices, 16)
assert residual < 1e-4, residual
with pytest.raises(np.linalg.LinAlgError, match='raise l2=-40'):
  ease_sharded.ease_sharded(l2=-40.0, block=16).fit(data, key)
"""


def test_eight_devices_solve_ease_as_lapack_does():
  done = subprocess.run(
    [sys.executable, '-c', CODE], capture_output=True, text=True, check=False,
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu',
         'XLA_FLAGS': '--xla_force_host_platform_device_count=8'},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-3000:]
