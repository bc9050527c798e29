"""Random: the floor of a ranking in which nothing is known of the items."""

import numpy as np

from hyperrec import method as method_lib

Model = method_lib.Model
Outcome = method_lib.Outcome


def random_scores(*, seed: int = 0) -> Model:
  """Ranks at random; its state is the number of items.

  A history has the same scores whenever it is scored.

  Args:
    seed: of the scores.
  """

  def fit(data, key, start=None, run=None):
    del key, start, run
    return Outcome(np.int64(data.num_items))

  def score(num_items, histories):
    rows = np.where(histories.mask, histories.items + 1, 0)
    scores = [
      np.random.default_rng([seed, *row[row > 0].tolist()]).random(
        int(num_items), np.float32
      )
      for row in rows
    ]
    return np.stack(scores)

  return Model('random', {'seed': seed}, fit, score, needs_interactions=False)
