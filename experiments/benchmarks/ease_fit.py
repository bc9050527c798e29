"""Compares EASE with bare LAPACK calls, and with RecBole's and irspack's EASE.

  python -m experiments.benchmarks.ease_fit

The first comparison is with potrf and potri of LAPACK alone, on a copy of the
same matrix X'X + lambda I; hyperrec computes B from that matrix. The second
comparison is with RecBole and irspack: all fit from the interactions, each in a
process of its own.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.linalg

from experiments import script
from experiments.benchmarks import inputs, measure, peers
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sources
from hyperrec.systems.linear import linear_autoencoder, spd_inverse

Comparison = measure.Comparison
L2 = 250.0  # RecBole's default.
PEERS = {'recbole': 'RecBole EASE', 'irspack': 'irspack EASE'}


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('ease_fit', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons on every data set."""
  repeats = min(3, measure.repeats())
  made = [
    inputs.skewed(5 * num_items, num_items)
    for num_items in measure.catalogues((3_000, 10_000))
  ]
  comparisons = [c for data in made for c in against_lapack(data, repeats)]
  names = [name for name in PEERS if peers.has(name)]
  skipped += [measure.skip(name) for name in PEERS if name not in names]
  if not names:
    return comparisons
  try:
    # Few users: the fit takes the dual form and never meets LAPACK's V x V.
    made.append(sources.load('movielens_small'))
  except interactions_lib.DataError as error:
    skipped.append(str(error))
    print(error)
  return comparisons + [
    c for data in made for c in against_peers(data, names, repeats)
  ]


def against_lapack(data, repeats: int) -> list[Comparison]:
  """Compares B from X'X + lambda I, and B from X, with potrf and potri."""
  x_UxV = data.csr()
  ridge = np.full(data.num_items, L2)
  matrix = linear_autoencoder.gram(x_UxV)
  matrix[np.diag_indices(data.num_items)] += L2
  scratch = np.empty_like(matrix)
  sides = {
    'ours': lambda: linear_autoencoder.weights_from_precision(
      spd_inverse.spd_inverse(scratch), ridge=ridge
    ),
    'lapack': lambda: _potrf_potri(scratch),
    'fit': lambda: linear_autoencoder.solve_primal(x_UxV, ridge),
  }
  seconds = {name: [] for name in sides}
  for repeat in range(repeats + 1):
    for name, call in sides.items():
      np.copyto(scratch, matrix)
      start = time.perf_counter()
      call()
      if repeat:  # the first is a warm-up
        seconds[name].append(time.perf_counter() - start)
  case, peer = inputs.describe(data), 'LAPACK potrf + potri'
  return [
    Comparison(
      case,
      "B, given X'X",
      peer,
      's',
      seconds['ours'],
      seconds['lapack'],
      '<= 1.15',
    ),
    Comparison(
      case, 'B, given X', peer, 's', seconds['fit'], seconds['lapack']
    ),
  ]


def _potrf_potri(a: np.ndarray) -> None:
  potrf, potri = scipy.linalg.get_lapack_funcs(('potrf', 'potri'), (a,))
  _, info = potrf(a.T, lower=0, clean=0, overwrite_a=1)
  if info:
    raise np.linalg.LinAlgError(f'potrf: info={info}')
  potri(a.T, lower=0, overwrite_c=1)


def against_peers(data, names, repeats: int) -> list[Comparison]:
  """Compares the time and memory of a fit, each in a process of its own.

  Raises:
    AssertionError: the B of another library differs.
  """
  runs = {system: [] for system in ('hyperrec', *names)}
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / 'data.npz'
    sizes = {'U': data.num_users, 'V': data.num_items}
    np.savez(path, users=data.users, items=data.items, **sizes)
    for _ in range(repeats):
      for system, found in runs.items():
        found.append(run_worker(system, path))
  samples = {name: np.array(found[0]['sample']) for name, found in runs.items()}
  for name in names:
    theirs = samples[name]
    np.testing.assert_allclose(
      samples['hyperrec'], theirs, atol=1e-3 * np.abs(theirs).max()
    )
  return [
    Comparison(
      inputs.describe(data),
      what,
      PEERS[name],
      unit,
      [run[field] for run in runs['hyperrec']],
      [run[field] for run in runs[name]],
      goals.get(name, ''),
    )
    for name in names
    for what, field, unit, goals in (
      (
        'fit from interactions', 'seconds', 's',
        {'recbole': '>= 5', 'irspack': '>= 1'},
      ),
      ('peak memory of the fit', 'rise_bytes', 'bytes', {'recbole': '<= 0.5'}),
      (
        'peak memory of the process', 'peak_bytes', 'bytes',
        {'recbole': '<= 0.5'},
      ),
    )
  ]  # fmt: skip


def run_worker(system: str, path: pathlib.Path) -> dict:
  """Returns what `ease_worker` measures in one fit."""
  module = 'experiments.benchmarks.ease_worker'
  done = subprocess.run(
    [sys.executable, '-m', module, system, str(path), str(L2)],
    check=True,
    stdout=subprocess.PIPE,
    text=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


if __name__ == '__main__':
  script.run(main)
