"""Tests that the package has all of its names and that their examples run."""

import doctest
import re

import hyperrec
from hyperrec import face


def test_the_package_has_the_names_of_its_face():
  public = {name for name in vars(face) if not name.startswith('_')}
  assert public == set(hyperrec.__all__)
  for name in hyperrec.__all__:
    assert getattr(hyperrec, name) is getattr(face, name)


def test_every_name_has_an_example_that_runs():
  shown = set(re.findall(r'\bhr\.(\w+)', face.__doc__))
  assert set(hyperrec.__all__) - shown == {
    'Histories', 'Interactions', 'Recommender',
  }  # fmt: skip
  found = doctest.testmod(face)
  assert found.attempted > 20
  assert found.failed == 0
