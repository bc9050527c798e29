"""The matrix of the verdict, and how it is run."""

import pytest
from absl import app, flags
from absl.testing import flagsaver

from experiments import catalogue
from experiments.verdict import matrix, run
from hyperrec import regimes


@pytest.fixture(autouse=True)
def parsed_flags():
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


def test_every_method_of_the_matrix_runs_in_its_regime():
  for regime, part in matrix.PARTS.items():
    regimes.find(regime)
    for method in part.methods:
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
      for flag in matrix.flags_of('new_domain', data)
      if flag.startswith('--domains=')
    )
    assert data not in domains
    assert len(domains) >= 3
    assert {matrix.SETS[name].role for name in domains} == {'development'}


def test_a_run_is_one_regime_and_data_set():
  with flagsaver.flagsaver(workdirs='w', methods=['marec', 'ease'], seeds=2):
    command = run.command_of('new_items', 'office')
  assert command[2] == 'experiments.adaptation.run'
  assert '--methods=marec' in command
  assert '--seeds=2' in command
  assert '--item_budgets=0,1,5,20' in command
  assert '--workdir=w/new_items/office' in command
  assert run.asked(['drift:online_retail']) == [('drift', 'online_retail')]
  assert len(run.asked([])) == sum(
    len(part.sets) for part in matrix.PARTS.values()
  )


def test_what_is_not_in_the_matrix_is_refused():
  with pytest.raises(app.UsageError, match='new_items:nowhere is unknown'):
    run.asked(['new_items:nowhere'])
  with (
    flagsaver.flagsaver(methods=['sasrec']),
    pytest.raises(app.UsageError, match='none of them is in new_items'),
  ):
    run.command_of('new_items', 'office')
