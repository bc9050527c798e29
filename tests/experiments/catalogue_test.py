"""The list of who is compared: all can be built, and none is favoured."""

import pytest

from experiments import catalogue
from hyperrec import features as features_lib
from hyperrec import regimes

NO_FEATURES = features_lib.Features(None, None, None, None)


def test_names_and_regimes_are_known():
  names = [system.name for system in catalogue.SYSTEMS]
  assert sorted(names) == sorted(catalogue.BY_NAME)
  for system in catalogue.SYSTEMS:
    assert set(system.arms) <= set(regimes.BY_NAME)
    assert system.arms
    base, colon, _ = system.name.partition(':')
    if colon and system.is_run_by_default:
      assert catalogue.BY_NAME[base].label == system.label


@pytest.mark.parametrize('regime', regimes.BY_NAME)
def test_every_tuned_arm_has_as_many_trials_and_all_can_be_built(regime):
  systems = [s for s in catalogue.SYSTEMS if regime in s.arms]
  assert {len(s.arms[regime].trials) for s in systems} == {1, 8}
  for system in systems:
    arm = system.arms[regime]
    asked = {'num_questions': 5} if system.interviews else {}
    names = {
      system.build(regime, NO_FEATURES, **trial, **asked).name
      for trial in arm.trials
    }
    assert len(names) == 1


@pytest.mark.parametrize('regime', regimes.BY_NAME)
def test_sequential_arms_learn_an_order_only_where_targets_come_last(regime):
  """Elsewhere a target may be of any time."""
  targets_come_last = regime in ('drift', 'returning_users')
  name = 'sasrec:retrain' if regime == 'new_items' else 'sasrec'
  sasrec = catalogue.BY_NAME[name].arms[regime]
  in_order = {not trial.get('shuffled') for trial in sasrec.trials}
  assert in_order == {targets_come_last}
  for name in ('p5', 'p5:long'):
    system = catalogue.BY_NAME[name]
    if regime not in system.arms:
      continue
    trial = system.arms[regime].trials[0]
    config = system.build(regime, NO_FEATURES, **trial).config
    assert config.shuffled != targets_come_last


def test_ablations_and_controls_run_only_where_they_are_named():
  asides = {s.name for s in catalogue.SYSTEMS if not s.may_lead}
  assert {'random', 'ease:unconstrained', 'hyperease:shuffled'} <= asides
  default = {s.name for s in catalogue.SYSTEMS if s.is_run_by_default}
  assert not default & asides
  assert {'ease', 'l3ae:kernel', 'hyperease'} <= default
  assert not default & {'p5:long', 'pref:known', 'pref:shown'}
