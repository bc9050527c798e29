"""Full ranking for held-out users, from what each did before."""

from collections.abc import Callable, Sequence

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import splits
from hyperrec.evaluation import ranking


def evaluate(
  score_fn: Callable[[method_lib.Histories], np.ndarray],
  held: splits.HeldOut,
  *,
  metrics: Sequence[str],
  mask_seen: bool = True,
  batch_size: int = 512,
) -> ranking.Evaluation:
  """Ranks the whole catalogue for every held-out user who has targets.

  Args:
    score_fn: histories of B users -> scores [B, V]; see `ranking.evaluate`.
    held: who is judged.
    metrics: names as `metrics.parse` takes them.
    mask_seen: leave a user's history out of her ranking; without, an item may
      be recommended again.
    batch_size: users scored at a time.

  Raises:
    ValueError: see `ranking.evaluate`.
  """
  histories = held.histories.by_user_and_time()
  shown = held.histories.csr()
  return ranking.evaluate(
    lambda users: score_fn(method_lib.Histories.of(histories, users)),
    shown,
    held.targets.csr(),
    metrics=metrics,
    batch_size=batch_size,
    seen=shown if mask_seen else shown * 0,
  )
