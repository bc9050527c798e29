"""The inverse over eight devices is LAPACK's."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

CODE = """
import jax, numpy as np
from hyperrec.data import sources
from hyperrec.models import linear_autoencoder, sharded_inverse
from hyperrec.training import mesh

data = sources.load('synthetic', num_users=300, num_items=150, seed=0)
x = data.csr()
expected = linear_autoencoder.solve_primal(x, np.full(x.shape[1], 5.0))
assert jax.device_count() == 8
for items in (1, 2):
  with mesh.use(items) as devices:
    found, residual = sharded_inverse.ease(x, 5.0, devices, block=16)
  assert len(found.sharding.device_set) == 8
  shard = found.addressable_shards[0].data
  assert shard.shape == (found.shape[0] // 8, found.shape[1])
  found = np.asarray(found)
  size = x.shape[1]
  assert found.shape[0] >= size and residual < 1e-4, residual
  np.testing.assert_allclose(found[:size, :size], expected, atol=2e-4)
  assert not np.diagonal(found).any()
  assert not found[size:].any() and not found[:, size:].any()
"""


def test_eight_devices_solve_ease_as_lapack_does():
  done = subprocess.run(
    [sys.executable, '-c', CODE], capture_output=True, text=True, check=False,
    cwd=ROOT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu',
         'XLA_FLAGS': '--xla_force_host_platform_device_count=8'},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-3000:]
