"""Ranking by sparse scores against a ranking of all scores."""

import numpy as np
import scipy.sparse

from hyperrec import sparse_ranking, top_k


def make(num_items=80, seed=0):
  random = np.random.default_rng(seed)
  weights = scipy.sparse.random(num_items, num_items, 0.2, 'csr', rng=random)
  weights.data = np.round(weights.data - 0.3, 1).astype(np.float32)
  x = scipy.sparse.random(50, num_items, 0.1, 'csr', np.float32, random)
  x.data[:] = 1
  return x, weights.tocsr()


def test_the_lists_are_those_of_all_scores():
  x, weights = make()
  order = np.random.default_rng(1).permutation(80)
  scores = (x @ weights).toarray()
  scores[x.nonzero()] = -np.inf
  for given in (None, order):
    want = top_k.places(scores, 5, given)
    values = np.take_along_axis(scores, want, axis=1)
    found = sparse_ranking.best(x, weights, 5, given)
    is_whole = (values > 0).all(axis=1)
    assert is_whole.sum() > 30
    np.testing.assert_array_equal(found.items[is_whole], want[is_whole])
    np.testing.assert_allclose(found.scores[is_whole], values[is_whole])


def test_only_positive_scores_of_unseen_items_are_listed():
  x, weights = make()
  found = sparse_ranking.best(x, weights, 80)
  scores = (x @ weights).toarray()
  for user, (items, values) in enumerate(zip(*found, strict=True)):
    listed = items[items >= 0]
    assert not np.isin(listed, x[user].indices).any()
    positive = np.flatnonzero(scores[user] > 0)
    assert set(listed) == set(positive) - set(x[user].indices)
    assert (values[items < 0] == 0).all()
    assert (values[: len(listed)] > 0).all()


def test_empty_histories_have_empty_lists():
  _, weights = make()
  found = sparse_ranking.best(scipy.sparse.csr_matrix((2, 80)), weights, 3)
  assert (found.items == -1).all()
