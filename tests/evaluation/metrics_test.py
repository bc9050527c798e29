"""Compares each metric of one user with values computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.evaluation import metrics

# Targets at ranks 1, 3 and 12, and a fourth that no cut-off reaches.
RANKS = jnp.array([1, 3, 12, metrics.NO_RANK, metrics.NO_RANK])
COUNT = jnp.array(4)


def dcg(*ranks):
  return sum(1 / np.log2(rank + 1) for rank in ranks)


@pytest.mark.parametrize(
  ('metric', 'k', 'expected'),
  [
    (metrics.recall, 3, 2 / 4),
    (metrics.recall_min, 3, 2 / 3),
    (metrics.recall, 20, 3 / 4),
    (metrics.recall_min, 20, 3 / 4),
    (metrics.ndcg, 3, dcg(1, 3) / dcg(1, 2, 3)),
    (metrics.ndcg, 20, dcg(1, 3, 12) / dcg(1, 2, 3, 4)),
    (metrics.hit_rate, 1, 1.0),
    (metrics.reciprocal_rank, 0, 1.0),
  ],
)
def test_by_hand(metric, k, expected):
  assert float(metric(RANKS, COUNT, k)) == pytest.approx(expected, rel=1e-6)


def test_the_best_ranking_is_worth_one():
  ranks = jnp.arange(1, 8)
  for k in (1, 5, 7, 50):
    for metric in (metrics.ndcg, metrics.recall_min, metrics.hit_rate):
      assert float(metric(ranks, jnp.array(7), k)) == pytest.approx(1.0)


def test_targets_beyond_the_cut_off_are_worth_nothing():
  ranks = jnp.array([11, 40])
  for metric in (metrics.ndcg, metrics.recall, metrics.hit_rate):
    assert float(metric(ranks, jnp.array(2), 10)) == 0
  assert float(metrics.reciprocal_rank(ranks, jnp.array(2), 0)) == (
    pytest.approx(1 / 11)
  )


def test_names_are_parsed():
  assert metrics.parse('ndcg@100') == ('ndcg', 100)
  assert metrics.parse('recall_min@20') == ('recall_min', 20)
  assert metrics.parse('mrr') == ('mrr', 0)
