"""What every script needs: clear errors, and what made a result row."""

import contextlib
import gc
import json
import logging as std_logging
import math
import os
import pathlib
import stat
import sys
from collections.abc import (
  Callable,
  Collection,
  Iterable,
  Iterator,
  Mapping,
  Sequence,
)
from typing import Any

from absl import app, flags

from hyperrec import export, method, whole_file
from hyperrec.cost import memory
from hyperrec.data import interactions
from hyperrec.evaluation import results
from hyperrec.training import checkpoints, loop, manifest, mesh

# Errors whose message is all a user needs; others keep their stack trace.
EXPLAINED = (
  interactions.DataError,
  results.ResultError,
  memory.InsufficientMemoryError,
  method.CannotServe,
  loop.TrainingDiverged,
  checkpoints.CheckpointError,
  manifest.OtherRunError,
  mesh.MeshError,
  export.ExportError,
)

# Flags that say where things lie or run on one machine are no part of a result.
PLACES = {
  'data_dir': 'the data as read are compared',
  'workdir': 'it is what is compared',
  'output': 'the result is written anew by every run',
  'tfds_dir': 'the data as read are compared',
  'cache_dir': 'its files are named by checksums of what made them',
  'multihost': 'a mesh computes what one device computes',
  'mesh_items': 'a mesh computes what one device computes',
}
# Flags that name the user's own files: what is in the files is compared.
_OWN_FILES = ('path', 'item_path')

_MULTIHOST = flags.DEFINE_bool(
  'multihost', False, 'One of several processes of a run, each with devices.'
)
_MESH_ITEMS = flags.DEFINE_integer(
  'mesh_items',
  0,
  'Trains on a mesh of all devices, with that many along items; 0: on one '
  'device, or with --multihost on 1.',
  lower_bound=0,
)

# Flags that the functions below define belong to the script that calls them,
# so that its --help shows them.
flags.disclaim_key_flags()


def define_whole_numbers(
  name: str, default: list[str], help_text: str
) -> flags.FlagHolder:
  """A flag that is a list of whole numbers below 2**31, such as 0,5,20."""
  holder = flags.DEFINE_list(name, default, help_text)
  flags.register_validator(
    name,
    lambda value: bool(value) and all(map(_is_whole_number, value)),
    'write whole numbers, as 0,5,20, that are below 2147483648',
  )
  return holder


def _is_whole_number(text: str) -> bool:
  text = text.strip()
  # Python refuses to read thousands of digits.
  return text.isdecimal() and len(text) <= 10 and int(text) < 2**31


def define_seed(name: str, help_text: str) -> flags.FlagHolder[int]:
  """A flag that is the seed of random draws, from 0 to 2**32 - 1."""
  return flags.DEFINE_integer(
    name, 0, help_text, lower_bound=0, upper_bound=2**32 - 1
  )


def script_flags() -> dict[str, Any]:
  """The values of the flags that the experiments define, places left out."""
  values = {name: flags.FLAGS[name].value for name in _defined_here()}
  return {k: v for k, v in sorted(values.items()) if k not in PLACES}


def _defined_here() -> list[str]:
  """Names of the flags that the script and the modules it imports define."""
  return [
    flag.name
    for module, defined in flags.FLAGS.flags_by_module_dict().items()
    if module.startswith('experiments') or module.endswith('.py')
    for flag in defined
  ]


def provenance() -> dict[str, Any]:
  """Commit and versions, as result rows carry them."""
  return {'commit': manifest.git_commit(), 'versions': manifest.versions()}


def claim(
  workdir: str | os.PathLike | None,
  script: str,
  data: Mapping[str, interactions.Interactions],
  *,
  keeps: Mapping[str, int],
  free: Mapping[str, str],
  files: Mapping[str, Sequence[str | os.PathLike]] | None = None,
  settings: Mapping[str, Any] | None = None,
) -> None:
  """Claims the workdir of a script that can be resumed, ahead of any work.

  Every flag counts that is not in `free` or in `PLACES`, and so does whatever
  is in the files that the user names.

  Args:
    workdir: where the script keeps its state; None keeps none.
    script: name of the script.
    data: all data sets that the script reads, by their part in it.
    keeps: see `manifest.describe`.
    free: flags that may differ when the run is resumed, each with the reason.
    files: the user's own files besides those of --source=table, by flag.
    settings: what else must stay the same.

  Raises:
    OtherRunError: the workdir belongs to a run with another description.
  """
  if workdir is None:
    return
  given = script_flags()
  description = manifest.describe(
    script,
    given,
    data,
    keeps=keeps,
    files={**_own_files(given), **(files or {})},
    settings=settings,
  )
  manifest.claim(workdir, description, {*free, *_OWN_FILES})


def _own_files(given: Mapping[str, Any]) -> dict[str, list[str]]:
  """The files that the flags of --source=table name."""
  named = {name: given.get(name) or [] for name in _OWN_FILES if name in given}
  return {n: [v] if isinstance(v, str) else v for n, v in named.items()}


def write_document(document: Any, path: str | pathlib.Path) -> None:
  """Writes a JSON file, whole or not at all, and the folder that it is in."""
  text = json.dumps(document, indent=2, default=float)
  whole_file.write_whole(path, f'{text}\n'.encode())


