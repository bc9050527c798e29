"""A model that is fitted on all data and recommends."""

import jax
import numpy as np

from hyperrec import method as method_lib
from hyperrec import recommender as recommender_lib
from hyperrec.data import interactions as interactions_lib


def fit(
  model: method_lib.Model, data: interactions_lib.Interactions, seed: int = 0
) -> recommender_lib.Recommender:
  """Fits a model on all of the data, and returns what recommends by it.

  Histories are given as ids of items. A user with an empty history is
  recommended the most popular items.

  Args:
    model: any model that scores histories; a generator of whole catalogues
      (`hyperease`) needs a source besides, and `adapting.generated`.
    data: the interactions.
    seed: of all random draws.

  Raises:
    CannotServe: the model cannot be fitted on these data, with the reason.
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
  return recommender_lib.Recommender({'kind': model.name}, items, score)
