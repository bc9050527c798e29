"""The answer in three sentences and a picture, from made-up rows."""

import re

import numpy as np
import pytest

from experiments.adaptation.report import figures, numbers, words
from hyperrec.evaluation import results
from tests.experiments.report.rows import generated_rows, row, rows


def analysed(some):
  tasks = results.by_task(some)
  return {t: numbers.analyse(c) for t, c in tasks.items()}


def dearer(some):
  for one in some:
    if one['method'] == 'hyperease':
      one['adapt']['flops'] = 1e12
  return some


def test_three_sentences():
  cost, quality, where = words.answer(analysed(generated_rows()))
  assert cost == (
    'Cheaper than retraining? Yes: in 3 of 3 cases, a hypernetwork needs fewer '
    'operations than the best retrained model (it ranks at least as well in 2, '
    'worse in 1).'
  )
  assert quality == (
    'Better than the cheaper ways of adapting? Sometimes: it ranks better than '
    'the best of them in 1 of 3 cases (worse in 1 and tied in 1). It needs 10 '
    'times the operations of its rival in the median case.'
  )
  assert where == (
    'Where is it better? In some of the cases of new users (1 of 3, 1 data '
    'set). The winners are hyperease (1 case); none is a network trained by '
    'gradient descent: all are closed forms.'
  )


def test_a_trained_network_that_wins_is_named():
  some = [
    {**one, 'method': one['method'].replace('hyperease', 'hyperease_user')}
    for one in generated_rows()
  ]
  *_, where = words.answer(analysed(some))
  assert where.endswith(
    'The winners are hyperease_user (1 case); networks trained by gradient '
    'descent win 1 case.'
  )


def test_dearer_is_said():
  cost, *_ = words.answer(analysed(dearer(generated_rows())))
  assert cost == (
    'Cheaper than retraining? No: in 0 of 3 cases, a hypernetwork needs fewer '
    'operations than the best retrained model; in the other 3 cases it needs '
    'more (2,000 times the operations of its rival in the median case) and '
    'ranks better in 2.'
  )


def test_without_hypernetworks_there_is_a_bar_alone():
  (told,) = words.answer(analysed(rows()))
  assert 'No hypernetwork' in told


@pytest.mark.parametrize(
  'some', [generated_rows(), dearer(generated_rows()), rows()]
)
def test_every_case_is_in_the_picture(some):
  analyses = analysed(some)
  figure = figures.answer(analyses)
  text = figures.svg(figure)
  count = sum(
    np.isfinite(one.comparison.relative)
    for found in analyses.values()
    for one in (*found.generated, *found.generated_others)
  )
  assert len(re.findall('<g class="point"><title>', text)) == count


def test_no_operations_have_a_place():
  some = [*rows(), row('hyperease_user', 0.3, 5, seconds=0.0)]
  text = figures.svg(figures.answer(analysed(some)))
  assert 'no operations' in text
  assert '>none<' in text
