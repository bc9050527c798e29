"""The inverse of a symmetric positive definite matrix, in place.

There are two ways: LAPACK's potrf and potri up to `LAPACK_LIMIT`, and a blocked
sweep for larger matrices. OpenBLAS 0.3.30 and 0.3.31, which the wheels of scipy
and numpy contain, crash in a multi-threaded spotrf somewhere above n = 36,000.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

LAPACK_LIMIT = 32_000
BLOCK = 768
_MIRROR_BLOCK = 128  # a tile and its transpose fit into the cache


def spd_inverse(
  a: Float[np.ndarray, 'n n'], *, block: int | None = None
) -> Float[np.ndarray, 'n n']:
  """Overwrites `a` with its inverse; only the lower triangle is read.

  Args:
    a: float32 or float64 matrix, C- or F-contiguous.
    block: tile size of the blocked sweep; None chooses JAX on an accelerator,
      else LAPACK up to `LAPACK_LIMIT` and the blocked sweep beyond.

  Returns:
    `a` itself, exactly symmetric.

  Raises:
    ValueError: `a` is not a square contiguous float matrix, its lower triangle
      is not finite, or `block` is below 1.
    numpy.linalg.LinAlgError: `a` is not positive definite in its precision; its
      values are then lost.
  """
  _check(a, block)
  rows = a
  if not a.flags.c_contiguous:
    _mirror(a)  # in the transposed view, the lower triangle is the upper one
    rows = a.T
  if block is None and _on_accelerator(a.dtype):
    rows[...] = np.asarray(spd_inverse_jax(rows))
  elif block is None and len(a) <= LAPACK_LIMIT:
    _lapack(rows)
  else:
    _sweep(rows, block or BLOCK)
  # Each diagonal entry of the inverse is a sum of squares, so an overflow shows
  # there, as does the NaN by which an accelerator reports an error.
  if not np.isfinite(np.diagonal(a)).all():
    raise np.linalg.LinAlgError(
      f'the inverse in {a.dtype} is not finite: the matrix is not positive '
      'definite or too badly scaled; raise l2'
    )
  _mirror(rows)
  return a


@jax.jit
def spd_inverse_jax(a: Float[Array, 'n n']) -> Float[Array, 'n n']:
  """The inverse by jax.scipy; it is NaN if `a` is not positive definite."""
  factor = jax.scipy.linalg.cho_factor(a, lower=True)
  inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(len(a), dtype=a.dtype))
  return (inverse + inverse.T) / 2


def _on_accelerator(dtype) -> bool:
  """Whether JAX has an accelerator and would keep the matrix's `dtype`."""
  return (
    jax.default_backend() != 'cpu'
    and jax.dtypes.canonicalize_dtype(dtype) == dtype
  )


def _lapack(a: np.ndarray) -> None:
  """Inverts the lower triangle of `a` in place by LAPACK."""
  potrf, potri = scipy.linalg.get_lapack_funcs(('potrf', 'potri'), (a,))
  # The transposed view is in Fortran's order, so nothing is copied; its upper
  # triangle is the lower one of `a`.
  _, info = potrf(a.T, lower=0, clean=0, overwrite_a=1)
  if info > 0:
    _not_positive_definite(info, len(a))
  potri(a.T, lower=0, overwrite_c=1)


