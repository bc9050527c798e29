"""The tree asks what tells users apart."""

import numpy as np

from hyperrec.systems.pref import interview_tree


def made():
  random = np.random.default_rng(0)
  users = np.repeat([[1.0, 0.0], [-1.0, 0.0]], 30, axis=0)
  ratings = random.integers(1, 6, (60, 4)).astype(float)
  ratings[:, 2] = 3 + users[:, 0]
  ratings[:, 3] = 3
  pairs = np.array([(0, 1), (0, 2), (2, 3)])
  return ratings, users, pairs


def test_the_first_question_is_the_one_that_tells_users_apart():
  ratings, users, pairs = made()
  tree = interview_tree.grow(ratings, users, pairs, np.eye(2), depth=3)
  assert tuple(tree.pairs[0]) == (2, 3)
  profiles = interview_tree.walk(tree, ratings, 3)
  assert profiles.shape == (60, 4, 2)
  np.testing.assert_allclose(profiles[:, 0], 0, atol=1e-12)
  assert (np.sign(profiles[:, 1, 0]) == users[:, 0]).all()
  # 30 users and 10 of the parent's mean, 0.
  np.testing.assert_allclose(profiles[0, 1], [0.75, 0])


def test_the_unknown_have_a_branch_and_leaves_keep_their_profile():
  ratings, users, pairs = made()
  tree = interview_tree.grow(ratings, users, pairs, np.eye(2), depth=1)
  unknown = interview_tree.walk(tree, np.full((1, 4), np.nan), 5)
  np.testing.assert_allclose(unknown, 0, atol=1e-12)
  profiles = interview_tree.walk(tree, ratings, 5)
  np.testing.assert_array_equal(profiles[:, 1], profiles[:, 5])


def test_answers():
  ratings = np.array([[3.0, 2.0, np.nan, 3.0]])
  pairs = np.array([(0, 1), (1, 0), (0, 2), (0, 3)])
  found = interview_tree.answers_to(ratings, pairs)
  np.testing.assert_array_equal(found, [[0, 1, 2, 2]])
