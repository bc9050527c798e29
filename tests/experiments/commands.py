"""Scripts run as a user runs them."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run(workdir, *flags, module='experiments.adaptation.run', cwd=ROOT):
  command = [sys.executable, '-m', module, *flags]
  if workdir is not None:
    command.append(f'--workdir={workdir}')
  return subprocess.run(
    command, capture_output=True, text=True, check=False, cwd=cwd
  )
