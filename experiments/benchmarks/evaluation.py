"""Compares full ranking with the bare product, RecBole, irspack and RecTools.

  python -m experiments.benchmarks.evaluation \
    --rectools_python=rectools/bin/python

All sides score the same users with the same B in batches of the same size,
leave out what the users have seen, and take the same metrics at the same
cut-offs. The definitions agree (Recall over |T|, binary NDCG with the ideal of
min(K, |T|), hits) except for ties: in hyperrec they count against the
method, in the others their order is that of the sort. The script fails if the
metrics differ. RecTools runs in an environment of its own, once in each turn
after a warm-up.
"""

import functools
import json
import pathlib
import subprocess
import tempfile

import numpy as np

from experiments import script
from experiments.benchmarks import inputs, measure, other_pythons, peers
from hyperrec import method as method_lib
from hyperrec.data import splits
from hyperrec.evaluation import ranking
from hyperrec.systems.linear import item_item, linear_autoencoder

Comparison = measure.Comparison
CUTOFFS = (20, 100)
METRICS = tuple(f'{m}@{k}' for k in CUTOFFS for m in ('recall', 'ndcg', 'hr'))
BATCH_SIZE = 512
RECTOOLS = pathlib.Path(__file__).with_name('rectools_worker.py')
PEERS = {
  'recbole': ('RecBole Collector + Evaluator', peers.recbole_evaluate),
  'irspack': ('irspack Evaluator', peers.irspack_evaluate),
}


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('evaluation', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons of every size with every installed peer."""
  names = [name for name in PEERS if peers.has(name)]
  skipped += [measure.skip(name) for name in PEERS if name not in names]
  python = other_pythons.interpreter('rectools')
  if python is None:
    skipped.append(other_pythons.skip('rectools'))
  comparisons = []
  for num_items in measure.catalogues((3_000, 10_000, 20_000)):
    train = inputs.skewed(2 * num_items, num_items)
    judged = inputs.skewed(4_000, num_items, seed=1)
    weights = fit(train)
    comparisons += compare(weights, judged, names, measure.repeats())
    if python is not None:
      repeats = min(3, measure.repeats())
      comparisons.append(against_rectools(weights, judged, python, repeats))
  return comparisons


def fit(train) -> np.ndarray:
  """Returns B of EASE; ranking costs the same with any dense B."""
  ridge = np.full(train.num_items, 250.0)
  return linear_autoencoder.solve_primal(train.csr(), ridge)


def compare(weights, judged, names, repeats: int) -> list[Comparison]:
  """Compares on the users of `judged`, with a fifth of each hidden."""
  held = splits.fold_in(judged, seed=0)
  histories = held.histories.by_user_and_time()
  seen, targets = histories.csr(), held.targets.csr()
  with_target = np.flatnonzero(np.diff(targets.indptr))
  seen_part, targets_part = seen[with_target], targets[with_target]
  product = lambda rows: seen_part[rows] @ weights  # noqa: E731
  sides = {
    'ours': functools.partial(evaluate, weights, histories, seen, targets),
    'product': functools.partial(bare_product, product, len(with_target)),
  }
  for name in names:
    sides[name] = functools.partial(
      PEERS[name][1], product, seen_part, targets_part, CUTOFFS, BATCH_SIZE
    )
  for name in names:
    check_agreement(name, sides['ours'](), sides[name]())
  seconds = measure.interleave(sides, repeats)
  case = f'{inputs.describe(judged)}, {BATCH_SIZE} users a batch'
  others = [('product', 'bare product X B', '<= 1.5')]
  others += [(name, PEERS[name][0], '>= 1') for name in names]
  return [
    Comparison(
      case, 'full ranking', peer, 's', seconds['ours'], seconds[name], goal
    )
    for name, peer, goal in others
  ]


def against_rectools(
  weights, judged, python: str, repeats: int
) -> measure.Comparison:
  """Compares with RecTools on the users who have a target.

  Raises:
    AssertionError: a metric differs.
    CalledProcessError: RecTools failed.
  """
  held = splits.fold_in(judged, seed=0)
  targets = held.targets.csr()
  users = np.flatnonzero(np.diff(targets.indptr))
  histories = held.histories.take_users(users).by_user_and_time()
  seen, targets = histories.csr(), targets[users]
  ours = functools.partial(evaluate, weights, histories, seen, targets)
  parts = {
    f'{name}_{part}': getattr(matrix, part)
    for name, matrix in (('seen', seen), ('targets', targets))
    for part in ('indptr', 'indices')
  }
  seconds, found = {'ours': [], 'rectools': []}, {}
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'data.npz'
    np.savez(path, weights=weights, **parts)
    for _ in range(repeats):
      seconds['ours'] += measure.interleave({'ours': ours}, 1)['ours']
      found = run_rectools(python, path)
      seconds['rectools'].append(found['seconds'])
  check_agreement('rectools', ours(), found['metrics'])
  return Comparison(
    inputs.describe(judged),
    'full ranking',
    f'RecTools {other_pythons.version("rectools")} EASE and metrics',
    's',
    seconds['ours'],
    seconds['rectools'],
    '>= 1',
  )


def run_rectools(python: str, path: pathlib.Path) -> dict:
  """Returns what `rectools_worker` measures."""
  done = subprocess.run(
    [python, str(RECTOOLS), str(path), ','.join(map(str, CUTOFFS))],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def evaluate(weights, histories, seen, targets) -> dict[str, float]:
  """Full ranking as the experiments do it: the method scores histories."""
  found = ranking.evaluate(
    lambda users: item_item.score(
      weights, method_lib.Histories.of(histories, users)
    ),
    seen,
    targets,
    metrics=METRICS,
    batch_size=BATCH_SIZE,
  )
  return {name: found.mean(name) for name in METRICS}


def bare_product(product, num_users: int) -> None:
  """Scores all users and discards the scores."""
  for start in range(0, num_users, BATCH_SIZE):
    product(np.arange(start, min(start + BATCH_SIZE, num_users)))


def check_agreement(name: str, ours: dict, theirs: dict) -> None:
  """Raises AssertionError if a metric differs by more than ties explain."""
  difference = max(abs(ours[metric] - theirs[metric]) for metric in METRICS)
  print(f'{name}: metrics agree to {difference:.1e}')
  if difference > 1e-4:
    raise AssertionError(f'{name} says {theirs}, hyperrec says {ours}')


if __name__ == '__main__':
  script.run(main)
