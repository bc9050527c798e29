"""Half a sweep of implicit ALS: the factors of all rows, given the columns'.

For each row u of a binary matrix X [M, N], with S the columns where it has a 1
and h_j the factor of column j, it solves

    min_w sum_{j in S} (1 - w.h_j)^2 + alpha sum_j (w.h_j)^2 + r |w - m|^2

that is (alpha H'H + sum_S h_j h_j' + r I) w = sum_S h_j + r m.

The matrix alpha H'H = Q diag(e) Q' is the same for all rows. With s = 1 /
sqrt(e + r), G [L, D] the rows s Q'h_j of S, g = s Q'r m and w = Q s v, it
becomes

    (I + G'G) v = G'1 + g

A row with at least D entries is solved in this form, [D, D], and a shorter one
in the equal form of its own size,

    (I + GG') y = 1 - G g,    v = g + G'y

which is what makes short rows cheap. Alternatively `step_rows` takes steps of
conjugate gradients from the last solution (Takacs, Pilaszy and Tikk,
"Applications of the conjugate gradient method for implicit feedback
collaborative filtering", RecSys 2011). A step costs 4 L D operations in place
of L^2 D or more. It also gains by this form: where S is among the columns of H,
G'G is at most 1 / alpha, so the matrix has a condition number of at most
1 + 1 / alpha.

Both use LAPACK and BLAS and compile nothing; `solve_padded` is the exact solve
as one function of JAX.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Bool, Float, Int

from hyperrec.cost import counts
from hyperrec.systems.factors import row_blocks

Blocks = row_blocks.Blocks

# Up to this size NumPy solves a batch of systems at once faster than LAPACK
# solves them one by one from Python.
_SMALL = 16
_TINY = np.finfo(np.float32).tiny


class _Systems(NamedTuple):
  """The rows' systems, in the coordinates where alpha H'H is diagonal.

  Attributes:
    axes: Q.
    columns: [N + 1, D], the columns' factors; the last row is 0. It stands for
      the places beyond a row's length.
    are_turned: whether `columns` are multiplied by Q.
    are_scaled: whether they are also multiplied by s, which is then that of
      all rows.
    scale: [M, D], s of each row.
    pull: [M, D], g of each row.
  """

  axes: Float[np.ndarray, 'D D']
  columns: Float[np.ndarray, 'N+1 D']
  are_turned: bool
  are_scaled: bool
  scale: Float[np.ndarray, 'M D']
  pull: Float[np.ndarray, 'M D'] | None

  def matrices(self, block: row_blocks.Block) -> Float[np.ndarray, 'B L D']:
    """G of each row of a block."""
    found_BxLxD = self.columns.take(block.columns, axis=0)
    if not self.are_turned:
      found_BxLxD = found_BxLxD @ self.axes
    if not self.are_scaled:
      found_BxLxD *= self.scale[block.rows, None]
    return found_BxLxD

  def pulls(self, block: row_blocks.Block) -> Float[np.ndarray, 'B D'] | float:
    """The vectors g of the rows of a block."""
    return 0.0 if self.pull is None else self.pull[block.rows]

  def factors(
    self, block: row_blocks.Block, v_BxD: Float[np.ndarray, 'B D']
  ) -> Float[np.ndarray, 'B D']:
    """The factors w of the rows of a block."""
    return _turned(self.scale[block.rows] * v_BxD, self.axes.T)


def solve_rows(
  x: Blocks,
  columns: Float[np.ndarray, 'N D'],
  gram: Float[np.ndarray, 'D D'],
  ridge: Float[np.ndarray, ' M'],
  mean: Float[np.ndarray, 'M D'] | None = None,
  *,
  turn_all: bool = True,
) -> Float[np.ndarray, 'M D']:
  """The factor of each row, float32; exact.

  Args:
    x: the rows of X.
    columns: H, the factors of the columns.
    gram: alpha H'H.
    ridge: r of each row, above 0.
    mean: m of each row; None is 0.
    turn_all: whether all columns are multiplied by Q at once, or those of each
      row when it is solved. The latter is cheaper where X has few entries.

  Raises:
    numpy.linalg.LinAlgError: the matrix of a row is not positive definite in
      float32.
  """
  with row_blocks.workers() as pool:
    systems = _systems(pool, columns, gram, ridge, mean, turn_all=turn_all)
    found = np.empty_like(systems.scale)

    def solve(block):
      v_BxD = _solved(systems.matrices(block), systems.pulls(block))
      found[block.rows] = systems.factors(block, v_BxD)

    list(pool.map(solve, x.blocks))
  return found


def step_rows(
  x: Blocks,
  columns: Float[np.ndarray, 'N D'],
  gram: Float[np.ndarray, 'D D'],
  ridge: Float[np.ndarray, ' M'],
  start: Float[np.ndarray, 'M D'],
  *,
  steps: int,
  mean: Float[np.ndarray, 'M D'] | None = None,
) -> Float[np.ndarray, 'M D']:
  """The factor of each row after some steps of conjugate gradients, float32.

  Args:
    x: the rows of X.
    columns: H, the factors of the columns.
    gram: alpha H'H.
    ridge: r of each row, above 0.
    start: the factors that the first step starts from.
    steps: number of steps; more than D of them are exact but for rounding.
    mean: m of each row; None is 0.

  Raises:
    numpy.linalg.LinAlgError: alpha H'H + r I of a row is not positive definite
      in float32.
  """
  found = np.array(start, np.float32)
  with row_blocks.workers() as pool:
    systems = _systems(pool, columns, gram, ridge, mean, turn_all=True)

    def improve(block):
      start_BxD = _turned(found[block.rows], systems.axes)
      v_BxD = _stepped(
        systems.matrices(block),
        systems.pulls(block),
        start_BxD / systems.scale[block.rows],
        steps,
      )
      found[block.rows] = systems.factors(block, v_BxD)

    list(pool.map(improve, x.blocks))
  return found


def _systems(pool, columns, gram, ridge, mean, *, turn_all: bool) -> _Systems:
  """For the arguments see `solve_rows`."""
  columns, gram = (np.asarray(a, np.float32) for a in (columns, gram))
  ridge = np.asarray(ridge, np.float32)[:, None]
  if not np.isfinite(gram).all():
    raise np.linalg.LinAlgError('the Gram matrix is not finite; raise l2')
  values, axes = np.linalg.eigh(gram)
  strength = values + ridge
  if not (strength > 0).all():
    row = np.flatnonzero(~(strength > 0).all(axis=1))[0]
    raise np.linalg.LinAlgError(
      f'row {row} has no factor in float32: its matrix is not positive '
      'definite; raise l2'
    )
  scale = 1 / np.sqrt(strength)
  scale_all = turn_all and len(ridge) > 0 and np.ptp(ridge) == 0
  parts = row_blocks.parts(columns)
  if turn_all:
    axes_of_all = axes * scale[:1] if scale_all else axes
    parts = pool.map(lambda part: part @ axes_of_all, parts)
  pull = None
  if mean is not None:
    pull = scale * _turned(ridge * np.asarray(mean, np.float32), axes)
  return _Systems(
    axes,
    np.vstack([*parts, np.zeros_like(columns[:1])]),
    turn_all,
    scale_all,
    scale,
    pull,
  )


def _turned(
  rows: Float[np.ndarray, 'B D'], axes: Float[np.ndarray, 'D D']
) -> Float[np.ndarray, 'B D']:
  """Each row times a matrix; one by one, so that none depends on the others."""
  return (rows[:, None] @ axes)[:, 0]


def _solved(
  g_BxLxD: Float[np.ndarray, 'B L D'],
  pull_BxD: Float[np.ndarray, 'B D'] | float,
) -> Float[np.ndarray, 'B D']:
  """Returns v of each row, by the smaller of both forms."""
  length, dim = g_BxLxD.shape[1:]
  ones_BxL = np.ones(g_BxLxD.shape[:2], np.float32)
  if length >= dim:
    right_BxD = _left_product(ones_BxL, g_BxLxD) + pull_BxD
    return _solve(g_BxLxD.transpose(0, 2, 1) @ g_BxLxD, right_BxD)
  if np.ndim(pull_BxD):
    ones_BxL -= _product(g_BxLxD, pull_BxD)
  y_BxL = _solve(g_BxLxD @ g_BxLxD.transpose(0, 2, 1), ones_BxL)
  return _left_product(y_BxL, g_BxLxD) + pull_BxD


def _solve(
  grams: Float[np.ndarray, 'B K K'], rights: Float[np.ndarray, 'B K']
) -> Float[np.ndarray, 'B K']:
  """The solutions of (I + gram) y = right; it overwrites both."""
  size = rights.shape[1]
  grams.reshape(len(grams), -1)[:, :: size + 1] += 1
  if size <= _SMALL:
    return np.linalg.solve(grams, rights[:, :, None])[:, :, 0]
  for gram, right in zip(grams, rights, strict=True):
    scipy.linalg.lapack.sposv(gram.T, right, overwrite_a=1, overwrite_b=1)
  return rights


def _stepped(
  g_BxLxD: Float[np.ndarray, 'B L D'],
  pull_BxD: Float[np.ndarray, 'B D'] | float,
  v_BxD: Float[np.ndarray, 'B D'],
  steps: int,
) -> Float[np.ndarray, 'B D']:
  """Returns v of each row after the steps; it overwrites v."""
  error_BxL = 1 - _product(g_BxLxD, v_BxD)
  rest_BxD = _left_product(error_BxL, g_BxLxD) - v_BxD + pull_BxD
  direction_BxD = rest_BxD
  size_B = np.vecdot(rest_BxD, rest_BxD)
  for step in range(steps):
    along_BxL = _product(g_BxLxD, direction_BxD)
    product_BxD = direction_BxD + _left_product(along_BxL, g_BxLxD)
    length_B = _ratio(size_B, np.vecdot(direction_BxD, product_BxD))
    v_BxD += length_B[:, None] * direction_BxD
    if step == steps - 1:
      break
    rest_BxD = rest_BxD - length_B[:, None] * product_BxD
    last_B, size_B = size_B, np.vecdot(rest_BxD, rest_BxD)
    direction_BxD = rest_BxD + _ratio(size_B, last_B)[:, None] * direction_BxD
  return v_BxD


def _product(
  matrices: Float[np.ndarray, 'B L D'], vectors: Float[np.ndarray, 'B D']
) -> Float[np.ndarray, 'B L']:
  """Each matrix times its vector."""
  return (matrices @ vectors[:, :, None])[:, :, 0]


def _left_product(
  vectors: Float[np.ndarray, 'B L'], matrices: Float[np.ndarray, 'B L D']
) -> Float[np.ndarray, 'B D']:
  """Each vector times its matrix."""
  return (vectors[:, None] @ matrices)[:, 0]


def _ratio(above_B, below_B):
  """The quotient; 0 of rows that are solved, where both are 0."""
  return above_B / np.maximum(below_B, _TINY)


def gram(
  columns: Float[np.ndarray, 'N D'], alpha: float
) -> Float[np.ndarray, 'D D']:
  """The matrix alpha H'H."""
  parts = row_blocks.parts(columns)
  with row_blocks.workers() as pool:
    return alpha * sum(pool.map(lambda part: part.T @ part, parts))


