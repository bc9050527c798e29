"""Full ranking against a brute-force definition and an independent library."""

import hypothesis
import ir_measures
import numpy as np
import pytest
import scipy.sparse
from hypothesis import strategies as st

from hyperrec.evaluation import metrics, ranking

NAMES = (
  'recall@5', 'recall_min@5', 'ndcg@5', 'hr@3', 'mrr', 'ndcg@100', 'mrr@4'
)  # fmt: skip
USERS, ITEMS = 6, 17


def make(seed, levels=5):
  """Scores with many ties (or none), seen items and targets."""
  random = np.random.default_rng(seed)
  shape = (USERS, ITEMS)
  scores = random.integers(0, levels, shape).astype(np.float32)
  scores[random.random(shape) < 0.1] = -np.inf
  kind = random.random(shape)
  seen = scipy.sparse.csr_matrix((kind < 0.2).astype(np.float32))
  targets = scipy.sparse.csr_matrix((kind > 0.7).astype(np.float32))
  return scores, seen, targets


def by_hand(scores, seen, targets):
  """Metrics of one user from a sorted list; targets come last among ties."""
  hidden = set(seen.indices.tolist())
  wanted = set(targets.indices.tolist())
  items = [i for i in range(ITEMS) if i not in hidden]
  items.sort(key=lambda i: (-scores[i], i in wanted))
  ranks = np.array([r for r, i in enumerate(items, 1) if i in wanted])

  def ndcg(k):
    ideal = 1 / np.log2(np.arange(1, min(k, len(ranks)) + 1) + 1)
    return (1 / np.log2(ranks[ranks <= k] + 1)).sum() / ideal.sum()

  found = (ranks <= 5).sum()
  return [
    found / len(ranks),
    found / min(5, len(ranks)),
    ndcg(5),
    float(ranks[0] <= 3),
    1 / ranks[0],
    ndcg(100),
    (1 / ranks[0]) * (ranks[0] <= 4),
  ]


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.integers(0, 10**6), st.sampled_from([1, 2, 5, 10**6]))
def test_every_metric_is_its_definition(seed, levels):
  scores, seen, targets = make(seed, levels)
  hypothesis.assume(targets.nnz > 0)
  found = ranking.evaluate(
    lambda users: scores[users], seen, targets, metrics=NAMES, batch_size=4
  )
  for place, user in enumerate(found.users):
    expected = by_hand(scores[user], seen[user], targets[user])
    values = [found.values[name][place] for name in NAMES]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_agrees_with_ir_measures():
  random = np.random.default_rng(0)
  num_users, num_items = 20, 200
  scores = random.permutation(num_users * num_items).astype(np.float32)
  scores = scores.reshape(num_users, num_items)
  wanted = random.random(scores.shape) < 0.05
  wanted[:, 0] = True
  targets = scipy.sparse.csr_matrix(wanted.astype(np.float32))
  qrels = [
    ir_measures.Qrel(str(user), str(item), 1)
    for user, item in zip(*targets.nonzero(), strict=True)
  ]
  run = [
    ir_measures.ScoredDoc(str(user), str(item), float(scores[user, item]))
    for user, item in np.ndindex(*scores.shape)
  ]
  measures = {
    'ndcg@10': ir_measures.nDCG @ 10,
    'recall@20': ir_measures.R @ 20,
    'hr@10': ir_measures.Success @ 10,
    'mrr': ir_measures.RR,
  }
  theirs = ir_measures.calc_aggregate(list(measures.values()), qrels, run)
  ours = ranking.evaluate(
    lambda users: scores[users],
    scipy.sparse.csr_matrix(scores.shape, dtype=np.float32),
    targets,
    metrics=tuple(measures),
  )
  for name, measure in measures.items():
    assert ours.mean(name) == pytest.approx(theirs[measure], rel=1e-5)


def test_a_constant_score_finds_nothing_by_luck():
  _, seen, targets = make(3)
  found = ranking.evaluate(
    lambda users: np.zeros((len(users), ITEMS), np.float32),
    seen,
    targets,
    metrics=('hr@3',),
  )
  assert found.mean('hr@3') == 0


def test_batch_size_changes_nothing_and_costs_one_trace():
  scores, seen, targets = make(5)
  results = []
  for size in (2, 3, 64):
    before = ranking._judge._cache_size()
    results.append(
      ranking.evaluate(
        lambda users: scores[users], seen, targets, metrics=NAMES,
        batch_size=size,
      )
    )  # fmt: skip
    assert ranking._judge._cache_size() - before <= 1
  for other in results[1:]:
    for name in NAMES:
      np.testing.assert_array_equal(results[0].values[name], other.values[name])


