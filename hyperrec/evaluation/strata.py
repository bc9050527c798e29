"""The same metrics for kinds of users."""

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


def history_lengths(evaluation: ranking.Evaluation, histories: Csr):
  """Items shown by each judged user: int [U']."""
  return np.diff(histories.indptr)[evaluation.users]
