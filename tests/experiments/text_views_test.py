"""Views of text: large catalogues are cut; untouched sets choose nothing."""

import subprocess
import sys

from experiments.text_views import tables
from tests.experiments import commands

# In a process of its own, since scripts define the same flags.
CUT = """
import numpy as np
from experiments.text_views import run
from hyperrec.data import interactions

data = interactions.from_columns(
  np.repeat(np.arange(4), [7, 6, 5, 4]),
  [*range(7), *range(6), *range(5), *range(4)], name='made')
cut = run.most_popular(data, 5)
print(cut.item_ids.tolist(), cut.user_ids.tolist(), len(cut))
"""


def test_a_catalogue_is_cut_to_popular_items_and_the_users_who_know_five():
  run = subprocess.run(
    [sys.executable, '-c', CUT],
    capture_output=True,
    text=True,
    check=True,
    cwd=commands.ROOT,
  )
  assert run.stdout.strip() == '[0, 1, 2, 3, 4] [0, 1, 2] 15'


def document(default, other):
  cell = {'width': 128, 'method': 'hyperease_item'}
  return {
    'values': [
      {'mixture': 'MiniLM, words', 'validation': default, **cell},
      {'mixture': 'words', 'validation': other, **cell},
      {'mixture': 'words', 'validation': 9.0, **cell, 'method': 'l3ae:kernel'},
    ]
  }


def test_the_mean_gain_leaves_untouched_sets_out():
  table = tables.views_table(
    {'recipes': document(0.4, 0.1), 'office': document(0.4, 0.5)},
    'hyperease_item',
  )
  head, _, default, words = table.splitlines()
  assert head == '| views | columns | office | recipes, untouched | mean gain |'
  assert default.endswith('| 0.400 | 0.400 | +0.0% |')
  assert words.endswith('| 0.500 | 0.100 | +25.0% |')
