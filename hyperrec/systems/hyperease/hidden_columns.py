"""The columns of old items, each generated as if that item were unknown.

They are what the trained generator (`item_generator`) learns from.
"""

import numpy as np
from jaxtyping import Float

from hyperrec.cost import counts
from hyperrec.systems.hyperease import item_columns
from hyperrec.systems.linear import item_kernel, spd_inverse


def generate(
  config: item_columns.ItemColumnsConfig,
  precision: Float[np.ndarray, 'V V'],
  table: Float[np.ndarray, 'V F'],
) -> tuple[Float[np.ndarray, 'V V'], Float[np.ndarray, 'V V'], float]:
  """The column of each item as it is generated where that item is unknown.

  Column i is that of a catalogue without item i, whose weights and kernel are
  fitted without it: both inverses are downdated exactly, so that all columns
  together cost a few products of [V, V] matrices.

  Args:
    config: hyperparameters.
    precision: P = (X'X + l2 I)^-1 of the whole catalogue.
    table: features of its items.

  Returns:
    The columns, with a diagonal of 0; the shares of the kernel regression that
    they are made of; the operations.
  """
  shares_VxV, operations = regress(table, config.sharpness, config.l2_kernel)
  if not config.use_weights:
    return shares_VxV.copy(), shares_VxV, operations
  columns_VxV, of_product = smooth(precision, shares_VxV)
  columns_VxV += np.float32(config.identity) * shares_VxV
  return columns_VxV, shares_VxV, operations + of_product


def regress(
  table: Float[np.ndarray, 'V F'], sharpness: float, l2: float
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """The kernel regression of each item on all others, and the operations."""
  num_items = len(table)
  diagonal = np.diag_indices(num_items)
  k_VxV = item_kernel.kernel(table, table, sharpness)
  k_VxV[diagonal] += np.float32(l2)
  # A row of an inverse tells the regression of that item on all others.
  shares_VxV = spd_inverse.spd_inverse(k_VxV)
  shares_VxV /= -np.diagonal(shares_VxV)
  shares_VxV[diagonal] = 0
  operations = item_columns.kernel_flops(*table.shape)
  return shares_VxV, operations + counts.spd_inverse(num_items)


def smooth(
  precision: Float[np.ndarray, 'V V'], shares: Float[np.ndarray, 'V V']
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """B s_i for each item, with B the weights of a catalogue without item i.

  Args:
    precision: P of the whole catalogue.
    shares: s_i are its columns; the diagonal is 0.

  Returns:
    The products, with a diagonal of 0, and the operations.
  """
  num_items = len(shares)
  diagonal = np.diag_indices(num_items)
  own_V = np.diagonal(precision)
  without_VxV = own_V[:, None] - precision**2 / own_V
  without_VxV[diagonal] = 1
  product_VxV = precision @ (shares / without_VxV)
  product_VxV -= precision * (np.diagonal(product_VxV) / own_V)
  smoothed_VxV = shares - product_VxV
  smoothed_VxV[diagonal] = 0
  return smoothed_VxV, counts.matmul(num_items, num_items, num_items)
