"""Generated columns take in the interactions that their items have.

A column c of a new item is updated by ridge regression around it. Users who did
not take the item up may not have seen it yet, so they have a smaller weight g,
or none:

    min_w  sum_(u took it) (1 - x_u w)^2 + g sum_(other u) (x_u w)^2
           + l2 ||w - c||^2

The update is exact. With (g X'X + l2 I)^-1 at hand, it takes a product and a
system as large as the number of the item's interactions. That inverse is made
for the users of the fit; users who came or changed since are taken into it
first (`renew_inverse`).
"""

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec.cost import counts, memory
from hyperrec.systems.linear import linear_autoencoder, woodbury

Csr = scipy.sparse.csr_matrix


def update(
  columns: Float[np.ndarray, 'V N'],
  x_known: Csr,
  x_new: Csr,
  l2: float,
) -> float:
  """Takes the interactions of new items into their columns, in place.

  With rows X of the n users who took an item up, the minimum is at
  c + X' (X X' + l2 I)^-1 (1 - X c), of which only an n x n system is solved.
  Where there are more users than old items, it is the same as
  c + (X'X + l2 I)^-1 X' (1 - X c), a V x V system.

  Args:
    columns: generated; overwritten.
    x_known: [U, V] interactions with known items.
    x_new: [U, N] interactions with new items.
    l2: ridge.

  Returns:
    The operations.

  Raises:
    InsufficientMemoryError: a system does not fit; nothing is updated.
  """
  operations = 0.0
  by_item = x_new.tocsc()
  _check_memory(by_item, x_known.shape[1])
  for item in range(by_item.shape[1]):
    users = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
    if not len(users):
      continue
    rows = x_known[users]
    change, spent = _regression(rows, 1.0 - rows @ columns[:, item], l2)
    columns[:, item] += change
    operations += spent
  return operations


def _regression(
  rows: Csr, missing: Float[np.ndarray, ' n'], l2: float
) -> tuple[Float[np.ndarray, ' V'], float]:
  """X' (X X' + l2 I)^-1 y by the smaller system, and the operations."""
  num_users, num_known = rows.shape
  if num_users > num_known:
    system = linear_autoencoder.gram(rows, np.float64)
    system[np.diag_indices(num_known)] += l2
    change = scipy.linalg.solve(system, rows.T @ missing, assume_a='pos')
    return change, counts.gram(rows.getnnz(1)) + counts.cholesky(num_known)
  system = (rows @ rows.T).toarray().astype(np.float64)
  system[np.diag_indices(num_users)] += l2
  dual = scipy.linalg.solve(system, missing, assume_a='pos')
  operations = 2.0 * num_users * rows.nnz + counts.cholesky(num_users)
  return rows.T @ dual, operations


def _check_memory(by_item: scipy.sparse.csc_matrix, num_known: int) -> None:
  """Checks that the largest system of an update fits into memory."""
  most = int(np.diff(by_item.indptr).max(initial=0))
  memory.check_memory(
    # The system and its factor, in double precision.
    2 * 8 * min(most, num_known) ** 2,
    f'the update by an item with {most} interactions',
    'give fewer interactions of new items, or fit anew with them',
  )


def inverse(
  x: Csr, weight: float, l2: float
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """(g X'X + l2 I)^-1, and the operations.

  Args:
    x: X [U, V].
    weight: g, above 0.
    l2: ridge.
  """
  found = linear_autoencoder.precision_cheapest(
    x * np.float32(np.sqrt(weight)), np.full(x.shape[1], float(l2))
  )
  return found, linear_autoencoder.precision_flops(x.getnnz(1), x.shape[1])


def renew_inverse(
  absent: Float[np.ndarray, 'V V'],
  former: Csr,
  x: Csr,
  *,
  weight: float,
  l2: float,
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """`inverse` of X, from that of a former X, and the operations.

  Args:
    absent: `inverse` of the former X; it is not changed.
    former: [U', V], the former X.
    x: X [U, V]; its first U' users are those of `former`.
    weight: g.
    l2: ridge.
  """
  is_changed = np.ones(x.shape[0], bool)
  num_former = former.shape[0]
  is_changed[:num_former] = (x[:num_former] != former).getnnz(1) > 0
  if not is_changed.any():
    return absent, 0.0
  added, removed = x[is_changed], former[is_changed[:num_former]]
  entries = np.append(added.getnnz(1), removed.getnnz(1))
  operations = woodbury.update_flops(x.shape[1], len(entries), entries)
  if linear_autoencoder.precision_flops(x.getnnz(1), x.shape[1]) < operations:
    return inverse(x, weight, l2)
  root = np.float32(np.sqrt(weight))
  return woodbury.update(absent, added * root, removed * root), operations


def update_with_absent(
  columns: Float[np.ndarray, 'V N'],
  x_known: Csr,
  x_new: Csr,
  absent: Float[np.ndarray, 'V V'],
  *,
  weight: float,
  l2: float,
) -> float:
  """The same where users who did not take an item up have a weight g, too.

  The system is that of all users with the weight g, of which the inverse is
  known, plus 1 - g for each of the n users who took the item up (Woodbury).
  Where there are more of them than old items, a V x V system is solved.

  Args:
    columns: generated; overwritten where items have interactions.
    x_known: [U, V] interactions with known items.
    x_new: [U, N] interactions with new items.
    absent: (g X'X + l2 I)^-1 of the known items.
    weight: g, above 0 and at most 1.
    l2: ridge.

  Returns:
    The operations.

  Raises:
    InsufficientMemoryError: a system does not fit; nothing is updated.
  """
  by_item, more = x_new.tocsc(), 1 - weight
  _check_memory(by_item, len(absent))
  updated = np.flatnonzero(np.diff(by_item.indptr))
  start_VxN = absent @ (np.float32(l2) * columns[:, updated])
  operations = counts.matmul(len(absent), len(updated), len(absent))
  for item, start_V in zip(updated, start_VxN.T, strict=True):
    users = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
    rows = x_known[users]
    if len(users) > len(absent):
      own_V = absent @ np.asarray(rows.sum(axis=0)).ravel()
      system = absent @ linear_autoencoder.gram(rows) * more
      system[np.diag_indices(len(system))] += 1
      columns[:, item] = np.linalg.solve(system, start_V + own_V)
      operations += counts.gram(rows.getnnz(1))
      operations += counts.matmul(*(len(absent),) * 3)
      operations += 2 * len(absent) ** 3 / 3
      continue
    own_nxV = rows @ absent
    column_V = start_V + own_nxV.sum(axis=0)
    if more:
      inner = (rows @ own_nxV.T).astype(np.float64)
      inner[np.diag_indices(len(users))] += 1 / more
      dual = scipy.linalg.solve(inner, rows @ column_V, assume_a='pos')
      column_V = column_V - dual @ own_nxV
    columns[:, item] = column_V
    operations += 2.0 * rows.nnz * (len(absent) + len(users))
    operations += counts.cholesky(len(users)) + 3.0 * own_nxV.size
  return operations
