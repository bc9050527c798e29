"""Dynamic EASE: updates the inverse, or refits if an update costs more."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import joining
from hyperrec.systems.linear import (
  linear_autoencoder,
  weights_program,
  woodbury,
)

Cost = method_lib.Cost
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class DynamicConfig:
  """Hyperparameters of Dynamic EASE.

  Attributes:
    l2: Ridge lambda, above 0.
    max_drift: Error of the updated inverse (`woodbury.drift`) above which the
      model is refitted; float32 accumulates rounding over many updates.
  """

  l2: float = config_lib.field(above=0)
  max_drift: float = 1e-2

  def __post_init__(self):
    config_lib.check(self)


class Inverse(NamedTuple):
  """P over one catalogue, and the weights made from it."""

  precision: Float[np.ndarray, 'V V']
  weights: Float[np.ndarray, 'V V']


def ease_dynamic(**hyperparameters: Any) -> Model:
  """Dynamic EASE (Jeunen et al., UMUAI 2022); see `woodbury`.

  The evidence may hold new users and new interactions of known users.

  Args:
    **hyperparameters: fields of `DynamicConfig`.
  """
  config = DynamicConfig(**hyperparameters)

  def fit(data, key=None, start=None, run=None):
    del key, start, run
    x_UxV = data.csr()
    ridge = np.full(data.num_items, float(config.l2))
    p_VxV = linear_autoencoder.precision_cheapest(x_UxV, ridge)
    operations = linear_autoencoder.precision_flops(
      x_UxV.getnnz(1), data.num_items
    )
    return _outcome(p_VxV, operations)

  def update(state, source, evidence):
    data = joining.join_users(source, evidence)
    added, removed = changed_rows(source, evidence)
    counts = np.concatenate([added.getnnz(1), removed.getnnz(1)])
    operations = woodbury.update_flops(data.num_items, len(counts), counts)
    refit = linear_autoencoder.precision_flops(
      data.csr().getnnz(1), data.num_items
    )
    if refit < operations:
      return fit(data)
    p_VxV = woodbury.update(state.precision, added, removed)
    if woodbury.drift(p_VxV, data.csr(), config.l2) > config.max_drift:
      refitted = fit(data)
      return Outcome(refitted.state, Cost(operations) + refitted.cost)
    return _outcome(p_VxV, operations)

  return Model(
    'ease_dynamic',
    config,
    fit,
    lambda state, histories: linear_autoencoder.scores(
      histories.csr(), state.weights
    ),
    update=update,
    program=lambda state: weights_program.of_weights(state.weights),
    needs_history=True,
  )


def _outcome(p_VxV: Float[np.ndarray, 'V V'], operations: float) -> Outcome:
  """P and the weights made from it, which cost V^2 more operations."""
  weights = linear_autoencoder.weights_from_precision(p_VxV.copy())
  cost = Cost(operations + float(len(p_VxV)) ** 2)
  return Outcome(Inverse(p_VxV, weights), cost)


def changed_rows(source: Interactions, evidence: Interactions):
  """Rows of X after and before the evidence: [K, V], [R, V].

  A user of the source has an old row, which must be removed; a new user has
  none.
  """
  grown = joining.grown_users(source, evidence)
  is_known = np.isin(source.user_ids, grown.user_ids)
  old = source.take_users(np.flatnonzero(is_known)).csr()
  return grown.csr(), old[np.diff(old.indptr) > 0]
