"""The convolution of LightGCN (He et al., SIGIR 2020), without parameters.

A layer replaces each user by the sum of the user's items, and each item by the
sum of its users, each summand divided by sqrt(|I_u| |U_i|).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

Csr = scipy.sparse.csr_matrix


class Edges(NamedTuple):
  """The E interactions of a graph, and the weights of their summands.

  Attributes:
    users: int32 [E].
    items: int32 [E].
    weights: float32 [E].
  """

  users: Int[Array, ' E']
  items: Int[Array, ' E']
  weights: Float[Array, ' E']


def edges(x: Csr) -> Edges:
  """The edges of a binary matrix [U, V], sorted by user."""
  users = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
  degrees = x.getnnz(1)[users] * x.getnnz(0)[x.indices]
  weights = 1 / np.sqrt(np.maximum(degrees, 1), dtype=np.float32)
  return Edges(users.astype(np.int32), x.indices.astype(np.int32), weights)


def convolve(
  graph: Edges,
  users: Float[Array, 'U D'],
  items: Float[Array, 'V D'],
) -> tuple[Float[Array, 'U D'], Float[Array, 'V D']]:
  """One layer."""
  weights = graph.weights[:, None]
  of_users = jax.ops.segment_sum(
    weights * items[graph.items], graph.users, len(users)
  )
  of_items = jax.ops.segment_sum(
    weights * users[graph.users], graph.items, len(items)
  )
  return of_users, of_items


def layers(
  graph: Edges,
  users: Float[Array, 'U D'],
  items: Float[Array, 'V D'],
  num_layers: int,
) -> tuple[Float[Array, 'K+1 U D'], Float[Array, 'K+1 V D']]:
  """Users and items before the first layer and after each one."""
  found = [(users, items)]
  for _ in range(num_layers):
    found.append(convolve(graph, *found[-1]))
  of_users, of_items = zip(*found, strict=True)
  return jnp.stack(of_users), jnp.stack(of_items)


def flops(num_edges: int, dim: int, num_layers: int) -> float:
  """Operations of `layers`: a multiplication and an addition a summand."""
  return 4.0 * num_edges * dim * num_layers
