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
  scored: dict[int, np.ndarray] | None = None,
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
    scored: rows of users -> their scores [V], which are taken from here where
      they are, and added where not: several evaluations of the same histories
      then score each user once.

  Raises:
    DataError: see `ranking.evaluate`.
    ValueError: see `ranking.evaluate`.
  """
  rows = histories.by_user_and_time()
  take = slice(None) if candidates is None else candidates
  seen = histories if seen is None else seen

  def score(users):
    if scored is None:
      return score_fn(method_lib.Histories.of(rows, users))
    missing = [user for user in dict.fromkeys(users) if user not in scored]
    if missing:
      found = score_fn(method_lib.Histories.of(rows, np.array(missing)))
      scored.update(zip(missing, np.asarray(found), strict=True))
    return np.stack([scored[user] for user in users])

  return ranking.evaluate(
    lambda users: score(users)[:, take],
    histories.csr()[:, take],
    targets.csr()[:, take],
    metrics=metrics,
    batch_size=batch_size,
    seen=seen.csr()[:, take],
  )
