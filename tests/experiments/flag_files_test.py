"""Every flag file that is committed is understood by its script."""

import pathlib
import subprocess
import sys

import pytest

from tests.experiments import commands

MODULES = {
  'adaptation/*.flags': 'experiments.adaptation.run',
  'ease/claims_*.flags': 'experiments.ease.claims',
  'ease/diginetica.flags': 'experiments.ease.large',
  'ease/*.flags': 'experiments.ease.run',
  'graph/*.flags': 'experiments.graph.run',
  'p5/*.flags': 'experiments.p5.run',
  'pref/*.flags': 'experiments.pref.run',
  'sasrec/*.flags': 'experiments.sasrec.run',
  'verdict/*.flags': 'experiments.adaptation.run',
  'vqrec/*_trials.flags': 'experiments.vqrec.trials',
  'vqrec/*.flags': 'experiments.vqrec.run',
}
CODE = """
import copy, importlib, sys
from absl import flags
importlib.import_module(sys.argv[1])
for name in ('workdir', 'output'):
  if name in flags.FLAGS and flags.FLAGS[name].default is None:
    flags.FLAGS.set_default(name, 'nowhere')
for file in sys.argv[2:]:
  copy.deepcopy(flags.FLAGS)(['script', f'--flagfile={file}'])
"""


def files_by_module():
  """The first pattern that a file fits names its script."""
  root = commands.ROOT / 'experiments'
  found = {}
  for file in sorted(root.glob('*/*.flags')):
    place = file.relative_to(root)
    (module, *_) = [m for p, m in MODULES.items() if place.match(p)]
    found.setdefault(module, []).append(str(file))
  return found


@pytest.mark.parametrize('module', sorted(set(MODULES.values())))
def test_flag_files_are_understood(module):
  files = files_by_module()[module]
  done = subprocess.run(
    [sys.executable, '-c', CODE, module, *files],
    capture_output=True, text=True, check=False, cwd=commands.ROOT,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]
  assert all(pathlib.Path(file).stat().st_size for file in files)
