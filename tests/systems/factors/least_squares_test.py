"""Half a sweep of iALS: safe where several threads score at once."""

import subprocess
import sys

from tests.experiments import commands

# Without a lock, this waits forever on two cores.
CODE = """
import concurrent.futures
import numpy as np
import scipy.sparse
from hyperrec.systems.factors import least_squares, row_blocks

columns = np.random.default_rng(0).normal(size=(280, 64)).astype(np.float32)
gram = least_squares.gram(columns, 0.1)
rows = scipy.sparse.random(
  256, 280, density=0.02, format='csr', random_state=0, dtype=np.float32
)

ridge = np.ones(256, np.float32)
blocks = row_blocks.of(rows, 64)

def solve(_):
  return least_squares.solve_rows(blocks, columns, gram, ridge)

expected = solve(None)
with concurrent.futures.ThreadPoolExecutor(4) as pool:
  for found in pool.map(solve, range(200)):
    np.testing.assert_array_equal(found, expected)
"""


def test_several_threads_solve_without_waiting_for_one_another():
  subprocess.run(
    [sys.executable, '-c', CODE], cwd=commands.ROOT, check=True, timeout=120
  )
