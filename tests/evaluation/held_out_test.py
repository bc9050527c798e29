"""Tests of ranking for held-out users."""

import numpy as np

from hyperrec.evaluation import held_out
from hyperrec.regimes import new_items
from tests import makers


def test_several_rankings_score_each_user_once():
  task = new_items.make_task(makers.make_data(num_users=60), 0, 0, 20)
  calls = []

  def score(histories):
    calls.append(len(histories.items))
    draws = np.random.default_rng(0).random(histories.num_items)
    return histories.mask.sum(axis=1)[:, None] * draws[None]

  views = [task.test, *task.views.values()]
  assert len(views) > 1

  def ranked(scored):
    return [
      held_out.evaluate(
        score,
        view.histories,
        view.targets,
        metrics=('ndcg@5',),
        candidates=view.candidates,
        batch_size=8,
        scored=scored,
      )
      for view in views
    ]

  alone, calls[:] = ranked(None), []
  shared = ranked({})
  users = {user for found in alone for user in found.users}
  assert sum(calls) == len(users)
  for one, other in zip(alone, shared, strict=True):
    np.testing.assert_array_equal(one.users, other.users)
    np.testing.assert_array_equal(one.values['ndcg@5'], other.values['ndcg@5'])
