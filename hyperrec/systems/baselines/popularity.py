"""Popularity: count. The floor of every comparison."""

import numpy as np
from jaxtyping import Float

from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


def popularity() -> Model:
  """Ranks by the number of interactions; its state is these counts [V]."""

  def fit(data, key, start=None, run=None):
    del key, start, run
    return Outcome(_counts(data), Cost(float(len(data))))

  def update(counts, source, evidence):
    del source
    return Outcome(counts + _counts(evidence), Cost(float(len(evidence))))

  return Model('popularity', {}, fit, score, update=update)


def score(counts: Float[np.ndarray, ' V'], histories: method_lib.Histories):
  """Scores [B, V]: the counts, alike for all."""
  return np.broadcast_to(counts, (len(histories.items), len(counts)))


def _counts(data) -> Float[np.ndarray, ' V']:
  return data.item_counts().astype(np.float32)
