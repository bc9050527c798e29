"""How much an item taken up weighs: all where people choose, else nothing."""

import jax
import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.systems.pref import pref, taken_weight


def rated(share_of, num_users=250, num_items=60):
  """Ratings 1 to 5 of people with three tastes.

  Args:
    share_of: utility [U, V] -> the chance that it is rated.
    num_users: U.
    num_items: V.
  """
  random = np.random.default_rng(0)
  tastes, items = (
    random.normal(size=(count, 3)) for count in (num_users, num_items)
  )
  utility = tastes @ items.T + random.normal(0, 0.7, (num_users, num_items))
  users, chosen = np.nonzero(random.random(utility.shape) < share_of(utility))
  stars = np.clip(np.round(utility + 3), 1, 5)[users, chosen]
  return interactions.from_columns(users, chosen, rating=stars, name='rated')


def fit(data):
  model = pref.pref(rank=4, liked=4.0)
  return model.fit(data, jax.random.key(0)).state


def test_where_people_choose_what_they_would_like_it_weighs_all():
  def chosen(utility):
    return 0.25 / (1 + np.exp(-3 * (utility - 1)))

  assert fit(rated(chosen)).taken == 1


@pytest.mark.parametrize('share', [0.8, 1.0])
def test_where_all_is_rated_it_weighs_nothing(share):
  shared = fit(rated(lambda utility: share))
  assert shared.taken == 0
  _, pool = pref.make_pool(shared, 10)
  assert pool.taken_weight == 0


def test_another_weight_has_to_be_better_for_certain():
  losses = np.array([[1.0, 2.0, 3.0], [0.9, 2.05, 2.95]])
  assert taken_weight._best(losses) == 0
  assert taken_weight._best(losses - [[0], [0.5]]) == 1
  assert taken_weight._best(losses[:, :0]) == 0


def test_operations_grow_with_users():
  assert 0 < taken_weight.flops(10, 6) < taken_weight.flops(100, 6)
