"""A fitted VQ-Rec over items that no training has seen."""

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
  """Ids and texts of new items: a .csv, .tsv or .parquet file.

  Raises:
    DataError: a column is missing, an id repeated, or a text empty.
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
    raise DataError(f'{path}: the id {twice!r} occurs twice')
  for item, text in zip(ids.tolist(), texts, strict=True):
    if not text or not text.strip():
      raise DataError(
        f'{path}: item {item!r} has no text, so it has no codes; write one, or '
        'leave the item out'
      )
  return ids, texts


def extended(
  model: SavedModel, ids: np.ndarray, table: np.ndarray
) -> SavedModel:
  """The same network over the old catalogue and, after it, new items.

  Args:
    model: a network over a catalogue.
    ids: [N] of the new items, as text.
    table: [N, F], their features.

  Raises:
    DataError: an item is not new, or its features are not of the index.
  """
  known = np.isin(ids, model.item_ids)
  if known.any():
    item = ids[known].tolist()[0]
    raise DataError(
      f'the item {item!r} is not new: the model has it; leave it out'
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
  """The best items for a user, and their cosines.

  Args:
    model: a network over a catalogue.
    history: ids that the user has touched, the last one last; those are not
      recommended.
    k: how many, at most.
    num_left_out: items at the head of the catalogue that are not recommended.

  Raises:
    DataError: an id that the catalogue lacks.
  """
  place = {item: i for i, item in enumerate(model.item_ids.tolist())}
  unknown = [item for item in history if item not in place]
  if unknown:
    raise DataError(
      f'history: {unknown[0]!r} is neither an item of the model nor a new one'
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
  """How many codes some old item has as well."""
  known = {tuple(c) for c in old.tolist()}
  return sum(tuple(c) in known for c in codes.tolist())
