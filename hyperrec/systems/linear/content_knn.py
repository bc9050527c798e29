"""Content-based neighbours: items are recommended to whoever has similar ones.

The score of an item is the sum of exp(s (f_i . f_j - 1)) over the items i of a
history, or of the cosines f_i . f_j where s is 0. Interactions are not read.
"""

import dataclasses
from typing import Any

import numpy as np

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.linear import item_item, item_kernel, linear_autoencoder

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class ContentKnnConfig:
  """Hyperparameters of content-based neighbours.

  Attributes:
    sharpness: How fast likeness falls with the distance of two texts; 0 takes
      the cosine itself.
  """

  sharpness: float = config_lib.field(0.0, least=0)

  def __post_init__(self):
    config_lib.check(self)


def content_knn(features: method_lib.Features, **hyperparameters: Any) -> Model:
  """Similarity of item features as the weights of an item-item model.

  Args:
    features: gives the item features, rows of length 1.
    **hyperparameters: fields of `ContentKnnConfig`.
  """
  config = ContentKnnConfig(**hyperparameters)

  def fit(data):
    table = np.asarray(features(data), np.float32)
    if not config.sharpness:
      diagonal = 2.0 * table.size
      weights = linear_autoencoder.factored(table, table.T)
      return Outcome(weights, Cost(diagonal, of_text=diagonal))
    weights = item_kernel.kernel(table, table, config.sharpness)
    np.fill_diagonal(weights, 0)
    operations = counts.matmul(len(table), len(table), table.shape[1])
    return Outcome(weights, Cost(operations, of_text=operations))

  return item_item.closed_form(
    'content_knn', config, fit, needs_interactions=False
  )
