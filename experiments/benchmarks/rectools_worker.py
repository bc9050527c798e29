"""Full ranking with RecTools, in an environment of its own.

  python rectools_worker.py DATA.npz K1,K2

DATA.npz holds B [V, V] as `weights`, and the users' seen items and targets as
parts of CSR matrices. RecTools makes lists by its EASE and takes its metrics of
them. Prints the seconds of a second run and the metrics as JSON.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.dataset.identifiers import IdMap
from rectools.dataset.interactions import Interactions
from rectools.metrics import NDCG, HitRate, Recall, calc_metrics
from rectools.models import EASEModel


def main(path, cutoffs):
  """Prints the measurements."""
  with np.load(path) as file:
    weights = file['weights']
    seen, targets = (
      _table(file[f'{name}_indptr'], file[f'{name}_indices'])
      for name in ('seen', 'targets')
    )
  users = np.arange(seen[Columns.User].max() + 1)
  ids = IdMap.from_values(users), IdMap.from_values(np.arange(len(weights)))
  dataset = Dataset(*ids, Interactions.from_raw(seen, *ids))
  model = EASEModel()
  # It scores by the rows of its weights, hyperrec by their columns.
  model.weight, model.is_fitted = np.ascontiguousarray(weights.T), True
  metrics = {}
  for k in cutoffs:
    metrics[f'recall@{k}'] = Recall(k=k)
    metrics[f'ndcg@{k}'] = NDCG(k=k, divide_by_achievable=True)
    metrics[f'hr@{k}'] = HitRate(k=k)
  for _ in range(2):  # the first call is a warm-up
    start = time.perf_counter()
    lists = model.recommend(users, dataset, k=max(cutoffs), filter_viewed=True)
    found = calc_metrics(metrics, lists, targets)
    seconds = time.perf_counter() - start
  print(json.dumps({'seconds': seconds, 'metrics': found}))


def _table(indptr, indices):
  """Interactions as RecTools wants them: with a weight and a time."""
  users = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
  return pd.DataFrame(
    {
      Columns.User: users,
      Columns.Item: indices,
      Columns.Weight: 1.0,
      Columns.Datetime: pd.Timestamp('2024-01-01'),
    }
  )


if __name__ == '__main__':
  main(sys.argv[1], [int(k) for k in sys.argv[2].split(',')])
