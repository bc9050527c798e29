"""Hidden items: who is kept from training, and how sure a gain is."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.sparse

from hyperrec.evaluation import ranking
from hyperrec.systems.hyperease import hidden_items
from tests.makers import made_domain

KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def data():
  return made_domain('some', 3, num_users=150, num_items=60)


def test_the_users_keep_what_is_not_hidden(data):
  x = data.csr()
  task = hidden_items.make_task(x, np.array([3, 8]), np.array([5]))
  dense = x.toarray()
  np.testing.assert_array_equal(task.targets, dense[:, [3, 8]])
  dense[:, [3, 5, 8]] = 0
  np.testing.assert_array_equal(task.histories, dense)


def test_items_and_users_are_kept_from_training(data):
  tasks = np.arange(0, data.num_items, 2)
  bare = dataclasses.replace(data, timestamps=None)
  for one, is_timed in ((bare, False), (data, True)):
    parts = hidden_items.divide(one, tasks, 0.25, KEY)
    again = hidden_items.divide(one, tasks, 0.25, jax.random.key(7))
    items = np.append(parts.items, parts.kept_items)
    assert sorted(items.tolist()) == tasks.tolist()
    assert abs(len(parts.stopping_items) - len(parts.judging_items)) <= 1
    users = [parts.users, parts.stopping_users, parts.judging_users]
    assert len(set(np.concatenate(users))) == sum(map(len, users))
    same = set(parts.kept_items) == set(again.kept_items)
    assert same == is_timed
  first = data.first_times()
  assert first[parts.kept_items].min() >= first[parts.items].max()


def judged(data, columns):
  parts = hidden_items.divide(data, np.arange(data.num_items), 0.3, KEY)
  return hidden_items.make_judge(
    data.csr(), columns, parts.judging_items, parts.judging_users
  )


def test_the_change_is_that_of_ndcg(data):
  random = np.random.default_rng(0)
  size = data.num_items
  before, after = random.normal(size=(2, size, size)).astype(np.float32)
  # Ties count against the targets.
  after[:, 5:9] = 0
  judge = judged(data, before)
  items = judge.task.items
  change = judge.change(after[:, items])

  def ndcg(columns):
    scores = judge.task.histories @ columns[:, items]
    return ranking.evaluate(
      lambda users: scores[users],
      scipy.sparse.csr_matrix(scores.shape, dtype=np.float32),
      scipy.sparse.csr_matrix(judge.task.targets),
      metrics=('ndcg@100',),
    ).values['ndcg@100']

  expected = ndcg(after) - ndcg(before)
  np.testing.assert_allclose(change.of_users[judge.users], expected, atol=1e-6)
  np.testing.assert_allclose(change.of_items.sum(), expected.sum(), atol=1e-5)
  np.testing.assert_allclose(
    hidden_items.gain([change])[0], expected.mean(), atol=1e-6
  )


def test_users_and_items_are_a_sample():
  """Ten users gain alike, by five items or all by one, which is the doubt."""
  of_users = np.full(10, 0.1)
  many = hidden_items.Change(of_users, np.full(5, 0.2), 10)
  one = hidden_items.Change(of_users, np.array([1.0, 0, 0, 0, 0]), 10)
  of_many, of_one = np.sqrt(0.1 + 0.2), np.sqrt(0.1 + 1.0)
  np.testing.assert_allclose(hidden_items.gain([many]), [0.1, of_many / 10])
  np.testing.assert_allclose(hidden_items.gain([one]), [0.1, of_one / 10])
  both = hidden_items.gain([one, one])
  np.testing.assert_allclose(both, [0.1, of_one / 10])
  assert hidden_items.gain([]) == (0.0, 0.0)
