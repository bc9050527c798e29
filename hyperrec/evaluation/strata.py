"""Metrics of groups (strata) of users."""

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from hyperrec.evaluation import ranking

Csr = scipy.sparse.csr_matrix


def by_history_length(
  values: np.ndarray, lengths: np.ndarray, edges: Sequence[int]
) -> dict[str, float]:
  """Returns the mean of a metric for each stratum of history lengths.

  Args:
    values: float [U'], a metric of each evaluated user.
    lengths: int [U'], number of items in the history of each of them.
    edges: increasing; (5, 20) makes the strata 0-4, 5-19 and 20+.

  Returns:
    Stratum -> mean; strata without users are left out.
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
  """Returns the number of history items of each evaluated user: int [U']."""
  return np.diff(histories.indptr)[evaluation.users]
