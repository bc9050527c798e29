"""Every table of a README is what its command makes of committed results."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.experiments import commands

SCRIPTS = {
  'experiments.benchmarks.table': 'experiments/benchmarks/README.md',
  'experiments.catalogues.tables': 'experiments/catalogues/README.md',
  'experiments.ease.tables': 'experiments/ease/README.md',
  'experiments.graph.tables': 'experiments/graph/README.md',
  'experiments.new_items.tables': 'experiments/new_items/README.md',
  'experiments.new_users.tables': 'experiments/new_users/README.md',
  'experiments.p5.tables': 'experiments/p5/README.md',
  'experiments.pref.tables': 'experiments/pref/README.md',
  'experiments.sasrec.tables': 'experiments/sasrec/README.md',
  'experiments.systems': 'experiments/README.md',
  'experiments.verdict.tables': 'experiments/verdict/README.md',
  'experiments.text_views.tables': 'experiments/text_views/README.md',
  'experiments.vqrec.tables': 'experiments/vqrec/README.md',
}


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
  folder = tmp_path_factory.mktemp('copy')
  for name in ('experiments', 'hyperrec'):
    shutil.copytree(commands.ROOT / name, folder / name)
  shutil.copy(commands.ROOT / 'README.md', folder)
  return folder


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_table_is_what_its_command_writes(copy, script):
  # The verdict also answers in the README of the project.
  files = copy / SCRIPTS[script], copy / 'README.md'
  before = [file.read_text() for file in files]
  done = subprocess.run(
    [sys.executable, '-m', script],
    cwd=copy,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert [file.read_text() for file in files] == before


def test_no_script_that_writes_tables_is_left_out():
  writers = {
    str(path.relative_to(commands.ROOT).with_suffix('')).replace('/', '.')
    for path in pathlib.Path(commands.ROOT, 'experiments').rglob('*.py')
    if 'replace_block(' in path.read_text() and path.stem != 'readme'
  }
  assert writers == {*SCRIPTS}
