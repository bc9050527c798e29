"""Functions that all scripts share: errors, flags, workdirs and output."""

import contextlib
import gc
import json
import logging as std_logging
import math
import os
import pathlib
import stat
import sys
import tempfile
from collections.abc import (
  Callable,
  Collection,
  Iterable,
  Iterator,
  Mapping,
  Sequence,
)
from typing import Any

import jax
from absl import app, flags, logging

from hyperrec import export, folder_lock, method, saved_folder, whole_file
from hyperrec.cost import memory
from hyperrec.data import interactions
from hyperrec.evaluation import results
from hyperrec.training import checkpoints, loop, manifest, mesh

# Errors that are printed as one line; all others keep their stack trace.
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
  saved_folder.FolderError,
  folder_lock.FolderInUse,
)

# Flags that only name places or devices of a machine: results do not depend on
# them, so a resumed run may change them. Each has the reason.
PLACES = {
  'data_dir': 'the data themselves are compared',
  'workdir': 'it is the folder that is checked',
  'output': 'every run writes the result again',
  'tfds_dir': 'the data themselves are compared',
  'cache_dir': 'its files are named by checksums of their input',
  'compile_cache': 'kept programs are those that would be compiled',
  'multihost': 'several devices compute the same as one',
  'mesh_items': 'several devices compute the same as one',
}
# Flags that name the user's own files; the content of the files is compared.
_OWN_FILES = ('path', 'item_path')

_MULTIHOST = flags.DEFINE_bool(
  'multihost',
  False,
  'Runs as one of several processes (one on each host) that share one run.',
)
_MESH_ITEMS = flags.DEFINE_integer(
  'mesh_items',
  0,
  'Number of devices along the item axis of a mesh of all devices, such as 2. '
  'The default 0 means one device, or 1 with --multihost.',
  lower_bound=0,
)
_COMPILE_CACHE = flags.DEFINE_string(
  'compile_cache',
  '~/.cache/hyperrec/compiled',
  'Folder that keeps compiled programs for later runs; it may be deleted at '
  'any time. Give an empty value to keep none. The variable '
  'JAX_COMPILATION_CACHE_DIR names another default.',
)

# Flags that the functions below define belong to the script that calls them,
# so that its --help shows them.
flags.disclaim_key_flags()


def define_whole_numbers(
  name: str, default: list[str], help_text: str
) -> flags.FlagHolder:
  """Defines a flag for a list of whole numbers below 2**31, such as 0,5,20."""
  holder = flags.DEFINE_list(name, default, help_text)
  flags.register_validator(
    name,
    lambda value: bool(value) and all(map(_is_whole_number, value)),
    'give whole numbers below 2147483648, such as 0,5,20',
  )
  return holder


def _is_whole_number(text: str) -> bool:
  text = text.strip()
  # Python refuses to convert a text of thousands of digits.
  return text.isdecimal() and len(text) <= 10 and int(text) < 2**31


def define_seed(name: str, help_text: str) -> flags.FlagHolder[int]:
  """Defines a flag for a random seed from 0 to 2**32 - 1."""
  return flags.DEFINE_integer(
    name, 0, help_text, lower_bound=0, upper_bound=2**32 - 1
  )


def script_flags() -> dict[str, Any]:
  """Returns name -> value of the flags of the experiments, without `PLACES`."""
  values = {name: flags.FLAGS[name].value for name in _defined_here()}
  return {k: v for k, v in sorted(values.items()) if k not in PLACES}


def _defined_here() -> list[str]:
  """Returns the names of the flags of the script and of its own imports."""
  return [
    flag.name
    for module, defined in flags.FLAGS.flags_by_module_dict().items()
    if module.startswith('experiments') or module.endswith('.py')
    for flag in defined
  ]


def provenance() -> dict[str, Any]:
  """Returns the commit and the package versions, for a result row."""
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
  """Claims the workdir of a resumable script, before any work is done.

  A resumed run must have the same flags, except those in `free` and `PLACES`,
  and the same content of all input files.

  Args:
    workdir: folder where the script keeps its state; None keeps no state.
    script: name of the script.
    data: role -> data set, for all data sets that the script reads.
    keeps: see `manifest.describe`.
    free: flag -> reason why it may differ when the run is resumed.
    files: flag -> the user's own files, besides those of --source=table.
    settings: further values that must stay the same.

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
  """Returns flag -> files that the flags of --source=table name."""
  named = {name: given.get(name) or [] for name in _OWN_FILES if name in given}
  return {n: [v] if isinstance(v, str) else v for n, v in named.items()}


def write_document(document: Any, path: str | pathlib.Path) -> None:
  """Writes a complete JSON file or nothing; creates its folder if needed."""
  text = json.dumps(document, indent=2, default=float)
  whole_file.write_whole(path, f'{text}\n'.encode())


def row_path(output: str | None, workdir: str | None, default: str) -> str:
  """Returns the file of a row: --output, or a file in the workdir or results/.

  Runs with different workdirs therefore never overwrite each other's rows.

  Args:
    output: value of --output, or None.
    workdir: value of --workdir, or None.
    default: path below results/; in a workdir only its file name is used.
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


