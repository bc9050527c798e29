"""Tests of the closed forms against their definitions and an optimiser."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from hyperrec.systems.linear import linear_autoencoder as lae
from hyperrec.systems.linear import prior as prior_lib

NUM_USERS, NUM_ITEMS = 12, 30


def make_x(num_users=NUM_USERS, num_items=NUM_ITEMS, seed=0):
  random = np.random.default_rng(seed)
  dense = random.random((num_users, num_items)) < 0.2
  return scipy.sparse.csr_matrix(dense.astype(np.float32))


def make_prior(rank=4, seed=1):
  random = np.random.default_rng(seed)
  return lae.Prior(
    random.normal(size=(NUM_ITEMS, rank)),
    0.1 * random.normal(size=(rank, NUM_ITEMS)),
  )


def ridge_vector(seed=2):
  return np.random.default_rng(seed).uniform(1, 5, NUM_ITEMS)


def test_ease_is_stecks_formula():
  x = make_x()
  p = np.linalg.inv((x.T @ x).toarray() + 3 * np.eye(NUM_ITEMS))
  expected = -p / np.diag(p)
  np.fill_diagonal(expected, 0)
  ridge = np.full(NUM_ITEMS, 3.0)
  solved = lae.solve_primal(x, ridge, dtype=np.float64)
  np.testing.assert_allclose(solved, expected, rtol=1e-10, atol=1e-12)
  single = lae.solve_primal(x, ridge)
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('with_prior', [False, True])
def test_closed_form_is_the_numerical_optimum(with_prior):
  x = make_x(8, 6)
  ridge = np.random.default_rng(3).uniform(1, 4, 6)
  prior = None
  b0 = np.zeros((6, 6))
  if with_prior:
    random = np.random.default_rng(4)
    prior = lae.Prior(random.normal(size=(6, 2)), random.normal(size=(2, 6)))
    b0 = prior.left @ prior.right
    np.fill_diagonal(b0, 0)
  dense = x.toarray().astype(np.float64)
  off = ~np.eye(6, dtype=bool)

  def loss(flat):
    b = np.zeros((6, 6))
    b[off] = flat
    fit = np.square(dense - dense @ b).sum()
    return fit + (ridge[:, None] * np.square(b - b0)).sum()

  found = scipy.optimize.minimize(loss, np.zeros(30), tol=1e-14)
  solved = lae.solve_primal(x, ridge, prior, np.float64)
  np.testing.assert_allclose(solved[off], found.x, atol=1e-5)
  assert loss(solved[off]) <= found.fun + 1e-9


@pytest.mark.parametrize('with_prior', [False, True])
def test_dual_equals_primal(with_prior):
  x, ridge = make_x(), ridge_vector()
  prior = make_prior() if with_prior else None
  primal = lae.solve_primal(x, ridge, prior, np.float64)
  dual = lae.solve_dual(x, ridge, prior, np.float64)
  np.testing.assert_allclose(dual.dense(), primal, rtol=1e-9, atol=1e-11)
  histories = make_x(5, seed=9)
  np.testing.assert_allclose(
    lae.scores(histories, dual),
    lae.scores(histories, primal),
    rtol=1e-9,
    atol=1e-10,
  )


@pytest.mark.parametrize('num_users', [5, 40])
def test_a_dense_prior_gives_the_same_solution(num_users):
  x, ridge, prior = make_x(num_users), ridge_vector(), make_prior()
  dense = prior.left @ prior.right
  np.fill_diagonal(dense, 0)
  theirs = lae.solve_primal(x, ridge, prior, np.float64)
  single = lae.solve_around(x, ridge, dense.astype(np.float32))
  ours = lae.solve_around(x, ridge, dense)
  np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
  np.testing.assert_allclose(single, theirs, atol=1e-4)
  nobody = lae.solve_around(x[:0], ridge, ours.copy())
  np.testing.assert_array_equal(nobody, ours)


@pytest.mark.parametrize('num_users', [8, 60])
def test_without_the_constraint_the_solution_is_the_ridge_around_the_prior(
  num_users,
):
  random = np.random.default_rng(0)
  dense = (random.random((num_users, 30)) < 0.3).astype(float)
  ridge = random.uniform(1, 3, 30)
  prior = random.normal(size=(30, 30))
  np.fill_diagonal(prior, 0)
  ours = lae.solve_around(
    scipy.sparse.csr_matrix(dense), ridge, prior.copy(), constrained=False
  )
  gram = dense.T @ dense
  expected = np.linalg.solve(
    gram + np.diag(ridge), gram + ridge[:, None] * prior
  )
  np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('num_users', [3, 20])
def test_dense_rows_are_stacked_under_those_of_users(num_users):
  x, ridge = make_x(num_users), ridge_vector()
  rows = np.random.default_rng(6).normal(size=(4, NUM_ITEMS))
  both = scipy.sparse.vstack([x, scipy.sparse.csr_matrix(rows)], format='csr')
  found = lae.solve(x, ridge, dtype=np.float64, stacked=rows)
  expected = lae.solve(both, ridge, dtype=np.float64)
  assert type(found) is type(expected)
  assert isinstance(found, lae.FactoredWeights) == (num_users == 3)
  histories = make_x(5, seed=9)
  np.testing.assert_allclose(
    lae.scores(histories, found),
    lae.scores(histories, expected),
    rtol=1e-9,
    atol=1e-10,
  )


def test_prior_alone_serves_a_catalogue_without_interactions():
  x = scipy.sparse.csr_matrix((0, NUM_ITEMS), dtype=np.float32)
  prior = make_prior()
  b0 = prior.left @ prior.right
  np.fill_diagonal(b0, 0)
  solved = lae.solve_dual(x, ridge_vector(), prior, np.float64)
  np.testing.assert_allclose(solved.dense(), b0, atol=1e-12)


def test_much_data_outweighs_the_prior():
  x = make_x(4000)
  ridge = np.full(NUM_ITEMS, 1.0)
  with_prior = lae.solve_primal(x, ridge, make_prior(), np.float64)
  without = lae.solve_primal(x, ridge, None, np.float64)
  assert np.abs(with_prior - without).max() < 0.02


def test_feature_prior_is_ease_on_features():
  features = np.random.default_rng(5).normal(size=(NUM_ITEMS, 7))
  p = np.linalg.inv(features @ features.T + 3 * np.eye(NUM_ITEMS))
  expected = -p / np.diag(p)
  np.fill_diagonal(expected, 0)
  prior = prior_lib.from_features(features, 3.0)
  product = prior.left @ prior.right
  np.fill_diagonal(product, 0)
  np.testing.assert_allclose(product, expected, atol=1e-10)


def test_l3ae_as_published():
  """B = l_E P C - P diag((1 + l_E diag(P C)) / diag P), arXiv 2508.13500."""
  x = make_x()
  l2_x, l2_e, l2_f = 3.0, 30.0, 2.0
  features = np.random.default_rng(6).normal(size=(NUM_ITEMS, 5))
  prior = prior_lib.from_features(features, l2_f, l2_e / (l2_x + l2_e))
  c = (prior.left @ prior.right) * (l2_x + l2_e) / l2_e
  np.fill_diagonal(c, 0)
  p = np.linalg.inv((x.T @ x).toarray() + (l2_x + l2_e) * np.eye(NUM_ITEMS))
  pc = l2_e * p @ c
  expected = pc - p * ((1 + np.diag(pc)) / np.diag(p))
  np.fill_diagonal(expected, 0)
  ridge = np.full(NUM_ITEMS, l2_x + l2_e)
  solved = lae.solve_dual(x, ridge, prior, np.float64).dense()
  np.testing.assert_allclose(solved, expected, rtol=1e-9, atol=1e-11)


def test_relaxed_and_unconstrained_ablations():
  x, l2 = make_x(), 3.0
  ridge = np.full(NUM_ITEMS, l2)
  p = lae.precision(x, ridge, np.float64)
  ease = lae.weights_from_precision(p.copy())
  nearly = lae.weights_from_precision(p.copy(), ridge=ridge, relax=1e-12)
  np.testing.assert_allclose(nearly, ease, atol=1e-10)
  loose = lae.weights_from_precision(p.copy(), ridge=ridge, relax=1.0)
  plain = lae.weights_from_precision(p.copy(), ridge=ridge, constrained=False)
  off = ~np.eye(NUM_ITEMS, dtype=bool)
  np.testing.assert_allclose(loose[off], plain[off], atol=1e-12)
  gram = (x.T @ x).toarray()
  expected = np.linalg.solve(gram + np.diag(ridge), gram)
  np.testing.assert_allclose(plain, expected, atol=1e-10)
  prior = prior_lib.from_features(np.eye(NUM_ITEMS, 4), 1.0)
  for ablation in ({'relax': 0.5}, {'constrained': False}):
    with pytest.raises(ValueError, match='cannot be combined with a prior'):
      lae.weights_from_precision(p, ridge=ridge, prior=prior, **ablation)


def test_untouched_items_get_no_weight_and_no_nan():
  x = make_x().tolil()
  x[:, 7] = 0
  ridge = np.full(NUM_ITEMS, 3.0)
  for solved in (
    lae.solve_primal(x.tocsr(), ridge),
    lae.solve_dual(x.tocsr(), ridge).dense(),
  ):
    assert np.isfinite(solved).all()
    np.testing.assert_allclose(solved[7], 0, atol=1e-7)
    np.testing.assert_allclose(solved[:, 7], 0, atol=1e-7)


def test_weights_are_not_symmetric_and_histories_multiply_from_the_left():
  x = make_x()
  weights = lae.solve_primal(x, np.full(NUM_ITEMS, 3.0), dtype=np.float64)
  assert np.abs(weights - weights.T).max() > 1e-3
  row = x[:1]
  np.testing.assert_allclose(
    lae.scores(row, weights)[0], weights.T @ row.toarray()[0], atol=1e-12
  )


def test_add_prior_dense_and_factored_agree():
  x, ridge, prior = make_x(), ridge_vector(), make_prior()
  dense = lae.solve_primal(x, ridge, dtype=np.float64)
  factored = lae.solve_dual(x, ridge, dtype=np.float64)
  np.testing.assert_allclose(
    prior_lib.add(factored, 0.3, prior).dense(),
    prior_lib.add(dense, 0.3, prior),
    atol=1e-10,
  )


def test_gram_in_blocks():
  x = make_x()
  np.testing.assert_array_equal(lae.gram(x, block=7), (x.T @ x).toarray())


@pytest.mark.parametrize('pairs', [1, 50, 2**20])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_the_gram_matrix_adds_as_a_sparse_product_does(
  monkeypatch, pairs, dtype
):
  """Bit for bit, for entries other than 1, and for empty rows and columns."""
  monkeypatch.setattr(lae, '_PAIRS', pairs)
  random = np.random.default_rng(0)
  x = random.normal(size=(40, 30)) * (random.random((40, 30)) < 0.3)
  x[5], x[:, 9] = 0, 0
  x = scipy.sparse.csr_matrix(x.astype(dtype))
  found = lae.gram(x, dtype, block=8)
  lower = np.tril((x.T.tocsr() @ x).toarray())
  np.testing.assert_array_equal(np.tril(found), lower)
  np.testing.assert_allclose(found, found.T, rtol=1e-6)


@pytest.mark.parametrize(('l2', 'dropout'), [(0, 0.0), (-1, 0.0), (1, 1.0)])
def test_bad_strengths_are_named(l2, dropout):
  with pytest.raises(ValueError, match=r'l2=|dropout='):
    lae.denoising_ridge(np.ones(3), l2, dropout)


def test_flops_grow_as_published():
  counts = np.full(5000, 10)
  primal = lae.solve_flops(counts, 1000)
  assert primal == pytest.approx(1000**3, rel=0.01)
  few = lae.solve_flops(counts[:5], 1000)
  assert few < primal / 1000
