"""Random: the floor of a ranking in which nothing is known of the items."""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class RandomConfig:
  """Hyperparameters of the random ranking.

  Attributes:
    seed: Seed of the scores.
  """

  seed: int = 0


def random_scores(**hyperparameters: Any) -> Model:
  """Ranks at random; its state is the number of items.

  A history has the same scores whenever it is scored.

  Args:
    **hyperparameters: fields of `RandomConfig`.
  """
  config = RandomConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del key, start, run
    cost = Cost(per_user=float(data.num_items))
    return Outcome(np.int64(data.num_items), cost)

  def score(num_items, histories):
    rows = np.where(histories.mask, histories.items + 1, 0)
    scores = [
      np.random.default_rng([config.seed, *row[row > 0].tolist()]).random(
        int(num_items), np.float32
      )
      for row in rows
    ]
    return np.stack(scores)

  return Model('random', config, fit, score, needs_interactions=False)
