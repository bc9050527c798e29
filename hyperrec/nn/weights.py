"""Tensors of a file in PyTorch's form as parameters of a Flax module."""

from typing import Any

import numpy as np


def parameter(
  name: str, tensor: Any, path: tuple[str, ...], shape: tuple[int, ...]
) -> np.ndarray:
  """A tensor as the parameter at a path, in float32.

  Args:
    name: of the tensor in its file, for errors.
    tensor: the numbers; a linear layer's are the transpose of a kernel.
    path: of the parameter; a kernel's ends in 'kernel'.
    shape: of the parameter.

  Raises:
    ValueError: the tensor has another shape or kind, or is not finite.
  """
  array = np.asarray(tensor)
  is_kernel = path[-1] == 'kernel'
  expected = shape[::-1] if is_kernel else shape
  if array.shape != expected:
    raise ValueError(f'{name} has shape {array.shape}, expected {expected}')
  if not np.issubdtype(array.dtype, np.floating):
    raise ValueError(f'{name} is {array.dtype}, expected floating point')
  array = array.astype(np.float32)
  if not np.isfinite(array).all():
    raise ValueError(f'{name} is not finite')
  return array.T if is_kernel else array
