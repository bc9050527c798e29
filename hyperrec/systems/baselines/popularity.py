"""Popularity: the baseline that ranks items by their number of interactions."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program


def popularity() -> Model:
  """Ranks items by their number of interactions; its state is these counts."""

  def fit(data, key, start=None, run=None):
    del key, start, run
    return Outcome(_counts(data), Cost(float(len(data))))

  def update(counts, source, evidence):
    del source
    return Outcome(counts + _counts(evidence), Cost(float(len(evidence))))

  return Model('popularity', {}, fit, score, update=update, program=program)


def score(counts: Float[np.ndarray, ' V'], histories: method_lib.Histories):
  """Scores [B, V]: the counts, which are the same for all users."""
  return np.broadcast_to(counts, (len(histories.items), len(counts)))


def program(counts: Float[np.ndarray, ' V']) -> Program:
  """The same counts as a program."""

  def score_histories(params, items_BxL, mask_BxL):
    del mask_BxL
    shape = items_BxL.shape[0], len(counts)
    return jnp.broadcast_to(params['counts'][None], shape)

  return Program(
    {'counts': counts}, score_histories, 'popularity', counts=counts
  )


def _counts(data) -> Float[np.ndarray, ' V']:
  """The number of interactions of each item."""
  return data.item_counts().astype(np.float32)
