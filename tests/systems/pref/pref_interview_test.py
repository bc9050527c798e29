"""Interviewed users: their answers, and what they are made of."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.regimes import new_users
from hyperrec.systems.pref import pref_interview
from tests import makers

KEY = jax.random.key(0)
SMALL = {'rank': 2, 'rounds': 2, 'num_pool': 12}


def interviews(num_questions, **changed):
  return adapting.generated(
    pref_interview.pref_interview(
      num_questions=num_questions, **{**SMALL, **changed}
    )
  )


@pytest.fixture(scope='module')
def data():
  random = np.random.default_rng(0)
  items_VxJ, users_UxJ = (
    random.normal(size=(30, 2)),
    random.normal(size=(90, 2)),
  )
  utility = users_UxJ @ items_VxJ.T
  users, items = np.nonzero(random.random(utility.shape) < 0.6)
  values = np.clip(np.round(2 * utility[users, items]) / 2 + 3, 0.5, 5)
  return interactions.from_columns(users, items, rating=values, name='rated')


@pytest.fixture(scope='module')
def interviewed(data):
  task = new_users.make_task(data, 6, 0, 20)
  judged = new_users.interviewed(task.test)
  method = interviews(6)
  shared = method.prepare(task.source, KEY).state
  return task, judged, method, shared


def test_answers_come_from_what_is_masked_and_never_from_targets(interviewed):
  task, judged, _, _ = interviewed
  assert len(judged.histories) == 0
  assert judged.targets is task.test.targets
  answers, targets = judged.evidence.csr(), judged.targets.csr()
  assert answers.multiply(targets).nnz == 0
  assert answers.nnz == judged.seen.csr().nnz


def test_a_user_is_scored_by_her_own_answers(interviewed):
  _, judged, method, shared = interviewed
  adapted, cost = method.adapt(shared, judged.evidence, KEY)
  assert adapted.coefficients.shape == (20, shared.state.choice.shape[1])
  users = np.array([1, 4, 1])
  histories = method_lib.Histories.of(judged.histories, users)
  scores = method.score(adapted, histories)
  np.testing.assert_array_equal(scores[0], scores[2])
  assert np.abs(scores[0] - scores[1]).max() > 1e-3
  assert cost.per_user > 0
  fewer = interviews(3).adapt(shared, judged.evidence, KEY).cost
  assert 0 < fewer.per_user < cost.per_user
  # An interview is of one user, however many there are.
  alone = judged.evidence.take_users([0])
  assert method.adapt(shared, alone, KEY).cost == cost


def test_no_questions_leave_the_prior(interviewed):
  _, judged, _, shared = interviewed
  adapted, cost = interviews(0).adapt(shared, judged.evidence, KEY)
  want = np.broadcast_to(shared.state.prior.mean, adapted.coefficients.shape)
  np.testing.assert_allclose(adapted.coefficients, want, rtol=1e-6)
  assert cost == method_lib.Cost()


def test_without_ratings_nobody_can_answer():
  data = makers.make_data()
  assert data.ratings is None
  method = interviews(2)
  shared = method.prepare(data, KEY).state
  with pytest.raises(method_lib.CannotServe, match='has none'):
    method.adapt(shared, data, KEY)


@pytest.mark.parametrize('share', [0.8, 1.0])
def test_where_everybody_rates_most_items_asking_helps(share):
  random = np.random.default_rng(1)
  taste, items = random.normal(size=(300, 3)), random.normal(size=(40, 3))
  utility = taste @ items.T + random.normal(0, 0.5, (300, 40))
  stars = np.clip(np.round(utility + 3), 1, 5)
  users, rated = np.nonzero(random.random(stars.shape) < share)
  data = interactions.from_columns(
    users, rated, rating=stars[users, rated], name='dense'
  )
  train, test = (
    data.take_users(part) for part in np.split(np.arange(300), [220])
  )
  found = []
  for count in (0, 5, 20):
    method = adapting.generated(
      pref_interview.pref_interview(
        num_questions=count, num_pool=40, rank=4, liked=4.0
      )
    )
    shared = method.prepare(train, KEY).state
    adapted = method.adapt(shared, test, KEY).state
    histories = method_lib.Histories.of(test, np.arange(80))
    scores = method.score(adapted, histories)
    # How much better liked items are scored than others, of each user.
    is_liked = stars[220:] >= 4
    spread = scores.std(axis=1) + 1e-9
    gap = [
      row[liked].mean() - row[~liked].mean()
      for row, liked in zip(scores, is_liked, strict=True)
    ]
    found.append(np.mean(gap / spread))
  assert found[0] + 0.1 < found[1]
  assert found[1] + 0.1 < found[2]
