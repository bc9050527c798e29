"""Item-item linear models with a zero diagonal, in closed form.

All of them are one problem. X [U, V] holds the users' items, Lambda =
diag(ridge) the strength of the penalty and B0 a prior mean of the weights:

    min_B ||X - X B||^2 + ||Lambda^(1/2) (B - B0)||^2,  diag(B) = 0

Its solution is, with P = (X'X + Lambda)^-1 and A = P Lambda B0,

    B = I + A - P diag((1 + diag(A)) / diag(P)).

(Without the constraint, the solution is P (X'X + Lambda B0) = I - P Lambda + A.
The diagonal of B0 drops out, since diag(B) is fixed.) B0 = 0 and a constant
ridge give EASE (Steck, WWW 2019, arXiv 1905.03375); a ridge that grows with
popularity gives EDLAE (Steck, NeurIPS 2020); B0 from item features gives L3AE
(arXiv 2508.13500). A prior is usually held as factors, B0 = left @ right; only
`solve_around` takes a dense one.

P can be computed in two ways. The *primal* way inverts a V x V matrix, O(V^3).
The *dual* way uses P = Lambda^-1 - W'W with W [U, V] and costs O(V U^2). With
fewer users than items it is far cheaper, and B is then low rank plus diagonal.
"""

import concurrent.futures
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec.cost import counts, memory
from hyperrec.systems.linear import spd_inverse as spd_inverse_lib
from hyperrec.systems.linear import woodbury

Csr = scipy.sparse.csr_matrix

_WORKERS = min(4, os.cpu_count() or 1)
# Products that `gram` makes at once; each takes 8 bytes.
_PAIRS = 2**20


class ConstraintError(ValueError):
  """The zero diagonal cannot be dropped for this prior."""


class Prior(NamedTuple):
  """A prior mean B0 = left @ right; its diagonal is ignored."""

  left: Float[np.ndarray, 'V r']
  right: Float[np.ndarray, 'r V']


class FactoredWeights(NamedTuple):
  """B = left @ right + diag(diagonal), whose diagonal is zero.

  Sparse factors are of shape [V, V].
  """

  left: Float[np.ndarray, 'V r'] | Csr
  right: Float[np.ndarray, 'r V'] | Csr
  diagonal: Float[np.ndarray, ' V']

  def dense(self) -> Float[np.ndarray, 'V V']:
    """The same weights as a matrix."""
    weights = _dense(self.left @ self.right)
    np.fill_diagonal(weights, 0)
    return weights

  def sparse(self) -> Csr:
    """The same weights, of sparse factors, as one sparse matrix."""
    weights = (self.left @ self.right).tocsr()
    weights.setdiag(0)
    weights.eliminate_zeros()
    return weights


def _dense(matrix: np.ndarray | Csr) -> np.ndarray:
  """The same matrix as a NumPy array."""
  return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


def factored(left, right, dtype=np.float32) -> FactoredWeights:
  """The weights left @ right, with the diagonal set to zero."""
  left, right = left.astype(dtype), right.astype(dtype)
  return FactoredWeights(left, right, -np.einsum('vr,rv->v', left, right))


class SubsetWeights(NamedTuple):
  """B whose rows and columns are zero outside `items` (n of V)."""

  weights: Float[np.ndarray, 'n n']
  items: Int[np.ndarray, ' n']
  num_items: int

  def dense(self) -> Float[np.ndarray, 'V V']:
    """The same weights as a matrix."""
    out = np.zeros((self.num_items,) * 2, self.weights.dtype)
    out[np.ix_(self.items, self.items)] = self.weights
    return out


Weights = Float[np.ndarray, 'V V'] | Csr | FactoredWeights | SubsetWeights


def gram(x: Csr, dtype=np.float32, block: int = 512):
  """X'X as a dense matrix [V, V], from sparse X [U, V].

  Row i is the sum of the rows of those users who have item i. These rows are
  put one after another and added up by `toarray`, which takes a third of the
  time of a sparse product. Row blocks of the lower triangle are computed on
  several threads, since SciPy releases Python's lock, and then mirrored.
  """
  num_items = x.shape[1]
  out = np.empty((num_items, num_items), dtype)
  x_VxU = x.T.tocsr()

  def fill(start):
    end = min(start + block, num_items)
    left = x[:, :end]
    for first, last in _few_pairs(x_VxU, left, start, end):
      rows = _sums_of_rows(x_VxU[first:last], left)
      out[first:last, :end] = rows
      out[:start, first:last] = rows[:, :start].T

  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    # The longest rows come first, so that the threads end together.
    list(pool.map(fill, reversed(range(0, num_items, block))))
  return out


