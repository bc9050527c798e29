"""EASE with sparse weights, for catalogues without memory for a V x V matrix.

There are two methods. Both read only the sparse X'X and check their memory.

- *On neighbours*: EASE with one more constraint. Column j of B may differ from
  0 only at the n items S most similar to j. The columns are then independent,
  and each is a small ridge regression, which is solved exactly:

      (X'X + lambda I)_SS B_Sj = (X'X)_Sj

  (Steck, "Markov Random Fields for Collaborative Filtering", NeurIPS 2019, and
  Ning & Karypis, "SLIM", ICDM 2011, also restrict the support of B.)
- *SANSA* (Spisak et al., RecSys 2023): an incomplete Cholesky factor of X'X +
  lambda I and a sparse approximate inverse of it; B is a product of two sparse
  matrices. It is computed by the authors' package `sansa`.
"""

import logging as std_logging

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec import top_k
from hyperrec.cost import memory
from hyperrec.systems.linear import linear_autoencoder

Csr = scipy.sparse.csr_matrix

_ENTRY = 8  # bytes: a float32 and an int32
_WIDE_ENTRY = 12  # sansa uses int64 indices


def gram_entries(x: Csr) -> int:
  """Upper bound of the number of nonzero entries of X'X."""
  sizes = np.diff(x.indptr).astype(np.int64)
  return int(min(np.square(sizes).sum(), x.shape[1] ** 2))


def neighbour_peak_bytes(x: Csr, neighbours: int) -> int:
  """Peak bytes of `solve_on_neighbours`, without its argument."""
  gram = gram_entries(x)
  kept = min(gram, x.shape[1] * neighbours)
  # X and its transpose; X'X; the columns as a list, as one matrix, and as rows;
  # one small system in double precision.
  entries = 2 * x.nnz + gram + 3 * kept
  return _ENTRY * (entries + 4 * neighbours**2)


def solve_on_neighbours(x: Csr, l2: float, neighbours: int) -> Csr:
  """B [V, V] with at most n weights a column, each column solved exactly.

  Args:
    x: users' items [U, V], binary.
    l2: lambda > 0.
    neighbours: n per item: the items with the largest cosine c_ij / sqrt(c_i
      c_j), among the items that share a user with it. Ties go to the items
      with lower numbers.

  Raises:
    InsufficientMemoryError: the matrices do not fit into memory; nothing has
      been computed yet.
  """
  memory.check_memory(
    neighbour_peak_bytes(x, neighbours),
    f'EASE on {neighbours} neighbours of {x.shape[1]} items',
    'take fewer neighbours, or drop users with very long histories',
  )
  gram = (x.T.tocsr() @ x).tocsr()
  gram.sort_indices()  # ties then go to the items with lower numbers
  counts = gram.diagonal()
  columns = [
    _column(gram, counts, item, l2, neighbours) for item in range(len(counts))
  ]
  items, values = zip(*columns, strict=True)
  ends = np.cumsum([0, *map(len, items)])
  weights = scipy.sparse.csc_matrix(
    (np.concatenate(values), np.concatenate(items), ends), shape=gram.shape
  )
  return weights.tocsr()


def _column(
  gram: Csr, counts: np.ndarray, item: int, l2: float, neighbours: int
) -> tuple[Int[np.ndarray, ' n'], Float[np.ndarray, ' n']]:
  """Row indices and values of the nonzero weights in column `item` of B."""
  row = slice(gram.indptr[item], gram.indptr[item + 1])
  is_other = gram.indices[row] != item
  near, together = gram.indices[row][is_other], gram.data[row][is_other]
  if len(near) > neighbours:
    likeness = together / np.sqrt(counts[near])
    kept = top_k.places(likeness[None], neighbours)[0]
    near, together = near[kept], together[kept]
  system = gram[near][:, near].toarray().astype(np.float64)
  system[np.diag_indices(len(near))] += l2
  if len(near):
    together = scipy.linalg.solve(system, together, assume_a='pos')
  return near, together.astype(np.float32)


def neighbour_flops(x: Csr, neighbours: int) -> float:
  """Upper bound of the operations of `solve_on_neighbours`."""
  sizes = np.diff(x.indptr).astype(np.float64)
  # An item has no more neighbours than there are items in its users' rows.
  met = x.T @ (sizes - 1)
  counts = np.minimum(met, min(neighbours, x.shape[1] - 1))
  solves = counts**3 / 3 + 2 * counts**2
  return 2 * float(np.square(sizes).sum()) + float(solves.sum())


def sansa_peak_bytes(x: Csr, density: float) -> int:
  """Peak bytes of `solve_by_sansa`, without its argument."""
  num_items = x.shape[1]
  gram = gram_entries(x)
  factor = _factor_entries(num_items, density)
  # The residual of the inverse is a product of two such factors.
  residual = min(num_items**2 // 2, factor * -(-factor // num_items))
  return _WIDE_ENTRY * (4 * x.nnz + 2 * gram + 8 * factor + 2 * residual)


def _factor_entries(num_items: int, density: float) -> int:
  """Number of entries in a factor, at least 2 per item."""
  return int(np.ceil(max(density, 2 / num_items) * num_items**2))


def sansa_flops(x: Csr, density: float) -> float:
  """Approximate operations of `solve_by_sansa`: those of its sparse products.

  The products are X'X, the factorisation, and the product of factor and
  inverse, which is computed for a scan, for ten corrections and at the end.
  """
  sizes = np.diff(x.indptr).astype(np.float64)
  factor = float(_factor_entries(x.shape[1], density))
  return 2 * float(np.square(sizes).sum()) + 26 * factor**2 / x.shape[1]


def solve_by_sansa(
  x: Csr, l2: float, density: float
) -> linear_autoencoder.FactoredWeights:
  """B = I - P / diag(P) in sparse factors, by the package `sansa`.

  It uses the package's incomplete factorisation (ICF), since `density` bounds
  its memory; the memory of a complete one is not known beforehand. ICF first
  scales X'X by the norms of its columns, so lambda differs in size from EASE's.

  Args:
    x: users' items [U, V], binary.
    l2: lambda > 0 of the scaled matrix.
    density: share of the V^2 entries that each of the two factors keeps.

  Raises:
    InsufficientMemoryError: the matrices do not fit into memory; nothing has
      been computed yet.
    ModuleNotFoundError: sansa is not installed.
  """
  memory.check_memory(
    sansa_peak_bytes(x, density),
    f'SANSA of density {density} on {x.shape[1]} items',
    'choose a smaller density',
  )
  sansa = _import_sansa()
  config = sansa.SANSAConfig(
    l2=l2,
    weight_matrix_density=density,
    gramian_factorizer_config=sansa.ICFGramianFactorizerConfig(),
    lower_triangle_inverter_config=sansa.UMRUnitLowerTriangleInverterConfig(),
  )
  left, right = sansa.SANSA(config).fit(x).weights
  # Their product is -P / diag(P), whose diagonal is -1.
  return linear_autoencoder.FactoredWeights(
    left, right, np.ones(x.shape[1], np.float32)
  )


def _import_sansa():
  """The package `sansa`, with its log messages below warnings silenced."""
  try:
    import sansa
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f'SANSA needs {error.name}: apt-get install libsuitesparse-dev (or the '
      "like), then pip install '.[sansa]'; ease_sparse needs neither"
    ) from error
  std_logging.getLogger('sansa').setLevel(std_logging.WARNING)
  return sansa