def row_path(output: str | None, workdir: str | None, default: str) -> str:
  """Where a row is written: --output, else the workdir, else results/.

  Runs with workdirs of their own thus never overwrite each other's rows.

  Args:
    output: value of --output, or None.
    workdir: value of --workdir, or None.
    default: path under results/; its file name is taken in the workdir, too.
  """
  if output or not workdir:
    return output or f'results/{default}'
  return str(pathlib.Path(workdir) / pathlib.Path(default).name)


def parse_expected(
  entries: Iterable[str], names: Collection[str], form: str = 'METRIC=NUMBER'
) -> dict[str, float]:
  """Published numbers by name.

  Args:
    entries: values of --expect, each NAME=NUMBER.
    names: those that are known.
    form: what an entry looks like, for the error.

  Raises:
    UsageError: an entry has another form or an unknown name.
  """
  expected = {}
  for entry in entries:
    name, _, value = entry.partition('=')
    try:
      expected[name] = float(value)
    except ValueError:
      raise app.UsageError(f'--expect={entry}: write {form}') from None
    if name not in names:
      raise app.UsageError(
        f'--expect={entry}: write {form}; {name} is not one of '
        f'{", ".join(names)}'
      )
  return expected


def check_flags() -> None:
  """Raises UsageError where a number is not finite."""
  for name, value in script_flags().items():
    if isinstance(value, float) and not math.isfinite(value):
      raise app.UsageError(f'--{name}={value}: give a finite number')


def check_place(
  flag: str, place: str | os.PathLike, *, is_folder: bool = False
) -> None:
  """Looks whether a file or a folder can be written, and writes nothing.

  Args:
    flag: that names the place, for the message.
    place: what is to be written; it need not exist, nor the folders above it.
    is_folder: whether it is to be a folder.

  Raises:
    ResultError: it is of the other kind, is below a file, or may not be
      written.
  """
  place = pathlib.Path(place)
  remedy = f'name another {"folder" if is_folder else "file"}'
  for path in (place, *place.parents):
    try:
      found_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
      continue
    except OSError as error:
      raise results.ResultError(
        f'--{flag}: {path}: {error.strerror}; {remedy}'
      ) from error
    if path == place and not is_folder:
      if found_folder:
        raise results.ResultError(f'--{flag}: {path} is a folder; {remedy}')
      continue  # a file is replaced, which is up to its folder
    if not found_folder:
      raise results.ResultError(f'--{flag}: {path} is a file; {remedy}')
    if not os.access(path, os.W_OK | os.X_OK):
      raise results.ResultError(
        f'--{flag}: {path} may not be written to; {remedy}'
      )
    return


def check_places(values: flags.FlagValues, *, output_is_folder: bool) -> None:
  """Raises ResultError where --output or --workdir cannot be written."""
  for flag, is_folder in (('output', output_is_folder), ('workdir', True)):
    if flag in values and values[flag].value:
      check_place(flag, values[flag].value, is_folder=is_folder)


def expand_homes(values: flags.FlagValues) -> None:
  """Replaces a leading ~ of places by the home folder.

  Shells leave it as it is in --workdir=~/results.
  """
  for name in set(PLACES) & set(values):
    flag = values[name]
    if isinstance(flag.value, str):
      flag.value = os.path.expanduser(flag.value)


@contextlib.contextmanager
def _mesh() -> Iterator[None]:
  if _MULTIHOST.value:
    mesh.initialize()
  if not (_MULTIHOST.value or _MESH_ITEMS.value):
    yield
    return
  with mesh.use(max(1, _MESH_ITEMS.value)):
    yield


def run(
  main: Callable[[list[str]], int | None],
  *,
  is_multihost: bool = False,
  output_is_folder: bool = False,
) -> None:
  """Runs `main` under absl; a user's mistake is told in one line.

  Args:
    main: of the script.
    is_multihost: whether one process alone writes its files, so that several
      may run it together.
    output_is_folder: whether --output, where there is that flag, is a folder.
  """

  def explained(argv):
    if len(argv) > 1:
      raise app.UsageError(f'unknown arguments: {argv[1:]}')
    if _MULTIHOST.value and not is_multihost:
      raise app.UsageError(
        '--multihost: this script runs in one process; leave it out, and give '
        '--mesh_items to use all devices of a machine'
      )
    expand_homes(flags.FLAGS)
    check_flags()
    try:
      check_places(flags.FLAGS, output_is_folder=output_is_folder)
      with _mesh():
        return main(argv)
    except loop.Stopped as stopped:
      print(stopped, file=sys.stderr)
      return 0
    except EXPLAINED as error:
      print(f'error: {error}', file=sys.stderr)
      return 2
    except OSError as error:
      if error.errno not in whole_file.DISK_ERRORS:
        raise
      print(
        f'error: {error.filename2 or error.filename}: {error.strerror}; make '
        'room there, or give another place (--workdir, --output, --cache_dir, '
        '--path)',
        file=sys.stderr,
      )
      return 2

  # So that --help shows the flags of imported modules, too.
  for name in _defined_here():
    flags.declare_key_flag(name)
  # What was imported stays: `measure.call` would look for garbage in it, a
  # fifth of a second each time.
  gc.freeze()
  # JAX tells at every start that there is no TPU.
  std_logging.getLogger('jax').setLevel(std_logging.WARNING)
  app.run(explained)
