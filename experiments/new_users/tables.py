"""Rewrites the tables of experiments/new_users/README.md.

  python -m experiments.new_users.tables

The rows are those of the regime in experiments/verdict, and of forms.py.
"""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments import goals, pictures, pooled, readme, script
from experiments.new_users import forms_table
from experiments.verdict import stored
from hyperrec.evaluation import results

_FOLDER = pathlib.Path('experiments/new_users')
_RESULTS = _FOLDER / 'results'
_SHOWN = 'shown items'
# The methods that are held against the rivals.
OURS = ('hyperease_user', 'hyperease_user:text', 'hyperease_user:vae')
# Models that are fitted anew with what new users show.
_REFITS = (
  'ease:retrain', 'cease:retrain', 'l3ae:kernel:retrain', 'mult_vae:retrain',
)  # fmt: skip
# Lines of the picture, and the method to which they are ratios.
_DRAWN = (
  *OURS[1:], 'mult_vae:retrain', 'sasrec', 'l3ae:kernel:retrain', 'ease',
)  # fmt: skip
_OVER = 'cease:popularity'
# Its operations for a user are compared with those of the generators.
_FINETUNED = 'mult_vae_finetune'

Row = results.Row


def main(argv):
  """Writes the tables."""
  del argv
  rows = stored.of_experiment('new_users')
  blocks = {
    'sets': sets_table(rows),
    'picture': picture(rows),
    'pooled': pooled.pooled_table(rows, OURS, _SHOWN),
    'goals': goals.table(goals_of(rows)),
    'best': pooled.best_table(rows, OURS, _SHOWN),
    'against text': pooled.against_table(rows, OURS[1], _SHOWN),
    'against vae': pooled.against_table(rows, OURS[2], _SHOWN),
    'worth': pooled.worth_table(rows, OURS, _REFITS),
    'quality': pooled.quality_tables(rows, _SHOWN),
    'cost': pooled.cells_table(rows, cost, (1, 5, 20), _SHOWN),
    'forms': forms_table.table(forms_table.read(_RESULTS / 'forms')),
  }
  for name, block in blocks.items():
    readme.replace_block(_FOLDER / 'README.md', name, block)


def goals_of(rows: Sequence[Row]) -> list[goals.Goal]:
  """What was asked of the generators, for each number of shown items."""
  least = {1: 1.05, 5: 1.015, 20: 1.015}
  found = []
  for ours in OURS[1:]:
    over = {k: pooled.over_best_rival(rows, ours, k) for k in least}
    found += [
      goals.Goal(f'{ours} over the best rival, {_SHOWN}: {k}', least[k], logs)
      for k, logs in over.items()
    ]
    each = {
      f'{name}, {_SHOWN}: {k}': log
      for k, logs in over.items()
      for name, log in logs.items()
    }
    found.append(goals.Goal(f'{ours} over the best rival', 0.99, each, True))
    found.append(
      goals.Goal(
        f'operations for a user, {_FINETUNED} over {ours}',
        100,
        operation_ratios(rows, _FINETUNED, ours),
        on_each=True,
      )
    )
  return found


def operation_ratios(
  rows: Sequence[Row], method: str, ours: str
) -> dict[str, float]:
  """The log ratio of the operations for a user, by data set and shown items."""
  by_cell = pooled.grouped(rows, 'dataset', 'budget', 'method')
  return {
    f'{name}, {_SHOWN}: {budget}': math.log(
      flops(by_cell[name, budget, method]) / flops(own)
    )
    for (name, budget, one), own in by_cell.items()
    if one == ours and (name, budget, method) in by_cell
  }


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


def cost(cell: Sequence[Row]) -> str:
  """Operations of an adaptation for each user, and of the training before."""
  prepare = np.mean([row['prepare']['flops'] for row in cell])
  return f'{flops(cell):.1e}, {prepare:.1e}'


def flops(cell: Sequence[Row]) -> float:
  """Operations of an adaptation for each user."""
  return float(
    np.mean([row['adapt']['flops'] / len(row['per_user']) for row in cell])
  )


if __name__ == '__main__':
  script.run(main)
