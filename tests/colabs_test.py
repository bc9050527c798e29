"""Notebooks run from top to bottom, and are made of their .py files."""

import importlib.metadata
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import jupytext
import nbclient
import pytest

COLABS = pathlib.Path(__file__).parents[1] / 'colabs'
NAMES = sorted(path.stem for path in COLABS.glob('*.py'))

AS_NOTEBOOK = 'reproduce'


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in NAMES if n != AS_NOTEBOOK])
def test_it_runs_in_its_fast_mode(name, tmp_path):
  done = subprocess.run(
    [sys.executable, COLABS / f'{name}.py'],
    capture_output=True, text=True, check=False, cwd=tmp_path,
    env={
      **os.environ, 'HYPERREC_FAST': '1', 'MPLBACKEND': 'agg',
      'PYTHONPATH': str(COLABS.parent),
    },
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize('name', NAMES)
def test_the_notebook_is_made_of_its_source(name):
  source = jupytext.read(COLABS / f'{name}.py')
  notebook = jupytext.read(COLABS / f'{name}.ipynb')
  text = lambda made: [(c.cell_type, c.source) for c in made.cells]  # noqa: E731
  assert text(notebook) == text(source), f'run jupytext --to ipynb {name}.py'
  assert not any(cell.get('outputs') for cell in notebook.cells)


@pytest.mark.parametrize('name', NAMES)
def test_the_first_cell_installs_what_is_missing(name, monkeypatch):
  """And what is there is left alone."""
  notebook = jupytext.read(COLABS / f'{name}.ipynb')
  cell = next(c.source for c in notebook.cells if c.cell_type == 'code')
  commands = []
  monkeypatch.setattr(subprocess, 'run', lambda c, check: commands.append(c))
  exec(cell, {})
  assert not commands
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(SystemExit, match='Fill in REPOSITORY'):
    exec(cell, {})
  assert not commands
  exec(cell.replace("= ''", "= 'https://github.com/a/b'"), {})
  ((*command, package),) = commands
  assert command[1:4] == ['-m', 'pip', 'install']
  asked = re.fullmatch(
    r'hyperrec\[(.+)\] @ git\+https://github.com/a/b', package
  )
  extras = importlib.metadata.metadata('hyperrec').get_all('Provides-Extra')
  assert set(asked[1].split(',')) <= set(extras)


@pytest.mark.slow
def test_a_notebook_runs_as_one(monkeypatch, tmp_path):
  monkeypatch.setenv('HYPERREC_FAST', '1')
  monkeypatch.setenv('PYTHONPATH', str(COLABS.parent))
  notebook = jupytext.read(COLABS / f'{AS_NOTEBOOK}.ipynb')
  nbclient.NotebookClient(
    notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}
  ).execute()
  kinds = {o.output_type for c in notebook.cells for o in c.get('outputs', ())}
  assert 'error' not in kinds
  assert 'display_data' in kinds
