"""Converts tensors of a PyTorch model to parameters of a Flax module."""

from typing import Any

import numpy as np


def parameter(
  name: str, tensor: Any, path: tuple[str, ...], shape: tuple[int, ...]
) -> np.ndarray:
  """Converts a tensor to a float32 parameter.

  PyTorch stores the weights of a linear layer as the transpose of Flax's
  kernel, so a kernel is transposed.

  Args:
    name: name of the tensor in its file, for error messages.
    tensor: the tensor of the file.
    path: path of the parameter in Flax; it ends in 'kernel' for a kernel.
    shape: shape of the parameter in Flax.

  Raises:
    ValueError: the tensor has another shape, is not floating point, or is not
      finite.
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
