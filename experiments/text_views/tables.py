"""Rewrites the tables of experiments/text_views/README.md.

python -m experiments.text_views.tables
"""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from experiments import readme, script

_FOLDER = pathlib.Path('experiments/text_views')
# The mixture that the others are compared with, and the columns of its words.
_DEFAULT = ('MiniLM, words', 128)
# Data sets that are shown, and that choose nothing.
_UNTOUCHED = ('recipes', 'restaurants', 'scientific', 'toys')


def main(argv):
  """Writes one table for each case."""
  del argv
  whole, cut = {}, {}
  for path in sorted((_FOLDER / 'results').glob('*.json')):
    document = json.loads(path.read_text(encoding='utf-8'))
    (cut if document['flags'].get('most_items') else whole)[path.stem] = (
      document
    )
  for block, method in (
    ('items', 'hyperease_item'),
    ('catalogue', 'l3ae:kernel'),
  ):
    for name, documents in ((block, whole), (f'{block}-cut', cut)):
      readme.replace_block(
        _FOLDER / 'README.md', name, views_table(documents, method)
      )


def views_table(documents: Mapping[str, dict], method: str) -> str:
  """Mixtures by data sets, and the mean gain over the default.

  The gain is a mean over the data sets that are not untouched.

  Args:
    documents: data set -> result of `run`.
    method: the method whose kernel was made of the views.
  """
  values = {
    dataset: {
      (value['mixture'], value['width']): value['validation']
      for value in document['values']
      if value['method'] == method
    }
    for dataset, document in documents.items()
  }
  kinds = list(dict.fromkeys(kind for own in values.values() for kind in own))
  values = dict(sorted(values.items(), key=lambda one: one[0] in _UNTOUCHED))
  names = [
    f'{name}, untouched' if name in _UNTOUCHED else name for name in values
  ]
  lines = [
    f'| views | columns | {" | ".join(names)} | mean gain |',
    f'|---|---:|{"---:|" * (len(values) + 1)}',
  ]
  for kind in kinds:
    mixture, width = kind
    cells = [
      f'{own[kind]:.3f}' if kind in own else '' for own in values.values()
    ]
    gains = [
      np.log(own[kind] / own[_DEFAULT])
      for name, own in values.items()
      if kind in own and _DEFAULT in own and name not in _UNTOUCHED
    ]
    gain = f'{100 * np.expm1(np.mean(gains)):+.1f}%' if gains else ''
    columns = '' if mixture == 'MiniLM' else width
    lines.append(f'| {mixture} | {columns} | {" | ".join(cells)} | {gain} |')
  return '\n'.join(lines)


if __name__ == '__main__':
  script.run(main)
