"""What a user of the package relies on before running anything."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def python(code):
  return subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  ).stdout


@pytest.mark.smoke
def test_import_is_quick_and_computes_nothing():
  code = (
    'import time; start = time.process_time(); import hyperrec, sys;'
    'print(time.process_time() - start, "jax" in sys.modules)'
  )
  python(code)
  seconds, has_jax = python(code).split()
  assert float(seconds) < 1.5
  assert has_jax == 'False'


@pytest.mark.smoke
def test_no_module_needs_tensorflow_or_touches_a_device():
  code = (
    'import sys, jax; from jax._src import xla_bridge;'
    'import hyperrec.systems.mult_vae.mult_vae, hyperrec.systems.linear.esler;'
    'import experiments.adaptation.report, hyperrec.data.sources.builder;'
    'print("tensorflow" in sys.modules, bool(xla_bridge._backends))'
  )
  assert python(code).split() == ['False', 'False']


def test_a_model_that_reads_features_can_be_imported_first():
  assert python('import hyperrec.systems.hyperease.catalogue_generator') == ''


def test_ci_runs_the_command_that_the_readme_prints():
  readme = (ROOT / 'README.md').read_text()
  assert 'pip install -q ".[test]" && .venv/bin/python -m pytest' in readme
  assert '.[test]' in (ROOT / '.ci' / 'run').read_text()


def test_a_closed_form_imports_no_code_of_networks():
  code = (
    'import hyperrec as hr, sys; hr.load, hr.fit, hr.ease, hr.Recommender;'
    'heavy = {"flax", "optax", "orbax", "matplotlib", "pandas", "scipy.stats"};'
    'print(sorted(heavy & set(sys.modules)))'
  )
  assert python(code) == '[]\n'


def test_reading_a_table_imports_no_pandas(tmp_path):
  pytest.importorskip('pandas')
  path = tmp_path / 't.csv'
  path.write_text('user,item,time\n1,a,5\n2,b,6\n')
  code = (
    'import hyperrec as hr, sys;'
    f'hr.load("table", path={str(path)!r}, timestamp_column="time");'
    'print("pandas" in sys.modules)'
  )
  assert python(code).split() == ['False']
