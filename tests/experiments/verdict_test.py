"""The matrix of the verdict, how it is run, and what follows from rows."""

import itertools
import math

import numpy as np
import pytest

from experiments import arm_names, catalogue, pooled
from experiments.adaptation.report import figures as report_figures
from experiments.verdict import (
  analysis,
  details,
  figures,
  matrix,
  stored,
  words,
)
from experiments.verdict import cells as cells_lib
from hyperrec import regimes
from hyperrec.evaluation import results, significance
from tests.experiments import commands


def test_every_method_of_the_matrix_runs_in_its_regime():
  for regime, part in matrix.PARTS.items():
    regimes.find(regime)
    for name in [*part.methods, *part.further]:
      method = arm_names.plain(name)
      assert regime in catalogue.BY_NAME[method].arms, (regime, method)
    roles = {catalogue.BY_NAME[method].role for method in part.methods}
    assert 'rival' in roles
    assert roles & {'trained generator', 'transferred prior'}
    assert roles & {'ablation', 'control'}


def test_every_regime_has_untouched_sets_where_there_are_some():
  for regime, part in matrix.PARTS.items():
    assert set(part.sets) <= set(matrix.SETS)
    roles = {matrix.SETS[name].role for name in part.sets}
    assert roles == {'development', 'untouched'} or regime == 'drift'


def test_no_target_is_among_its_sources():
  for data in matrix.PARTS['new_domain'].sets:
    (domains,) = (
      flag.removeprefix('--domains=').split(',')
      for flag in matrix.flags_of('new_domain', data, ['ease'])
      if flag.startswith('--domains=')
    )
    assert data not in domains
    assert len(domains) >= 3
    assert {matrix.SETS[name].role for name in domains} == {'development'}


def test_a_run_is_one_regime_and_data_set():
  flags = matrix.flags_of('new_items', 'office', ['marec', 'cease'])
  assert '--methods=marec,cease' in flags
  assert '--source=office' in flags
  assert '--item_budgets=0,1,5,20' in flags
  assert matrix.asked(['drift:online_retail']) == [('drift', 'online_retail')]
  assert len(matrix.asked([])) == sum(
    len(part.sets) for part in matrix.PARTS.values()
  )


def test_methods_that_the_verdict_does_not_choose_from_have_fewer_seeds():
  part = matrix.PARTS['new_items']
  whole = [
    (list(part.methods), matrix.SEEDS),
    (list(part.further), matrix.FURTHER_SEEDS),
  ]
  assert matrix.runs('new_items') == whole
  assert matrix.runs('new_items', ['marec', 'random'], 4) == [
    (['marec'], 4),
    (['random'], 3),
  ]


def test_an_oracle_arm_runs_by_a_flag():
  flags = matrix.flags_of('new_domain', 'office', ['l3ae:kernel:oracle'])
  assert '--methods=l3ae:kernel' in flags
  assert '--oracle' in flags
  assert '--nooracle' in matrix.flags_of('new_domain', 'office', ['marec'])
  asked = ['marec', 'p5:long', 'l3ae:kernel:oracle']
  assert matrix.runs('new_catalogue', asked, 3) == [([a], 3) for a in asked]


def test_an_oracle_arm_is_held_against_its_fair_arm():
  rows = [
    row(method, 'office', 0, [value], regime='new_domain')
    for method, value in (('l3ae:kernel', 0.2), ('l3ae:kernel:oracle', 0.25))
  ]
  (found,) = details.oracles(rows)
  assert found[:4] == ('new_domain', 'l3ae:kernel', 'office', 1)
  assert found.ratio == pytest.approx(1.25)


def test_committed_rows_were_tuned_over_the_grids_of_today():
  strangers = {
    (row['regime'], row['dataset'], row['method'])
    for row in stored.every_row()
    if 'cannot' not in row and row['hyperparameters'] not in first_trials(row)
  }
  assert not strangers


def first_trials(row):
  method = arm_names.plain(row['method'])
  arm = catalogue.BY_NAME[method].arms[row['regime']]
  return [dict(trial) for trial in arm.trials[: matrix.TRIALS]]


