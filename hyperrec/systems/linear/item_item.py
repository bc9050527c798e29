"""Parts shared by item-item models: fit weights on users, score by x B."""

from collections.abc import Callable
from typing import Any

import scipy.sparse

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.linear import linear_autoencoder, weights_program

Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Weights = linear_autoencoder.Weights


def closed_form(
  name: str,
  config: Any,
  fit: Callable[[Interactions], Outcome],
  *,
  needs_interactions: bool = True,
) -> Model:
  """A `Model` from a function that fits weights, which are its state.

  Args:
    name: the model's name.
    config: its hyperparameters.
    fit: interactions -> `Outcome` of the weights of their catalogue.
    needs_interactions: see `Model`.
  """

  def fit_weights(data, key, start=None, run=None):
    del key, start, run
    return fit(data)

  return Model(
    name,
    config,
    fit_weights,
    score,
    program=weights_program.of_weights,
    sparse_weights=sparse_weights,
    needs_history=True,
    needs_interactions=needs_interactions,
  )


def score(weights: Weights, histories: Histories):
  """Scores [B, V] = x B."""
  return linear_autoencoder.scores(histories.csr(), weights)


def sparse_weights(weights: Weights) -> scipy.sparse.csr_matrix | None:
  """The weights, if they are one sparse matrix."""
  return weights if scipy.sparse.issparse(weights) else None
