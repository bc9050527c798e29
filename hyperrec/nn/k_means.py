"""k-means clustering with k-means++ seeds; no cluster stays empty.

Shapes: N points, M centroids, E dimensions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Nearest(NamedTuple):
  """The nearest centroid of each point, and the squared distance to it."""

  codes: Int[Array, ' N']
  distances: Float[Array, ' N']


def nearest(
  x_NxE: Float[Array, 'N E'], centroids_MxE: Float[Array, 'M E']
) -> Nearest:
  """Assigns each point to its nearest centroid; ties go to the first."""
  distances_NxM = squared_distances(x_NxE, centroids_MxE)
  return Nearest(distances_NxM.argmin(axis=1), distances_NxM.min(axis=1))


def squared_distances(
  x_NxE: Float[Array, 'N E'], centroids_MxE: Float[Array, 'M E']
) -> Float[Array, 'N M']:
  """Squared distances of each point to each centroid; none is below 0."""
  length_N = jnp.square(x_NxE).sum(axis=1)
  length_M = jnp.square(centroids_MxE).sum(axis=1)
  product_NxM = x_NxE @ centroids_MxE.T
  return jnp.maximum(length_N[:, None] - 2 * product_NxM + length_M[None], 0)


def seed(
  key: jax.Array, x_NxE: Float[Array, 'N E'], num_clusters: int
) -> Float[Array, 'M E']:
  """Draws the first centroids by k-means++.

  Arthur & Vassilvitskii (SODA 2007): the first point is drawn uniformly. Each
  further point is drawn with a probability proportional to its squared
  distance to the nearest point drawn so far.
  """

  def draw(weights_N, key):
    cumulated_N = jnp.cumsum(weights_N)
    at = jax.random.uniform(key) * cumulated_N[-1]
    place = jnp.searchsorted(cumulated_N, at, side='right')
    point_E = x_NxE[jnp.minimum(place, len(x_NxE) - 1)]
    return point_E, jnp.square(x_NxE - point_E[None]).sum(axis=1)

  def draw_next(distances_N, key):
    point_E, to_it_N = draw(distances_N, key)
    return jnp.minimum(distances_N, to_it_N), point_E

  keys = jax.random.split(key, num_clusters)
  first_E, distances_N = draw(jnp.ones(len(x_NxE), x_NxE.dtype), keys[0])
  _, others = jax.lax.scan(draw_next, distances_N, keys[1:])
  return jnp.concatenate([first_E[None], others])


def step(
  x_NxE: Float[Array, 'N E'], centroids_MxE: Float[Array, 'M E']
) -> tuple[Float[Array, 'M E'], Int[Array, ' N']]:
  """Takes one step of Lloyd's algorithm: it assigns points, then averages.

  An empty cluster moves to one of the points that are farthest from their
  centroids.

  Args:
    x_NxE: points, at least as many as centroids.
    centroids_MxE: the centroids before the step.

  Returns:
    The new centroids, and the assignment whose averages they are.
  """
  codes_N, distances_N = nearest(x_NxE, centroids_MxE)
  M = len(centroids_MxE)
  # A matrix product is many times faster than scattered additions.
  member_NxM = jax.nn.one_hot(codes_N, M, dtype=x_NxE.dtype)
  counts_M = member_NxM.sum(axis=0)
  means_MxE = member_NxM.T @ x_NxE / jnp.maximum(counts_M, 1)[:, None]
  _, worst_M = jax.lax.top_k(distances_N, M)
  is_empty_M = counts_M == 0
  place_M = jnp.maximum(jnp.cumsum(is_empty_M) - 1, 0)
  moved_MxE = x_NxE[worst_M[place_M]]
  return jnp.where(is_empty_M[:, None], moved_MxE, means_MxE), codes_N


def refine(
  x_NxE: Float[Array, 'N E'],
  centroids_MxE: Float[Array, 'M E'],
  iterations: int,
) -> Float[Array, 'M E']:
  """Takes `iterations` steps of Lloyd's algorithm, and gives the centroids."""
  return jax.lax.fori_loop(
    0, iterations, lambda _, c: step(x_NxE, c)[0], centroids_MxE
  )
