"""Recommends with a folder that `experiments.export.run` wrote.

python -m experiments.export.recommend --model=my_recommender \
  --history=260,1196 --k=10
"""

from absl import flags

from experiments import script
from hyperrec import export

_MODEL = flags.DEFINE_string('model', None, 'The folder.', required=True)
_HISTORY = flags.DEFINE_list(
  'history', [], 'Ids of what the user took up, oldest first.'
)
_K = flags.DEFINE_integer('k', 10, 'How many.', lower_bound=1)


def main(argv):
  """Prints the history, then one recommendation a line."""
  del argv
  model = export.load(_MODEL.value)
  title = dict(zip(model.item_ids, model.titles or model.item_ids, strict=True))
  (found,) = model.recommend([_HISTORY.value], _K.value)
  for name in _HISTORY.value:
    print(f'has  {name}\t{title[name]}')
  for name, score in found:
    print(f'{score:.4f}  {name}\t{title[name]}')


if __name__ == '__main__':
  script.run(main)
