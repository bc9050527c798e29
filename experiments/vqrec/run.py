"""Runs all arms of VQ-Rec on one target under several seeds.

  python -m experiments.vqrec.run --data_dir=DIR --workdir=WORKDIR \
    --flagfile=experiments/vqrec/office.flags

Paper: Hou, He, McAuley & Zhao, "Learning vector-quantized item representation
for transferable sequential recommenders", WWW 2023, arXiv 2210.12316. Each
user's last item is the test item, and the item before it the validation item;
the whole catalogue is ranked. Each seed pre-trains once on the source domains.
The parameters with the best validation NDCG@10 are tested. The same command
with the same workdir resumes the run and keeps the arms that are finished.
"""

import hashlib
import pathlib
import time

import numpy as np
from absl import app, flags, logging

from experiments import script
from experiments.vqrec import arms as arms_lib
from experiments.vqrec import (
  config_flags,
  item_tables,
  laboratory,
  model_file,
  rows,
)

_ARMS = flags.DEFINE_list(
  'arms', list(arms_lib.ARMS), 'Arms that are run, such as scratch,full.'
)
_SEEDS = flags.DEFINE_integer(
  'seeds', 3, 'Number of runs of each arm, with seeds from 0.', lower_bound=1
)
_EXPECT = flags.DEFINE_list(
  'expect', [], 'Published metrics of arms, such as full/ndcg@10=0.0643.'
)
_SAVE = flags.DEFINE_string(
  'save',
  None,
  'Model file (.npz) for new_items, written from seed 0; --arms must name one '
  'arm.',
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that the row is written to; by default WORKDIR/ROW.json.',
)

_FREE = {
  'row': 'it names the result',
  'arms': 'it chooses which cells are run',
  'seeds': 'it chooses which cells are run',
  'save': 'it is a place; the file there is checked separately',
  'expect': 'it is compared with the result',
}


def main(argv):
  """Trains and tests every arm."""
  del argv
  chosen = _chosen_arms()
  expected = rows.parse_expected(_EXPECT.value, arms_lib.ARMS)
  found = laboratory.read()
  claim(found)
  workdir = pathlib.Path(laboratory.WORKDIR.value)
  origins = {name: _origin(workdir, name) for name in chosen}
  if _SAVE.value:
    model_file.check_own(_SAVE.value, *origins.values())
  data = laboratory.with_features(found)
  for seed in range(_SEEDS.value):
    start = laboratory.under_seed(data, seed)
    for name, arm in chosen.items():
      path = workdir / 'cells' / f'{name}_{seed}.json'
      unsaved = _SAVE.value and not pathlib.Path(_SAVE.value).exists()
      if not path.exists() or unsaved:
        cell = _cell(arm, data, start, seed, origins[name])
        if not path.exists():
          rows.write_cell(path, cell)
  cells = rows.read_cells(workdir / 'cells', chosen, _SEEDS.value)
  document = {
    'row': laboratory.ROW.value,
    'dataset': data.target.name,
    'users': len(cells[0]['users']),
    'items': data.target.num_items,
    'sources': [d.name for d in data.domains],
    'text_encoder': item_tables.encoder_name(),
    'arms': rows.summarise(cells, chosen),
    'expected': expected,
    'flags': script.script_flags(),
    **script.provenance(),
  }
  default = f'{laboratory.ROW.value}.json'
  script.write_document(
    document, script.row_path(_OUTPUT.value, str(workdir), default)
  )
  print(rows.as_table(document))


def claim(data: laboratory.DataSets) -> None:
  """Claims the workdir for this run; see `laboratory.claim`."""
  laboratory.claim('experiments.vqrec.run', data, {'cells': 1}, _FREE)


def _origin(workdir: pathlib.Path, arm: str) -> str:
  """Text that identifies the model that this run makes for an arm."""
  content = (workdir / 'manifest.json').read_bytes()
  return f'{arm} of {hashlib.sha256(content).hexdigest()}'


def _cell(arm, data, start, seed, origin) -> rows.Cell:
  """Fits one arm under one seed, and gives the values of its test users."""
  config = config_flags.config()
  started = start(arm, config)
  began = time.perf_counter()
  fitted = started.fit()
  seconds = time.perf_counter() - began
  if _SAVE.value and seed == 0:
    saved = model_file.SavedModel(
      config,
      item_tables.encoder_name(),
      fitted.state,
      data.target.item_ids,
      origin,
    )
    model_file.save(_SAVE.value, saved)
  found = laboratory.judge(
    started.model, fitted.state, data.split.test, rows.METRICS
  )
  logging.info('%s, %d: ndcg@10 %.4f', arm.title, seed, found.mean('ndcg@10'))
  return {
    'users': found.users.tolist(),
    'values': {m: np.asarray(v).tolist() for m, v in found.values.items()},
    'validation': started.evaluate(fitted.state)['ndcg@10'],
    'adapt': {'seconds': seconds, 'flops': fitted.cost.operations},
    'prepare_flops': started.shared.cost.operations if started.shared else 0.0,
    'codes': rows.describe_codes(fitted.state),
  }


def _chosen_arms() -> dict[str, arms_lib.Arm]:
  unknown = [name for name in _ARMS.value if name not in arms_lib.ARMS]
  if unknown or not _ARMS.value:
    raise app.UsageError(
      f'--arms={unknown}: choose names from {[*arms_lib.ARMS]}'
    )
  if _SAVE.value and len(_ARMS.value) > 1:
    raise app.UsageError(
      '--save holds the model of one arm; name one of the --arms'
    )
  return {name: arms_lib.ARMS[name] for name in _ARMS.value}


if __name__ == '__main__':
  script.run(main)
