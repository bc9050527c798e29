"""Adds new items to a saved VQ-Rec and recommends them, within seconds.

  python -m experiments.vqrec.new_items --model=FILE --items=new.csv \
    --history=B000052YAN,B0009P4RDQ --k=10

The file `--items` has a row for each new item, with columns id and text. The
text encoder makes features of the text, and the model's index maps them to
codes. The item is scored by the mean of its code embeddings, so no training is
needed. `--output=FILE` writes the codes, one JSON object per line. `--model` is
a file that `experiments.vqrec.run --save=FILE` wrote.
"""

import json

from absl import flags

from experiments import script
from experiments.vqrec import extension, item_tables, model_file
from hyperrec import whole_file
from hyperrec.data import interactions as interactions_lib

_MODEL = flags.DEFINE_string(
  'model', None, 'File that experiments.vqrec.run --save wrote.', required=True
)
_ITEMS = flags.DEFINE_string(
  'items', None, 'File of new items, .csv, .tsv or .parquet.', required=True
)
_ID_COLUMN = flags.DEFINE_string(
  'id_column', 'id', 'Column of --items that holds the ids.'
)
_TEXT_COLUMN = flags.DEFINE_string(
  'text_column', 'text', 'Column of --items that holds the text.'
)
_HISTORY = flags.DEFINE_list(
  'history',
  [],
  "Ids of a user's old or new items, oldest first; by default, nothing is "
  'recommended.',
)
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_ONLY_NEW = flags.DEFINE_bool('only_new', False, 'Recommend only new items.')
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'File that the codes are written to; by default, they are not written.',
)


def main(argv):
  """Makes codes of the new items, and recommends items to one user."""
  del argv
  model = model_file.load(_MODEL.value)
  if model.text_encoder != item_tables.encoder_name():
    raise interactions_lib.DataError(
      f'{_MODEL.value}: the features of its items were made by '
      f'{model.text_encoder}, those of the new items would be made by '
      f'{item_tables.encoder_name()}; give the same --text_encoder'
    )
  ids, texts = extension.read_items(
    _ITEMS.value, _ID_COLUMN.value, _TEXT_COLUMN.value
  )
  grown = extension.extended(model, ids, item_tables.encode(texts))
  num_old = len(model.state.codes)
  best = []
  if _HISTORY.value:
    best = extension.recommended(
      grown,
      _HISTORY.value,
      _K.value,
      num_left_out=num_old if _ONLY_NEW.value else 0,
    )
  codes = grown.state.codes[num_old:]
  if _OUTPUT.value:
    lines = (
      json.dumps({'id': i, 'codes': c})
      for i, c in zip(ids.tolist(), codes.tolist(), strict=True)
    )
    whole_file.write_whole(_OUTPUT.value, ('\n'.join(lines) + '\n').encode())
  taken = extension.num_taken(codes, model.state.codes)
  print(f'{len(ids)} new items coded; {taken} share all codes with an old item')
  for item, score in best:
    print(f'{score:.4f}  {item}')


if __name__ == '__main__':
  script.run(main)
