"""Settings that all tests share, and the fixture that finds the real data."""

import atexit
import gc
import os
import pathlib
import shutil
import tempfile
from unittest import mock

# NumPy and JAX read these variables when they are imported. Workers and the
# processes that tests start inherit them.
if 'PYTEST_XDIST_WORKER' in os.environ:
  # Each worker has one core, so more threads would only wait for each other.
  os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  # All processes of a test run share one cache of compiled programs.
  _CACHE = tempfile.mkdtemp(prefix='hyperrec_tests_compiled_')
  atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  os.environ['JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES'] = '-1'

import jax
import pytest

from tests import compiling

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_numpy_rank_promotion', 'raise')

# The programs in tests are small, so optimizing them takes longer than running
# them. The scripts that tests start still compile with all optimizations.
_XLA_FLAGS = f'{os.environ.get("XLA_FLAGS", "")} {compiling.XLA_FLAGS}'
jax.config.update('jax_disable_most_optimizations', True)
with mock.patch.dict(os.environ, XLA_FLAGS=_XLA_FLAGS.strip()):
  jax.devices()  # JAX reads XLA_FLAGS here

# Linux allows a process 65,530 memory maps, and XLA crashes beyond them. Each
# compiled program takes about six.
_MOST_MAPS = 30_000

_BESIDE = pathlib.Path(__file__).parents[2] / 'shared' / 'data'


def pytest_collection_modifyitems(items):
  """Moves files with slow tests first, so that all workers end together."""
  slow = {item.path for item in items if item.get_closest_marker('slow')}
  items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
  """Excludes the imported modules from garbage collection.

  Scanning them would add 0.3 s to each collection.
  """
  gc.collect()
  gc.freeze()


def pytest_runtest_teardown(item, nextitem):
  """Between two files, forgets compiled programs if there are too many."""
  is_last = nextitem is None or nextitem.path != item.path
  if is_last and _num_maps() > _MOST_MAPS:
    jax.clear_caches()
    gc.collect()


def _num_maps() -> int:
  """Number of memory maps of this process; 0 where it is not known."""
  try:
    maps = pathlib.Path('/proc/self/maps').read_bytes()
  except OSError:
    return 0
  return maps.count(b'\n')


@pytest.fixture
def data_dir(request) -> pathlib.Path:
  """Returns the folder of the real data; skips the test if it is absent."""
  path = pathlib.Path(os.environ.get('HYPERREC_DATA_DIR', _BESIDE))
  if not path.is_dir():
    pytest.skip(f'{request.node.name}: real data is absent')
  return path
