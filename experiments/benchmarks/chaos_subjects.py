"""The commands that `chaos` kills: a training, a sweep, a fit, an update."""

import csv
import hashlib
import json
import pathlib
import random
import sys
from typing import Any

from experiments.benchmarks import chaos_kills
from hyperrec import saved_folder
from hyperrec.data import sources
from hyperrec.evaluation import results

Subject = chaos_kills.Subject
Path = pathlib.Path

TRAINING = 'experiments.benchmarks.chaos'
# A small run of the laboratory, with closed forms and a trained network.
_SWEEP = (
  '--source=synthetic', '--methods=popularity,itemknn,ease,l3ae,mult_vae',
  '--regimes=new_users,new_items', '--user_budgets=1,5', '--item_budgets=0,5',
  '--num_heldout=40', '--repeats=1', '--max_seconds=0.01',
)  # fmt: skip
# Entries of a row that are measured, so that no two runs agree on them.
_MEASURED = ('seconds', 'repeats', 'peak_bytes', 'joules')
_HEAD, _TENSORS = 'recommender.json', 'state.safetensors'


def all_of(data_folder: Path, steps: int) -> dict[str, Subject]:
  """Returns the subjects by name.

  Args:
    data_folder: folder of the tables that `write_tables` wrote.
    steps: number of training steps of the training.
  """
  subjects = (training(steps), sweep(), fit(data_folder), update(data_folder))
  return {subject.name: subject for subject in subjects}


def write_tables(folder: Path) -> None:
  """Writes old.csv, what is fitted, and new.csv, what arrives later.

  The new rows are of old and of new users, and of old items.
  """
  data = sources.load('synthetic', num_users=600, num_items=1500, seed=0)
  rows = list(zip(data.users.tolist(), data.items.tolist(), strict=True))
  random.Random(0).shuffle(rows)
  first, rest = rows[: len(rows) * 9 // 10], rows[len(rows) * 9 // 10 :]
  old = [row for row in first if row[0] < 590]
  items = {item for _, item in old}
  rest += [row for row in first if row[0] >= 590]
  new = [row for row in rest if row[1] in items]
  for name, part in (('old', old), ('new', new)):
    with (folder / f'{name}.csv').open('w', newline='') as file:
      csv.writer(file).writerows([('user', 'item'), *part])


def training(steps: int) -> Subject:
  """A Mult-VAE that saves a checkpoint after every step."""
  return Subject(
    name='training',
    what='trains a network, with a checkpoint after every step',
    command=lambda folder: _module(
      TRAINING, f'--workdir={folder}', f'--steps={steps}'
    ),
    prepare=lambda folder: None,
    kept=newest_step,
    unfinished=lambda folder: chaos_kills.stamps(
      (folder / 'checkpoints').glob('*tmp*')
    ),
    problem=lambda folder: None,
    digest=lambda folder, output: output.strip(),
  )


def newest_step(folder: Path) -> int:
  """Returns the step of the newest complete checkpoint; 0 without one."""
  found = (folder / 'checkpoints').glob('[0-9]*')
  return max((int(p.name) for p in found if p.name.isdigit()), default=0)


def sweep() -> Subject:
  """Two runs of the laboratory, started one after the other by a launcher."""
  return Subject(
    name='sweep',
    what='two runs of the laboratory under `launch.local`',
    command=lambda folder: _module(
      'launch.local', '--module=experiments.adaptation.run',
      '--sweep=trials=1,2', f'--workdirs={folder}', '--', *_SWEEP,
    ),
    prepare=lambda folder: None,
    kept=lambda folder: len(_rows(folder)),
    unfinished=_cut_rows,
    problem=_cut_document,
    digest=lambda folder, output: _digest_of(
      [_without_measured(row) for row in _rows(folder)]
    ),
  )  # fmt: skip


def _rows(folder: Path) -> list[results.Row]:
  paths = sorted(folder.glob('*/cells.jsonl'))
  return [row for path in paths for row in results.read_json_lines(path)]


def _cut_rows(folder: Path) -> frozenset:
  cut = [
    path
    for path in folder.glob('*/cells.jsonl')
    if (content := path.read_bytes()) and not content.endswith(b'\n')
  ]
  return chaos_kills.stamps([*cut, *folder.glob('*/.*.tmp')])


def _cut_document(folder: Path) -> str | None:
  for path in folder.glob('*/*.json'):
    try:
      json.loads(path.read_text())
    except ValueError as error:
      return f'{path.name} is cut: {error}'
  return None


def _without_measured(value: Any) -> Any:
  if isinstance(value, dict):
    return {
      k: _without_measured(v)
      for k, v in value.items()
      if not any(name in k for name in _MEASURED)
    }
  return value


def fit(data_folder: Path) -> Subject:
  """EASE is fitted and saved, in place of an older one if there is one."""
  return Subject(
    name='fit',
    what='`recommend.fit`, which replaces what an earlier run wrote',
    command=lambda folder: _fit(data_folder, folder),
    prepare=lambda folder: None,
    kept=None,
    unfinished=_being_saved,
    problem=lambda folder: _problem(folder, may_be_absent=True),
    digest=lambda folder, output: _digest_of_saved(folder),
  )


def update(data_folder: Path) -> Subject:
  """A recommender takes in new rows, and the new one replaces it."""
  return Subject(
    name='update',
    what='`recommend.update`, in place',
    command=lambda folder: _recommend(
      'update',
      data_folder / 'new.csv',
      f'--model={folder / "model"}',
      '--nocompare',
    ),
    prepare=lambda folder: chaos_kills.finish(_fit(data_folder, folder)),
    kept=None,
    unfinished=_being_saved,
    problem=lambda folder: _problem(folder, may_be_absent=False),
    digest=lambda folder, output: _digest_of_saved(folder),
  )


def _fit(data_folder: Path, folder: Path) -> list[str]:
  return _recommend(
    'fit', data_folder / 'old.csv', '--method=ease_dynamic', '--case=drift',
    f'--output={folder / "model"}', '--overwrite',
  )  # fmt: skip


def _recommend(name: str, table: Path, *flags: str) -> list[str]:
  return _module(
    f'experiments.recommend.{name}', '--source=table', f'--path={table}', *flags
  )


def _being_saved(folder: Path) -> frozenset:
  return chaos_kills.stamps(folder.glob('.model-*'))


def _saved(folder: Path) -> dict[str, bytes]:
  """The files of the recommender; raises FolderError if one is not whole."""
  found, head = saved_folder.read_head(folder / 'model', _HEAD, 'recommender')
  files = saved_folder.read_files(found, _HEAD, head, {_TENSORS})
  return {_HEAD: (found / _HEAD).read_bytes(), **files}


def _problem(folder: Path, *, may_be_absent: bool) -> str | None:
  names = ('model', '.model-old')
  if may_be_absent and not any((folder / name).exists() for name in names):
    return None
  try:
    _saved(folder)
  except saved_folder.FolderError as error:
    return str(error)
  return None


def _digest_of_saved(folder: Path) -> str:
  digest = hashlib.sha256()
  for content in _saved(folder).values():
    digest.update(content)
  return digest.hexdigest()


def _digest_of(value: Any) -> str:
  return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _module(name: str, *flags: str) -> list[str]:
  return [sys.executable, '-m', name, *flags]
