"""A fitted model's scores as one JAX function of histories and tensors.

`Model.program` makes a `Program` of a state, and `systems.exports` writes it.
Programs are made of other programs, as a blend is of those of two models.

Shapes: B users, L history items, V items, D columns.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Items = Int[Array, 'B L']
Mask = Bool[Array, 'B L']
Scores = Float[Array, 'B V']

# Programs that contain only basic operations run on all of these platforms.
PLATFORMS = ('cpu', 'cuda', 'tpu')
# Rows of a history that `sum_rows` adds at once.
_AT_ONCE = 8


class Program(NamedTuple):
  """How a state scores histories.

  Attributes:
    params: tree of the arrays that the function reads.
    score: (params, items, mask) -> scores of the whole catalogue. The items of
      a history are distinct, start at column 0 and are in the order of time;
      beyond them the mask is False and the items are 0.
    kind: one of `scorers.KINDS`. The linear kinds are scored by NumPy as well,
      from the same params.
    length: L, the number of last history items that are read; None reads all.
    platforms: platforms that the function can be compiled for.
    counts: [V], number of interactions of each item, where the state knows it.
  """

  params: Any
  score: Callable[[Any, Items, Mask], Scores]
  kind: str = 'network'
  length: int | None = None
  platforms: tuple[str, ...] = PLATFORMS
  counts: np.ndarray | None = None


def sum_rows(
  table: Float[Array, 'V D'], items_BxL: Items, mask_BxL: Mask
) -> Float[Array, 'B D']:
  """The sum of the rows of each history's items, in the order of time.

  No array [B, L, D] is formed, since D may be the size of the catalogue. Some
  rows are added at once, so that the sums pass through memory less often.
  """
  padding = ((0, 0), (0, _AT_ONCE))
  items_BxL, mask_BxL = jnp.pad(items_BxL, padding), jnp.pad(mask_BxL, padding)
  longest = mask_BxL.sum(axis=1).max(initial=0)

  def add(step, total_BxD):
    items, mask = (
      jax.lax.dynamic_slice_in_dim(part, step * _AT_ONCE, _AT_ONCE, axis=1)
      for part in (items_BxL, mask_BxL)
    )
    for place in range(_AT_ONCE):
      rows_BxD = table[items[:, place]]
      total_BxD += jnp.where(mask[:, place, None], rows_BxD, 0)
    return total_BxD

  start = jnp.zeros((items_BxL.shape[0], table.shape[1]), table.dtype)
  num_steps = (longest + _AT_ONCE - 1) // _AT_ONCE
  return jax.lax.fori_loop(0, num_steps, add, start)


def multi_hot(
  items_BxL: Items, mask_BxL: Mask, num_items: int, dtype: Any = jnp.float32
) -> Array:
  """The histories as 0/1 rows [B, V]."""
  rows = jnp.arange(items_BxL.shape[0])[:, None]
  x_BxV = jnp.zeros((items_BxL.shape[0], num_items), bool)
  return x_BxV.at[rows, items_BxL].max(mask_BxL).astype(dtype)
