"""Popularity: the baseline that ranks items by their number of interactions."""

import numpy as np
from jaxtyping import Float

from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


def popularity() -> Model:
  """Ranks items by their number of interactions; its state is these counts."""

  def fit(data, key, start=None, run=None):
    del key, start, run
    return Outcome(_counts(data), Cost(float(len(data))))

  def update(counts, source, evidence):
    del source
    return Outcome(counts + _counts(evidence), Cost(float(len(evidence))))

  return Model('popularity', {}, fit, score, update=update)


def score(counts: Float[np.ndarray, ' V'], histories: method_lib.Histories):
  """Scores [B, V]: the counts, which are the same for all users."""
  return np.broadcast_to(counts, (len(histories.items), len(counts)))


def _counts(data) -> Float[np.ndarray, ' V']:
  """The number of interactions of each item."""
  return data.item_counts().astype(np.float32)