def report_misses(document: Mapping[str, Any]) -> int:
  """Prints each published metric beside that found.

  Args:
    document: has `expected` and `metrics` by name, and the `tolerance`.

  Returns:
    The exit code of the script: 1 if a metric is further off than `tolerance`.
  """
  missed = 0
  for name, value in document['expected'].items():
    found = document['metrics'][name]
    is_off = abs(found - value) > document['tolerance']
    missed |= is_off
    word = 'MISSED' if is_off else 'reproduced'
    print(f'{name}: {found:.6f}, published {value:.6f}: {word}')
  return int(missed)


def send_logs_to(path: str | os.PathLike | None) -> None:
  """Sends log lines to a file, or nowhere; --verbosity also shows them.

  Warnings are always shown.
  """
  if path is not None:
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    handler = std_logging.FileHandler(path, encoding='utf-8')
    handler.setFormatter(logging.PythonFormatter())
    logging.get_absl_logger().addHandler(handler)
  if not flags.FLAGS['verbosity'].present:
    logging.get_absl_handler().setLevel(std_logging.WARNING)


def check_flags() -> None:
  """Raises UsageError if the value of a flag is not finite."""
  for name, value in script_flags().items():
    if isinstance(value, float) and not math.isfinite(value):
      raise app.UsageError(f'--{name}={value}: give a finite number')


def check_place(
  flag: str, place: str | os.PathLike, *, is_folder: bool = False
) -> None:
  """Checks that a file or a folder can be written, without writing it.

  Args:
    flag: name of the flag, for the error message.
    place: path of the file or folder; its parents need not exist either.
    is_folder: whether the place must be a folder.

  Raises:
    ResultError: the place is a folder instead of a file (or the reverse), a
      parent of it is a file, or writing is not permitted.
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
      continue  # replacing a file needs permission for its folder only
    if not found_folder:
      raise results.ResultError(f'--{flag}: {path} is a file; {remedy}')
    if not os.access(path, os.W_OK | os.X_OK):
      raise results.ResultError(
        f'--{flag}: there is no permission to write to {path}; {remedy}'
      )
    return


def check_places(values: flags.FlagValues, *, output_is_folder: bool) -> None:
  """Raises ResultError if --output or --workdir cannot be written."""
  for flag, is_folder in (('output', output_is_folder), ('workdir', True)):
    if flag in values and values[flag].value:
      check_place(flag, values[flag].value, is_folder=is_folder)


def expand_homes(values: flags.FlagValues) -> None:
  """Replaces a leading ~ in the flags of `PLACES` by the home folder.

  Shells do not expand it in --workdir=~/results.
  """
  for name in set(PLACES) & set(values):
    flag = values[name]
    if isinstance(flag.value, str):
      flag.value = os.path.expanduser(flag.value)


def _keep_compiled() -> None:
  """Lets JAX keep compiled programs in a folder, if it can be written."""
  flag = flags.FLAGS['compile_cache']
  if not flag.value or (
    jax.config.jax_compilation_cache_dir and not flag.present
  ):
    return
  try:
    os.makedirs(flag.value, exist_ok=True)
    with tempfile.TemporaryFile(dir=flag.value):
      pass
  except OSError as error:
    logging.warning(
      '--compile_cache: compiled programs are not kept: %s: %s',
      flag.value, error.strerror,
    )  # fmt: skip
    return
  jax.config.update('jax_compilation_cache_dir', flag.value)
  # Most programs are small: together they take minutes, each less than 1 s.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


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
  """Runs `main` under absl; mistakes of the user become one-line errors.

  Args:
    main: the main function of the script.
    is_multihost: whether the script supports --multihost, which means that
      only one of its processes writes files.
    output_is_folder: whether --output, if the script has it, names a folder.
  """

  def explained(argv):
    if len(argv) > 1:
      raise app.UsageError(f'unknown arguments: {argv[1:]}')
    if _MULTIHOST.value and not is_multihost:
      raise app.UsageError(
        '--multihost: this script runs in one process only; omit the flag, and '
        'give --mesh_items to use all devices of one machine'
      )
    expand_homes(flags.FLAGS)
    check_flags()
    try:
      check_places(flags.FLAGS, output_is_folder=output_is_folder)
      _keep_compiled()
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

  # --help then also shows the flags of imported modules.
  for name in _defined_here():
    flags.declare_key_flag(name)
  # Imported objects are never freed. Without this, each garbage collection of
  # `measure.call` scans them, which takes a fifth of a second.
  gc.freeze()
  # Without a TPU, JAX logs that at every start.
  std_logging.getLogger('jax').setLevel(std_logging.WARNING)
  app.run(explained)
