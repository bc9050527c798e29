"""Catalogues on demand: the cut of data sets, the folds, and the tables."""

import numpy as np
import pytest

from experiments.catalogues import compare, tables
from hyperrec import features as features_lib
from hyperrec.regimes import new_domain
from hyperrec.systems.linear import l3ae
from tests import makers

CONFIG = l3ae.L3aeConfig(
  l2=20.0, l2_features=2.0, trust=0.8, sharpness=2.0, popularity=0.3
)


@pytest.fixture(scope='module')
def domains():
  return [
    makers.made_domain(name, seed, num_users=60, num_items=24)
    for seed, name in enumerate(('one', 'two'))
  ]


def test_folds_pay_for_every_trial(domains):
  views = features_lib.read(
    domains, 'tfidf+chars', cache_folder=None, num_features=8
  ).views
  base = (CONFIG, (1.0, 1.0))
  rows = [
    compare.chosen_by_folds(
      new_domain.make_task(domains[0], budget, 0, 12, (domains[1],)),
      views(domains[0]),
      base,
    )
    for budget in (0, 20)
  ]
  assert rows[0]['trials'] == 1
  assert rows[0]['tuning_operations'] == 0
  assert rows[1]['trials'] == 9
  assert rows[1]['tuning_operations'] > 8 * rows[1]['operations']
  of_text = rows[1]['tuning_operations_of_text']
  assert 8 * rows[1]['operations_of_text'] < of_text
  assert of_text < rows[1]['tuning_operations']


def test_a_prior_can_be_used_twice(domains):
  data = domains[0]
  x = data.take_users(np.arange(20))
  table = np.eye(24, dtype=np.float32)[:, :12]
  expected = l3ae.l3ae(lambda _: table, **vars(CONFIG)).fit(x, None).state
  prior = compare.feature_relation.relation(
    table, CONFIG.l2_features, CONFIG.trust, CONFIG.sharpness
  ).prior
  for _ in range(2):
    weights, _ = compare.solve(prior, CONFIG, x)
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def made_rows(gain):
  return [
    {
      'target': target,
      'budget': 5,
      'seed': seed,
      'method': method,
      'ndcg@100': level * (1 + gain * (method == 'generated')),
      'operations': 1e9,
      'operations_of_text': 6e8 * (method != 'generated'),
      'tuning_operations': 2e9 * (method == 'folds'),
      'tuning_operations_of_text': 1.5e9 * (method == 'folds'),
    }
    for target, level in (('one', 0.2), ('two', 0.4))
    for seed in (0, 1)
    for method in ('fixed', 'generated', 'shuffled', 'grid', 'folds')
  ]


def test_gains_are_those_of_pairs():
  rows = made_rows(0.1)
  found = tables.log_ratios(rows, 'generated')
  assert found == {
    place: pytest.approx(np.log(1.1)) for place in (('one', 5), ('two', 5))
  }
  assert '+10.0% [+10.0, +10.0]' in tables.pooled_table(rows)
  assert '| one | 0.200: +10.0%, +0.0% |' in tables.sets_table(rows)
  assert '| folds | 3.00 |' in tables.costs_table(rows)
  assert '| folds, again | 0.90 |' in tables.costs_table(rows)
  assert '| generated, again | 1.00 |' in tables.costs_table(rows)
