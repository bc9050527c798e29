"""The same metrics for kinds of users and of items."""

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from hyperrec.evaluation import ranking

Csr = scipy.sparse.csr_matrix


def by_history_length(
  values: np.ndarray, lengths: np.ndarray, edges: Sequence[int]
) -> dict[str, float]:
  """Means of per-user values [U'] by the length of the users' histories [U'].

  Args:
    values: a metric of each judged user.
    lengths: items that each of them has shown.
    edges: rising; (5, 20) makes the strata 0-4, 5-19 and 20+.

  Returns:
    Stratum -> mean, for strata that hold a user.
  """
  edges = [0, *edges]
  names = [f'{a}-{b - 1}' for a, b in itertools.pairwise(edges)]
  names.append(f'{edges[-1]}+')
  place = np.digitize(lengths, edges) - 1
  return {
    name: float(values[place == i].mean())
    for i, name in enumerate(names)
    if (place == i).any()
  }


def by_item_popularity(
  targets: Csr, seen: Csr, item_counts: np.ndarray, num_strata: int = 3
) -> list[tuple[Csr, Csr]]:
  """Targets cut by the popularity of their item, from rare to popular.

  Strata hold about equal numbers of targets; items of equal counts stay
  together. In each, targets of the other strata are masked like seen items:
  they are neither to be found nor in the way.

  Args:
    targets: [U, V].
    seen: [U, V].
    item_counts: [V], from training data.
    num_strata: how many.

  Returns:
    (targets, seen) of each stratum, for `ranking.evaluate`.
  """
  counts = np.sort(item_counts[targets.indices])
  cuts = counts[np.arange(1, num_strata) * len(counts) // num_strata]
  stratum = np.searchsorted(cuts, item_counts, side='right')
  parts = []
  for i in range(num_strata):
    own = scipy.sparse.diags((stratum == i).astype(np.float32))
    inside = (targets @ own).tocsr()
    inside.eliminate_zeros()
    parts.append((inside, (seen + targets - inside).tocsr()))
    parts[-1][1].eliminate_zeros()
  return parts


def history_lengths(evaluation: ranking.Evaluation, histories: Csr):
  """Items shown by each judged user: int [U']."""
  return np.diff(histories.indptr)[evaluation.users]
