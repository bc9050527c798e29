"""The kernel regression of new items, each on its nearest old items.

In large catalogues a factor of the kernel between all items takes O(V^3)
operations and V^2 numbers. Each new item needs few of them: those old items
that are most similar to it. Their m x m systems are solved in batches, O(m^3)
each, and the batches are spread over the devices of a mesh in use.
"""

import functools

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.cost import counts
from hyperrec.systems.linear import local_kernel
from hyperrec.training import mesh as mesh_lib

# New items of one call: their neighbours' features are in memory at once.
_BATCH = 64


def shares(
  known: Float[np.ndarray, 'V F'],
  new: Float[np.ndarray, 'N F'],
  sharpness: float,
  l2: float,
  neighbours: int,
) -> tuple[Float[np.ndarray, 'V N'], float]:
  """What each old item has in each new one, and the operations.

  Args:
    known: features of the old items, rows of length 1 or 0.
    new: the same of the new items.
    sharpness: of the kernel exp(s (f . g - 1)).
    l2: ridge of the regression.
    neighbours: m; all old items if there are fewer.

  Returns:
    Shares with at most m numbers other than 0 in a column.
  """
  num_items, num_new = len(known), len(new)
  neighbours = min(neighbours, num_items)
  found = np.zeros((num_new, num_items), np.float32)
  known = known.astype(np.float32)
  mesh = mesh_lib.current()
  if mesh is not None:
    known = mesh_lib.place_state(mesh, known)
  for start in range(0, num_new, _BATCH):
    rows = new[start : start + _BATCH].astype(np.float32)
    # The last batch is filled up, so that one program serves all.
    batch = np.resize(rows, (_BATCH, rows.shape[1]))
    if mesh is not None:
      batch = mesh_lib.place_batch(mesh, batch)
    items_Bxm, shares_Bxm = _of_batch(known, batch, sharpness, l2, neighbours)
    places = np.asarray(items_Bxm)[: len(rows)]
    values = np.asarray(shares_Bxm)[: len(rows)]
    np.put_along_axis(found[start : start + _BATCH], places, values, axis=1)
  width = known.shape[1]
  search = counts.matmul(1, num_items, width)
  search += num_items * np.log2(max(2, num_items))
  per_item = local_kernel.flops(neighbours, width, search)
  return np.ascontiguousarray(found.T), num_new * per_item


def of_item(
  known: Float[Array, 'V F'],
  new: Float[Array, ' F'],
  sharpness: float,
  l2: float,
  neighbours: int,
) -> tuple[Int[Array, ' m'], Float[Array, ' m']]:
  """The nearest old items of one new item, and its shares of them."""
  cosines_V = known @ new
  cosines_m, items_m = jax.lax.top_k(cosines_V, neighbours)
  return items_m, local_kernel.regression(
    known[items_m], cosines_m, sharpness, l2
  )


@functools.partial(jax.jit, static_argnames='neighbours')
def _of_batch(known, new, sharpness, l2, neighbours):
  return jax.vmap(lambda row: of_item(known, row, sharpness, l2, neighbours))(
    new
  )
