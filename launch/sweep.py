"""A sweep: flag files times values of flags. One syntax for all launchers.

  --flagfiles=a.flags,b.flags --sweep=seed=0,1 --sweep=lr=0.1,0.01

are eight runs; without --flagfiles they are four. Each run has a name of its
own, and with `workdirs` a folder of its own, so that the same command finds
what it wrote and goes on. Each of several runs must be given a place of its own
to write to: a --workdir, an --output or a --results_dir that no other run has.
"""

import contextlib
import hashlib
import itertools
import os
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from absl import flags

# Flags of scripts that name what a run writes.
_WRITTEN = ('output', 'workdir', 'results_dir')


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
    flagfiles: one run for each and for each setting of the swept flags; without
      any, one run for each setting.
    sweeps: each 'flag=value,value'.
    extra: arguments of every run; they come last, and so win. In them, {name}
      becomes the run's name.
    workdirs: run NAME gets --workdir=workdirs/NAME; None leaves it out.

  Raises:
    SweepError: neither a flag file nor a sweep, a sweep that is not
      'flag=values', a flag that is swept twice, two runs of one name, one of
      several that is not given a place of its own to write to, or workdirs
      that are no folder.
  """
  if workdirs is not None and '://' in workdirs:
    raise SweepError(
      f'--workdirs={workdirs}: runs write to folders; mount the bucket, and '
      'give the folder where it is mounted'
    )
  if not flagfiles and not sweeps:
    raise SweepError(
      'there is nothing to run: give --flagfiles, or --sweep=flag=value,value'
    )
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
    for flagfile in flagfiles or [None]
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
  _check_places(made)
  return made


def _axis(sweep: str) -> tuple[str, list[str]]:
  name, sign, values = sweep.partition('=')
  if not (re.fullmatch(r'\w+', name) and sign and values):
    raise SweepError(f'--sweep={sweep}: write flag=value,value')
  return name, values.split(',')


def _run(module, flagfile, setting, extra, workdirs) -> Run:
  parts = [f'{n}-{v}' for n, v in setting]
  arguments = ['-m', module]
  if flagfile is not None:
    parts.insert(0, pathlib.Path(flagfile).stem)
    arguments.append(f'--flagfile={flagfile}')
  name = re.sub(r'[^\w.]+', '-', '-'.join(parts)).strip('-')
  arguments += [f'--{flag}={value}' for flag, value in setting]
  if workdirs is not None:
    arguments.append(f'--workdir={pathlib.PurePosixPath(workdirs) / name}')
  extra = [argument.replace('{name}', name) for argument in extra]
  return Run(name, (*arguments, *extra))


def _check_places(runs: list[Run]) -> None:
  """Raises SweepError where a run might overwrite what another one wrote."""
  writers: dict[tuple[str, str], str] = {}
  for run in runs:
    places = {flag: _value(run.arguments, flag) for flag in _WRITTEN}
    places = {flag: place for flag, place in places.items() if place}
    if not places and len(runs) > 1:
      raise SweepError(
        f'the run {run.name} has no place of its own to write to; give '
        "--workdirs=runs, or after -- for example '--output=rows/{name}.json'"
      )
    for flag, place in places.items():
      key = flag, os.path.normpath(place)
      first = writers.setdefault(key, run.name)
      if first != run.name:
        raise SweepError(
          f'the runs {first} and {run.name} would both write --{flag}={place}; '
          f"give each its own, such as '--{flag}={place}-{{name}}'"
        )


def _value(arguments: Sequence[str], flag: str) -> str | None:
  """The value that a run gives to a flag, flag files included."""
  # Where a file cannot be read, the run itself tells which one.
  with contextlib.suppress(flags.Error):
    arguments = flags.FlagValues().read_flags_from_files(list(arguments), False)
  value = None
  for argument, following in itertools.zip_longest(arguments, arguments[1:]):
    name, sign, given = argument.partition('=')
    if name in (f'-{flag}', f'--{flag}'):
      value = given if sign else following
  return value


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
