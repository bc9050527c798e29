"""Pairs made of ratings: who comes first, and what they share."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.pref import preference_pairs


@pytest.fixture
def ratings():
  random = np.random.default_rng(0)
  dense = random.integers(1, 6, (12, 30)) * (random.random((12, 30)) < 0.5)
  dense[0] = 0
  dense[1] = np.where(np.arange(30) < 2, 3, 0)
  return scipy.sparse.csr_matrix(dense.astype(np.float32))


def check_order(dense, made, liked=None):
  for user, place in zip(*np.nonzero(made.weights), strict=True):
    first, other = made.pairs[user, place]
    if dense[user, other] == 0:
      assert dense[user, first] >= liked
    else:
      assert dense[user, first] > dense[user, other]


def test_the_preferred_item_comes_first(ratings):
  made = preference_pairs.draw(
    ratings,
    per_user=40,
    unseen_share=0.5,
    liked=4.0,
    rng=np.random.default_rng(1),
  )
  check_order(ratings.toarray(), made, 4.0)
  assert (made.weights[:2] == 0).all()
  assert (made.weights[2:].sum(axis=1) > 10).all()


def test_disjoint_pairs_share_no_rated_item(ratings):
  rated, unseen = preference_pairs.draw_disjoint(
    ratings, liked=4.0, most=20, rng=np.random.default_rng(1)
  )
  dense = ratings.toarray()
  check_order(dense, rated)
  check_order(dense, unseen, 4.0)
  for user in range(2, 12):
    items = rated.pairs[user][rated.weights[user] > 0].ravel()
    assert len(np.unique(items)) == len(items)
    liked = unseen.pairs[user][unseen.weights[user] > 0][:, 0]
    assert len(np.unique(liked)) == len(liked)
  assert (unseen.pairs[unseen.weights > 0][:, 0] >= 0).all()


def test_no_more_than_asked_for(ratings):
  rated, unseen = preference_pairs.draw_disjoint(
    ratings, liked=1.0, most=2, rng=np.random.default_rng(1)
  )
  assert rated.weights.shape == unseen.weights.shape == (12, 2)


def test_answers_are_differences(ratings):
  rated, _ = preference_pairs.draw_disjoint(
    ratings, liked=4.0, most=3, rng=np.random.default_rng(1)
  )
  features = jnp.asarray(np.random.default_rng(2).normal(size=(30, 4)))
  answers = preference_pairs.as_answers(features, rated)
  first, other = rated.pairs[5, 1]
  np.testing.assert_allclose(
    answers.differences[5, 1], features[first] - features[other], rtol=1e-6
  )
  assert (answers.is_first == 1).all()


def test_a_like_is_set_against_any_item_that_is_not_liked(ratings):
  dense = ratings.toarray()
  # Everybody has rated everything: there is nothing else to be set against.
  full = scipy.sparse.csr_matrix(np.where(dense == 0, 1.0, dense))
  for against_rated in (True, False):
    _, others = preference_pairs.draw_disjoint(
      full,
      liked=4.0,
      most=20,
      rng=np.random.default_rng(1),
      against_rated=against_rated,
    )
    if not against_rated:
      assert others.weights.sum() == 0
      continue
    assert others.weights.sum() > 30
    for user, place in zip(*np.nonzero(others.weights), strict=True):
      first, other = full[user].toarray()[0, others.pairs[user, place]]
      assert first >= 4 > other


def test_a_stored_0_is_a_rating():
  parts = np.array([0.0, 5.0, 0.0]), np.array([0, 2, 1]), np.array([0, 2, 3])
  ratings = scipy.sparse.csr_matrix(parts, (2, 3))
  known = preference_pairs.known(ratings)
  np.testing.assert_array_equal(known, [[0, np.nan, 5], [np.nan, 0, np.nan]])
  likes = preference_pairs.likes_of(ratings, -1.0)
  np.testing.assert_array_equal(likes.toarray(), [[1, 0, 1], [0, 1, 0]])
  assert preference_pairs.likes_of(ratings, 1.0).nnz == 1
  first, other = preference_pairs.halves(ratings, np.random.default_rng(0))
  assert first.nnz + other.nnz == 3


def test_unasked_pairs_are_of_the_hidden_half(ratings):
  rng = np.random.default_rng(1)
  asked, hidden = preference_pairs.halves(ratings, rng)
  made = preference_pairs.draw_unasked(
    ratings, asked, hidden, liked=4.0, most=30, rng=rng
  )
  asked, hidden, dense = asked.toarray(), hidden.toarray(), ratings.toarray()
  assert made.weights.sum() > 10
  for user, place in zip(*np.nonzero(made.weights), strict=True):
    first, other = made.pairs[user, place]
    assert hidden[user, first] >= 4
    assert asked[user, other] == 0
    assert dense[user, other] < 4
