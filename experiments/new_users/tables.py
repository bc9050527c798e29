"""Rewrites the tables of experiments/new_users/README.md.

  python -m experiments.new_users.tables

With --take=WORKDIR,... the rows of runs are added to results/ first.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments import catalogue, pictures, pooled, readme, script
from experiments.adaptation import stored_rows
from experiments.new_users import forms_table
from hyperrec.evaluation import results

_TAKE = flags.DEFINE_list(
  'take', [], 'Folders of runs (--workdir) whose rows are added.'
)

_FOLDER = pathlib.Path('experiments/new_users')
_RESULTS = _FOLDER / 'results'
_SHOWN = 'shown items'
# The methods that are held against the rivals.
OURS = ('hyperease_user', 'hyperease_user:text', 'hyperease_user:vae')
# Lines of the picture, and the method to which they are ratios.
_DRAWN = (*OURS[1:], 'ease:popularity', 'mult_vae', 'l3ae:kernel', 'ease')
_OVER = 'cease'
# The largest loss to the best method that the goal allows.
_CLOSE = 0.01

Row = results.Row


def main(argv):
  """Adds the rows of runs, and writes the tables."""
  del argv
  for workdir in _TAKE.value:
    pooled.take_in(stored_rows.read(workdir), _RESULTS)
  rows = pooled.read(_RESULTS)
  blocks = {
    'sets': sets_table(rows),
    'picture': picture(rows),
    'pooled': pooled.pooled_table(rows, OURS, _SHOWN),
    'best': best_table(rows),
    'against text': pooled.against_table(rows, OURS[1], _SHOWN),
    'against vae': pooled.against_table(rows, OURS[2], _SHOWN),
    'quality': pooled.quality_tables(rows, _SHOWN),
    'cost': pooled.cells_table(rows, cost, (1, 5, 20), _SHOWN),
    'forms': forms_table.table(forms_table.read(_RESULTS / 'forms')),
  }
  for name, block in blocks.items():
    readme.replace_block(_FOLDER / 'README.md', name, block)


def picture(rows: Sequence[Row]) -> str:
  """The generators and their rivals over the most used rival."""
  found = pooled.lines(rows, _DRAWN, _OVER)
  if not found:
    return 'Three data sets are needed.'
  return pictures.save(
    _RESULTS / 'ratios',
    lambda: pictures.ratios(found, _SHOWN, f'NDCG@100 over {_OVER}'),
    f'NDCG@100 of new users over that of {_OVER}, pooled over data sets',
    _FOLDER,
  )


def sets_table(rows: Sequence[Row]) -> str:
  """Data sets: which rows were kept, test users, seeds and methods."""
  lines = [
    '| data set | fewest interactions of a user, of an item | test users | '
    'seeds | methods |',
    '|---|---:|---:|---:|---:|',
  ]
  for (name,), own in pooled.grouped(rows, 'dataset').items():
    given = own[0]['flags']
    fewest = given['min_user_interactions'], given['min_item_interactions']
    lines.append(
      f'| {name} | {fewest[0]}, {fewest[1]} | '
      f'{min(len(row["per_user"]) for row in own):,} | '
      f'{len({row["seed"] for row in own})} | '
      f'{len({row["method"] for row in own})} |'
    )
  return '\n'.join(lines)


def best_table(rows: Sequence[Row]) -> str:
  """Each of our methods over the best rival on the test users themselves.

  This is stricter than over the rival that validation prefers.
  """
  by_cell = pooled.grouped(rows, 'dataset', 'budget', 'method')
  tasks = list(dict.fromkeys(key[:2] for key in by_cell))
  lines = [
    f'| data set, {_SHOWN} | best rival | {" | ".join(OURS)} |',
    f'|---|---|{"---:|" * len(OURS)}',
  ]
  for task in tasks:
    values = {
      key[2]: pooled.mean_of(own, results.PRIMARY)
      for key, own in by_cell.items()
      if key[:2] == task
    }
    rivals = {
      name: value
      for name, value in values.items()
      if catalogue.BY_NAME[name].role == 'rival'
    }
    best = max(rivals, key=rivals.__getitem__)
    cells = [
      _ratio(values[name] / rivals[best]) if name in values else ''
      for name in OURS
    ]
    lines.append(
      f'| {task[0]}, {task[1]} | {best} {rivals[best]:.4f} | '
      f'{" | ".join(cells)} |'
    )
  return '\n'.join(lines)


def _ratio(value: float) -> str:
  """A ratio, in bold where the goal is met."""
  return f'**{value:.3f}**' if value >= 1 - _CLOSE else f'{value:.3f}'


def cost(cell: Sequence[Row]) -> str:
  """Operations of an adaptation for each user, and of the training before."""
  users = cell[0]['flags']['num_heldout']
  adapt = np.mean([row['adapt']['flops'] for row in cell]) / users
  prepare = np.mean([row['prepare']['flops'] for row in cell])
  return f'{adapt:.1e}, {prepare:.1e}'


if __name__ == '__main__':
  script.run(main)
