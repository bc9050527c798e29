"""Strata by hand, and together they are the whole."""

import numpy as np
import pytest

from hyperrec.evaluation import ranking, strata
from tests.evaluation.ranking_test import make


def test_history_strata_by_hand():
  values = np.array([0.1, 0.3, 0.5, 0.9])
  lengths = np.array([0, 4, 5, 70])
  found = strata.by_history_length(values, lengths, (5, 20))
  assert found == pytest.approx({'0-4': 0.2, '5-19': 0.5, '20+': 0.9})


def test_popularity_strata_share_out_the_targets():
  scores, seen, targets = make(0, levels=10**6)
  counts = np.arange(targets.shape[1])
  parts = strata.by_item_popularity(targets, seen, counts, 3)
  assert sum(inside.nnz for inside, _ in parts) == targets.nnz
  for inside, masked in parts:
    assert inside.multiply(masked).nnz == 0
    assert (inside + masked - targets - seen).nnz == 0
    found = ranking.evaluate(
      lambda users: scores[users], seen, inside, metrics=('mrr',), seen=masked
    )
    assert 0 < found.mean('mrr') <= 1
  rare, popular = parts[0][0], parts[-1][0]
  assert rare.indices.max() < popular.indices.min()


def test_lengths_are_of_the_judged_users():
  scores, seen, targets = make(1)
  found = ranking.evaluate(
    lambda users: scores[users], seen, targets, metrics=('mrr',)
  )
  lengths = strata.history_lengths(found, seen)
  assert len(lengths) == len(found.users)
  assert lengths[0] == seen[found.users[0]].nnz