def test_what_is_not_in_the_matrix_is_refused():
  done = commands.run(
    None, '--only=new_items:nowhere', module='experiments.verdict.run'
  )
  assert done.returncode
  assert '--only=new_items:nowhere is unknown' in done.stderr
  assert 'Traceback' not in done.stderr
  with pytest.raises(ValueError, match='none of them is in new_items'):
    matrix.runs('new_items', ['sasrec'])


def row(method, dataset, seed, values, *, budget=1, regime='new_items', **more):
  """A row of the matrix; more operations are those of its adaptation."""
  flops = more.pop('flops', 10.0)
  return {
    'dataset': dataset,
    'regime': regime,
    'budget': budget,
    'method': method,
    'seed': seed,
    'metrics': {'ndcg@100': float(np.mean(values))},
    'per_user': list(values),
    'people': [f'u{seed * 7 + n}' for n in range(len(values))],
    'prepare': {'flops': 0.0},
    'adapt': {'flops': flops, 'state_bytes': more.pop('state_bytes', 400)},
    'tuning': {'flops': 0.0, 'flops_of_evidence': 0.0},
    'validation': float(np.mean(values)),
    'at_edge': [],
    **more,
  }


def made_rows(gains, *, regime='new_items'):
  """All rows of a regime; its trained generator gains as told on each set."""
  random = np.random.default_rng(0)
  part = matrix.PARTS[regime]
  found = []
  for name, gain in zip(part.sets, gains, strict=False):
    for seed in range(matrix.SEEDS):
      base = random.uniform(0.2, 0.4, 60)
      for budget in part.budgets:
        for method in part.methods:
          scale = 1 - 0.01 * part.methods.index(method) / len(part.methods)
          if method == 'hyperease_item_trained':
            scale = gain
          flops = 1000.0 if ':retrain' in method else 10.0
          values = base * scale
          found.append(
            row(method, name, seed, values, budget=budget, flops=flops)
          )
  return found


def test_a_seed_with_a_hole_does_not_count():
  rows = made_rows([1.1] * 4)
  first = rows[0]['dataset']
  of_first = lambda sets: sets['new_items', first][0]['marec']  # noqa: E731
  whole = cells_lib.complete(cells_lib.by_set(rows))
  assert len(whole) == 4
  assert len(of_first(whole)) == matrix.SEEDS
  rows = [
    one
    for one in rows
    if (one['dataset'], one['method'], one['budget'], one['seed'])
    != (first, 'cease', 20, 3)
  ]
  sets = cells_lib.by_set(rows)
  there = cells_lib.progress(sets)['new_items', first]
  assert there.rows == there.planned - 1
  assert there.seeds == {0, 1, 2, 4}
  assert [one['seed'] for one in of_first(cells_lib.complete(sets))] == [
    0, 1, 2, 4
  ]  # fmt: skip


def test_a_data_set_with_few_seeds_does_not_count():
  rows = made_rows([1.1] * 4)
  few = [
    one for one in rows if one['dataset'] != rows[0]['dataset']
    or one['seed'] < matrix.FEWEST_SEEDS - 1
  ]  # fmt: skip
  sets = cells_lib.complete(cells_lib.by_set(few))
  assert len(sets) == 3
  assert ('new_items', rows[0]['dataset']) not in sets
  sets = cells_lib.complete(cells_lib.by_set([]))
  assert sets == {}


def test_an_experiment_has_whole_methods_on_the_same_seeds(monkeypatch):
  part = matrix.PARTS['new_items']
  rows = made_rows([1.1] * 3)
  rows += [
    row(method, name, seed, [0.2, 0.3], budget=budget)
    for name in part.sets[:3]
    for seed in range(matrix.FURTHER_SEEDS)
    for budget in part.budgets
    for method in part.further
  ]
  # The last further method lacks a row on the third set.
  del rows[-1]
  # A method of the verdict lacks one on the first set.
  del rows[0]
  monkeypatch.setattr(pooled, 'read', lambda folder: rows)
  found = stored.of_experiment('new_items')
  assert {one['dataset'] for one in found} == set(part.sets[1:3])
  for name, missing in zip(part.sets[1:3], (0, 1), strict=True):
    methods = [*part.methods, *part.further]
    cells = {
      (one['method'], one['budget'], one['seed'])
      for one in found
      if one['dataset'] == name
    }
    assert cells == set(
      itertools.product(
        methods[: len(methods) - missing],
        part.budgets,
        range(matrix.FURTHER_SEEDS),
      )
    )


