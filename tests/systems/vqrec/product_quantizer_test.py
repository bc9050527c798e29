"""Product quantization: as good as faiss, codes in range, clear refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.vqrec import product_quantizer as pq

KEY = jax.random.key(0)
# One shape in this file, so that little is compiled.
NUM, WIDTH, GROUPS, CODES = 1200, 32, 4, 16


@pytest.fixture(scope='module')
def vectors():
  """Blobs whose directions differ in variance: a rotation should help."""
  random = np.random.default_rng(0)
  centres = random.normal(size=(30, WIDTH))[random.integers(0, 30, NUM)]
  noise = random.normal(size=(NUM, WIDTH)) * np.linspace(0.1, 2, WIDTH)
  return (centres + noise + 3).astype(np.float32)


@pytest.fixture(scope='module')
def plain(vectors):
  return fit(vectors, rotate=False)


@pytest.fixture(scope='module')
def optimised(vectors):
  return fit(vectors, rotate=True)


def fit(vectors, **options):
  return pq.fit(KEY, vectors, num_groups=GROUPS, num_codes=CODES, **options)


def error(quantizer, vectors):
  found = pq.decode(quantizer, pq.encode(quantizer, vectors))
  return float(np.square(vectors - found).sum(1).mean())


def test_codes_stand_for_the_nearest_centroids(plain, vectors):
  codes = np.asarray(pq.encode(plain, vectors))
  assert codes.shape == (NUM, GROUPS)
  assert (codes.min(), codes.max()) == (0, CODES - 1)
  parts = (vectors - vectors.mean(0)).reshape(NUM, GROUPS, -1)
  for group in range(GROUPS):
    centroids = np.asarray(plain.codebooks[group])
    distances = np.square(parts[:, group, None] - centroids[None]).sum(-1)
    np.testing.assert_array_equal(codes[:, group], distances.argmin(1))


def test_a_rotation_loses_less_and_is_orthonormal(plain, optimised, vectors):
  assert error(optimised, vectors) < 0.95 * error(plain, vectors)
  product = optimised.rotation.T @ optimised.rotation
  np.testing.assert_allclose(product, np.eye(WIDTH), atol=1e-4)
  np.testing.assert_array_equal(plain.rotation, np.eye(WIDTH))


def test_centroids_are_coded_as_themselves(optimised):
  random = np.random.default_rng(1)
  codes = random.integers(0, CODES, (50, GROUPS))
  np.testing.assert_array_equal(
    pq.encode(optimised, pq.decode(optimised, codes)), codes
  )


def test_more_codes_lose_less(optimised, vectors):
  finer = pq.fit(KEY, vectors, num_groups=2 * GROUPS, num_codes=CODES)
  assert error(finer, vectors) < error(optimised, vectors)


def test_the_same_key_gives_the_same_codes(optimised, vectors):
  again = fit(vectors, rotate=True)
  np.testing.assert_array_equal(again.codebooks, optimised.codebooks)


@pytest.mark.parametrize('rotate', [False, True])
def test_loses_no_more_than_faiss(rotate, plain, optimised, vectors):
  faiss = pytest.importorskip('faiss', reason='faiss-cpu is not installed')
  faiss.omp_set_num_threads(1)
  centred = np.ascontiguousarray(vectors - vectors.mean(0))
  bits = CODES.bit_length() - 1
  if rotate:
    matrix = faiss.OPQMatrix(WIDTH, GROUPS)
    quantizer = faiss.ProductQuantizer(WIDTH, GROUPS, bits)
    matrix.pq = quantizer
    matrix.train(centred)
    centred = matrix.apply(centred)
  theirs = faiss.ProductQuantizer(WIDTH, GROUPS, bits)
  theirs.train(centred)
  found = theirs.decode(theirs.compute_codes(centred))
  reference = float(np.square(centred - found).sum(1).mean())
  ours = optimised if rotate else plain
  assert error(ours, vectors) <= 1.01 * reference


def test_codes_are_used_evenly(optimised, vectors):
  bits = pq.entropy_bits(pq.encode(optimised, vectors), CODES)
  assert bits.shape == (GROUPS,)
  assert 0.9 * np.log2(CODES) < bits.min() <= bits.max() <= np.log2(CODES)


def test_entropy_by_hand():
  codes = np.array([[0, 0], [0, 1], [1, 2], [1, 3]])
  np.testing.assert_allclose(pq.entropy_bits(codes, 4), [1, 2])


def test_collisions_by_hand():
  codes = np.array([[0, 1], [0, 1], [1, 0], [0, 1]])
  assert pq.collision_share(codes) == 0.5


def test_flat_ids_tell_the_groups_apart():
  codes = np.array([[0, 0, 3], [3, 1, 2]])
  np.testing.assert_array_equal(pq.flat_ids(codes, 4), [[0, 4, 11], [3, 5, 10]])


def test_flops_by_hand():
  made = pq.ProductQuantizer(
    np.zeros(8), np.eye(8), np.zeros((2, 4, 4), np.float32)
  )
  # Rotation 8 x 8, then 4 centroids in each of two groups of 4 numbers.
  assert pq.encode_flops(made, 10) == 10 * (2 * 64 + 2 * 2 * 4 * 4)
  short, long = (
    pq.fit_flops(made, 10, rotation_steps=0, steps=s) for s in (1, 3)
  )
  assert long - short == 2 * (2 * 10 * 8 * 4 + 2 * 10 * 8 * 4)


@pytest.mark.parametrize(
  ('change', 'told'),
  [
    (lambda x: x[: CODES - 1], '15 items are too few for num_codes=16'),
    (np.ones_like, '1 distinct vectors.*empty or the same'),
    (lambda x: np.where(x == x[3, 5], np.nan, x), '1 items.*item 3, are not'),
    (lambda x: x[:, :30], 'num_groups=4 must divide the 30 features'),
    (lambda x: x[0], r'\[V, F\] are needed'),
    (lambda x: x[:0], r'\[V, F\] are needed'),
  ],
)
def test_vectors_without_codes_are_refused(vectors, change, told):
  with pytest.raises(ValueError, match=told):
    fit(change(vectors))


def test_one_code_is_refused(vectors):
  with pytest.raises(ValueError, match='num_codes=1 must be at least 2'):
    pq.fit(KEY, vectors, num_groups=4, num_codes=1)


@pytest.mark.parametrize(
  ('codes', 'told'),
  [
    ([[0, 16]], 'code 16 of item 0, group 1, is outside 0..15'),
    ([[0, 1], [-1, 0]], 'code -1 of item 1, group 0'),
    ([[0, 1, 2]], 'every item needs 2 codes'),
    ([0, 1], 'every item needs 2 codes'),
  ],
)
def test_codes_of_another_index_are_refused(codes, told):
  with pytest.raises(ValueError, match=told):
    pq.check_codes(np.array(codes), 2, CODES)


def test_real_titles_use_all_codes_evenly(data_dir):
  from hyperrec.data import item_features, sources

  data = sources.load('amazon_2014', data_dir=data_dir, domain='Beauty')
  texts = data.item_text[:4096]
  table = item_features.tfidf_svd(texts, num_features=32, seed=0)
  made = pq.fit(
    KEY, table, num_groups=4, num_codes=256, rotation_steps=4, steps=6
  )
  codes = np.asarray(pq.encode(made, jnp.asarray(table)))
  assert pq.entropy_bits(codes, 256).min() > 7.5
  assert len(np.unique(codes)) == 256