# Overflows are ignored here: they show in the result, which is checked, or they
# come from the upper triangle, which may hold any values.
@np.errstate(over='ignore', invalid='ignore')
def _sweep(a: np.ndarray, block: int) -> None:
  """Blocked Gauss-Jordan elimination, one tile of the diagonal at a time.

  Let C be the columns of a tile and L L' the Cholesky factorisation of the tile
  itself. A step computes W = C L'^-1, subtracts W W' from the other tiles and
  replaces C with W L^-1. After the last tile, `a` holds minus its inverse, so
  the sign is changed. This takes n^3 operations. Solving with the triangular L
  is as accurate as LAPACK; multiplying by the inverse of L L' is less accurate.
  """
  (potrf,) = scipy.linalg.get_lapack_funcs(('potrf',), (a,))
  (trsm,) = scipy.linalg.get_blas_funcs(('trsm',), (a,))
  n, widest = len(a), min(block, len(a))
  tiles = [slice(start, min(start + block, n)) for start in range(0, n, block)]
  panels, buffer = np.empty(n * widest, a.dtype), np.empty(widest**2, a.dtype)
  for tile in tiles:
    before, after = slice(0, tile.start), slice(tile.start, n)
    panel = _shaped(panels, n, tile.stop - tile.start)
    panel[before], panel[after] = a[tile, before].T, a[after, tile]
    factor, info = potrf(panel[tile].T, lower=0)
    if info > 0:
      _not_positive_definite(tile.start + info, n)
    panel[tile] = -np.eye(len(factor), dtype=a.dtype)
    trsm(1, factor, panel.T, trans_a=1, overwrite_b=1)
    others = [other for other in tiles if other != tile]
    _subtract_square(a, panel, others, buffer)
    trsm(1, factor, panel.T, overwrite_b=1)
    a[tile, before] = panel[before].T
    a[after, tile] = panel[after]
  np.negative(a, out=a)


def _subtract_square(a, panel, tiles, buffer) -> None:
  """Subtracts panel panel' from the lower triangle of `tiles` in `a`."""
  # numpy's product is avoided: numpy and scipy have a BLAS each, and the idle
  # threads of one slow down the other. Transposed views are in Fortran's order.
  gemm, syrk = scipy.linalg.get_blas_funcs(('gemm', 'syrk'), (a,))
  for i, row in enumerate(tiles):
    w = panel[row]
    for column in tiles[:i]:
      v = panel[column]
      product = _shaped(buffer, len(w), len(v))
      gemm(1, v.T, w.T, trans_a=1, c=product.T, overwrite_c=1)
      a[row, column] -= product
    product = _shaped(buffer, len(w), len(w))
    syrk(1, w.T, trans=1, c=product.T, overwrite_c=1)
    a[row, row] -= product


def _shaped(buffer: np.ndarray, rows: int, columns: int) -> np.ndarray:
  """A contiguous matrix in `buffer`; BLAS would copy a matrix with gaps."""
  return buffer[: rows * columns].reshape(rows, columns)


def _mirror(a: np.ndarray) -> None:
  """Copies the lower triangle to the upper one, tile by tile."""
  n = len(a)
  for start in range(0, n, _MIRROR_BLOCK):
    end = min(start + _MIRROR_BLOCK, n)
    for left in range(0, start, _MIRROR_BLOCK):
      right = left + _MIRROR_BLOCK
      a[left:right, start:end] = a[start:end, left:right].T
    tile = np.tril(a[start:end, start:end])
    a[start:end, start:end] = tile + np.tril(tile, -1).T


def _check(a: np.ndarray, block: int | None) -> None:
  """Raises ValueError if `spd_inverse` cannot take `a` or `block`."""
  if a.ndim != 2 or a.shape[0] != a.shape[1] or not a.size:
    raise ValueError(f'a is {a.shape}; a square matrix is needed')
  if a.dtype not in (np.float32, np.float64):
    raise ValueError(f'a is {a.dtype}; use float32 or float64')
  if not a.flags.forc or not a.flags.writeable:
    raise ValueError('a must be a writeable matrix, C- or F-contiguous')
  if block is not None and block < 1:
    raise ValueError(f'block={block} must be at least 1')
  for start in range(0, len(a), BLOCK):
    end = start + BLOCK
    left, tile = a[start:end, :start], np.tril(a[start:end, start:end])
    if not (np.isfinite(left).all() and np.isfinite(tile).all()):
      raise ValueError(f'a is not finite in rows {start} to {end - 1}')


def _not_positive_definite(order: int, n: int):
  """Raises LinAlgError for the leading minor of this order."""
  raise np.linalg.LinAlgError(
    f'the {n} x {n} matrix is not positive definite: its leading minor of '
    f'order {order} fails; raise l2'
  )


def spd_inverse_peak_bytes(n: int, dtype=np.float32) -> int:
  """Peak bytes of `spd_inverse` on a CPU, its argument included."""
  # Two panels, since one is made before the last is freed, and a few tiles.
  buffers = 0 if n <= LAPACK_LIMIT else 2 * n * BLOCK + 4 * BLOCK**2
  return (n * n + buffers) * np.dtype(dtype).itemsize
