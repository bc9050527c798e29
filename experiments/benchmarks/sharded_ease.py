"""Compares inverses for EASE on eight devices with LAPACK.

  XLA_FLAGS=--xla_force_host_platform_device_count=8 \
    python -m experiments.benchmarks.sharded_ease

The inverses are blocked Gauss-Jordan elimination and Newton-Schulz iterations.
On one machine the devices share its cores, so times do not predict those of a
pod; operations, iterations and errors do.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script
from experiments.benchmarks import inputs
from hyperrec.systems.linear import ease_sharded, linear_autoencoder
from hyperrec.training import mesh as mesh_lib

_ITEMS = flags.DEFINE_integer(
  'num_items',
  2048,
  'Number of items in the catalogue.',
  lower_bound=1,
)
_USERS = flags.DEFINE_integer(
  'num_users',
  8192,
  'Number of users with interactions.',
  lower_bound=1,
)
_BLOCK = flags.DEFINE_integer(
  'block',
  256,
  'Block size of the Gauss-Jordan elimination, in rows.',
  lower_bound=1,
)
_TOLERANCE = flags.DEFINE_float(
  'tolerance',
  1e-3,
  'Residual at which Newton-Schulz stops, such as 1e-3.',
  lower_bound=0.0,
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/benchmarks/sharded_ease.json', 'JSON file that is written.'
)

L2 = 100.0


def main(argv):
  """Measures both inverses, prints the rows and writes them."""
  del argv
  x = inputs.skewed(_USERS.value, _ITEMS.value).csr()
  expected = linear_autoencoder.precision(
    x, np.full(x.shape[1], L2), np.float64
  )
  rows = [
    measure(name, x, expected) for name in ('gauss-jordan', 'newton-schulz')
  ]
  for row in rows:
    print(row)
  document = {
    'items': x.shape[1],
    'users': x.shape[0],
    'devices': jax.device_count(),
    'rows': rows,
    **script.provenance(),
  }
  script.write_document(document, _OUTPUT.value)


def measure(name: str, x, expected) -> dict:
  """Measures one inverse: time, operations and error."""
  size = x.shape[1]
  with mesh_lib.use() as mesh:
    make = functools.partial(ease_sharded.gram, x, L2, mesh, _BLOCK.value)
    if name == 'gauss-jordan':
      invert = lambda a: (ease_sharded.inverse(a, mesh, _BLOCK.value), 1)  # noqa: E731
    else:
      invert = functools.partial(newton_schulz, tolerance=_TOLERANCE.value)
    jax.block_until_ready(invert(make()))
    a = make()
    start = time.perf_counter()
    found, steps = invert(a)
    jax.block_until_ready(found)
    seconds = time.perf_counter() - start
    residual = float(_residual(make(), found))
  found = np.asarray(found)[:size, :size]
  return {
    'name': name,
    'seconds': seconds,
    'steps': steps,
    'operations_per_cubed_size': 2.0 if steps == 1 else 4.0 * steps,
    'residual': residual,
    'error_relative_to_lapack': float(
      np.abs(found - expected).max() / np.abs(expected).max()
    ),
  }


def newton_schulz(a, tolerance: float):
  """P <- P (2 I - A P) from A / |A|_1^2, until the residual is small."""
  norm = jnp.abs(a).sum(axis=0).max()
  p, steps = a / norm**2, 0
  while steps < 100:
    p, steps = _step(a, p), steps + 1
    if float(_residual(a, p)) < tolerance:
      break
  return p, steps


@jax.jit
def _residual(a, p):
  """The largest entry of |A P v - v| over four vectors v of random signs."""
  signs = jax.random.rademacher(jax.random.key(0), (len(a), 4), jnp.float32)
  return jnp.abs(a @ (p @ signs) - signs).max()


@jax.jit
def _step(a, p):
  return 2 * p - p @ (a @ p)


if __name__ == '__main__':
  script.run(main)
