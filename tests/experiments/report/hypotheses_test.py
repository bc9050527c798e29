"""The hypotheses, from made-up rows."""

import math

import pytest

from experiments.adaptation.report import hypotheses, tables
from hyperrec.evaluation import results
from tests.experiments.report.rows import generated_rows, row


def found(rows):
  return {one.name: one for one in hypotheses.findings(results.by_task(rows))}


def test_each_hypothesis_is_judged_by_its_cases():
  by_name = found(generated_rows())
  h1 = by_name['H1, ease']
  assert h1.verdict == 'holds in 2 of 3 cases'
  assert (h1.count('win'), h1.count('loss')) == (2, 1)
  assert h1.operations == pytest.approx(0.1 / 0.5)
  l3ae = by_name['H2, L3AE']
  assert [case.judged.word for case in l3ae.cases] == ['win', 'tie', 'loss']
  assert [flip[1:] for flip in hypotheses.flips(l3ae)] == [(0, 20)]
  assert l3ae.low < l3ae.effect < l3ae.high
  assert 'H2, PReF' not in by_name


def test_a_dearer_hypernetwork_is_no_cheaper_way():
  rows = generated_rows()
  for one in rows:
    if one['method'] == 'hyperease':
      one['adapt']['flops'] = 1e12
  h1 = found(rows)['H1, ease']
  assert h1.verdict == 'does not hold'
  assert (len(h1.cases), h1.misses) == (0, 3)
  assert math.isnan(h1.effect)


def test_the_zero_diagonal_is_held_against_its_ablation():
  rows = generated_rows()
  rows += [row('ease:unconstrained', 0.2, 5, seed) for seed in range(3)]
  h3 = found(rows)['H3, ease']
  assert h3.verdict == 'holds'
  assert h3.effect == pytest.approx(0.5, abs=0.05)


def test_standings_count_the_best_the_others_and_refusals():
  tasks = results.by_task(generated_rows())
  standing = hypotheses.standings(tasks)
  assert standing['slim']['new_users'] == {'cannot': 1}
  assert standing['hyperease']['new_users'] == {'best': 2, 'behind': 1}
  assert standing['l3ae']['new_users'] == {'behind': 1, 'best': 2}
  assert 'hyperease:shuffled' not in standing
  head, rows = tables.standings_table(tasks)
  assert head == ['method', 'New users']
  assert {row[0] for row in rows[:2]} == {'hyperease', 'l3ae'}
  _, (first, *_) = tables.hypotheses_table(tasks)
  assert first[0].startswith('H1, ease: at equal quality')
