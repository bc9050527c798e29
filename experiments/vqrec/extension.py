"""Adds new items to a fitted VQ-Rec without training."""

from collections.abc import Sequence

import numpy as np

from experiments.vqrec import model_file
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import columns, reading
from hyperrec.evaluation import ranking
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import vqrec

DataError = interactions_lib.DataError
SavedModel = model_file.SavedModel


def read_items(
  path: str, id_column: str, text_column: str
) -> tuple[np.ndarray, list[str]]:
  """Reads the ids and texts of new items.

  Args:
    path: a .csv, .tsv or .parquet file with a row for each item.
    id_column: name of the column that holds the ids.
    text_column: name of the column that holds the texts.

  Raises:
    DataError: a column is missing, an id is repeated, or a text is empty.
  """
  opened = reading.open_files(path)
  id_column = reading.find_column(opened, id_column, 'id_column')
  text_column = reading.find_column(opened, text_column, 'text_column')
  found = reading.read(opened, (id_column, text_column))
  ids = columns.ids(found, id_column).astype(str)
  texts = columns.texts(found, text_column)
  distinct, counts = np.unique(ids, return_counts=True)
  if (counts > 1).any():
    twice = distinct[counts > 1].tolist()[0]
    raise DataError(
      f'{path}: the id {twice!r} occurs twice; give each item one row'
    )
  for item, text in zip(ids.tolist(), texts, strict=True):
    if not text or not text.strip():
      raise DataError(
        f'{path}: item {item!r} has no text, which codes are made from; add a '
        'text, or leave the item out'
      )
  return ids, texts


def extended(
  model: SavedModel, ids: np.ndarray, table: np.ndarray
) -> SavedModel:
  """Appends new items to the catalogue of a model.

  Args:
    model: a network over a catalogue.
    ids: [N] ids of the new items, as strings.
    table: [N, F] features of the new items.

  Raises:
    DataError: an item is not new, or its features do not fit the index.
  """
  known = np.isin(ids, model.item_ids)
  if known.any():
    item = ids[known].tolist()[0]
    raise DataError(
      f'the item {item!r} is not new, since the model has it; leave it out'
    )
  state = model.state
  codes = vqrec_index.codes_of(state.index, table)
  unseen = np.zeros(len(ids), np.float32)
  state = state._replace(
    codes=np.concatenate([state.codes, codes]),
    popularity=np.concatenate([state.popularity, unseen]),
  )
  return model._replace(
    state=state, item_ids=np.concatenate([model.item_ids, ids])
  )


def recommended(
  model: SavedModel,
  history: Sequence[str],
  k: int,
  *,
  num_left_out: int = 0,
) -> list[tuple[str, float]]:
  """Recommends items to a user.

  Args:
    model: a network over a catalogue.
    history: ids of the user's items, oldest first; these items are not
      recommended.
    k: largest number of recommended items.
    num_left_out: number of items at the start of the catalogue that are not
      recommended.

  Returns:
    Ids and scores (cosines) of the recommended items, best first.

  Raises:
    DataError: the history has an id that the catalogue lacks.
  """
  place = {item: i for i, item in enumerate(model.item_ids.tolist())}
  unknown = [item for item in history if item not in place]
  if unknown:
    raise DataError(
      f'history: {unknown[0]!r} is neither an item of the model nor a new '
      'item; leave it out'
    )
  items = np.array([[place[item] for item in history]], np.int32)
  num_items = len(model.state.codes)
  shown = method_lib.Histories(items, np.ones_like(items, bool), num_items)
  scores = vqrec.score(model.config, model.state, shown)
  scores[:, :num_left_out] = -np.inf
  best = ranking.top_k_items(scores, shown.csr(), min(k, num_items))[0]
  return [
    (model.item_ids[i].item(), float(scores[0, i])) for i in best if i >= 0
  ]


def num_taken(codes: np.ndarray, old: np.ndarray) -> int:
  """Counts the new items whose codes all equal those of some old item.

  Args:
    codes: [N, G] codes of the new items.
    old: [V, G] codes of the old items.
  """
  known = {tuple(c) for c in old.tolist()}
  return sum(tuple(c) in known for c in codes.tolist())
