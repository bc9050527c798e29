"""Settings of every test, and where the real data is."""

import atexit
import gc
import os
import pathlib
import shutil
import tempfile
from unittest import mock

# Workers and the processes that tests start inherit what follows; NumPy and
# JAX read it when they are imported.
if 'PYTEST_XDIST_WORKER' in os.environ:
  # A worker has one core: threads of another one would wait for it.
  os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  # What one process of a run has compiled, the others do not compile again.
  _CACHE = tempfile.mkdtemp(prefix='hyperrec_tests_compiled_')
  atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  os.environ['JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES'] = '-1'

import jax
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_numpy_rank_promotion', 'raise')

# The programs of tests are small: to compile them well takes longer than to
# run them. Scripts that tests start compile as they do everywhere.
_XLA_FLAGS = os.environ.get('XLA_FLAGS', '')
jax.config.update('jax_disable_most_optimizations', True)
with mock.patch.dict(
  os.environ, XLA_FLAGS=f'{_XLA_FLAGS} --xla_cpu_use_fusion_emitters=false'
):
  jax.devices()  # reads the flags

_BESIDE = pathlib.Path(__file__).parents[2] / 'shared' / 'data'


def pytest_collection_finish():
  """What was imported stays; to look through it takes a collection 0.3 s."""
  gc.collect()
  gc.freeze()


@pytest.fixture
def data_dir(request) -> pathlib.Path:
  """The folder of the real data sets; skips, by name, where it is absent."""
  path = pathlib.Path(os.environ.get('HYPERREC_DATA_DIR', _BESIDE))
  if not path.is_dir():
    pytest.skip(f'{request.node.name}: real data is absent')
  return path
