"""Full ranking of the catalogue; ties count against the method.

Ties are exact with one selection per row: the targets and the seen items are
removed from the row, the best other items are placed before the targets, and a
stable sort of both by score gives every rank up to K.
"""

import concurrent.futures
import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from hyperrec import top_k
from hyperrec.data import interactions
from hyperrec.evaluation import metrics as metrics_lib

DataError = interactions.DataError
Csr = scipy.sparse.csr_matrix

# Number of scores ranked at once: few calls, and the block fits the CPU cache.
_BLOCK = 2**20
_WORKERS = min(4, os.cpu_count() or 1)
# Beyond this many candidates per slot, keep only K tied items.
_MANY_TIES = 8


class Evaluation(NamedTuple):
  """Metrics of each user who has targets.

  Attributes:
    values: metric name -> float [U'].
    users: [U'] rows of the evaluated users; the others have no target.
    coverage: share of the catalogue that is in the top list of at least one
      user, with lists as long as the largest K.
  """

  values: dict[str, np.ndarray]
  users: np.ndarray
  coverage: float

  def mean(self, name: str) -> float:
    """The mean over users."""
    return float(self.values[name].mean())


def evaluate(
  score_fn: Callable[[np.ndarray], np.ndarray],
  histories: Csr,
  targets: Csr,
  *,
  metrics: Sequence[str],
  batch_size: int = 512,
  seen: Csr | None = None,
) -> Evaluation:
  """Ranks the whole catalogue for every user who has targets.

  Batches are scored and ranked on several threads.

  Args:
    score_fn: user rows [B] -> scores [B, V]; rows may repeat (padding). It is
      called from several threads, and must not overwrite an earlier result.
    histories: the items that the method is shown, [U, V]; stored zeros do not
      count.
    targets: the held-out items to find, [U, V].
    metrics: names that `metrics.parse` accepts, such as 'ndcg@100'.
    batch_size: number of users scored at once.
    seen: items excluded from the ranking; None excludes the histories.

  Raises:
    DataError: no user has a target, or a target is masked as seen.
    ValueError: a score is NaN, or shapes differ.
  """
  seen = _canonical(histories if seen is None else seen)
  targets = _canonical(targets)
  parsed = tuple(metrics_lib.parse(name) for name in metrics)
  users = _judged_users(histories, targets, seen)
  batch_size = min(batch_size, len(users))
  depth = min(max([k for _, k in parsed] + [1]), targets.shape[1])
  is_whole = ('mrr', 0) in parsed
  block_size = max(1, _BLOCK // targets.shape[1])
  listed = np.zeros(targets.shape[1] + 1, bool)

  def judge(start):
    place = np.arange(start, start + batch_size).clip(max=len(users) - 1)
    rows = users[place]
    scores = np.asarray(score_fn(rows))
    if scores.shape != (batch_size, targets.shape[1]):
      raise ValueError(
        f'score_fn gave scores of shape {scores.shape} for {batch_size} users '
        f'and {targets.shape[1]} items; return one score for each user and item'
      )
    ranks = np.empty((batch_size, depth), np.int32)
    for first in range(0, batch_size, block_size):
      block = slice(first, first + block_size)
      part = rows[block]
      ranks[block], lists = _rank(
        scores[block], seen[part], targets[part], part, depth, is_whole=is_whole
      )
      listed[lists] = True
    return np.asarray(_judge(ranks, np.diff(targets[rows].indptr), parsed))

  # The first batch runs alone, so that the scorer is compiled only once.
  judged = [judge(0)]
  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    judged += pool.map(judge, range(batch_size, len(users), batch_size))
  values = np.concatenate(judged)[: len(users)]
  columns = {name: values[:, i] for i, name in enumerate(metrics)}
  return Evaluation(columns, users, float(listed[:-1].mean()))


def top_k_items(scores: np.ndarray, seen: Csr, k: int) -> np.ndarray:
  """Returns the items to recommend: the k best unseen items, best first.

  Args:
    scores: [B, V], higher is better; an item of -inf is never listed.
    seen: [B, V], items to leave out.
    k: length of the lists, at most V.

  Returns:
    int32 [B, k], padded with -1. Among items with equal scores, those with
    lower numbers come first.

  Raises:
    ValueError: a score is NaN, shapes differ, or k is not in 1..V.
  """
  scores, seen = np.asarray(scores), _canonical(seen)
  if scores.shape != seen.shape or not 1 <= k <= seen.shape[1]:
    raise ValueError(
      f'scores {scores.shape} and seen {seen.shape} must have one shape, and '
      f'k={k} must be within 1..V'
    )
  is_wrong = np.isnan(scores).any(axis=1)
  if is_wrong.any():
    raise ValueError(f'the scores of user row {is_wrong.argmax()} hold NaN')
  scores = scores.astype(np.result_type(scores.dtype, np.float32))
  scores[_row_index(seen), seen.indices] = -np.inf
  items = top_k.places(scores, k)
  found = np.take_along_axis(scores, items, 1)
  return np.where(found > -np.inf, items, -1).astype(np.int32)


@functools.partial(jax.jit, static_argnames='parsed')
def _judge(ranks_BxT, num_targets_B, parsed):
  one = lambda ranks, count: jnp.stack(  # noqa: E731
    [metrics_lib.METRICS[kind](ranks, count, k) for kind, k in parsed]
  )
  return jax.vmap(one)(ranks_BxT, num_targets_B)


def _rank(
  scores: np.ndarray,
  seen: Csr,
  targets: Csr,
  users: np.ndarray,
  depth: int,
  *,
  is_whole: bool,
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the sorted ranks of the targets and the top lists, [B, depth] each.

  Ranks are padded with `NO_RANK`. Beyond `depth`, only the rank of the best
  target is computed, and only if `is_whole`. Lists are padded with V if too few
  items remain.
  """
  num_rows, num_items = scores.shape
  losses = _losses(scores, users)
  rows, items = _row_index(targets), targets.indices
  target_losses = losses[rows, items]
  losses[rows, items] = np.inf
  losses[_row_index(seen), seen.indices] = np.inf
  bound = _bound(losses, depth)
  is_close = losses <= bound[:, None]
  if np.count_nonzero(is_close) > _MANY_TIES * depth * num_rows:
    is_tie = losses == bound[:, None]
    is_close ^= is_tie & (np.cumsum(is_tie, axis=1, dtype=np.int32) > depth)
  near = np.divmod(np.flatnonzero(is_close), num_items)
  other_losses, other_items = _padded(*near, losses[near], num_rows)
  is_near = target_losses <= bound[rows]
  near = rows[is_near], items[is_near], target_losses[is_near]
  near_losses, near_items = _padded(*near, num_rows)
  merged = np.concatenate([other_losses, near_losses], axis=1)
  # The sort is stable: items that tie with a target stay before it.
  order = np.argsort(merged, axis=1, kind='stable')[:, :depth]
  is_listed = np.take_along_axis(merged, order, 1) < np.inf
  is_target = is_listed & (order >= other_losses.shape[1])
  place = np.arange(1, depth + 1, dtype=np.int32)
  ranks = np.sort(np.where(is_target, place, metrics_lib.NO_RANK), axis=1)
  if is_whole:
    lost = np.flatnonzero(~is_target.any(axis=1))
    best = np.minimum.reduceat(target_losses, targets.indptr[:-1])[lost]
    ranks[lost, 0] = 1 + (losses[lost] <= best[:, None]).sum(axis=1)
  lists = np.concatenate([other_items, near_items], axis=1)
  lists = np.take_along_axis(lists, order, 1)
  return ranks, np.where(is_listed, lists, num_items)


def _losses(scores: np.ndarray, users: np.ndarray) -> np.ndarray:
  """Negated scores, all finite, since infinity marks excluded items."""
  dtype = np.result_type(scores.dtype, np.float32)
  losses = np.negative(scores, dtype=dtype)
  worst = losses.max(axis=1)
  if np.isnan(worst).any():
    row = users[int(np.isnan(worst).argmax())]
    raise ValueError(f'the scores of user row {row} hold NaN')
  if np.isinf(worst).any():
    np.minimum(losses, np.finfo(dtype).max, out=losses)
  return losses


def _bound(losses: np.ndarray, count: int) -> np.ndarray:
  """An upper bound of the `count`-th smallest loss of each row.

  It is the `count`-th smallest of the minima of groups of columns, so only
  about sqrt(V count) values are compared, and few losses beyond `count` are
  within the bound.
  """
  num_rows, num_items = losses.shape
  size = max(1, math.isqrt(num_items // count))
  groups = num_items // size
  grouped = losses[:, : size * groups].reshape(num_rows, size, groups)
  return np.partition(grouped.min(axis=1), count - 1, axis=1)[:, count - 1]


def _padded(rows, items, losses, num_rows: int):
  """Pads entries sorted by row to matrices of losses and of items."""
  counts = np.bincount(rows, minlength=num_rows)
  is_filled = np.arange(counts.max(initial=0)) < counts[:, None]
  padded = np.full(is_filled.shape, np.inf, losses.dtype)
  padded_items = np.zeros(is_filled.shape, np.int64)
  padded[is_filled], padded_items[is_filled] = losses, items
  return padded, padded_items


def _row_index(rows: Csr) -> np.ndarray:
  return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))


def _canonical(rows: Csr) -> Csr:
  """Returns the matrix without stored zeros and repeated entries."""
  rows = scipy.sparse.csr_matrix(rows)
  if rows.has_canonical_format and rows.data.all():
    return rows
  rows = rows.copy()
  rows.sum_duplicates()
  rows.eliminate_zeros()
  return rows


def _judged_users(histories: Csr, targets: Csr, seen: Csr) -> np.ndarray:
  if not histories.shape == targets.shape == seen.shape:
    raise ValueError(
      f'histories {histories.shape}, targets {targets.shape} and seen '
      f'{seen.shape} must have one shape'
    )
  masked = int(targets.multiply(seen).nnz)
  if masked:
    raise DataError(
      f'{masked} targets are masked as seen, so they could never be found; '
      'leave out repeated pairs of a user and an item'
    )
  users = np.flatnonzero(np.diff(targets.indptr))
  if len(users) == 0:
    raise DataError(
      f'none of {targets.shape[0]} users has a target, so nothing can be '
      'evaluated: hold out more users, or users with at least 5 interactions'
    )
  return users
