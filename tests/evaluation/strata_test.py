"""Compares strata with values computed by hand."""

import numpy as np
import pytest

from hyperrec.evaluation import ranking, strata
from tests.evaluation.ranking_test import make


def test_history_strata_by_hand():
  values = np.array([0.1, 0.3, 0.5, 0.9])
  lengths = np.array([0, 4, 5, 70])
  found = strata.by_history_length(values, lengths, (5, 20))
  assert found == pytest.approx({'0-4': 0.2, '5-19': 0.5, '20+': 0.9})


def test_lengths_are_of_the_judged_users():
  scores, seen, targets = make(1)
  found = ranking.evaluate(
    lambda users: scores[users], seen, targets, metrics=('mrr',)
  )
  lengths = strata.history_lengths(found, seen)
  assert len(lengths) == len(found.users)
  assert lengths[0] == seen[found.users[0]].nnz
