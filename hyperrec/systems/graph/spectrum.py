"""The normalised matrix of users and items, and its singular vectors.

X [U, V] holds the users' items, and Du, Di are the diagonal matrices of their
degrees. Graph filters work on R = Du^-1/2 X Di^-1/2, whose largest singular
value is 1: R'R is the similarity of items, and I - R'R the Laplacian of their
graph. The singular vectors with large singular values are its low frequencies.
No matrix [V, V] is formed.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Float

from hyperrec.cost import counts

Csr = scipy.sparse.csr_matrix

# Matrices whose smaller side is at most this are decomposed by dense LAPACK.
_DENSE = 256


class Spectrum(NamedTuple):
  """The low frequencies of the graph of items.

  Attributes:
    vectors: [V, r], orthonormal right singular vectors of R, those with the
      largest singular values.
    operations: what it took to find them.
  """

  vectors: Float[np.ndarray, 'V r']
  operations: float


def power(degrees: np.ndarray, exponent: float) -> Float[np.ndarray, ' n']:
  """Raises degrees to a power, in float32; those that are 0 stay 0."""
  degrees = np.asarray(degrees, np.float64)
  raised = np.where(degrees > 0, degrees, 1.0) ** exponent
  return np.where(degrees > 0, raised, 0.0).astype(np.float32)


def scale(
  x: Csr, rows: np.ndarray | None = None, columns: np.ndarray | None = None
) -> Csr:
  """diag(rows) x diag(columns) in float32, as a new matrix."""
  data = x.data.astype(np.float32)
  if rows is not None:
    data *= np.repeat(rows, np.diff(x.indptr))
  if columns is not None:
    data *= columns[x.indices]
  return scipy.sparse.csr_matrix((data, x.indices, x.indptr), shape=x.shape)


def normalise(x: Csr, user_power: float = 0.5, item_power: float = 0.5) -> Csr:
  """Du^-user_power X Di^-item_power, float32 [U, V]; R by default."""
  users_U, items_V = x.getnnz(1), x.getnnz(0)
  return scale(x, power(users_U, -user_power), power(items_V, -item_power))


def similar(
  normalised: Csr, signals: Float[np.ndarray, 'V B']
) -> Float[np.ndarray, 'V B']:
  """R'R times the signals: two sparse products."""
  return normalised.T @ (normalised @ signals)


def low_frequencies(normalised: Csr, rank: int) -> Spectrum:
  """The right singular vectors of R with the largest singular values.

  They are fewer than `rank` where R has a smaller rank. Large matrices take
  ARPACK's Lanczos iterations, from a start vector that is always the same.
  """
  smaller = min(normalised.shape)
  # ARPACK keeps twice the number of vectors that it looks for.
  if smaller <= max(_DENSE, 2 * rank):
    _, values, vectors = scipy.linalg.svd(
      normalised.toarray(), full_matrices=False, check_finite=False
    )
    operations = counts.svd(*normalised.shape)
  else:
    values, vectors, operations = _lanczos(normalised, rank)
  kept = _nonzero(values[:rank], smaller)
  return Spectrum(np.ascontiguousarray(vectors[:rank][kept].T), operations)


def _nonzero(values: np.ndarray, size: int) -> np.ndarray:
  limit = values.max(initial=0) * size * np.finfo(values.dtype).eps
  return values > limit


def _lanczos(matrix: Csr, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
  """Singular values [r] in descending order, vectors [r, V], operations."""
  products = 0

  def counted(multiply):
    def product(vector):
      nonlocal products
      products += 1
      return multiply(vector)

    return product

  transposed = matrix.T.tocsr()
  operator = scipy.sparse.linalg.LinearOperator(
    matrix.shape,
    matvec=counted(lambda v: matrix @ v),
    rmatvec=counted(lambda v: transposed @ v),
    dtype=matrix.dtype,
  )
  smaller = min(matrix.shape)
  start = np.random.default_rng(0).normal(size=smaller).astype(matrix.dtype)
  _, values, vectors = scipy.sparse.linalg.svds(
    operator, rank, v0=start, return_singular_vectors='vh'
  )
  order = np.argsort(-values, kind='stable')
  # Each step makes its vector orthogonal to the basis, twice (upper bound).
  basis = min(smaller, max(2 * rank + 1, 20))
  steps = products / 2
  operations = products * 2.0 * matrix.nnz + steps * 8.0 * smaller * basis
  return values[order], vectors[order], operations


def project(
  signals: Csr, vectors: Float[np.ndarray, 'V r']
) -> Float[np.ndarray, 'B V']:
  """The low-pass filter: signals [B, V] projected on the low frequencies."""
  return (signals @ vectors) @ vectors.T
