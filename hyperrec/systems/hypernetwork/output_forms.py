"""The output form of a hypernetwork: how z changes parameters.

A form is a module form(z, base) -> change with form(0, base) = 0; `base` and
`change` map the names of parts ('layer.kernel') to arrays of equal shapes.

The last layer of every form is zero at initialisation, so that training starts
exactly at the base (Ortiz et al., ICLR 2024, arXiv 2304.07645). Four more forms
are in experiments/new_users, which tells why they are not here.
"""

import math
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

Parts = Mapping[str, Array]
Condition = Float[Array, ' Z']


class Full(nn.Module):
  """H z: each number has its own row of H."""

  @nn.compact
  def __call__(self, z: Condition, base: Parts) -> Parts:
    """Changes all parts of `base`."""
    return linear_parts(self, z, base)


def linear_parts(module: nn.Module, x: Condition, base: Parts) -> Parts:
  """H x for each part, called inside `module`; H starts at zero."""
  return {
    name: linear(module, name, x, leaf.shape) for name, leaf in base.items()
  }


def linear(
  module: nn.Module,
  name: str,
  x_Z: Condition,
  shape: tuple[int, ...],
  std: float = 0.0,
) -> Array:
  """H x without bias, called inside `module`.

  Args:
    module: the module that owns H.
    name: name of H there.
    x_Z: the input.
    shape: shape of the output.
    std: standard deviation of the output at the start, if x has norm sqrt(Z).
  """
  init = nn.initializers.zeros
  if std:
    init = nn.initializers.normal(std / math.sqrt(len(x_Z)))
  weights = module.param(name, init, (len(x_Z), *shape))
  return jnp.tensordot(x_Z, weights, axes=1)