def _few_pairs(
  x_VxU: Csr, x: Csr, start: int, end: int
) -> Iterator[tuple[int, int]]:
  """Splits the items from `start` to `end` into ranges with _PAIRS pairs each.

  A pair is an entry of an item, and an entry of its user in X. An item with
  more of them has a range of its own.
  """
  places = x_VxU.indptr[start : end + 1]
  of_users = np.diff(x.indptr)[x_VxU.indices[places[0] : places[-1]]]
  pairs = np.concatenate([[0], np.cumsum(of_users, dtype=np.int64)])
  pairs = pairs[places - places[0]]
  first = start
  while first < end:
    most = pairs[first - start] + _PAIRS
    last = start + int(np.searchsorted(pairs, most, 'right')) - 1
    last = max(last, first + 1)
    yield first, last
    first = last


def _sums_of_rows(left: Csr, right: Csr) -> Float[np.ndarray, 'N V']:
  """The dense product of two sparse matrices; it makes every product first."""
  rows = right[left.indices]
  if (left.data != 1).any():
    rows.data *= np.repeat(left.data, np.diff(rows.indptr))
  # Columns may occur several times in a row; `toarray` adds them.
  parts = rows.data, rows.indices, rows.indptr[left.indptr]
  return Csr(parts, (left.shape[0], right.shape[1])).toarray()


def denoising_ridge(
  item_counts: np.ndarray, l2: float, dropout: float = 0.0
) -> Float[np.ndarray, ' V']:
  """The per-item ridge l2 + c_j p / (1 - p) (EDLAE, Steck 2020, eq. 5).

  Args:
    item_counts: [V], c_j = diag(X'X).
    l2: lambda > 0.
    dropout: p in [0, 1); 0 is EASE.

  Raises:
    ValueError: `l2` or `dropout` is out of range.
  """
  if not 0 <= dropout < 1:
    raise ValueError(f'dropout={dropout} must be in [0, 1)')
  if l2 <= 0:
    raise ValueError(f'l2={l2} must be positive')
  rows_V = np.asarray(item_counts, np.float64)
  return l2 + rows_V * dropout / (1 - dropout)


def precision(
  x: Csr,
  ridge: np.ndarray,
  dtype=np.float32,
  stacked: Float[np.ndarray, 'F V'] | None = None,
):
  """P = (X'X + diag(ridge))^-1 [V, V], by the primal way.

  Args:
    x: X.
    ridge: [V].
    dtype: of P.
    stacked: dense rows that stand under those of X, if any.

  Raises:
    InsufficientMemoryError: the V x V matrix does not fit into memory.
    numpy.linalg.LinAlgError: X'X + diag(ridge) is not positive definite in
      `dtype`.
  """
  num_items = x.shape[1]
  memory.check_memory(
    spd_inverse_lib.spd_inverse_peak_bytes(num_items, dtype),
    f'the inverse of a {num_items} x {num_items} item Gram matrix',
  )
  p_VxV = gram(x, dtype)
  if stacked is not None:
    rows_FxV = stacked.astype(dtype)
    add_product(p_VxV, rows_FxV.T, rows_FxV)
  p_VxV[np.diag_indices(num_items)] += ridge.astype(dtype)
  return spd_inverse_lib.spd_inverse(p_VxV)


def precision_cheapest(x: Csr, ridge: np.ndarray, dtype=np.float32):
  """P [V, V] like `precision`, but by the dual way, O(U V^2), for few users."""
  if not is_dual_cheaper(*x.shape):
    return precision(x, ridge, dtype)
  w_UxV = woodbury.dual_factor(x, np.asarray(ridge, np.float64)).astype(dtype)
  p_VxV = w_UxV.T @ -w_UxV
  p_VxV[np.diag_indices(len(p_VxV))] += (1 / ridge).astype(dtype)
  return p_VxV


def precision_flops(row_counts: np.ndarray, num_items: int) -> float:
  """Operations of `precision_cheapest`."""
  solve = solve_flops(row_counts, num_items)
  users = len(row_counts)
  if is_dual_cheaper(users, num_items):
    return solve + 2.0 * users * num_items**2
  return solve


