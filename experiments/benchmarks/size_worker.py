"""Measures the local closed forms on one catalogue, in a process of its own.

  python -m experiments.benchmarks.size_worker 100000

Prints the measurements as JSON. `size` starts this script, since memory is
measured as the peak of the process.
"""

import json
import pathlib
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from experiments.benchmarks import catalogues, machine
from hyperrec import sparse_ranking
from hyperrec.systems.hyperease import local_columns, old_ranking
from hyperrec.systems.linear import local_kernel, local_solve, near_items

Csr = scipy.sparse.csr_matrix

# Neighbours of an item: half of them by users, half by features.
NEIGHBOURS = 64
# Items that each one is compared with to find neighbours by features.
CANDIDATES = 4096
L2, L2_KERNEL, SHARPNESS, TRUST = 100.0, 3.0, 3.0, 0.7
# New users that are ranked, users in a batch, length of their lists.
RANKED, BATCH, K = 20_000, 2048, 100
# Share of the items that arrive later, and the interactions with each that are
# known by then.
ARRIVING, EVIDENCE = 0.01, 5
# Items of the catalogue on which all programs are compiled first.
SMALL = 2000
# Users who change when interactions arrive.
CHANGED = 10
SETTINGS = {
  'neighbours': NEIGHBOURS, 'candidates': CANDIDATES, 'l2': L2,
  'l2_kernel': L2_KERNEL, 'sharpness': SHARPNESS, 'trust': TRUST,
  'ranked': RANKED, 'arriving': ARRIVING, 'evidence': EVIDENCE,
  'changed': CHANGED, 'k': K,
}  # fmt: skip


class Phases:
  """Seconds and peak memory of the parts of a run.

  Attributes:
    rows: name -> seconds, seconds of all cores, and peak bytes of the process.
  """

  def __init__(self):
    """No part has run yet."""
    self.rows: dict[str, dict[str, float]] = {}

  def run(self, name: str, fn: Callable[[], Any]) -> Any:
    """Returns fn() and notes what it took."""
    start, busy = time.perf_counter(), time.process_time()
    value = fn()
    self.rows[name] = {
      'seconds': time.perf_counter() - start,
      'core_seconds': time.process_time() - busy,
      'peak_bytes': peak_bytes(),
    }
    return value


def main(num_items: int) -> None:
  """Measures a made catalogue of so many items, and prints what that took."""
  started, others = time.perf_counter(), machine.others_seconds()
  measure(catalogues.made(SMALL))  # compiles the programs of all sizes
  compile_seconds = time.perf_counter() - started
  base = peak_bytes()
  started = time.perf_counter()
  catalogue = catalogues.made(num_items)
  made_seconds = time.perf_counter() - started
  found = measure(catalogue)
  elapsed = time.perf_counter() - started + compile_seconds
  result = {
    'items': num_items,
    'base_bytes': base,
    'compile_seconds': compile_seconds,
    'made_seconds': made_seconds,
    'cores_used_by_others': (
      None if others is None else (machine.others_seconds() - others) / elapsed
    ),
    **found,
    'peak_bytes': peak_bytes(),
  }
  print(json.dumps(result, default=float))


