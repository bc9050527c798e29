"""Popularity: count. The floor of every comparison."""

from typing import NamedTuple

import numpy as np

from hyperrec import method as method_lib

Method = method_lib.Method


class Counts(NamedTuple):
  """Interactions of each item [V], float32, and the catalogue they are of."""

  counts: np.ndarray
  item_ids: np.ndarray


def popularity() -> Method:
  """Ranks by the number of interactions; new evidence is added to it."""

  def prepare(source, key):
    del key
    return Counts(source.item_counts().astype(np.float32), source.item_ids)

  def adapt(shared, evidence, key):
    del key
    counts = evidence.item_counts().astype(np.float32)
    if np.array_equal(shared.item_ids, evidence.item_ids):
      return Counts(shared.counts + counts, shared.item_ids)
    if len(evidence) == 0:
      raise method_lib.CannotServe(
        'popularity knows nothing of a catalogue without interactions'
      )
    return Counts(counts, evidence.item_ids)

  def score(adapted, histories):
    rows = len(histories.items)
    return np.broadcast_to(adapted.counts, (rows, len(adapted.counts)))

  return Method(
    'popularity',
    prepare,
    adapt,
    score,
    lambda source, shared: float(len(source)),
    lambda shared, evidence, adapted: float(len(evidence)),
  )
