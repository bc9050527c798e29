"""One recommendation for each case: the cheapest that is nearly as good."""

import numpy as np
import pytest

from experiments.recommend import advice, cases
from hyperrec.evaluation import results

CASE = cases.Case(
  'new_users', 'New users', 'shown items', (0, 1, 5),
  ('popularity', 'ease', 'cease', 'mult_vae'),
)  # fmt: skip
# Operations of preparing, from cheap to dear.
COST = {'popularity': 1.0, 'ease': 10.0, 'cease': 100.0, 'mult_vae': 1000.0}


def row(method, budget, values=None, cannot=None):
  made = {
    'dataset': 'made', 'regime': 'new_users', 'budget': budget,
    'method': method, 'seed': 0,
  }  # fmt: skip
  if cannot:
    return {**made, 'cannot': cannot}
  cost = {'seconds': 1.0, 'flops': COST[method], 'stored_bytes': 0.0}
  cost |= {'compile_seconds': 0.0, 'peak_bytes': 0.0}
  return {
    **made,
    'metrics': {'ndcg@100': float(np.mean(values))},
    'per_user': list(values),
    'prepare': cost,
    'adapt': {**cost, 'flops': 0.0},
  }


def advised(*rows):
  (cells,) = results.by_task(rows).values()
  return advice.advise(CASE, cells)


def values(mean, spread=0.01, seed=0, users=100):
  return mean + spread * np.random.default_rng(seed).standard_normal(users)


def three(ease, cease, mult_vae):
  """Rows of three methods and popularity at two budgets."""
  low = values(0.1, users=len(ease))
  made = [row('popularity', budget, low) for budget in (0, 1, 5)]
  for budget in (1, 5):
    made.append(row('ease', budget, ease))
    made.append(row('cease', budget, cease))
    made.append(row('mult_vae', budget, mult_vae))
  return advised(*made)


def test_a_clearly_better_method_is_recommended_although_it_is_dear():
  found = three(values(0.2), values(0.3, seed=1), values(0.4, seed=2))
  assert found.use.method == 'mult_vae'
  assert [rank.method for rank in found.ranks][-1] == 'popularity'
  assert found.over_popularity.relative == pytest.approx(3, rel=0.05)
  assert found.over_cheaper[0] == 'cease'
  assert found.over_cheaper[1].low > 0
  assert found.not_better == ()


def test_the_cheaper_of_two_that_are_not_told_apart_is_recommended():
  noise = values(0.0, spread=0.05, seed=3)
  found = three(values(0.3), values(0.3) + 0.002 + noise, values(0.2))
  assert found.use.method == 'ease'
  text = ' '.join(advice.sentences(found))
  assert 'use ease.' in text
  if found.not_better:
    assert 'cease ranks' in text
    assert 'take the cheaper' in text


def test_a_much_worse_method_is_not_recommended_though_users_are_few():
  few = values(0.3, spread=0.2, users=6)
  found = three(few - 0.1, few, few - 0.1)
  assert found.use.method == 'cease'


def test_budgets_that_one_method_or_none_serves_are_told():
  rows = [row('popularity', 0, values(0.1))]
  rows += [
    row(method, 1, values(quality))
    for method, quality in (('ease', 0.2), ('cease', 0.1), ('mult_vae', 0.1))
  ]
  rows += [row(m, 5, cannot='it knows nothing') for m in ('ease', 'cease')]
  found = advised(*rows)
  assert found.budgets == (1,)
  assert found.others == {0: ('popularity',)}
  assert found.unserved == {5: 'it knows nothing'}
  text = ' '.join(advice.sentences(found))
  assert 'With 0 shown items, only popularity serves.' in text
  assert 'With 5 shown items, no method' in text
  assert 'it knows nothing' in text


def test_where_nothing_ran_nothing_is_recommended():
  found = advice.advise(CASE, ())
  assert found.use is None
  assert advice.sentences(found)[0] == 'New users: nothing can be recommended.'


def test_a_difference_that_chance_explains_says_so():
  noise = values(0.0, spread=0.3, seed=4)
  made = [row('popularity', 1, values(0.3)), row('ease', 1, values(0.31))]
  made += [row('mult_vae', 1, values(0.36) + noise)]
  found = advised(*made)
  for one in (
    found.over_popularity,
    found.over_cheaper and found.over_cheaper[1],
  ):
    if one is not None and one.low < 0 < one.high:
      assert 'could be chance' in advice.sentences(found)[0]


@pytest.mark.parametrize(
  ('relative', 'low', 'high', 'text'),
  [
    (0.12, 0.03, 0.21, '12.0% [3.0%, 21.0%] better'),
    (-0.12, -0.21, 0.03, '12.0% [-3.0%, 21.0%] worse'),
    (692.0, 633.0, 751.0, 'more than 10 times better'),
  ],
)
def test_a_difference_is_said_with_its_interval(relative, low, high, text):
  one = advice.Comparison(0.0, relative, low, high, 0.01)
  assert advice.percent(one) == text
