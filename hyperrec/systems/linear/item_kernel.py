"""EASE on item features through a kernel: likeness that is not linear.

    k(i, j) = exp(s (f_i . f_j - 1))
    C = I - P diag(1 / diag P),    P = (K + l2 I)^-1

with features of length 1. With K = F F' this is the C of L3AE (arXiv
2508.13500), which has factors of the rank of F. Here the spectrum is flat:
factors of a rank that is worth while lose more than the kernel gains, so that C
is dense, and only for catalogues up to `LIMIT` items.
"""

import numpy as np
from jaxtyping import Float

from hyperrec.cost import memory
from hyperrec.systems.linear import spd_inverse

LIMIT = 16_000


def relation(
  features: Float[np.ndarray, 'V F'], sharpness: float, l2: float
) -> Float[np.ndarray, 'V V']:
  """C of a catalogue, float32, with a zero diagonal.

  Args:
    features: of the items; rows are brought to length 1. A row of zeros is
      alike to all others in the same degree.
    sharpness: s; how fast likeness falls. Towards 0 the kernel is linear.
    l2: the ridge.

  Raises:
    ValueError: s or l2 is not positive.
    InsufficientMemoryError: two V x V matrices do not fit.
  """
  for name, value in (('sharpness', sharpness), ('l2_features', l2)):
    if not value > 0:
      raise ValueError(f'{name}={value} must be positive')
  num_items = len(features)
  memory.check_memory(
    2 * spd_inverse.spd_inverse_peak_bytes(num_items),
    f'a kernel between {num_items} items',
  )
  units = _units(features)
  kernel = units @ units.T
  kernel -= 1
  kernel *= sharpness
  np.exp(kernel, out=kernel)
  diagonal = np.diag_indices(num_items)
  kernel[diagonal] += l2
  inverse = spd_inverse.spd_inverse(kernel)
  inverse *= -1 / np.diagonal(inverse)
  inverse[diagonal] = 0
  return inverse


def flops(num_items: int, width: int) -> float:
  """Operations of `relation`."""
  return 2.0 * num_items**2 * width + float(num_items) ** 3


def _units(features):
  table = np.asarray(features, np.float32)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return table / np.where(norm > 1e-6, norm, np.inf)
