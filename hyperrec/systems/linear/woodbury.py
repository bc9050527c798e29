"""P = (X'X + l2 I)^-1 by a small system, for few users or after a change.

Dynamic EASE (Jeunen, Van Balen & Goethals, UMUAI 2022,
10.1007/s11257-021-09314-7) updates P exactly by a change of low rank. A new
user is a change of rank one; a user whose row changes from x to x' is one of
rank two, x'x'^T - xx^T. Here the changed rows themselves are the factors, so no
eigendecomposition is needed:

    P <- P - (P U)(S + U'P U)^-1 (P U)',   X'X changes by U S U', S = +-1.
"""

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec.cost import memory

Csr = scipy.sparse.csr_matrix

# Vectors by which the error of an inverse is measured.
_PROBES = 4


def update(
  precision_VxV: Float[np.ndarray, 'V V'],
  added: Csr,
  removed: Csr | None = None,
  block: int = 2048,
) -> Float[np.ndarray, 'V V']:
  """P after rows are added to (and removed from) X, as a new matrix.

  Args:
    precision_VxV: P, symmetric; it is not changed.
    added: rows [K, V] that X gains.
    removed: rows [R, V] that X loses (the old rows of users who changed).
    block: rows of P updated at a time.
  """
  changed = added if removed is None else scipy.sparse.vstack([added, removed])
  sign = np.ones(changed.shape[0])
  sign[added.shape[0] :] = -1
  changed = changed.tocsr().astype(precision_VxV.dtype)
  pu_VxK = (changed @ precision_VxV).T
  inner = (changed @ pu_VxK).astype(np.float64)
  inner[np.diag_indices(len(inner))] += sign
  factor = scipy.linalg.lu_factor(inner, overwrite_a=True)
  solved_KxV = scipy.linalg.lu_solve(factor, pu_VxK.T.astype(np.float64))
  solved_KxV = solved_KxV.astype(precision_VxV.dtype)
  out = np.empty_like(precision_VxV)
  for start in range(0, len(out), block):
    rows = slice(start, start + block)
    np.matmul(pu_VxK[rows], solved_KxV, out=out[rows])
    np.subtract(precision_VxV[rows], out[rows], out=out[rows])
  return out


def extend(
  precision_VxV: Float[np.ndarray, 'V V'], num_new: int, l2: float
) -> Float[np.ndarray, 'W W']:
  """P with `num_new` more items, which have no interactions: P_jj = 1 / l2."""
  old = len(precision_VxV)
  out = np.zeros((old + num_new,) * 2, precision_VxV.dtype)
  out[:old, :old] = precision_VxV
  new = np.arange(old, old + num_new)
  out[new, new] = 1 / l2
  return out


def drift(precision_VxV: Float[np.ndarray, 'V V'], x: Csr, l2: float) -> float:
  """The error of P as an inverse: the relative error of (X'X + l2 I) P v.

  It is the largest over random sign probes v [V]; 0 is exact. It costs O(V^2)
  per probe.
  """
  random = np.random.default_rng(0)
  probes = random.choice([-1.0, 1.0], size=(len(precision_VxV), _PROBES))
  solved = precision_VxV @ probes.astype(precision_VxV.dtype)
  solved = solved.astype(np.float64)
  back = x.T @ (x @ solved) + l2 * solved
  errors = np.linalg.norm(back - probes, axis=0)
  return float(errors.max() / np.sqrt(len(probes)))


def update_flops(num_items: int, rank: int, row_counts: np.ndarray) -> float:
  """Operations of `update`: the products, the K x K solve, the correction."""
  entries = float(np.sum(row_counts))
  solve = 2 * rank**3 / 3 + 2 * rank**2 * num_items
  return 2 * entries * (num_items + rank) + solve + 2 * num_items**2 * rank


def dual_factor(
  x: Csr,
  ridge: np.ndarray,
  stacked: Float[np.ndarray, 'F V'] | None = None,
) -> Float[np.ndarray, 'U V']:
  """W [U, V] with (X'X + Lambda)^-1 = Lambda^-1 - W'W, in float64.

  W = L^-1 X Lambda^-1 for L L' = I + X Lambda^-1 X' (Woodbury).

  Args:
    x: X.
    ridge: the diagonal of Lambda, [V].
    stacked: dense rows that stand under those of X, if any; W then has U + F
      rows.

  Raises:
    InsufficientMemoryError: the matrices do not fit into memory; nothing has
      been computed yet.
  """
  num_rows = x.shape[0] + (0 if stacked is None else len(stacked))
  memory.check_memory(
    dual_peak_bytes(num_rows, x.shape[1]),
    f'the dual solution for {x.shape[1]} items and {num_rows} users',
  )
  scaled = (x.astype(np.float64) @ scipy.sparse.diags(1 / ridge)).tocsr()
  inner, scaled_UxV = (scaled @ x.T).toarray(), scaled.toarray()
  if stacked is not None:
    # As sparse rows they would take many times as long.
    rows_FxV = stacked.astype(np.float64)
    across_UxF = scaled @ rows_FxV.T
    below_FxV = rows_FxV / ridge
    inner = np.block(
      [[inner, across_UxF], [across_UxF.T, below_FxV @ rows_FxV.T]]
    )
    scaled_UxV = np.concatenate([scaled_UxV, below_FxV])
  inner[np.diag_indices(len(inner))] += 1
  lower = scipy.linalg.cholesky(inner, lower=True, overwrite_a=True)
  return scipy.linalg.solve_triangular(
    lower, scaled_UxV, lower=True, overwrite_b=True, check_finite=False
  )


def dual_peak_bytes(num_users: int, num_items: int) -> int:
  """Peak bytes of `linear_autoencoder.solve_dual` without a prior."""
  # W, the scaled W, and both in single precision; the U x U system and its
  # factor.
  return 8 * (3 * num_users * num_items + 2 * num_users**2)
