"""What the features of a catalogue's items tell of its weights: C of L3AE."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec.cost import counts
from hyperrec.systems.linear import item_kernel, linear_autoencoder
from hyperrec.systems.linear import prior as prior_lib


class Counted(NamedTuple):
  """A prior of weights, and what it cost.

  Attributes:
    prior: in factors; with a kernel dense, with a diagonal of 0.
    cost: the operations that it took.
  """

  prior: linear_autoencoder.Prior | Float[np.ndarray, 'V V']
  cost: counts.Cost


def relation(
  features: Float[np.ndarray, 'V F'],
  l2_features: float,
  trust: float,
  sharpness: float,
) -> Counted:
  """`trust` times C, EASE on the features of the items.

  C is made of a kernel where `sharpness` is above 0; elsewhere it is linear, in
  factors. All of the cost depends on the text alone.

  Args:
    features: of the items.
    l2_features: ridge of C.
    trust: what C is multiplied by.
    sharpness: of the kernel.

  Raises:
    InsufficientMemoryError: see `item_kernel.relation`.
  """
  num_items, width = features.shape
  if not sharpness > 0:
    operations = prior_lib.from_features_flops(num_items, width)
    prior = prior_lib.from_features(features, l2_features, trust)
    return Counted(prior, counts.Cost(operations, operations))
  dense = item_kernel.relation(features, sharpness, l2_features)
  dense *= dense.dtype.type(trust)
  operations = item_kernel.flops(num_items, width)
  return Counted(dense, counts.Cost(operations, operations))
