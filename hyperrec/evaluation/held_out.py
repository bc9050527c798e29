"""Full ranking for held-out users, given their histories."""

from collections.abc import Callable, Sequence

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.evaluation import ranking

Interactions = interactions.Interactions


def evaluate(
  score_fn: Callable[[method_lib.Histories], np.ndarray],
  histories: Interactions,
  targets: Interactions,
  *,
  metrics: Sequence[str],
  seen: Interactions | None = None,
  candidates: np.ndarray | None = None,
  batch_size: int = 512,
) -> ranking.Evaluation:
  """Ranks the catalogue for every held-out user who has targets.

  Args:
    score_fn: histories of B users -> scores [B, V]; see `ranking.evaluate`.
    histories: the interactions that the method is shown.
    targets: the held-out interactions, of the same users and items.
    metrics: names that `metrics.parse` accepts, such as 'ndcg@100'.
    seen: interactions excluded from the ranking; None excludes the histories.
    candidates: int [N], the items that are ranked; None ranks all.
    batch_size: number of users scored at once.

  Raises:
    DataError: see `ranking.evaluate`.
    ValueError: see `ranking.evaluate`.
  """
  rows = histories.by_user_and_time()
  take = slice(None) if candidates is None else candidates
  seen = histories if seen is None else seen
  return ranking.evaluate(
    lambda users: score_fn(method_lib.Histories.of(rows, users))[:, take],
    histories.csr()[:, take],
    targets.csr()[:, take],
    metrics=metrics,
    batch_size=batch_size,
    seen=seen.csr()[:, take],
  )
