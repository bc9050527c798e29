"""Codes and ranks items that no training has seen; a second or two.

  python -m experiments.vqrec.new_items --model=FILE --items=new.csv \
    --history=B000052YAN,B0009P4RDQ --k=10

`--items` has a row for each new item, with columns id and text. Each is read by
the text encoder, coded by the model's own index and scored as the mean of its
codes' embeddings: no training step. `--output=FILE` keeps the codes, one JSON
object a line. `--model` is what `experiments.vqrec.run --save=FILE` wrote.
"""

import json
import pathlib

from absl import flags

from experiments import script
from experiments.vqrec import extension, item_tables, model_file
from hyperrec.data import interactions as interactions_lib

_MODEL = flags.DEFINE_string(
  'model', None, 'File that experiments.vqrec.run --save wrote.', required=True
)
_ITEMS = flags.DEFINE_string(
  'items', None, 'New items: .csv, .tsv or .parquet.', required=True
)
_ID_COLUMN = flags.DEFINE_string(
  'id_column', 'id', 'Column of --items that holds the ids.'
)
_TEXT_COLUMN = flags.DEFINE_string(
  'text_column', 'text', 'Column of --items that holds the text.'
)
_HISTORY = flags.DEFINE_list(
  'history', [], 'Ids that a user has touched, old or new, the last one last.'
)
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_ONLY_NEW = flags.DEFINE_bool('only_new', False, 'Recommend new items alone.')
_OUTPUT = flags.DEFINE_string(
  'output', None, 'File that the codes are written to.'
)


def main(argv):
  """Codes the new items, and ranks them with the old ones for one user."""
  del argv
  model = model_file.load(_MODEL.value)
  if model.text_encoder != item_tables.encoder_name():
    raise interactions_lib.DataError(
      f'{_MODEL.value}: its items were read by {model.text_encoder}, these '
      f'would be by {item_tables.encoder_name()}; give the same --text_encoder'
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
    pathlib.Path(_OUTPUT.value).write_text('\n'.join(lines) + '\n')
  taken = extension.num_taken(codes, model.state.codes)
  print(f'{len(ids)} new items coded; {taken} have the code of an old one')
  for item, score in best:
    print(f'{score:.4f}  {item}')


if __name__ == '__main__':
  script.run(main)
