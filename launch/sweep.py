"""Sweeps: every combination of flag files and flag values.

All launchers use the same syntax. For example,

  --flagfiles=a.flags,b.flags --sweep=seed=0,1 --sweep=lr=0.1,0.01

gives eight runs; without --flagfiles it gives four. Each run has a unique name
and, with `workdirs`, its own folder, so that the same command resumes it. When
a sweep has several runs, each needs a --workdir, an --output or a --results_dir
that no other run writes to.
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

# Flags that name the files or folders that a run writes.
_WRITTEN = ('output', 'workdir', 'results_dir')


class SweepError(ValueError):
  """The flags do not describe a valid sweep."""


class Run(NamedTuple):
  """One run of a sweep.

  Attributes:
    name: unique name of letters, digits, underscores, dots and dashes.
    arguments: the command-line arguments after `python`.
  """

  name: str
  arguments: tuple[str, ...]

  def shell(self, python: str = 'python') -> str:
    """Returns the command line, quoted for a shell."""
    return shlex.join([python, *self.arguments])


def runs(
  module: str,
  flagfiles: Sequence[str],
  sweeps: Sequence[str] = (),
  extra: Sequence[str] = (),
  workdirs: str | None = None,
) -> list[Run]:
  """Returns all runs of a sweep.

  The flag files are the outermost loop, the last swept flag is the innermost.

  Args:
    module: the module to run, as in `python -m`.
    flagfiles: flag files to combine with every setting of the swept flags;
      without any, there is one run for each setting.
    sweeps: the swept flags, each written 'flag=value,value'.
    extra: arguments of every run. They come last, so they override the others;
      {name} in them is replaced by the run's name.
    workdirs: run NAME gets --workdir=workdirs/NAME; None adds no --workdir.

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
  """Raises SweepError if two runs might write to the same place."""
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
  """Returns the value of a flag in a run, also if a flag file sets it."""
  # If a flag file cannot be read, the run itself reports which one.
  with contextlib.suppress(flags.Error):
    arguments = flags.FlagValues().read_flags_from_files(list(arguments), False)
  value = None
  for argument, following in itertools.zip_longest(arguments, arguments[1:]):
    name, sign, given = argument.partition('=')
    if name in (f'-{flag}', f'--{flag}'):
      value = given if sign else following
  return value


def cloud_name(name: str, longest: int) -> str:
  """Returns the name in the form that cloud resources allow.

  The form has lower-case letters, digits and dashes only.

  Args:
    name: name of a run, possibly with a prefix.
    longest: maximum length in characters; a longer name is cut and ends with
      its checksum.
  """
  made = re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
  if not made[:1].isalpha():
    made = f'run-{made}'
  if len(made) <= longest:
    return made
  checksum = hashlib.sha256(name.encode()).hexdigest()[:6]
  return f'{made[: longest - 7].rstrip("-")}-{checksum}'
