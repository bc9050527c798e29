"""A sweep: flag files times lists of flags. One syntax for all launchers.

  --flagfiles=a.flags,b.flags --sweep=seed=0,1 --sweep=lr=0.1,0.01

are eight runs. Each has a name of its own, and with `workdirs` a folder of its
own, so that the same command finds what it wrote and goes on.
"""

import hashlib
import itertools
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple


class SweepError(ValueError):
  """A sweep that cannot be what was meant."""


class Run(NamedTuple):
  """One run of a sweep.

  Attributes:
    name: of letters, digits, dots and dashes; no other run has it.
    arguments: what follows `python`.
  """

  name: str
  arguments: tuple[str, ...]

  def shell(self, python: str = 'python') -> str:
    """The command line, quoted."""
    return shlex.join([python, *self.arguments])


def runs(
  module: str,
  flagfiles: Sequence[str],
  sweeps: Sequence[str] = (),
  extra: Sequence[str] = (),
  workdirs: str | None = None,
) -> list[Run]:
  """Every run: flag files outermost, the last swept flag innermost.

  Args:
    module: what runs, as in `python -m`.
    flagfiles: one run for each and for each setting of the swept flags.
    sweeps: each 'flag=value,value'.
    extra: arguments of every run; they come last, and so win. In them, {name}
      becomes the run's name.
    workdirs: run NAME gets --workdir=workdirs/NAME; None leaves it out.

  Raises:
    SweepError: no flag file, a sweep that is not 'flag=values', a flag that is
      swept twice, two runs of one name, or workdirs that are no folder.
  """
  if workdirs is not None and '://' in workdirs:
    raise SweepError(
      f'--workdirs={workdirs}: runs write to folders; mount the bucket, and '
      'give the folder where it is mounted'
    )
  if not flagfiles:
    raise SweepError('--flagfiles names no file; give one at least')
  axes = [_axis(sweep) for sweep in sweeps]
  names = [name for name, _ in axes]
  if len(set(names)) < len(names):
    raise SweepError(f'--sweep: a flag is swept twice, among {names}')
  settings = list(
    itertools.product(
      *([(name, value) for value in values] for name, values in axes)
    )
  )
  made = [
    _run(module, flagfile, setting, extra, workdirs)
    for flagfile in flagfiles
    for setting in settings
  ]
  seen = set()
  for run in made:
    if run.name in seen:
      raise SweepError(
        f'two runs are called {run.name!r}; give the flag files other names, '
        'and each value once'
      )
    seen.add(run.name)
  return made


def _axis(sweep: str) -> tuple[str, list[str]]:
  name, sign, values = sweep.partition('=')
  if not (re.fullmatch(r'\w+', name) and sign and values):
    raise SweepError(f'--sweep={sweep}: write flag=value,value')
  return name, values.split(',')


def _run(module, flagfile, setting, extra, workdirs) -> Run:
  parts = [pathlib.Path(flagfile).stem, *(f'{n}-{v}' for n, v in setting)]
  name = re.sub(r'[^\w.]+', '-', '-'.join(parts)).strip('-')
  arguments = ['-m', module, f'--flagfile={flagfile}']
  arguments += [f'--{flag}={value}' for flag, value in setting]
  if workdirs is not None:
    arguments.append(f'--workdir={pathlib.PurePosixPath(workdirs) / name}')
  extra = [argument.replace('{name}', name) for argument in extra]
  return Run(name, (*arguments, *extra))


def cloud_name(name: str, longest: int) -> str:
  """The name as clouds take it: small letters, digits and dashes.

  Args:
    name: of a run, perhaps with a prefix.
    longest: characters that are allowed; a longer name ends in its checksum.
  """
  made = re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
  if not made[:1].isalpha():
    made = f'run-{made}'
  if len(made) <= longest:
    return made
  checksum = hashlib.sha256(name.encode()).hexdigest()[:6]
  return f'{made[: longest - 7].rstrip("-")}-{checksum}'
