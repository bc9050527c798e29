"""Fits a model on all data and returns a recommender."""

import jax
import numpy as np

from hyperrec import method as method_lib
from hyperrec import ranker
from hyperrec.data import interactions as interactions_lib


def fit(
  model: method_lib.Model, data: interactions_lib.Interactions, seed: int = 0
) -> ranker.Ranker:
  """Fits a model on all of the data, and returns a recommender.

  The recommender takes histories as lists of item ids. It recommends the most
  popular items to users with empty histories.

  Args:
    model: any model that scores histories. A generator of whole catalogues
      (`hyperease`) also needs a source, by `adapting.generated`.
    data: the interactions.
    seed: seed of all random draws.

  Raises:
    CannotServe: the model cannot be fitted on these data.
  """
  state = model.fit(data, jax.random.key(seed)).state

  def score(rows):
    lengths = [len(row) for row in rows]
    items = np.zeros((len(rows), max([1, *lengths])), np.int32)
    mask = np.arange(items.shape[1]) < np.array(lengths)[:, None]
    for place, row in enumerate(rows):
      items[place, : len(row)] = row
    histories = method_lib.Histories(items, mask, data.num_items)
    return np.asarray(model.score(state, histories))

  items = {
    'ids': [str(name) for name in data.item_ids.tolist()],
    'titles': None if data.item_text is None else data.item_text.tolist(),
    'counts': data.item_counts().tolist(),
  }
  return ranker.Ranker({'kind': model.name}, items, score)
