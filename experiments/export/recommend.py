"""Recommends with a recommender that `experiments.export.run` exported.

  python -m experiments.export.recommend --model=my_recommender \
    --history=260,1196 --k=10
  python -m experiments.export.recommend --model=my_recommender \
    --history='Band 3, The' --history='Band 7, The'

If a value of --history is an id of the catalogue, it means that id. Any other
value is a comma-separated list of ids, in which an id with commas is put in
double quotes: --history='"Band 3, The",Other'. Blanks around an id are ignored.
The form ="0000000117", in which spreadsheets write numbers as text, means
0000000117. --exclude and --candidates use the same syntax.
"""

from absl import flags

from experiments import ids, script
from hyperrec import export

_MODEL = flags.DEFINE_string(
  'model',
  None,
  'Folder of a recommender, as written by experiments.export.run.',
  required=True,
)
_HISTORY = flags.DEFINE_multi_string(
  'history',
  [],
  'Ids of the items of the user, oldest first: one id, or a comma-separated '
  'list. May be given several times, for example for ids that contain commas. '
  'Without it the most popular items are recommended.',
)
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_EXCLUDE = flags.DEFINE_multi_string(
  'exclude', [], 'Ids of items to leave out, in the syntax of --history.'
)
_CANDIDATES = flags.DEFINE_multi_string(
  'candidates',
  None,
  'Ids of the only items that may be recommended, in the syntax of --history.',
)
_IGNORE_UNKNOWN = flags.DEFINE_bool(
  'ignore_unknown',
  False,
  'Ignore ids that are not in the catalogue; without it they are an error.',
)


def main(argv):
  """Prints the history, notes, and one recommended item per line."""
  del argv
  model = export.load(_MODEL.value)
  title = {name: name for name in model.item_ids}
  if model.titles:
    pairs = zip(model.item_ids, model.titles, strict=True)
    title = {name: f'{name}\t{text}' for name, text in pairs}
  history, exclude = (
    ids.parse(f'--{flag.name}', flag.value, model.item_ids)
    for flag in (_HISTORY, _EXCLUDE)
  )
  candidates = _CANDIDATES.value
  if candidates is not None:
    candidates = ids.parse('--candidates', candidates, model.item_ids)
  (found,) = model.recommend(
    [history],
    _K.value,
    exclude=exclude,
    candidates=candidates,
    ignore_unknown=_IGNORE_UNKNOWN.value,
  )
  for name in history:
    if name in title:
      print(f'has  {title[name]}')
  for note in found.notes:
    print(f'note: {note}')
  for name, score in found:
    print(f'{score:.4f}  {title[name]}')


if __name__ == '__main__':
  script.run(main)
