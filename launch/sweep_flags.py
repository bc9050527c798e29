"""The flags that all launchers share."""

import sys

from absl import flags

from launch import sweep

_MODULE = flags.DEFINE_string(
  'module',
  None,
  'Module to run, such as experiments.sasrec.run.',
  required=True,
)
_FLAGFILES = flags.DEFINE_list(
  'flagfiles',
  [],
  'Comma-separated flag files; each gives one run for every setting of the '
  'swept flags. Not needed with --sweep.',
)
_SWEEP = flags.DEFINE_multi_string(
  'sweep',
  [],
  'Flag to sweep and its values, such as --sweep=seed=0,1,2. May be given '
  'several times; all combinations are run.',
)
_WORKDIRS = flags.DEFINE_string(
  'workdirs',
  None,
  'Folder of all workdirs: run NAME gets --workdir=WORKDIRS/NAME and resumes '
  'from there.',
)
DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print the commands, and run nothing.'
)


def runs(extra: list[str]) -> list[sweep.Run]:
  """Returns the runs of the sweep that the flags describe.

  An invalid sweep ends the launcher with an error message of one line.

  Args:
    extra: further arguments of every run.
  """
  try:
    return sweep.runs(
      _MODULE.value, _FLAGFILES.value, _SWEEP.value, extra, _WORKDIRS.value
    )
  except sweep.SweepError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
