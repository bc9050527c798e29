"""Leaders, contests and break-even counts follow from the rows."""

import math

import numpy as np
import pytest

from experiments import arm_names
from experiments.adaptation.report import numbers, roles
from hyperrec.evaluation import results
from tests.experiments.report.rows import generated_rows, retrained, row, rows


def cells_of(some):
  (cells,) = results.by_task(some).values()
  return cells


def words_of(judged):
  return {(j.cell.method, j.cell.budget): j.word for j in judged}


def test_words_are_derived_from_the_rows():
  found = words_of(numbers.compare(cells_of(rows()), 'ease:retrain'))
  assert found['l3ae', 5] == 'win'
  assert found['popularity', 5] == 'loss'
  assert found['l3ae', 0] == found['ease', 5] == 'tie'
  assert not any('oracle' in method for method, _ in found)


def test_what_the_data_cannot_tell_is_not_called_a_tie():
  random = np.random.default_rng(0)
  a, b = (random.normal(0.3, 0.1, 40).tolist() for _ in range(2))
  some = [row('ease', 0.3, per_user=b), row('slim', 0.3, per_user=a)]
  found = numbers.compare(cells_of(some), 'ease')
  assert words_of(found) == {('slim', 5): 'unclear'}


def test_only_common_seeds_and_users_are_compared():
  some = [row('ease', 0.3, seed=0), row('slim', 0.5, seed=1)]
  (one,) = numbers.compare(cells_of(some), 'ease')
  assert one.word == 'untested'
  assert math.isnan(one.comparison.low)
  assert one.comparison.relative == pytest.approx(0.2 / 0.3, abs=0.02)
  fewer = row('knn', 0.5, per_user=[0.5, 0.6])
  (one,) = numbers.compare(cells_of([some[0], fewer]), 'ease')
  assert one.word == 'untested'


def test_many_comparisons_can_still_be_significant():
  some = [row('ease', 0.3)] + [row(f'm{i}', 0.4) for i in range(150)]
  found = numbers.compare(cells_of(some), 'ease')
  assert set(words_of(found).values()) == {'win'}


def test_a_baseline_that_finds_nothing():
  some = [row('a', 0, per_user=[0.0] * 9, metrics={'ndcg@100': 0.0})]
  some.append(row('b', 0, per_user=[0.1] * 9, metrics={'ndcg@100': 0.1}))
  (one,) = numbers.compare(cells_of(some), 'a')
  assert one.word == 'win'


def test_arms():
  (plain,) = cells_of([row('ease', 0.3)])
  assert not roles.is_retrained(plain)
  (bare,) = cells_of([retrained('ease', 0.3)])
  assert roles.is_retrained(bare)
  (other,) = cells_of([retrained('slim', 0.3)])
  assert not roles.is_retrained(other)
  assert arm_names.is_oracle('ease:retrain:oracle')
  assert roles.may_lead('ridge_map') and not roles.may_lead('random')
  assert roles.may_lead('p5:long') and not roles.may_lead('p5:other')
  cells = cells_of(generated_rows())
  assert 'hyperease:shuffled' in {c.method for c in roles.fair(cells)}
  assert {c.method for c in roles.asides(cells)} == {
    'hyperease:shuffled',
    'l3ae:oracle',
  }


def test_leaders_are_fair_arms():
  zero, five = numbers.leaders(cells_of(rows()))
  assert five.best.method == 'l3ae'
  assert five.level == []
  level = {one.cell.method for one in zero.level}
  assert {zero.best.method, *level} == {'ease', 'ease:retrain', 'l3ae'}
  order = [one.cell.quality for one in five.others]
  assert order == sorted(order, reverse=True)


def test_contests():
  found = numbers.analyse(cells_of(generated_rows()))
  against = {j.cell.budget: j.against.method for j in found.generated_others}
  assert against == {0: 'ease', 5: 'l3ae', 20: 'l3ae'}
  assert [j.word for j in found.generated_others] == ['win', 'tie', 'loss']
  assert [j.word for j in found.generated] == ['win', 'win', 'loss']
  assert {j.against.method for j in found.generated} == {'ease:retrain'}
  cheaper = {j.cell.budget: j.cell.method for j in found.cheaper}
  assert cheaper[0] == 'hyperease'
  assert cheaper[20] == 'l3ae'
  dear = [retrained('ease', 0.3), row('l3ae', 0.4, seconds=0.9)]
  assert numbers.analyse(cells_of(dear)).cheaper == []


def test_break_even_counts():
  dear = [row('dear', 0.3, 5, seed, seconds=9.0) for seed in range(3)]
  cells = cells_of([*rows(), *dear])
  names = numbers.baselines(cells)
  assert names == ['ease:retrain', 'l3ae']
  found = {(b.method, b.baseline): b for b in numbers.break_even(cells, names)}
  ease = found['ease', 'ease:retrain']
  assert ease.seconds == pytest.approx(1.0 / (0.5 - 0.001))
  assert ease.flops == pytest.approx(1e9 / (0.5e9 - 1e6))
  assert found['dear', 'ease:retrain'].seconds is None
  assert found['popularity', 'l3ae'].seconds == pytest.approx(1 / 0.01)
  assert ('ease:retrain', 'l3ae') not in found


def test_pareto_front_by_hand():
  costs, quality = [0, 1, 2, 2, 3], [0.1, 0.3, 0.2, 0.3, 0.4]
  front = numbers.pareto_front(costs, quality)
  assert front.tolist() == [True, True, False, False, True]


def test_who_leads_is_seen_on_the_seeds_that_all_share():
  some = [row('ease', 0.3 if seed < 3 else 0.5, 5, seed) for seed in range(5)]
  some += [row('l3ae', 0.35, 5, seed) for seed in range(3)]
  ((_, cells),) = results.by_task(some).items()
  (leader,) = numbers.leaders(cells)
  assert leader.best.method == 'l3ae'
  assert leader.others[0].comparison.relative < 0


def test_any_retrained_arm_is_full_retraining():
  some = [retrained('l3ae:retrain', 0.4), row('l3ae:kernel', 0.3)]
  ((_, cells),) = results.by_task(some).items()
  found = numbers.analyse(cells)
  assert found.cheaper[0].against.method == 'l3ae:retrain'
  assert found.cheaper[0].cell.method == 'l3ae:kernel'


def test_a_mean_over_fewer_and_easier_seeds_does_not_lead():
  some = [row('ease', 0.3 if seed else 0.5, 5, seed) for seed in range(3)]
  some.append(row('l3ae', 0.45, 5, 0))
  ((_, cells),) = results.by_task(some).items()
  (leader,) = numbers.leaders(cells)
  assert leader.best.method == 'ease'
  assert leader.others[0].comparison.relative < 0