def flops(
  lengths: Int[np.ndarray, ' M'], dim: int, num_columns: int = 0
) -> float:
  """Operations of `solve_rows`, and of `gram` where it is not at hand.

  Args:
    lengths: entries of each row.
    dim: D.
    num_columns: N; 0 where the Gram matrix is at hand, and the columns are
      turned row by row.
  """
  size = np.minimum(lengths, dim)
  matrices = counts.matmul(size, size, np.maximum(lengths, dim))
  sides = 2 * counts.matmul(1, dim, lengths)
  solves = counts.cholesky(size) + 2 * counts.triangular_solve(size, 1)
  turned = num_columns or np.sum(lengths)
  shared = counts.matmul(dim, dim, turned + len(lengths))
  shared += counts.matmul(dim, dim, num_columns)
  return float(np.sum(matrices + sides + solves) + shared)


def step_flops(
  lengths: Int[np.ndarray, ' M'], dim: int, num_columns: int, steps: int
) -> float:
  """Operations of `gram` and `step_rows`; for the arguments see `flops`."""
  pairs = 2 * counts.matmul(1, dim, float(np.sum(lengths)))
  vectors = 12.0 * dim * len(lengths)
  shared = counts.matmul(dim, dim, 2 * num_columns + 2 * len(lengths))
  return (steps + 1) * (pairs + vectors) + shared


class Rows(NamedTuple):
  """Rows that are solved together: their columns, and r and m.

  Columns beyond the length of a row are masked.
  """

  columns: Int[Array, 'B L']
  mask: Bool[Array, 'B L']
  ridge: Float[Array, ' B']
  mean: Float[Array, 'B D']


@jax.jit
def solve_padded(
  columns: Float[Array, 'N D'], gram: Float[Array, 'D D'], rows: Rows
) -> Float[Array, 'B D']:
  """The factor of each row; for the arguments see `solve_rows`."""
  eye = jnp.eye(gram.shape[0], dtype=gram.dtype)

  def of_row(row):
    h_LxD = jnp.where(row.mask[:, None], columns[row.columns], 0)
    normal = gram + h_LxD.T @ h_LxD + row.ridge * eye
    factor = jax.scipy.linalg.cho_factor(normal)
    right = h_LxD.sum(axis=0) + row.ridge * row.mean
    return jax.scipy.linalg.cho_solve(factor, right)

  return jax.vmap(of_row)(rows)
