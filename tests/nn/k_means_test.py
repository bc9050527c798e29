"""k-means: never worse by a step, no cluster empty, seeds that are points."""

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.nn import k_means

KEY = jax.random.key(0)


def blobs(num_points=120, num_blobs=6, seed=0):
  random = np.random.default_rng(seed)
  corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), -1).reshape(-1, 3)
  centres = 20 * corners[:num_blobs]
  owner = np.arange(num_points) % num_blobs
  points = centres[owner] + random.normal(size=(num_points, 3))
  return jnp.asarray(points, jnp.float32), owner


def error(points, centroids):
  return float(k_means.nearest(points, centroids).distances.sum())


def test_assigns_to_the_nearest():
  points, _ = blobs()
  centroids = points[:7]
  expected = np.square(points[:, None] - centroids[None]).sum(-1)
  found = k_means.nearest(points, centroids)
  np.testing.assert_array_equal(found.codes, expected.argmin(1))
  np.testing.assert_allclose(found.distances, expected.min(1), atol=1e-2)


def test_finds_blobs():
  points, owner = blobs()
  seeds = k_means.seed(KEY, points, 6)
  centroids = k_means.refine(points, seeds, 10)
  codes = np.asarray(k_means.nearest(points, centroids).codes)
  assert len({(o, c) for o, c in zip(owner, codes, strict=True)}) == 6


def test_seeds_are_distinct_points():
  points, _ = blobs()
  seeds = np.asarray(k_means.seed(KEY, points, 40))
  assert len(np.unique(seeds, axis=0)) == 40
  assert {tuple(s) for s in seeds} <= {tuple(p) for p in np.asarray(points)}


def test_seeds_of_equal_points_are_finite():
  points = jnp.ones((9, 2))
  np.testing.assert_array_equal(k_means.seed(KEY, points, 4), np.ones((4, 2)))


def test_a_step_averages_and_never_hurts():
  points, _ = blobs()
  centroids = k_means.seed(KEY, points, 9)
  for _ in range(5):
    before = error(points, centroids)
    centroids, codes = k_means.step(points, centroids)
    assert error(points, centroids) <= before * (1 + 1e-6)
    for code in range(9):
      np.testing.assert_allclose(
        centroids[code], points[codes == code].mean(0), rtol=1e-4, atol=1e-4
      )


def test_empty_clusters_move_to_what_is_served_worst():
  points = jnp.asarray([[0.0], [1.0], [50.0], [90.0]])
  centroids = jnp.asarray([[0.5], [1000.0], [2000.0]])
  moved, _ = k_means.step(points, centroids)
  np.testing.assert_allclose(moved[1:, 0], [90, 50])
  centroids = k_means.refine(points, centroids, 3)
  assert len(set(np.asarray(k_means.nearest(points, centroids).codes))) == 3
