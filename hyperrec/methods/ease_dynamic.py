"""Dynamic EASE: keep the inverse and update it, or refit where that is dear."""

from typing import NamedTuple

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import item_item
from hyperrec.models import linear_autoencoder, woodbury

Method = method_lib.Method


class Inverse(NamedTuple):
  """P over one catalogue, the rows it holds, and the weights made of it."""

  precision: np.ndarray
  source: interactions_lib.Interactions
  weights: np.ndarray
  item_ids: np.ndarray


def ease_dynamic(*, l2: float, max_drift: float = 1e-2) -> Method:
  """Dynamic EASE (Jeunen et al., UMUAI 2022); see `woodbury`.

  Users may be new, or may have more rows than the source knew.

  Args:
    l2: lambda.
    max_drift: refit where the updated inverse is further off than this
      (`woodbury.drift`; float32 accumulates rounding over many updates).
  """

  def fit(data):
    ridge = np.full(data.num_items, float(l2))
    return linear_autoencoder.precision_cheapest(data.csr(), ridge)

  def state(p_VxV, data):
    weights = linear_autoencoder.weights_from_precision(p_VxV.copy())
    return Inverse(p_VxV, data, weights, data.item_ids)

  def prepare(source, key):
    del key
    return state(fit(source), source)

  def adapt(shared, evidence, key):
    del key
    if not np.array_equal(shared.item_ids, evidence.item_ids):
      raise method_lib.CannotServe(
        'Dynamic EASE updates the inverse of a known catalogue; a catalogue '
        'disjoint from it leaves nothing to update (that is EASE)'
      )
    if len(evidence) == 0:
      raise method_lib.CannotServe(
        'Dynamic EASE scores a user by what the user has shown, and nothing was'
      )
    data = interactions_lib.join_users(shared.source, evidence)
    if is_refit_cheaper(shared, evidence):
      return state(fit(data), data)
    p_VxV = woodbury.update(shared.precision, *changed_rows(shared, evidence))
    if woodbury.drift(p_VxV, data.csr(), l2) > max_drift:
      p_VxV = fit(data)
    return state(p_VxV, data)

  return Method(
    'ease_dynamic',
    prepare,
    adapt,
    item_item.score,
    lambda source, shared: _refit_flops(source) + float(source.num_items) ** 2,
    adapt_flops,
  )


def adapt_flops(shared, evidence, adapted) -> float:
  """Operations of the cheaper of update and refit, and of B from P."""
  items = float(evidence.num_items) ** 2
  if is_refit_cheaper(shared, evidence):
    return _refit_flops(adapted.source) + items
  return _update_flops(shared, evidence) + items


def is_refit_cheaper(shared: Inverse, evidence) -> bool:
  """Whether the evidence's rank makes the update dearer than a refit."""
  data = interactions_lib.join_users(shared.source, evidence)
  return _refit_flops(data) < _update_flops(shared, evidence)


def changed_rows(shared: Inverse, evidence):
  """Rows of X as the evidence leaves them, and as they were: [K, V], [R, V].

  A user whom the source knows leaves an old row behind; a new one does not.
  """
  grown = interactions_lib.grown_users(shared.source, evidence)
  is_known = np.isin(shared.source.user_ids, grown.user_ids)
  old = shared.source.take_users(np.flatnonzero(is_known)).csr()
  return grown.csr(), old[np.diff(old.indptr) > 0]


def _refit_flops(data) -> float:
  counts = data.csr().getnnz(1)
  return linear_autoencoder.precision_flops(counts, data.num_items)


def _update_flops(shared, evidence) -> float:
  added, removed = changed_rows(shared, evidence)
  counts = np.concatenate([added.getnnz(1), removed.getnnz(1)])
  return woodbury.update_flops(evidence.num_items, len(counts), counts)
