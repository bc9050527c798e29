"""The flags that every launcher has: what to run, and whether to."""

import sys

from absl import flags

from launch import sweep

_MODULE = flags.DEFINE_string('module', None, 'What to run.', required=True)
_FLAGFILES = flags.DEFINE_list(
  'flagfiles', [], 'Flag files: one run for each; a sweep alone needs none.'
)
_SWEEP = flags.DEFINE_multi_string(
  'sweep', [], 'flag=value,value: one run for each value; may be repeated.'
)
_WORKDIRS = flags.DEFINE_string(
  'workdirs', None, 'Run NAME gets --workdir=WORKDIRS/NAME, and resumes there.'
)
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print what would be run.')


def runs(extra: list[str]) -> list[sweep.Run]:
  """The sweep that the flags name; `extra` goes to every run.

  What is no sweep is told in one line, and ends the launcher.
  """
  try:
    return sweep.runs(
      _MODULE.value, _FLAGFILES.value, _SWEEP.value, extra, _WORKDIRS.value
    )
  except sweep.SweepError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
