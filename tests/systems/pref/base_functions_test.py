"""Factors against LAPACK's, and what everybody agrees on."""

import jax
import numpy as np
import scipy.sparse

from hyperrec.systems.pref import base_functions, preference_pairs


def made(seed=0, users=60, items=25):
  random = np.random.default_rng(seed)
  taste = random.normal(size=(users, 2)) @ random.normal(size=(2, items))
  seen = random.random((users, items)) < 0.6
  ratings = np.clip(np.round(3 + taste), 1, 5) * seen
  return scipy.sparse.csr_matrix(ratings.astype(np.float32))


def test_factors_are_those_of_the_svd():
  random = np.random.default_rng(0)
  low = random.normal(size=(50, 3)) @ random.normal(size=(3, 20))
  x = scipy.sparse.csr_matrix(low)
  found = base_functions.svd_factors(x, 3)
  _, values, right = np.linalg.svd(low, full_matrices=False)
  want = right[:3].T * np.sqrt(values[:3])
  np.testing.assert_allclose(found @ found.T, want @ want.T, rtol=1e-4)


def test_ease_factors_rebuild_its_predictions():
  x = (made() >= 4).astype(np.float32)
  found = base_functions.ease_factors(x, 25, 10.0)
  assert found.shape == (25, 25)
  assert np.isfinite(found).all()


def test_consensus_is_popularity_and_mean_rating():
  ratings = made()
  found = base_functions.consensus(ratings)
  np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
  np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-6)
  counts = ratings.getnnz(0)
  assert np.corrcoef(found[:, 0], counts)[0, 1] > 0.95
  means = ratings.toarray().sum(axis=0) / counts
  assert np.corrcoef(found[:, 1], means)[0, 1] > 0.95


def test_what_all_items_share_is_no_base_function():
  likes = (made() > 0).astype(np.float32)
  np.testing.assert_array_equal(base_functions.consensus(likes)[:, 1], 0)


def test_joint_fit_explains_the_comparisons():
  ratings = made()
  pairs = preference_pairs.draw(
    ratings,
    per_user=80,
    unseen_share=0.0,
    liked=4.0,
    rng=np.random.default_rng(0),
  )
  start = base_functions.svd_start(ratings, 2, None, 20)
  run = {'l2': 0.02, 'learning_rate': 0.05, 'batch_size': 256}
  phi = {
    steps: np.asarray(
      base_functions.fit_joint(
        start, pairs, None, num_steps=steps, key=jax.random.key(0), **run
      )
    )
    for steps in (1, 300)
  }
  assert phi[300].shape == (25, 2)
  truth = np.linalg.svd(
    np.where(ratings.toarray() > 0, ratings.toarray(), 3) - 3
  )
  factors = truth[2][:2].T

  def explained(found):
    centred = found - found.mean(axis=0)
    fitted = centred @ np.linalg.lstsq(centred, factors, rcond=None)[0]
    return 1 - ((factors - fitted) ** 2).sum() / (factors**2).sum()

  assert explained(phi[300]) > max(0.7, explained(phi[1]))


def test_ials_factors_tell_two_crowds_apart():
  random = np.random.default_rng(0)
  is_own = np.arange(40)[:, None] % 2 == np.arange(20)[None] % 2
  x = (random.random((40, 20)) < np.where(is_own, 0.7, 0.02)) * 1.0
  found = base_functions.ials_factors(scipy.sparse.csr_matrix(x), 2)
  unit = found / np.linalg.norm(found, axis=1, keepdims=True)
  cosines = unit @ unit.T
  is_like = np.arange(20)[:, None] % 2 == np.arange(20)[None] % 2
  assert cosines[is_like].min() > cosines[~is_like].max()
  assert cosines[is_like].mean() > cosines[~is_like].mean() + 0.7
