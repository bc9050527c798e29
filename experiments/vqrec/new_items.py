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

import numpy as np
import scipy.sparse
from absl import flags

from experiments import script
from experiments.vqrec import item_tables, model_file
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import columns
from hyperrec.evaluation import ranking
from hyperrec.methods import vqrec, vqrec_stages, vqrec_training

DataError = interactions_lib.DataError

_MODEL = flags.DEFINE_string('model', None, 'The model.', required=True)
_ITEMS = flags.DEFINE_string(
  'items', None, 'New items: .csv, .tsv or .parquet.', required=True
)
_ID_COLUMN = flags.DEFINE_string('id_column', 'id', 'Of --items.')
_TEXT_COLUMN = flags.DEFINE_string('text_column', 'text', 'Of --items.')
_HISTORY = flags.DEFINE_list(
  'history', [], 'Ids that a user has touched, old or new, the last one last.'
)
_K = flags.DEFINE_integer('k', 10, 'Items recommended.', lower_bound=1)
_ONLY_NEW = flags.DEFINE_bool('only_new', False, 'Recommend new items alone.')
_OUTPUT = flags.DEFINE_string('output', None, 'Where the codes are kept.')


def main(argv):
  """Codes the new items, and ranks them with the old ones for one user."""
  del argv
  model = model_file.load(_MODEL.value)
  if model.text_encoder != item_tables.encoder_name():
    raise DataError(
      f'{_MODEL.value}: its items were read by {model.text_encoder}, these '
      f'would be by {item_tables.encoder_name()}; give the same --text_encoder'
    )
  ids, texts = read_items(_ITEMS.value)
  fitted = extended(model.fitted, ids, item_tables.encode(texts))
  codes = fitted.codes[-len(ids) :]
  if _OUTPUT.value:
    lines = (
      json.dumps({'id': i, 'codes': c.tolist()})
      for i, c in zip(ids, codes, strict=True)
    )
    pathlib.Path(_OUTPUT.value).write_text('\n'.join(lines) + '\n')
  shared = _taken(codes, model.fitted.codes)
  print(f'{len(ids)} new items coded; {shared} have the code of an old one')
  if _HISTORY.value:
    for item, score in recommended(model.config, fitted, len(ids)):
      print(f'{score:.4f}  {item}')


def read_items(path: str) -> tuple[np.ndarray, list[str]]:
  """Ids and texts of new items.

  Raises:
    DataError: a column is missing, an id repeated, or a text empty.
  """
  found = columns.read(path)
  ids = columns.ids(found, _ID_COLUMN.value).astype(str)
  texts = columns.texts(found, _TEXT_COLUMN.value)
  first, counts = np.unique(ids, return_counts=True)
  if (counts > 1).any():
    raise DataError(f'{path}: the id {first[counts > 1][0]!r} occurs twice')
  for item, text in zip(ids, texts, strict=True):
    if not text or not text.strip():
      raise DataError(
        f'{path}: item {item!r} has no text, so it has no codes; write one, or '
        'leave the item out'
      )
  return ids, texts


def extended(
  fitted: vqrec_stages.Fitted, ids: np.ndarray, table: np.ndarray
) -> vqrec_stages.Fitted:
  """The same network over the old catalogue and, after it, new items.

  Raises:
    DataError: an item is not new, or its features are not of the index.
  """
  known = np.isin(ids, fitted.item_ids)
  if known.any():
    raise DataError(f'the item {ids[known][0]!r} is not new: the model has it')
  codes = vqrec_training.codes_of(fitted.index, table)
  unseen = np.zeros(len(ids), np.float32)
  return fitted._replace(
    codes=np.concatenate([fitted.codes, codes]),
    popularity=np.concatenate([fitted.popularity, unseen]),
    item_ids=np.concatenate([fitted.item_ids, ids]),
  )


def recommended(config, fitted, num_new):
  """The best items for the history of the flag, and their cosines."""
  place = {item: i for i, item in enumerate(fitted.item_ids.tolist())}
  unknown = [item for item in _HISTORY.value if item not in place]
  if unknown:
    raise DataError(
      f'--history: {unknown[0]!r} is neither an item of the model nor of '
      f'{_ITEMS.value}'
    )
  items = np.array([[place[item] for item in _HISTORY.value]], np.int32)
  num_items = len(fitted.codes)
  history = method_lib.Histories(items, np.ones_like(items, bool), num_items)
  scores = vqrec.score(config, fitted, history)
  if _ONLY_NEW.value:
    scores[:, :-num_new] = -np.inf
  seen = scipy.sparse.csr_matrix(history.csr())
  best = ranking.top_k_items(scores, seen, min(_K.value, num_items))[0]
  return [(fitted.item_ids[i], scores[0, i]) for i in best if i >= 0]


def _taken(codes, old) -> int:
  """How many codes some old item has as well."""
  known = {tuple(c) for c in old.tolist()}
  return sum(tuple(c) in known for c in codes.tolist())


if __name__ == '__main__':
  script.run(main)
