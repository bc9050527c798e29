"""Settings of every test, and where the real data is."""

import os
import pathlib

import jax
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_numpy_rank_promotion', 'raise')

_BESIDE = pathlib.Path(__file__).parents[2] / 'shared' / 'data'


@pytest.fixture
def data_dir(request) -> pathlib.Path:
  """The folder of the real data sets; skips, by name, where it is absent."""
  path = pathlib.Path(os.environ.get('HYPERREC_DATA_DIR', _BESIDE))
  if not path.is_dir():
    pytest.skip(f'{request.node.name}: real data is absent')
  return path


@pytest.fixture(scope='module')
def compile_fast():
  """Small programs: to compile them well takes longer than to run them."""
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)
