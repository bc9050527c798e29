"""Full ranking of the catalogue; ties count against the method.

The trick that makes ties exact with one top-k per row: targets and seen items
leave the list, and a target's rank is one more than the better targets and the
other items that score *at least* as high.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from hyperrec.evaluation import metrics as metrics_lib

Csr = scipy.sparse.csr_matrix


class Evaluation(NamedTuple):
  """Metrics of each user who has targets.

  Attributes:
    values: metric name -> float [U'].
    users: [U'] the rows that were judged; others have no target.
    coverage: share of the catalogue in some user's top list of max K.
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

  Args:
    score_fn: user rows [B] -> scores [B, V]; rows may repeat (padding).
    histories: what was shown, [U, V].
    targets: what is to be found, [U, V].
    metrics: names as `metrics.parse` takes them.
    batch_size: users scored at a time.
    seen: items left out of the ranking; None is the histories.

  Raises:
    ValueError: a target is masked as seen, a score is NaN, no user has a
      target, or shapes differ.
  """
  seen = histories if seen is None else seen
  parsed = tuple(metrics_lib.parse(name) for name in metrics)
  users = _judged_users(histories, targets, seen)
  batch_size = min(batch_size, len(users))
  depth = min(max([k for _, k in parsed] + [1]), targets.shape[1])
  seen_rows = _padded(seen, users)
  target_rows = _padded(targets, users)
  values = np.empty((len(users), len(parsed)), np.float32)
  listed = np.zeros(targets.shape[1], bool)
  for start in range(0, len(users), batch_size):
    place = np.arange(start, start + batch_size).clip(max=len(users) - 1)
    scores = score_fn(users[place])
    found, top, has_nan = _judge(
      jnp.asarray(scores), seen_rows[place], target_rows[place], parsed, depth
    )
    if np.asarray(has_nan).any():
      row = users[place[int(np.asarray(has_nan).argmax())]]
      raise ValueError(f'the scores of user row {row} hold NaN')
    kept = min(batch_size, len(users) - start)
    values[start : start + kept] = np.asarray(found)[:kept]
    listed[np.asarray(top)[:kept].ravel()] = True
  columns = {name: values[:, i] for i, name in enumerate(metrics)}
  return Evaluation(columns, users, float(listed.mean()))


@functools.partial(jax.jit, static_argnames=('parsed', 'depth'))
def _judge(scores_BxV, seen_BxS, targets_BxT, parsed, depth):
  ranks, num_targets, top = jax.vmap(
    functools.partial(_target_ranks, depth=depth)
  )(scores_BxV, seen_BxS, targets_BxT)
  one = lambda r, n: jnp.stack(  # noqa: E731
    [metrics_lib.METRICS[kind](r, n, k) for kind, k in parsed]
  )
  return jax.vmap(one)(ranks, num_targets), top, jnp.isnan(scores_BxV).any(1)


def _target_ranks(scores_V, seen_S, targets_T, *, depth):
  """Sorted ranks [T] of one user's targets, their number, and the top list."""
  num_items = scores_V.shape[0]
  is_target = targets_T < num_items
  others_V = scores_V.at[seen_S].set(-jnp.inf, mode='drop')
  others_V = others_V.at[targets_T].set(-jnp.inf, mode='drop')
  target_scores = jnp.where(
    is_target, scores_V.at[targets_T].get(mode='fill', fill_value=0), -jnp.inf
  )
  best_first = -jnp.sort(-target_scores)
  top_scores, top_items = jax.lax.top_k(others_V, depth)
  ahead = jnp.searchsorted(-top_scores, -best_first, side='right')
  num_targets = is_target.sum()
  place = jnp.arange(len(targets_T))
  # Masked items sit at -inf too: only real items may tie with such a target.
  num_others = num_items - (seen_S < num_items).sum() - num_targets
  ahead = jnp.minimum(ahead, num_others)
  best_ahead = jnp.minimum((others_V >= best_first[0]).sum(), num_others)
  ahead = ahead.at[0].set(best_ahead)
  ranks = jnp.where(ahead >= depth, metrics_lib.NO_RANK, ahead + place + 1)
  ranks = ranks.at[0].set(best_ahead + 1)
  ranks = jnp.where(place < num_targets, ranks, metrics_lib.NO_RANK)
  merged = jnp.concatenate([top_scores, target_scores])
  items = jnp.concatenate([top_items, targets_T.clip(max=num_items - 1)])
  _, order = jax.lax.top_k(merged, depth)
  return ranks, num_targets, items[order]


def _padded(rows: Csr, users: np.ndarray) -> np.ndarray:
  """Column indices [U', L] of some rows, padded with V (out of bounds)."""
  part = rows[users]
  length = np.diff(part.indptr)
  width = max(1, 1 << int(length.max(initial=0) - 1).bit_length())
  out = np.full((len(users), width), rows.shape[1], np.int32)
  out[np.arange(width) < length[:, None]] = part.indices
  return out


def _judged_users(histories: Csr, targets: Csr, seen: Csr) -> np.ndarray:
  if not histories.shape == targets.shape == seen.shape:
    raise ValueError(
      f'histories {histories.shape}, targets {targets.shape} and seen '
      f'{seen.shape} must have one shape'
    )
  masked = int(targets.multiply(seen).nnz)
  if masked:
    raise ValueError(
      f'{masked} targets are masked as seen; they could never be found'
    )
  users = np.flatnonzero(np.diff(targets.indptr))
  if len(users) == 0:
    raise ValueError('no user has a target; nothing can be judged')
  return users
