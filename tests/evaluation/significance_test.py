"""Tests the bootstrap on known distributions."""

import numpy as np
import pytest
from scipy import stats

from hyperrec.evaluation import significance


def test_interval_covers_the_true_mean():
  random = np.random.default_rng(0)
  covered = 0
  for trial in range(300):
    values = random.normal(1.0, 2.0, 80)
    low, high = significance.bootstrap_interval(
      values, seed=trial, num_resamples=400
    )
    covered += low <= 1.0 <= high
  assert 0.90 < covered / 300 < 0.98


def test_error_under_the_null_is_five_percent():
  random = np.random.default_rng(1)
  rejected = 0
  for trial in range(300):
    base = random.uniform(0.2, 0.4, 100)
    other = base + random.normal(0, 0.1, 100)
    found = significance.paired_bootstrap(
      other, base, seed=trial, num_resamples=400
    )
    rejected += found.p_value < 0.05
  assert rejected / 300 < 0.10


def test_a_real_effect_is_found_with_its_size():
  random = np.random.default_rng(2)
  base = [random.uniform(0.2, 0.4, 200) for _ in range(5)]
  better = [b * 1.1 + random.normal(0, 0.02, 200) for b in base]
  found = significance.paired_bootstrap(better, base, seed=0)
  assert found.relative == pytest.approx(0.1, abs=0.02)
  assert 0.05 < found.low < found.relative < found.high < 0.15
  assert significance.verdict(found) == 'win'


def test_seeds_that_disagree_widen_the_interval():
  random = np.random.default_rng(3)
  base = [np.full(200, 0.3) for _ in range(5)]
  agreeing = [b + 0.01 + random.normal(0, 0.01, 200) for b in base]
  torn = [
    b + s + random.normal(0, 0.01, 200)
    for b, s in zip(base, (-0.05, -0.02, 0.01, 0.04, 0.07), strict=True)
  ]
  narrow, wide = (
    significance.paired_bootstrap(a, base, seed=0) for a in (agreeing, torn)
  )
  assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_it_is_deterministic():
  values = np.random.default_rng(4).random(50)
  intervals = {
    significance.bootstrap_interval(values, seed=7) for _ in range(3)
  }
  assert len(intervals) == 1


def test_holm_by_hand():
  # The sorted values .01 .02 .03 .04 are multiplied by 4 3 2 1, then made
  # monotone.
  adjusted = significance.holm([0.04, 0.01, 0.03, 0.02])
  np.testing.assert_allclose(adjusted, [0.06, 0.04, 0.06, 0.06])


def test_a_chain_counts_as_one_test_until_its_end_is_reached():
  first, second, third = significance.holm_chains(
    [[0.001, 0.02], [0.04], [0.03, 0.5]]
  )
  # The ends .02 .04 .5 are multiplied by 3 2 1.
  np.testing.assert_allclose([first[-1], *second, third[-1]], [0.06, 0.08, 0.5])
  # Three chains count at first; two once the first one is done with, at .06.
  assert first[0] == pytest.approx(0.003)
  assert third[0] == pytest.approx(0.06)
  with pytest.raises(ValueError, match='fall along a chain'):
    significance.holm_chains([[0.5, 0.1]])


def test_chains_of_true_hypotheses_are_rarely_rejected():
  random = np.random.default_rng(0)
  wrong = 0
  for scores in random.normal(size=(2000, 5)):
    chains = stats.norm.sf([scores, scores - 0.5]).T.tolist()
    adjusted = significance.holm_chains(chains)
    wrong += any(p < 0.05 for chain in adjusted for p in chain)
  assert 0.03 < wrong / 2000 < 0.06


@pytest.mark.parametrize(
  ('relative', 'low', 'high', 'p_value', 'word'),
  [
    (0.05, 0.02, 0.08, 0.001, 'win'),
    (-0.05, -0.08, -0.02, 0.001, 'loss'),
    (0.05, -0.01, 0.11, 0.1, 'unclear'),
    (0.005, 0.002, 0.008, 0.001, 'tie'),
    (0.001, -0.004, 0.006, 0.7, 'tie'),
    (0.001, -0.03, 0.032, 0.9, 'unclear'),
    (0.0, 0.0, 0.0, 1.0, 'tie'),
    (0.05, np.nan, np.nan, np.nan, 'untested'),
  ],
)
def test_verdicts(relative, low, high, p_value, word):
  found = significance.Comparison(0.0, relative, low, high, p_value)
  assert significance.verdict(found) == word


