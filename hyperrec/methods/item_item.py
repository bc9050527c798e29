"""What every item-item method shares: fit on some users, score by x B."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.models import linear_autoencoder

Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Method = method_lib.Method


class Fitted(NamedTuple):
  """Weights over one catalogue.

  Attributes:
    weights: B, or None where nothing was fitted yet.
    source: what they were fitted on; None once adapted.
    item_ids: the catalogue.
  """

  weights: linear_autoencoder.Weights | None
  source: Interactions | None
  item_ids: np.ndarray


def closed_form(
  name: str,
  fit: Callable[[Interactions], linear_autoencoder.Weights],
  fit_flops: Callable[[Interactions], float],
  *,
  retrain: bool = False,
  zero_shot: bool = False,
) -> Method:
  """A `Method` from a function that fits weights on interactions.

  Where the evidence is of the source's own catalogue (new users), the source's
  weights serve as they are: adaptation is free. With `retrain` nothing is
  learned before, and every adaptation fits source and evidence together. On
  another catalogue the evidence alone is fitted.

  Args:
    name: the method's name in result rows.
    fit: interactions -> weights of their catalogue.
    fit_flops: interactions -> operations of `fit`.
    retrain: prepare nothing, fit everything at each adaptation.
    zero_shot: whether `fit` can serve a catalogue nobody has touched.
  """

  def prepare(source, key):
    del key
    weights = None if retrain else fit(source)
    return Fitted(weights, source, source.item_ids)

  def adapt(shared, evidence, key):
    del key
    is_known = np.array_equal(shared.item_ids, evidence.item_ids)
    if is_known and len(evidence) == 0:
      raise method_lib.CannotServe(
        f'{name} scores a user by what the user has shown, and nothing was'
      )
    data = _to_fit(shared, evidence)
    if data is None:
      return shared
    if len(data) == 0 and not zero_shot:
      raise method_lib.CannotServe(
        f'{name} has no weights for a catalogue without interactions'
      )
    return Fitted(fit(data), None, data.item_ids)

  def adapt_flops(shared, evidence, adapted):
    del adapted
    data = _to_fit(shared, evidence)
    return 0.0 if data is None else fit_flops(data)

  return Method(
    name,
    prepare,
    adapt,
    score,
    lambda source, shared: 0.0 if retrain else fit_flops(source),
    adapt_flops,
  )


def score(adapted: Fitted, histories: Histories):
  """Scores [B, V] = x B."""
  return linear_autoencoder.scores(histories.csr(), adapted.weights)


def _to_fit(shared: Fitted, evidence: Interactions) -> Interactions | None:
  """What an adaptation fits; None where the source's weights serve."""
  if not np.array_equal(shared.item_ids, evidence.item_ids):
    return evidence
  if shared.weights is not None:
    return None
  return interactions_lib.join_users(shared.source, evidence)