def test_users_without_targets_are_left_out():
  scores, seen, targets = make(7)
  targets = targets.tolil()
  targets[2] = 0
  found = ranking.evaluate(
    lambda users: scores[users], seen, targets.tocsr(), metrics=('mrr',)
  )
  assert 2 not in found.users


def test_coverage_counts_listed_items():
  scores = np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1))
  nothing = scipy.sparse.csr_matrix((USERS, ITEMS), dtype=np.float32)
  targets = scipy.sparse.csr_matrix(
    (np.ones(USERS), (np.arange(USERS), np.zeros(USERS, int))),
    shape=(USERS, ITEMS),
  )
  found = ranking.evaluate(
    lambda users: scores[users], nothing, targets, metrics=('hr@5',)
  )
  assert found.coverage == pytest.approx(5 / ITEMS)


def test_nan_scores_and_masked_targets_are_errors():
  scores, seen, targets = make(9)
  bad = scores.copy()
  bad[3, 0] = np.nan
  targets = targets.tolil()
  targets[3, 1] = 1
  seen = seen.tolil()
  seen[3, 1] = 0
  targets, seen = targets.tocsr(), seen.tocsr()
  with pytest.raises(ValueError, match='user row 3 hold NaN'):
    ranking.evaluate(lambda u: bad[u], seen, targets, metrics=('mrr',))
  with pytest.raises(ValueError, match='targets are masked as seen'):
    ranking.evaluate(lambda u: scores[u], targets, targets, metrics=('mrr',))
  empty = scipy.sparse.csr_matrix(targets.shape)
  with pytest.raises(ValueError, match='none of 6 users has a target'):
    ranking.evaluate(lambda u: scores[u], seen, empty, metrics=('mrr',))


@pytest.mark.parametrize('name', ['ndcg', 'mrr@0', 'auc@3', 'hr@0', 'hr@x'])
def test_unknown_metrics_are_named(name):
  with pytest.raises(ValueError, match='is unknown; use mrr'):
    metrics.parse(name)


@pytest.mark.parametrize('width', [ITEMS - 1, ITEMS + 1])
def test_scores_of_another_catalogue_are_refused(width):
  _, seen, targets = make(2)
  with pytest.raises(ValueError, match=rf'\(6, {width}\) for 6 users and 17'):
    ranking.evaluate(
      lambda users: np.zeros((len(users), width)), seen, targets,
      metrics=('mrr',),
    )  # fmt: skip


def test_stored_zeros_and_repeats_are_no_targets():
  targets = scipy.sparse.csr_matrix(
    (np.array([1.0, 1.0, 0.0]), np.array([3, 3, 4]), np.array([0, 3])),
    shape=(1, ITEMS),
  )
  found = ranking.evaluate(
    lambda users: np.eye(ITEMS)[[3]],
    scipy.sparse.csr_matrix((1, ITEMS)),
    targets,
    metrics=('recall@5', 'ndcg@5'),
  )
  assert found.mean('recall@5') == found.mean('ndcg@5') == 1
  assert targets.nnz == 3


def test_many_ties_change_no_metric():
  random = np.random.default_rng(0)
  num_users, num_items = 12, 4_000
  scores = np.zeros((num_users, num_items), np.float32)
  scores[:, ::50] = random.integers(-3, 4, (num_users, 80))
  targets = random.random(scores.shape) < 0.01
  nothing = scipy.sparse.csr_matrix(scores.shape)
  found = ranking.evaluate(
    lambda users: scores[users],
    nothing,
    scipy.sparse.csr_matrix(targets.astype(np.float32)),
    metrics=('recall@100', 'mrr'),
  )
  for user in found.users:
    own = -np.sort(-scores[user][targets[user]])
    others = scores[user][~targets[user]]
    ranks = (others >= own[:, None]).sum(axis=1) + 1 + np.arange(len(own))
    expected = (ranks <= 100).mean(), 1 / ranks[0]
    values = [found.values[name][user] for name in ('recall@100', 'mrr')]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_top_k_items_are_the_best_unseen_ones():
  scores = np.array([[5.0, 4.0, 3.0, 2.0], [1.0, -np.inf, -np.inf, 2.0]])
  seen = scipy.sparse.csr_matrix([[1, 0, 0, 0], [0, 0, 0, 1]])
  lists = ranking.top_k_items(scores, seen, 3)
  np.testing.assert_array_equal(lists, [[1, 2, 3], [0, -1, -1]])
  same = ranking.top_k_items(np.ones((2, 4)), seen, 3)
  np.testing.assert_array_equal(same, [[1, 2, 3], [0, 1, 2]])
  with pytest.raises(ValueError, match='k=5 must be within'):
    ranking.top_k_items(scores, seen, 5)
  with pytest.raises(ValueError, match='user row 0 hold NaN'):
    ranking.top_k_items(np.full((2, 4), np.nan), seen, 1)
