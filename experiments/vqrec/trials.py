"""Tries hyperparameters under one seed, on validation users only.

  python -m experiments.vqrec.trials --data_dir=DIR --workdir=WORKDIR \
    --flagfile=experiments/vqrec/scientific_trials.flags

Each `--trial` names an arm and the fields of `VqrecConfig` whose values differ
from the other flags. Test items are never used. The same command with the same
workdir resumes.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

from absl import app, flags, logging

from experiments import script
from experiments.vqrec import arms as arms_lib
from experiments.vqrec import config_flags, laboratory, rows

_TRIALS = flags.DEFINE_multi_string(
  'trial',
  [],
  'Arm and hyperparameters of a trial, such as "arm=scratch dropout=0.5"; '
  'repeat the flag for more trials.',
)

_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that is written; by default WORKDIR/ROW.json.',
)
_FREE = {
  'row': 'it names the result',
  'trial': 'it chooses which trials are run',
}


def main(argv):
  """Fits and validates every trial."""
  del argv
  trials = {text: arms_lib.parse_trial(text) for text in _TRIALS.value}
  if not trials:
    raise app.UsageError(
      '--trial is missing; name a trial, such as --trial="arm=scratch lr=0.01"'
    )
  found = laboratory.read()
  claim(found)
  data = laboratory.with_features(found)
  workdir = pathlib.Path(laboratory.WORKDIR.value)
  start = laboratory.under_seed(data, 0)
  for text, trial in trials.items():
    path = _path(workdir, text)
    if not path.exists():
      rows.write_cell(path, _tried(text, trial, data, start))
  document = {
    'row': laboratory.ROW.value,
    'dataset': data.target.name,
    'sources': [d.name for d in data.domains],
    'trials': [json.loads(_path(workdir, text).read_text()) for text in trials],
    'flags': script.script_flags(),
    **script.provenance(),
  }
  default = f'{laboratory.ROW.value}.json'
  script.write_document(
    document, script.row_path(_OUTPUT.value, str(workdir), default)
  )


def claim(data: laboratory.DataSets) -> None:
  """Claims the workdir for this run; see `laboratory.claim`."""
  laboratory.claim('experiments.vqrec.trials', data, {'trials': 1}, _FREE)


def _tried(text, trial, data, start) -> dict[str, Any]:
  name, changes = trial
  config = dataclasses.replace(config_flags.config(), **changes)
  arm = arms_lib.ARMS[name]
  started = start(arm, config)
  began = time.process_time()
  fitted = started.fit()
  seconds = time.process_time() - began
  found = laboratory.judge(
    started.model, fitted.state, data.split.validation, rows.METRICS
  )
  validation = {m: found.mean(m) for m in rows.METRICS}
  logging.info('%s: ndcg@10 %.4f', text, validation['ndcg@10'])
  return {
    'trial': text,
    'validation': validation,
    'cpu_seconds': seconds,
    'flops': fitted.cost.operations,
  }


def _path(workdir: pathlib.Path, text: str) -> pathlib.Path:
  return workdir / 'trials' / f'{"_".join(text.split())}.json'


if __name__ == '__main__':
  script.run(main)
