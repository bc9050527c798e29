"""What made a result row: the script's flags, the commit, the versions."""

from typing import Any

from absl import flags

from hyperrec.training import run_log

# Where things lie on one machine is no part of a result.
_PLACES = ('data_dir', 'workdir', 'output', 'cache_dir')


def script_flags() -> dict[str, Any]:
  """The values of the flags that the experiments define, places left out."""
  values = {}
  for module, defined in flags.FLAGS.flags_by_module_dict().items():
    if module.startswith('experiments') or module.endswith('.py'):
      values |= {flag.name: flag.value for flag in defined}
  return {k: v for k, v in sorted(values.items()) if k not in _PLACES}


def provenance() -> dict[str, Any]:
  """Commit and versions, as result rows carry them."""
  return {'commit': run_log.git_commit(), 'versions': run_log.versions()}
