"""EASE on item features with a kernel, a nonlinear similarity of items.

    k(i, j) = exp(s (f_i . f_j - 1))
    C = I - P diag(1 / diag P),    P = (K + l2 I)^-1

with features of norm 1. With K = F F', C is that of L3AE (arXiv 2508.13500),
which has factors of the rank of F. The spectrum of the kernel is flat: factors
of a useful rank would lose more accuracy than the kernel gains. C is therefore
dense, and a catalogue whose V x V matrices do not fit into memory is refused.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from hyperrec.cost import memory
from hyperrec.systems.linear import spd_inverse


def relation(
  features: Float[np.ndarray, 'V F'], sharpness: float, l2: float
) -> Float[np.ndarray, 'V V']:
  """C of a catalogue, float32, with a zero diagonal.

  Args:
    features: item features; their rows are scaled to norm 1. A row of zeros is
      equally similar to all other rows.
    sharpness: s > 0; the larger it is, the faster similarity falls. Near 0 the
      kernel is linear.
    l2: the ridge, > 0.

  Raises:
    ValueError: s or l2 is not positive.
    InsufficientMemoryError: two V x V matrices do not fit into memory.
  """
  for name, value in (('sharpness', sharpness), ('l2_features', l2)):
    if not value > 0:
      raise ValueError(f'{name}={value} must be positive')
  num_items = len(features)
  memory.check_memory(
    2 * spd_inverse.spd_inverse_peak_bytes(num_items),
    f'a kernel between {num_items} items',
    'set sharpness=0, which makes the prior linear',
  )
  units = _units(features)
  k_VxV = kernel(units, units, sharpness)
  diagonal = np.diag_indices(num_items)
  k_VxV[diagonal] += l2
  inverse = spd_inverse.spd_inverse(k_VxV)
  inverse *= -1 / np.diagonal(inverse)
  inverse[diagonal] = 0
  return inverse


def factor(
  features: Float[np.ndarray, 'V F'], sharpness: float
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """L with L L' = K, float32, and the operations: the kernel's own features.

  A thousandth is added to the diagonal of K, without which items of the same
  text have no factor.

  Args:
    features: as `relation` takes them.
    sharpness: s > 0.
  """
  num_items = len(features)
  memory.check_memory(
    3 * spd_inverse.spd_inverse_peak_bytes(num_items),
    f'the factor of a kernel between {num_items} items',
  )
  units = _units(features)
  k_VxV = kernel(units, units, sharpness).astype(np.float64)
  k_VxV[np.diag_indices(num_items)] += 1e-3
  lower = scipy.linalg.cholesky(
    k_VxV, lower=True, overwrite_a=True, check_finite=False
  )
  operations = 2.0 * num_items**2 * features.shape[1] + num_items**3 / 3
  return lower.astype(np.float32), operations


def kernel(
  left: Float[np.ndarray, 'M F'],
  right: Float[np.ndarray, 'N F'],
  sharpness: float,
) -> Float[np.ndarray, 'M N']:
  """exp(s (f . g - 1)) between rows of length 1 or 0, float32."""
  product = np.asarray(left, np.float32) @ np.asarray(right, np.float32).T
  product -= 1
  product *= np.float32(sharpness)
  return np.exp(product, out=product)


def flops(num_items: int, width: int) -> float:
  """Operations of `relation`."""
  return 2.0 * num_items**2 * width + float(num_items) ** 3


def _units(features):
  """Features as float32 with rows of norm 1; a row of zeros stays zero."""
  table = np.asarray(features, np.float32)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return table / np.where(norm > 1e-6, norm, np.inf)