def judged(rows):
  """The claims of rows, corrected, by what is held against what."""
  whole = cells_lib.complete(cells_lib.by_set(rows))
  claims = analysis.corrected(analysis.family(whole))
  return {(claim.ours, claim.other): claim for claim in claims}


def test_a_gain_on_all_sets_is_found_and_its_rival_chosen_on_validation():
  told = judged(made_rows([1.1, 1.12, 1.09, 1.1]))
  trained = told[analysis.TRAINED, analysis.CHEAPER]
  assert trained.word == 'better'
  assert 1.08 < trained.pooled.low < trained.pooled.high < 1.13
  assert {one.other for one in trained.effects} == {'content_knn'}
  retrained = told[analysis.TRAINED, analysis.RETRAINING]
  assert {one.other for one in retrained.effects} == {'ease:retrain'}
  assert {one.cost for one in retrained.effects} == {0.01}
  assert words.times([0.01, 0.01]) == '1/100'


def test_a_rival_that_only_validation_prefers_does_not_make_a_gain():
  rows = made_rows([1.001, 1.0, 1.002, 1.001])
  for one in rows:
    if one['method'] == 'vqrec_lookup':
      one['validation'] = 0.9
      one['per_user'] = (0.8 * np.array(one['per_user'])).tolist()
      one['metrics'] = {'ndcg@100': float(np.mean(one['per_user']))}
  claim = judged(rows)[analysis.TRAINED, analysis.CHEAPER]
  assert {one.other for one in claim.effects} == {'vqrec_lookup'}
  assert claim.pooled.low > 1.1
  assert claim.strict.high < 1.01
  assert claim.word == 'no worse'


def test_to_be_as_good_is_no_worse_and_a_loss_is_worse():
  told = judged(made_rows([1.0, 1.001, 1.0, 1.001]))
  assert told[analysis.TRAINED, analysis.CHEAPER].word == 'no worse'
  told = judged(made_rows([0.8, 0.82, 0.79, 0.8]))
  assert told[analysis.TRAINED, analysis.CHEAPER].word == 'worse'


def test_closed_forms_that_are_solved_again_count_on_both_sides():
  assert analysis.is_retrained('l3ae:kernel', 'new_items')
  assert analysis.is_adapted_cheaply('l3ae:kernel', 'new_items')
  assert analysis.is_retrained('mult_vae:retrain', 'new_users')
  assert not analysis.is_adapted_cheaply('mult_vae:retrain', 'new_users')
  assert not analysis.is_retrained('content_knn', 'new_items')
  assert not analysis.is_retrained('l3ae:kernel', 'new_users')


def test_what_a_part_adds():
  whole = cells_lib.complete(cells_lib.by_set(made_rows([1.1, 1.12, 1.09])))
  found = analysis.corrected(analysis.parts(whole))
  told = {claim.ours: claim for claim in found}
  added = told['hyperease_item_trained over hyperease_item']
  assert added.word == 'better'
  assert len(added.sets) == 3
  for regimes_, *methods, _ in matrix.PAIRS:
    for regime in regimes_:
      assert set(methods) <= set(matrix.PARTS[regime].methods), methods


def test_operations_that_are_saved_pay_back_training():
  rows = made_rows([1.1])
  for one in rows:
    if one['method'] == 'hyperease_item_trained':
      one['prepare'] = {'flops': 3000.0}
      one['tuning'] = {'flops': 960.0, 'flops_of_evidence': 0.0}
  cells = cells_lib.by_set(rows)['new_items', 'msweb'][0]
  place = 'new_items', 'msweb', 0
  pair = 'hyperease_item_trained', 'ease:retrain'
  # 3,960 operations once, and 1,000 - 10 saved each time.
  assert analysis.effect(place, cells, *pair).pays_back == 4
  assert analysis.effect(place, cells, *pair[::-1]).pays_back == -4
  assert words.adaptations(3.2) == '4'
  assert words.adaptations(-3.2) == 'ahead until 4'
  assert words.adaptations(math.inf) == 'never'


