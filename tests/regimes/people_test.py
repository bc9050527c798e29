"""Which users are judged: fixed ones and drawn ones."""

import numpy as np
import pytest

from hyperrec import regimes
from hyperrec.data import sources
from hyperrec.regimes import people
from tests import makers


def ids(part) -> set:
  return set(part.histories.user_ids.tolist())


def test_only_the_test_users_depend_on_the_seed():
  data = makers.make_data(num_users=60, num_items=20)
  drawn = [people.drawn(data, seed, 12, 10) for seed in range(6)]
  for one in drawn:
    everybody = np.concatenate(one)
    assert sorted(everybody) == list(range(60))
    assert (len(one.validation), len(one.test)) == (10, 12)
    np.testing.assert_array_equal(one.validation, drawn[0].validation)
  assert len({tuple(one.test) for one in drawn}) == 6


def test_no_test_draws_the_users_of_rehearsals():
  data = makers.make_data(num_users=60, num_items=20)
  first = set(people.fixed_order(data)[: 10 + 60 // 4])
  for seed in range(6):
    assert not first & set(people.drawn(data, seed, 12, 10).test)


def test_the_order_does_not_depend_on_other_users():
  data = makers.make_data(num_users=60, num_items=20)
  some = np.arange(0, 60, 3)
  whole = people.fixed_order(data)
  np.testing.assert_array_equal(
    people.fixed_order(data, some), whole[np.isin(whole, some)]
  )


def test_without_enough_users_none_is_reserved():
  data = makers.make_data(num_users=20, num_items=20)
  drawn = people.drawn(data, 0, 9, 9)
  assert len(drawn.test) == 9
  assert len(drawn.train) == 2


@pytest.mark.parametrize(
  ('regime', 'budget'), [('new_users', 5), ('new_items', 1),
                         ('new_catalogue', 20), ('drift', 1)]
)  # fmt: skip
def test_on_real_data_nobody_of_a_rehearsal_is_in_a_test_of_any_seed(
  regime, budget
):
  data = sources.load('movielens_small', min_rating=4)
  tasks = [
    regimes.find(regime).make_task(data, budget, seed, 100) for seed in range(5)
  ]
  tested = set.union(*(ids(task.test) for task in tasks))
  tuned_on = set.union(*(ids(task.validation) for task in tasks))
  for seed, task in enumerate(tasks):
    for inner in regimes.rehearsals(task, seed):
      tuned_on |= ids(inner.test)
  assert len(tuned_on) > 20
  assert not tested & tuned_on