def measure(catalogue: catalogues.Catalogue) -> dict[str, Any]:
  """Builds, ranks and updates, and returns what each part took."""
  data = catalogue.data
  random = np.random.default_rng(1)
  x_UxV = data.csr()
  # The last users are new; of some items, little is known at first.
  num_ranked = min(RANKED, data.num_users // 10)
  held_BxV = x_UxV[-num_ranked:]
  x_UxV = x_UxV[:-num_ranked]
  num_new = max(1, int(ARRIVING * data.num_items))
  new = np.sort(random.permutation(data.num_items)[:num_new])
  known = np.setdiff1d(np.arange(data.num_items), new)
  x_known, x_new = x_UxV[:, known], _fewer(x_UxV[:, new], EVIDENCE)
  del x_UxV
  table, arriving = catalogue.features[known], catalogue.features[new]
  phases = Phases()
  groups = phases.run('groups', lambda: near_items.groups(table))
  near = phases.run(
    'neighbours',
    lambda: near_items.joined(
      near_items.by_users(x_known, NEIGHBOURS // 2),
      near_items.by_features(
        table, groups, table, NEIGHBOURS // 2, CANDIDATES, is_known=True
      ),
    ),
  )
  prior = phases.run(
    'kernel columns',
    lambda: local_kernel.columns(table, near, table, SHARPNESS, L2_KERNEL),
  )
  counted = phases.run('shared users', lambda: local_solve.together(x_known))
  values = phases.run(
    'weights', lambda: local_solve.solve(counted, near, L2, TRUST * prior)
  )
  weights = phases.run(
    'sparse matrix',
    lambda: local_solve.as_matrix(near, values, len(known)),
  )
  shown, user, item = old_ranking.hide(
    random, held_BxV[:, known][held_BxV[:, known].getnnz(1) > 1]
  )
  order = np.argsort(-counted.counts, kind='stable')
  lists = phases.run('ranking', lambda: _rank(shown, weights, order))
  # Items arrive, with few interactions.
  config = local_columns.LocalColumnsConfig(
    sharpness=SHARPNESS, l2_kernel=L2_KERNEL, similar=NEIGHBOURS,
    candidates=CANDIDATES,
  )  # fmt: skip
  watched = local_columns.watch(
    weights, shown[:200], user[user < 200], item[user < 200]
  )
  state = local_columns.Catalogue(weights, groups, watched)
  rows = phases.run(
    'new items',
    lambda: local_columns.generate(config, state, table, arriving),
  )
  rows = phases.run(
    'interactions of new items',
    lambda: local_columns.take_in(config, state, rows, x_known, x_new),
  )
  chosen = random.permutation(shown.shape[0])[:CHANGED]
  solved = phases.run(
    'new users', lambda: _arrive(counted, near, prior, shown[chosen])
  )
  targets = [item[user == u] for u in range(min(2000, shown.shape[0]))]
  popular = _popular(shown[: len(targets)], order)
  return {
    'users': data.num_users,
    'interactions': len(data),
    'squared_lengths': float(np.square(x_known.getnnz(1), dtype=float).sum()),
    'pairs': counted.halves[0].nnz,
    'weights': weights.nnz,
    'ranked_users': shown.shape[0],
    'new_items': num_new,
    'new_interactions': x_new.nnz,
    'changed_users': len(chosen),
    'changed_columns': solved,
    'new_column_entries': rows.nnz,
    'recall_of_neighbours': _recall(table, near, random),
    'ndcg': _ndcg(lists, targets),
    'ndcg_of_popularity': _ndcg(popular, targets),
    'phases': phases.rows,
  }


def _fewer(x: Csr, most: int) -> Csr:
  """At most so many of the users of each item, the first ones."""
  columns = x.tocsc()
  place = np.arange(columns.nnz) - np.repeat(
    columns.indptr[:-1], np.diff(columns.indptr)
  )
  columns.data[place >= most] = 0
  columns.eliminate_zeros()
  return columns.tocsr()


def _rank(shown: Csr, weights: Csr, order: np.ndarray) -> np.ndarray:
  """Lists of all users, batch by batch."""
  return np.concatenate(
    [
      sparse_ranking.best(shown[s : s + BATCH], weights, K, order).items
      for s in range(0, shown.shape[0], BATCH)
    ]
  )


def _arrive(counted, near, prior, rows: Csr) -> int:
  """Takes new users in exactly; returns the number of columns that changed."""
  changed = counted.changed(rows * 0, rows)
  chosen = local_solve.touched(near, np.unique(rows.indices))
  local_solve.solve(changed, near, L2, TRUST * prior, chosen)
  return len(chosen)


def _popular(shown: Csr, order: np.ndarray) -> np.ndarray:
  """The most popular items that each user has not had."""
  first = order[: K + int(shown.getnnz(1).max())]
  return np.array([first[~np.isin(first, u.indices)][:K] for u in shown])


def _ndcg(lists: np.ndarray, targets: list[np.ndarray]) -> float:
  """The mean NDCG@K of lists."""
  gain_K = 1 / np.log2(np.arange(2, K + 2))
  ideal = np.cumsum(gain_K)
  found = [
    (np.isin(row, own) @ gain_K) / ideal[min(len(own), K) - 1]
    for row, own in zip(lists, targets, strict=False)
  ]
  return float(np.mean(found))


def _recall(table, near, random, sample: int = 200) -> float:
  """Share of the exact neighbours by features that were found."""
  chosen = random.permutation(len(table))[:sample]
  width = NEIGHBOURS // 2
  shares = []
  for item in chosen:
    cosines = table @ table[item]
    cosines[item] = -np.inf
    exact = np.argpartition(-cosines, width)[:width]
    shares.append(np.isin(exact, near[item]).mean())
  return float(np.mean(shares))


def peak_bytes() -> int:
  """The largest resident memory of this process so far."""
  status = pathlib.Path('/proc/self/status')
  if status.exists():
    for line in status.read_text().splitlines():
      if line.startswith('VmHWM'):
        return int(line.split()[1]) * 1024
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == '__main__':
  main(int(sys.argv[1]))
