"""The tables of the hypernetwork experiment, from made-up rows."""

import numpy as np
import pytest

from experiments.adaptation.report import figures
from experiments.hypernetwork import tables


def row(dataset, method, budget, seed, quality):
  users = np.random.default_rng(seed).uniform(0.5, 1.5, 40)
  return {
    'regime': 'new_catalogue',
    'dataset': dataset,
    'method': method,
    'budget': budget,
    'seed': seed,
    'metrics': {'ndcg@100': quality, 'recall@20': quality},
    'per_user': (quality * users / users.mean()).tolist(),
    'prepare': {'flops': 10.0},
    'adapt': {'flops': 100.0},
    'commit': 'abc',
  }


@pytest.fixture
def rows():
  made = [
    row(dataset, method, budget, seed, quality * (1 + seed))
    for dataset, gain in (('one', 1.21), ('two', 1.0))
    for method, quality in (('l3ae', 0.2), ('hyperease', 0.2 * gain))
    for budget in (0, 5)
    for seed in (0, 1)
  ]
  made.append({**row('one', 'ease', 0, 0, 0.1), 'cannot': 'no evidence'})
  made.append(row('one', 'ease', 5, 0, 0.1))
  return made


def test_ratios_are_of_the_same_seeds(rows):
  entries = {
    (e['dataset'], e['budget'], e['method']): e for e in tables.summary(rows)
  }
  ours = entries['one', 5, 'hyperease']
  assert ours['seeds'] == [0, 1]
  ratio, low, high = ours['ratios']['l3ae']
  assert ratio == pytest.approx(1.21, abs=1e-3)
  assert low <= ratio <= high
  assert ours['ratios']['ease'][0] == pytest.approx(2.42, abs=1e-3)
  assert ('one', 0, 'ease') not in entries
  assert 'ease' not in entries['one', 0, 'hyperease']['ratios']


def test_goals_are_judged_on_the_mean_over_settings(rows):
  table = tables.goals_table(tables.summary(rows))
  assert (
    '| New catalogue | l3ae | mean of 2 | **1.100** (goal 1.05 met)' in table
  )
  assert '1.000 (two)' in table
  worse = [
    {**r, 'per_user': [v * 0.8 for v in r['per_user']]}
    if r['method'] == 'hyperease'
    else r
    for r in rows
  ]
  assert '(goal 1.05 missed)' in tables.goals_table(tables.summary(worse))


def test_every_setting_and_arm_has_its_line(rows):
  entries = tables.summary(rows)
  assert '| New catalogue | two | 2 | 0.300: 1.000' in (
    tables.settings_table(entries)
  )
  arms = tables.arms_table(entries)
  assert '| New catalogue | ease | 1 |  | 0.500 | 1.0e+02 |' in arms
  assert 'l3ae |' not in arms


def test_the_picture_names_its_lines(rows):
  svg = figures.svg(tables.figure(tables.summary(rows)))
  for text in ('one', 'two', 'mean', 'users of evidence', 'New catalogue'):
    assert text in svg


def test_added_runs_replace_what_has_fewer_seeds(rows):
  old = tables.summary(rows)
  new = tables.summary([row for row in rows if row['seed'] == 0])
  assert tables.merged(old, new) == tables.merged(old, [])
  assert tables.merged(new, old) == tables.merged(old, [])
  assert len(tables.merged(old, [{**old[0], 'dataset': 'other'}])) == (
    len(old) + 1
  )


def test_the_cost_of_generating_is_told_with_its_goal():
  rows = [{'system': 'ease', 'what': 'adapt', 'batch': 0, 'flops': 2e9,
           'seconds': 1.5, 'stored_bytes': None}]  # fmt: skip
  summary = {'flops_ratio': 125.0, 'goal': '>= 100', 'is_met': True,
             'seconds_ratio': 24.0, 'bytes_ratio': 7.8,
             'break_even_flops': 0.02}  # fmt: skip
  told = tables.cost_table({'rows': rows, 'summary': summary})
  assert '| ease | adapt |  | 2 GFLOP | 1.5 s |  |' in told
  assert '125 times the operations' in told
  assert 'goal >= 100 met' in told
  assert 'pays for itself after 1 adaptation.' in told