def weights_from_precision(
  precision_VxV: np.ndarray,
  *,
  ridge: np.ndarray | None = None,
  prior: Prior | None = None,
  relax: float = 0.0,
  constrained: bool = True,
) -> Float[np.ndarray, 'V V']:
  """B from P; B overwrites P.

  Args:
    precision_VxV: P = (X'X + diag(ridge))^-1, float [V, V]; it is overwritten.
    ridge: [V], needed with `prior`, `relax` or without the constraint.
    prior: B0; None is zero.
    relax: xi >= 0 of RLAE (Moon et al., SIGIR 2023, arXiv 2305.12922), the
      upper limit of the diagonal; 0 keeps the diagonal at zero.
    constrained: False drops the constraint, which gives the plain ridge
      solution B = I - P Lambda.

  Raises:
    ValueError: there is a prior, and `relax` is above 0 or the constraint is
      dropped.
  """
  if prior is not None and (relax or not constrained):
    raise ValueError(
      f'relax={relax} and constrained={constrained} cannot be combined with a '
      'prior: take relax=0 and constrained=True, or no prior'
    )
  p_diag = np.diagonal(precision_VxV).copy()
  num_items = len(p_diag)
  product = None
  scale = 1 / p_diag
  if not constrained:
    scale = ridge
  elif relax:
    shrunk = ridge * p_diag
    scale = np.where(1 - shrunk > relax, (1 - relax) / p_diag, ridge)
  elif prior is not None:
    scaled = prior.left * ridge[:, None]
    a_Vxr = precision_VxV @ scaled.astype(precision_VxV.dtype)
    product = a_Vxr, prior.right.astype(precision_VxV.dtype)
    scale = (1 + np.einsum('vr,rv->v', *product)) / p_diag
  weights = precision_VxV
  weights *= -scale.astype(weights.dtype)
  if product is not None:
    add_product(weights, *product)
  diagonal = np.diag_indices(num_items)
  weights[diagonal] = 0 if constrained else 1 - p_diag * scale
  return weights


def add_product(out, left, right, block: int = 2048) -> None:
  """Adds left @ right to `out` by row blocks, without a second such matrix."""
  for start in range(0, len(out), block):
    out[start : start + block] += left[start : start + block] @ right


def solve_primal(
  x: Csr,
  ridge: np.ndarray,
  prior: Prior | None = None,
  dtype=np.float32,
  stacked: Float[np.ndarray, 'F V'] | None = None,
) -> Float[np.ndarray, 'V V']:
  """The general closed form by a V x V inverse: O(V^3 + V^2 r)."""
  p_VxV = precision(x, ridge, dtype, stacked)
  return weights_from_precision(p_VxV, ridge=ridge, prior=prior)


def solve_peak_bytes(num_users: int, num_items: int) -> int:
  """Peak bytes of `solve` without a prior, its argument not included."""
  if is_dual_cheaper(num_users, num_items):
    return woodbury.dual_peak_bytes(num_users, num_items)
  return spd_inverse_lib.spd_inverse_peak_bytes(num_items)


def solve_dual(
  x: Csr,
  ridge: np.ndarray,
  prior: Prior | None = None,
  dtype=np.float32,
  stacked: Float[np.ndarray, 'F V'] | None = None,
) -> FactoredWeights:
  """The same closed form by a U x U system, O(V (U + r)^2); B has factors."""
  ridge = np.asarray(ridge, np.float64)
  active = np.flatnonzero(np.diff(x.indptr))
  w_UxV = woodbury.dual_factor(x[active], ridge, stacked)
  p_diag = 1 / ridge - np.einsum('uv,uv->v', w_UxV, w_UxV)
  left, right, product_diag = w_UxV.T, w_UxV, 0.0
  if prior is not None:
    a_Vxr = prior.left - w_UxV.T @ (w_UxV @ (prior.left * ridge[:, None]))
    product_diag = np.einsum('vr,rv->v', a_Vxr, prior.right)
  scale = (1 + product_diag) / p_diag
  right = w_UxV * scale
  if prior is not None:
    left = np.concatenate([left, a_Vxr], axis=1)
    right = np.concatenate([right, prior.right])
  return factored(left, right, dtype)


def is_dual_cheaper(num_users: int, num_items: int, rank: int = 0) -> bool:
  """Whether to use the dual way: its factors are smaller than a full matrix."""
  return 2 * (num_users + rank) < num_items


