"""Residual quantization: each level helps, a beam too, and as good as faiss."""

import jax
import numpy as np
import pytest

from hyperrec.systems.vqrec import residual_quantizer as rq

KEY = jax.random.key(0)
LEVELS, CODES = 3, 16


@pytest.fixture(scope='module')
def vectors():
  random = np.random.default_rng(0)
  centres = random.normal(size=(20, 8))[random.integers(0, 20, 900)] * 2
  return (centres + random.normal(size=(900, 8)) + 1).astype(np.float32)


@pytest.fixture(scope='module')
def made(vectors):
  return rq.fit(KEY, vectors, num_levels=LEVELS, num_codes=CODES)


def error(vectors, found):
  return float(np.square(vectors - found).sum(1).mean())


def test_each_level_codes_what_is_left(made, vectors):
  codes = np.asarray(rq.encode(made, vectors))
  assert codes.shape == (900, LEVELS)
  left = vectors - vectors.mean(0)
  for level in range(LEVELS):
    centroids = np.asarray(made.codebooks[level])
    distances = np.square(left[:, None] - centroids[None]).sum(-1)
    np.testing.assert_array_equal(codes[:, level], distances.argmin(1))
    before = np.square(left).sum()
    left = left - centroids[codes[:, level]]
    assert np.square(left).sum() < before
  np.testing.assert_allclose(
    vectors - left, rq.decode(made, codes), rtol=1e-4, atol=1e-4
  )


def test_a_beam_finds_better_codes(made, vectors):
  greedy, wide = (
    error(vectors, rq.decode(made, rq.encode(made, vectors, beam=beam)))
    for beam in (1, 8)
  )
  assert wide < greedy


def test_the_widest_beam_finds_the_best_codes(vectors):
  made = rq.fit(KEY, vectors, num_levels=2, num_codes=4)
  every = np.stack(np.meshgrid(range(4), range(4), indexing='ij'), -1)
  every = every.reshape(-1, 2).astype(np.int32)
  distances = np.square(
    vectors[:, None] - np.asarray(rq.decode(made, every))[None]
  ).sum(-1)
  found = rq.encode(made, vectors, beam=4)
  np.testing.assert_array_equal(found, every[distances.argmin(1)])


def test_about_as_good_as_faiss(made, vectors):
  faiss = pytest.importorskip('faiss', reason='faiss-cpu is not installed')
  faiss.omp_set_num_threads(1)
  theirs = faiss.ResidualQuantizer(8, LEVELS, CODES.bit_length() - 1)
  theirs.train_type = faiss.ResidualQuantizer.Train_default
  theirs.max_beam_size = 1
  theirs.train(vectors)
  reference = error(vectors, theirs.decode(theirs.compute_codes(vectors)))
  found = rq.decode(made, rq.encode(made, vectors))
  assert error(vectors, found) <= 1.03 * reference


@pytest.mark.parametrize(
  ('options', 'told'),
  [
    ({'num_levels': 0, 'num_codes': 4}, 'num_levels=0 must be at least 1'),
    ({'num_levels': 1, 'num_codes': 901}, 'too few for num_codes=901'),
  ],
)
def test_wrong_sizes_are_told(vectors, options, told):
  with pytest.raises(ValueError, match=told):
    rq.fit(KEY, vectors, **options)