def test_what_a_generator_is_worth_in_evidence():
  rows = made_rows([0.9])
  for one in rows:
    generates = catalogue.BY_NAME[one['method']].is_hypernetwork
    if one['budget'] < 20 and not generates:
      one['metrics'] = {'ndcg@100': 0.0}
      one['validation'] = 0.0
  for found in details.worth(cells_lib.complete(cells_lib.by_set(rows))):
    assert (found.budget, found.until) == (0, 20)
    assert found.budgets == (0, 1, 5, 20)
  for one in rows:
    # Good early, but not with more: it does not count as reached.
    one['metrics'] = {'ndcg@100': 0.1}
    if one['budget'] == 1:
      one['metrics'] = {'ndcg@100': 0.5}
    if catalogue.BY_NAME[one['method']].is_hypernetwork:
      one['metrics'] = {'ndcg@100': 0.3}
  for found in details.worth(cells_lib.complete(cells_lib.by_set(rows))):
    assert found.until is None


def test_a_gain_on_some_sets_only_stays_undecided():
  told = judged(made_rows([1.2, 0.93, 1.0, 1.05]))
  for other in (analysis.RETRAINING, analysis.CHEAPER):
    assert told[analysis.TRAINED, other].word == 'undecided'
  claim = told[analysis.TRAINED, analysis.RETRAINING]
  both = [claim, claim._replace(regime='drift')]
  first, *_ = words.answer(both, [], []).splitlines()
  assert first.endswith(
    'neither clearly better nor clearly worse for new items when trained and '
    'drift when trained.'
  )


def test_where_no_group_is_ahead_none_is_called_better(monkeypatch):
  # Methods differ on each data set by chance alone, and validation, which
  # chooses generators and rivals, is as noisy as the test.
  interval = significance.Comparison(0.0, 0.0, 0.0, 0.0, 1.0)
  monkeypatch.setattr(
    significance,
    'people_bootstrap',
    lambda a, b, people, seed: interval._replace(
      relative=float(np.mean(a) / np.mean(b) - 1)
    ),
  )
  monkeypatch.setattr(matrix, 'SEEDS', 3)
  part = matrix.PARTS['new_items']
  wrong = 0
  for simulation in range(60):
    random = np.random.default_rng(simulation)
    rows = []
    for name in part.sets[:6]:
      for method in part.methods:
        quality = 0.3 * np.exp(random.normal(0, 0.05))
        for budget in part.budgets:
          test, validation = quality * np.exp(random.normal(0, 0.02, 2))
          rows += [
            row(method, name, seed, [test], budget=budget)
            | {'validation': validation}
            for seed in range(3)
          ]
    whole = cells_lib.complete(cells_lib.by_set(rows))
    claims = [*analysis.family(whole), *analysis.parts(whole)]
    wrong += any(one.word == 'better' for one in analysis.corrected(claims))
  assert wrong <= 3


def test_a_single_arrival_pays_for_a_refit_alone():
  rows = made_rows([1.1, 1.1, 1.1])
  for one in rows:
    one['num_arriving'] = 50
  told = judged(rows)
  retrained = told[analysis.TRAINED, analysis.RETRAINING]
  assert {one.cost for one in retrained.effects} == {0.01}
  assert {one.cost_alone for one in retrained.effects} == {0.01 / 50}
  lines = words.answer([*told.values()], [], []).splitlines()
  (trained,) = [one for one in lines if one.startswith('| new items when')]
  assert ' | 1/100 | 1/5,000 | ' in trained


def test_new_items_among_all_items():
  rows = made_rows([1.1, 1.1, 1.1])
  for one in rows:
    value = {'content_knn': 0.5, 'marec': 0.8}.get(one['method'], 0.4)
    one['views'] = {'whole': {'metrics': {'ndcg@100': value}}}
  found = details.whole_catalogue(cells_lib.complete(cells_lib.by_set(rows)))
  assert {one.dataset for one in found} == set(
    matrix.PARTS['new_items'].sets[:3]
  )
  for one in found:
    assert one.strict == pytest.approx(0.5)
    assert one.ratio == pytest.approx(0.8)


def test_the_least_gain_that_could_be_shown_falls_with_data_sets():
  gains = [analysis.least_shown(0.03, count, 24) for count in (3, 5, 8)]
  assert gains == sorted(gains, reverse=True)
  assert 1.03 < gains[-1] < 1.06