def test_a_corrected_p_value_counts_instead_of_the_own():
  found = significance.Comparison(0.0, 0.05, 0.001, 0.1, 0.04)
  assert significance.verdict(found) == 'win'
  assert significance.verdict(found, 0.2) == 'unclear'


def test_different_users_cannot_be_compared():
  with pytest.raises(ValueError, match='same users'):
    significance.paired_bootstrap(np.ones(3), np.ones(4), seed=0)


def test_a_baseline_of_zero_can_be_beaten():
  zero, some = np.zeros(50), np.linspace(0.1, 0.2, 50)
  win, loss, same = (
    significance.paired_bootstrap(a, b, seed=0)
    for a, b in ((some, zero), (zero, some), (zero, zero))
  )
  assert win.relative == np.inf
  assert loss.relative == -1
  assert same.relative == 0
  assert significance.verdict(win) == 'win'
  assert significance.verdict(loss) == 'loss'
  assert significance.verdict(same) == 'tie'


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ([np.ones(3), np.array([1.0, np.nan])], 'seed 1, user 1 is nan'),
    (np.ones(0), 'at least one user'),
    ([], 'no seed holds a value'),
  ],
)
def test_values_that_are_no_numbers_are_named(values, message):
  with pytest.raises(ValueError, match=message):
    significance.bootstrap_interval(values, seed=0)


def drawn_people(random, num_people, per_seed, effect=0.0, spread=0.08):
  """Two methods on people of whom each seed tests some, as (a, b, people).

  People differ in how well the method suits them, under every seed alike.
  """
  base = random.uniform(0.2, 0.5, num_people)
  gain = effect * base.mean() + random.normal(0, spread, num_people)
  people = [
    random.choice(num_people, per_seed, replace=False) for _ in range(5)
  ]
  noise = lambda: random.normal(0, 0.02, per_seed)  # noqa: E731
  b = [base[who] + noise() for who in people]
  a = [base[who] + gain[who] + noise() for who in people]
  return a, b, people


def test_people_who_are_tested_again_are_no_new_evidence():
  """Half of 80 people, drawn five times: the error rate stays at 5%."""
  random = np.random.default_rng(6)
  rejected = {'people': 0, 'seeds': 0}
  for trial in range(200):
    a, b, people = drawn_people(random, 80, 60)
    found = significance.people_bootstrap(
      a, b, people, seed=trial, num_resamples=400
    )
    rejected['people'] += found.p_value < 0.05
    naive = significance.paired_bootstrap(a, b, seed=trial, num_resamples=400)
    rejected['seeds'] += naive.p_value < 0.05
  assert rejected['people'] / 200 < 0.10
  assert rejected['seeds'] / 200 > 0.10


def test_the_interval_over_people_covers_the_true_gain():
  random = np.random.default_rng(7)
  covered = 0
  for trial in range(800):
    a, b, people = drawn_people(random, 150, 60, effect=0.1)
    found = significance.people_bootstrap(
      a, b, people, seed=trial, num_resamples=200
    )
    covered += found.low <= 0.1 <= found.high
  assert 0.90 < covered / 800 < 0.97


def test_people_have_to_be_the_same():
  values = [np.ones(3)]
  with pytest.raises(ValueError, match='not judged on the same people'):
    significance.people_bootstrap(values, values, [[1, 2]], seed=0)


def test_the_pooled_interval_covers_and_its_tests_keep_their_level():
  random = np.random.default_rng(8)
  covered, wrong = 0, 0
  least = np.log1p(significance.MIN_EFFECT)
  for _ in range(1000):
    # The true effect is the least one that matters: "better" would be wrong.
    found = significance.pooled(np.exp(random.normal(least, 0.05, 5)))
    covered += found.low <= 1 + significance.MIN_EFFECT <= found.high
    wrong += found.p_better < significance.ALPHA
  assert 0.93 < covered / 1000 < 0.97
  assert 0.03 < wrong / 1000 < 0.07


def test_pooled_ratios_are_symmetric():
  better = significance.pooled([1.1, 1.2, 1.15])
  worse = significance.pooled([1 / 1.1, 1 / 1.2, 1 / 1.15])
  assert better.ratio == pytest.approx(1 / worse.ratio)
  assert better.p_better == pytest.approx(worse.p_worse)
  assert better.p_better < 0.05 < better.p_worse
  assert better.count == 3


@pytest.mark.parametrize('ratios', [[1.1], [1.1, 0.0], [1.0, float('nan')]])
def test_what_cannot_be_pooled_is_refused(ratios):
  with pytest.raises(ValueError, match='not at least two positive ratios'):
    significance.pooled(ratios)
