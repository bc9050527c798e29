"""Goals beside what was measured."""

import math

from experiments import goals


def line(goal):
  return goals.table([goal]).splitlines()[-1]


def logs(*ratios):
  return {name: math.log(r) for name, r in zip('abcdef', ratios, strict=False)}


def test_a_mean_is_met_surely_or_not():
  sure = goals.Goal('x', 1.05, logs(1.2, 1.21, 1.19))
  assert line(sure).startswith('| x | 1.05 in the mean | 1.200 [1.1')
  assert line(sure).endswith('| met |')
  assert line(goals.Goal('x', 1.05, logs(1.0, 1.1, 1.3))).endswith(
    '| met, not sure |'
  )
  assert line(goals.Goal('x', 1.05, logs(1.0, 1.0, 1.1))).endswith('| missed |')


def test_a_goal_on_each_set_names_the_lowest():
  missed = goals.Goal('x', 0.99, logs(1.2, 0.97, 0.98), on_each=True)
  assert line(missed).endswith('| 0.970 (b) | missed on 2 of 3 |')
  met = goals.Goal('x', 0.99, logs(1.2, 0.995, 1.0), on_each=True)
  assert line(met).endswith('| 0.995 (b) | met |')


def test_two_sets_are_too_few():
  assert line(goals.Goal('x', 1.0, logs(1.2, 1.3))).endswith(
    '| too few sets | open |'
  )
