"""Interpreters of the libraries that need an environment of their own.

RecTools needs NumPy 1 on Python 3.11, and LensKit an older pandas, so neither
can be installed beside the other peers.
"""

import subprocess

from absl import flags

_RECTOOLS = flags.DEFINE_string(
  'rectools_python',
  None,
  'Python interpreter of an environment with RecTools, such as '
  'rectools/bin/python; without it, comparisons with RecTools are skipped.',
)
_LENSKIT = flags.DEFINE_string(
  'lenskit_python',
  None,
  'Python interpreter of an environment with LensKit, such as '
  'lenskit/bin/python; without it, comparisons with LensKit are skipped.',
)


def interpreter(package: str) -> str | None:
  """The interpreter that the user named for rectools or lenskit."""
  return {'rectools': _RECTOOLS, 'lenskit': _LENSKIT}[package].value


def given_flags() -> list[str]:
  """The flags of this module that the user gave, for another process."""
  return [
    f'--{flag.name}={flag.value}'
    for flag in (_RECTOOLS, _LENSKIT)
    if flag.value
  ]


def skip(package: str) -> str:
  """Prints and returns that no interpreter is given, and how to give one."""
  message = (
    f'no interpreter of {package} is given, its comparison is skipped; '
    f'--{package}_python=FOLDER/bin/python'
  )
  print(message)
  return message


def version(package: str) -> str:
  """The version of a package in its own environment."""
  code = f'import importlib.metadata as m; print(m.version({package!r}))'
  done = subprocess.run(
    [interpreter(package), '-c', code],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  return done.stdout.strip()
