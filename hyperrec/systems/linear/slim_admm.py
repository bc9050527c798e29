"""SLIM: sparse, non-negative item-item weights, by ADMM.

    min_B 1/2 ||X - XB||^2 + l2/2 ||B||^2 + l1 ||B||_1,  B >= 0, diag(B) = 0

(Ning & Karypis, ICDM 2011.) The splitting is that of ADMM SLIM (Steck et al.,
WSDM 2020): one factorisation, then one product with P = (X'X + (l2 + rho) I)^-1
per iteration, in its dual form if users are few. l1 = 0 gives the non-negative
least-squares fit, which differs from EASE with its negative weights set to 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec.cost import memory
from hyperrec.systems.linear import linear_autoencoder, woodbury

Csr = linear_autoencoder.Csr


class SlimFit(NamedTuple):
  """The weights [V, V], the number of iterations and the relative residual."""

  weights: Float[np.ndarray, 'V V']
  iterations: int
  residual: float


def slim(
  x: Csr,
  *,
  l1: float,
  l2: float,
  max_iterations: int = 100,
  tolerance: float = 1e-3,
  dtype=np.float32,
) -> SlimFit:
  """Solves SLIM for all items at once.

  Args:
    x: X [U, V].
    l1: weight of the L1 norm, >= 0.
    l2: weight of the squared norm, > 0.
    max_iterations: upper bound of the ADMM iterations.
    tolerance: the iterations stop when both ADMM residuals, divided by ||B||,
      are below it.
    dtype: type of the weights.

  Raises:
    InsufficientMemoryError: the matrices do not fit into memory; nothing has
      been computed yet.
  """
  memory.check_memory(
    peak_bytes(x.shape[1], dtype), f'SLIM of {x.shape[1]} items'
  )
  counts = x.getnnz(0)
  rho = dtype(max(1.0, float(counts.mean())))
  ridge = dtype(l2) + rho
  p_VxV, multiply = _precision_operator(x, float(ridge), dtype)
  p_diag = np.diagonal(p_VxV).copy()
  weights = np.zeros((x.shape[1],) * 2, dtype)
  dual = np.zeros_like(weights)
  diagonal = np.diag_indices(len(weights))
  residual, iterations = np.inf, 0
  while iterations < max_iterations and residual >= tolerance:
    iterations += 1
    # P (X'X + rho (C - dual)) = I + P (rho (C - dual) - ridge I).
    inner = rho * (weights - dual)
    inner[diagonal] -= ridge
    free = multiply(inner)
    free[diagonal] += 1
    # The Lagrange term - P diag(gamma) makes the diagonal zero.
    gamma = np.diagonal(free) / p_diag
    free -= p_VxV * gamma.astype(dtype)
    previous = weights
    weights = np.maximum(free + dual - dtype(l1) / rho, 0)
    weights[diagonal] = 0
    dual += free
    dual -= weights
    norm = max(float(np.linalg.norm(weights)), 1e-12)
    residual = max(
      float(np.linalg.norm(free - weights)),
      float(np.linalg.norm(weights - previous)),
    )
    residual /= norm
  return SlimFit(weights, iterations, residual)


def _precision_operator(
  x: Csr, ridge: float, dtype
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
  """P = (X'X + ridge I)^-1, and the cheaper way to compute M -> P M."""
  vector = np.full(x.shape[1], ridge)
  p_VxV = linear_autoencoder.precision_cheapest(x, vector, dtype)
  if not linear_autoencoder.is_dual_cheaper(*x.shape):
    return p_VxV, lambda m_VxV: p_VxV @ m_VxV
  w_UxV = woodbury.dual_factor(x, vector).astype(dtype)
  return p_VxV, lambda m_VxV: m_VxV / dtype(ridge) - w_UxV.T @ (w_UxV @ m_VxV)


def peak_bytes(num_items: int, dtype=np.float32) -> int:
  """Peak bytes of `slim`: P and six matrices of the same size."""
  return 7 * num_items**2 * np.dtype(dtype).itemsize


def slim_flops(
  row_counts: np.ndarray, num_items: int, iterations: int
) -> float:
  """Operations: one factorisation, then one product with P per iteration."""
  users, items = len(row_counts), float(num_items)
  dual = linear_autoencoder.is_dual_cheaper(users, num_items)
  product = 4 * items**2 * users if dual else 2 * items**3
  fit = linear_autoencoder.precision_flops(row_counts, num_items)
  return fit + iterations * (product + 10 * items**2)