def solve_around(
  x: Csr,
  ridge: np.ndarray,
  prior_VxV: Float[np.ndarray, 'V V'],
  *,
  constrained: bool = True,
) -> Float[np.ndarray, 'V V']:
  """The same closed form around a dense B0, which is overwritten with B.

  The diagonal of B0 must be 0, and B has the dtype of B0. The cost is O(U V^2)
  for few users, else O(V^3). Without the constraint (an ablation), B = P (X'X +
  Lambda B0), and its diagonal is free.
  """
  weights, dtype = prior_VxV, prior_VxV.dtype
  active = np.flatnonzero(np.diff(x.indptr))
  ridge_V = np.asarray(ridge, dtype)
  if is_dual_cheaper(len(active), x.shape[1]):
    w_UxV = woodbury.dual_factor(x[active], np.asarray(ridge, np.float64))
    p_diag = 1 / ridge - np.einsum('uv,uv->v', w_UxV, w_UxV)
    w_UxV = w_UxV.astype(dtype)
    weights -= w_UxV.T @ (w_UxV @ (weights * ridge_V[:, None]))
    # Without the constraint, I - P Lambda = W'W Lambda is added.
    scale = (1 + np.diagonal(weights)) / p_diag if constrained else ridge_V
    weights += w_UxV.T @ (w_UxV * scale.astype(dtype))
  else:
    p_VxV = precision(x, ridge, dtype)
    weights *= ridge_V[:, None]
    weights[...] = p_VxV @ weights
    p_diag = np.diagonal(p_VxV)
    scale = (1 + np.diagonal(weights)) / p_diag if constrained else ridge_V
    weights -= p_VxV * scale
    if not constrained:
      weights[np.diag_indices(len(weights))] += 1
  if constrained:
    np.fill_diagonal(weights, 0)
  return weights


def solve(
  x: Csr,
  ridge: np.ndarray,
  prior: Prior | None = None,
  dtype=np.float32,
  stacked: Float[np.ndarray, 'F V'] | None = None,
) -> Weights:
  """The general closed form by the cheaper of the two ways.

  Args:
    x: X.
    ridge: [V].
    prior: B0 in factors; None is 0.
    dtype: of the weights.
    stacked: dense rows that stand under those of X, if any.
  """
  rank = 0 if prior is None else prior.left.shape[1]
  num_rows = x.shape[0] + (0 if stacked is None else len(stacked))
  if is_dual_cheaper(num_rows, x.shape[1], rank):
    return solve_dual(x, ridge, prior, dtype, stacked)
  return solve_primal(x, ridge, prior, dtype, stacked)


def scores(x: Csr, weights: Weights) -> Float[np.ndarray, 'B V']:
  """Scores x B of sparse histories x [B, V]; the weights are not symmetric."""
  if isinstance(weights, FactoredWeights):
    out = _dense((x @ weights.left) @ weights.right)
    row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    out[row, x.indices] += x.data * weights.diagonal[x.indices]
    return out
  if isinstance(weights, SubsetWeights):
    out = np.zeros(x.shape, weights.weights.dtype)
    out[:, weights.items] = x[:, weights.items] @ weights.weights
    return out
  return _dense(x @ weights)


def solve_from_prior(
  x: Csr,
  ridge: np.ndarray,
  prior: Prior | Float[np.ndarray, 'V V'],
  *,
  constrained: bool = True,
) -> tuple[Weights, float]:
  """The closed form around a prior in factors or dense, and its operations.

  Args:
    x: users' items [U, V].
    ridge: [V].
    prior: B0; a dense one is overwritten, see `solve_around`.
    constrained: False drops the zero diagonal; this needs a dense prior.

  Raises:
    ConstraintError: the constraint is dropped and the prior is in factors.
  """
  rows_U = x.getnnz(1)
  if isinstance(prior, np.ndarray):
    weights = solve_around(x, ridge, prior, constrained=constrained)
    return weights, solve_around_flops(rows_U, len(prior))
  if not constrained:
    raise ConstraintError(
      'the zero diagonal cannot be dropped for a prior in factors; only small '
      'catalogues with a kernel have a dense prior'
    )
  operations = solve_flops(rows_U, x.shape[1], prior.left.shape[1])
  return solve(x, ridge, prior), operations


def solve_flops(
  row_counts: np.ndarray, num_items: int, rank: int = 0, primal: bool = False
) -> float:
  """Operations of `solve` (or of `solve_primal`).

  Args:
    row_counts: [U], the number of items of each user.
    num_items: V.
    rank: r of the prior.
    primal: count the primal way, even if the dual way is cheaper.
  """
  rows_U = np.asarray(row_counts, np.float64)
  users, items = float((rows_U > 0).sum()), float(num_items)
  if primal or not is_dual_cheaper(len(rows_U), num_items, rank):
    inverse = counts.gram(rows_U) + counts.spd_inverse(num_items)
    return inverse + 4 * items**2 * rank + items**2
  inner = 2 * users * rows_U.sum() + counts.cholesky(users)
  factor = users**2 * items + 3 * users * items
  return inner + factor + 4 * users * items * rank + 3 * rank * items


def solve_around_flops(row_counts: np.ndarray, num_items: int) -> float:
  """Operations of `solve_around`; see `solve_flops`."""
  users, items = float(np.count_nonzero(row_counts)), float(num_items)
  if not is_dual_cheaper(int(users), num_items):
    return counts.gram(row_counts) + 3 * items**3 + 4 * items**2
  return solve_flops(row_counts, num_items) + 6 * users * items**2