def test_two_sets_are_not_pooled():
  whole = cells_lib.complete(cells_lib.by_set(made_rows([1.2, 1.2])))
  claims = analysis.family(whole)
  assert claims
  assert all(claim.pooled is None for claim in claims)
  told = words.answer(claims, analysis.named_rivals(whole), [])
  assert told.count('Too few data sets have results for new items.') == 2
  assert 'Too few data sets have results for PReF, VQ-Rec,' in told


def test_parameters_and_quality_over_all_cells():
  rows = made_rows([1.1])
  order = matrix.PARTS['new_items'].methods
  for one in rows:
    # The better a method, the fewer parameters it keeps.
    rank = order.index(one['method']) + 2
    is_best = one['method'] == 'hyperease_item_trained'
    one['adapt']['state_bytes'] = 4 if is_best else 4 * rank
  sets = cells_lib.complete(cells_lib.by_set(rows))
  found = details.capacity(sets)
  assert found['hyperease_item_trained'] == pytest.approx((1.0, 1.0))
  assert found['content_knn'] == pytest.approx((2.0, 1 / 1.1))
  assert details.capacity_correlation(sets) is None
  two = cells_lib.complete(cells_lib.by_set(made_rows([1.1, 1.1])))
  for budgets in two.values():
    for cells in budgets.values():
      for method, own in cells.items():
        for one in own:
          one['adapt']['state_bytes'] = 8 + order.index(method)
  ranks = details.capacity_correlation(two)
  assert ranks.least == ranks.greatest == ranks.mean
  clear = details.Correlation(-0.5, -0.7, -0.3, -0.8, -0.2)
  told = words.capacity(clear)
  assert told.startswith('Methods with fewer parameters rank better: ')
  assert '-0.50 in the mean over data sets [-0.70, -0.30]' in told
  unclear = words.capacity(clear._replace(high=0.1))
  assert 'does not clearly tell' in unclear


def test_the_picture_of_the_answer_shows_each_claim():
  whole = cells_lib.complete(cells_lib.by_set(made_rows([1.1, 1.12, 1.09])))
  claims = [
    one
    for one in analysis.corrected(analysis.family(whole))
    if one.pooled is not None
  ]
  picture = report_figures.svg(figures.answer(claims))
  assert picture.count('over retraining') == 2
  assert picture.count('over cheaper ways') == 2
  assert '1/100' in picture


def test_other_people_are_refused():
  rows = made_rows([1.1])
  for one in rows:
    if one['method'] == 'marec':
      one['people'] = ['somebody'] * len(one['people'])
  cells = cells_lib.by_set(rows)['new_items', 'msweb'][0]
  with pytest.raises(results.ResultError, match='judged on different people'):
    analysis.effect(('new_items', 'msweb', 0), cells, 'l3ae', 'marec')


def test_a_method_that_refuses_is_not_chosen():
  rows = made_rows([1.1])
  for one in rows:
    if one['method'] == 'content_knn' and one['seed'] == 3:
      one.update(cannot='too short', validation=None)
  cells = cells_lib.by_set(rows)['new_items', 'msweb'][0]
  chosen = analysis.best(cells, 'new_items', analysis.is_adapted_cheaply)
  assert chosen != 'content_knn'


def test_the_answer_groups_what_is_better_and_worse():
  whole = cells_lib.complete(
    cells_lib.by_set(made_rows([1.2, 1.21, 1.19, 1.2]))
  )
  claims = analysis.corrected(analysis.family(whole))
  told = words.answer(claims, [], []).splitlines()
  retraining, cheaper, parts, _, head, _, trained, *_ = told
  start = (
    '- **Cheaper than retraining at equal quality?** Generated parameters rank '
    'better for new items when trained (+2'
  )
  assert retraining.startswith(start)
  assert '4 data sets)' in retraining
  assert head.startswith('| generated parameters for | data sets |')
  assert trained.startswith('| new items when trained | 4 | +2')
  assert 'rank better for new items when trained' in cheaper
  assert parts.endswith('Not enough data sets are complete yet.')


def test_words_for_ratios_of_operations():
  inf = float('inf')
  assert words.times([2.0, 8.0]) == '4'
  assert words.times([0.0, 0.0]) == 'none needed'
  assert words.times([inf]) == 'the other needs none'
  assert words.times([0.1, 0.0, inf]) == (
    '1/10, none in 1, the other needs none in 1'
  )
