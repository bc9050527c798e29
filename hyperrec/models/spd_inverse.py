"""The inverse of a symmetric positive definite matrix, in place.

Two ways: LAPACK's potrf and potri where they are safe, and a blocked sweep for
matrices beyond that. OpenBLAS 0.3.30 and 0.3.31, which scipy's wheels carry,
crash in a multi-threaded spotrf somewhere above n = 36,000.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

LAPACK_LIMIT = 32_000
BLOCK = 1024


class InsufficientMemoryError(MemoryError):
  """The machine has less memory than a solve is about to need."""


def spd_inverse(
  a: Float[np.ndarray, 'n n'], *, block: int | None = None
) -> Float[np.ndarray, 'n n']:
  """Overwrites `a` with its inverse, both triangles; reads the lower one.

  Args:
    a: C-contiguous float32 or float64 matrix.
    block: tile size of the blocked way; None chooses LAPACK up to
      `LAPACK_LIMIT` and the blocked way beyond.

  Raises:
    ValueError: not a square C-contiguous float matrix, or not finite.
    numpy.linalg.LinAlgError: not positive definite.
  """
  _check(a)
  if block is None and jax.default_backend() != 'cpu':
    a[...] = np.asarray(spd_inverse_on_device(a))
    return a
  if block is None and len(a) <= LAPACK_LIMIT:
    _lapack(a)
  else:
    _sweep(a, block or BLOCK)
  _mirror(a, 512)
  return a


@jax.jit
def spd_inverse_on_device(a: Float[Array, 'n n']) -> Float[Array, 'n n']:
  """The same inverse by jax.scipy, for accelerators; NaN where not definite."""
  factor = jax.scipy.linalg.cho_factor(a, lower=True)
  inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(len(a), dtype=a.dtype))
  return (inverse + inverse.T) / 2


def _lapack(a: np.ndarray) -> None:
  potrf, potri = scipy.linalg.get_lapack_funcs(('potrf', 'potri'), (a,))
  # The transposed view is Fortran's order, so nothing is copied; its upper
  # triangle is the lower one of `a`.
  _, info = potrf(a.T, lower=0, clean=0, overwrite_a=1)
  if info > 0:
    _not_positive_definite(info - 1)
  potri(a.T, lower=0, overwrite_c=1)


def _sweep(a: np.ndarray, block: int) -> None:
  """Block Gauss-Jordan: after all tiles are swept, `a` is minus its inverse.

  A step takes column panel C and the inverse D of its diagonal tile, and
  subtracts C D C' from the lower triangle: n^3 operations in all, one matrix
  product of rank `block` a step, the tiles independent of each other.
  """
  n = len(a)
  edges = [(s, min(s + block, n)) for s in range(0, n, block)]
  for start, end in edges:
    panel = np.empty((n, end - start), a.dtype)
    panel[:start] = a[start:end, :start].T
    panel[start:] = a[start:, start:end]
    tile = panel[start:end].copy()
    try:
      _lapack(tile)
    except np.linalg.LinAlgError:
      _not_positive_definite(start)
    _mirror(tile, 512)
    scaled = panel @ tile
    for top, bottom in edges:
      if top != start:
        a[top:bottom, :bottom] -= scaled[top:bottom] @ panel[:bottom].T
    a[start:end, :start] = scaled[:start].T
    a[end:, start:end] = scaled[end:]
    a[start:end, start:end] = -tile
  np.negative(a, out=a)


def _mirror(a: np.ndarray, block: int) -> None:
  """Copies the lower triangle to the upper one, tile by tile."""
  n = len(a)
  for start in range(0, n, block):
    end = min(start + block, n)
    for left in range(0, start, block):
      right = left + block
      a[left:right, start:end] = a[start:end, left:right].T
    tile = np.tril(a[start:end, start:end])
    a[start:end, start:end] = tile + np.tril(tile, -1).T


def _check(a: np.ndarray) -> None:
  if a.ndim != 2 or a.shape[0] != a.shape[1]:
    raise ValueError(f'a is {a.shape}; a square matrix is needed')
  if a.dtype not in (np.float32, np.float64):
    raise ValueError(f'a is {a.dtype}; use float32 or float64')
  if not a.flags.c_contiguous or not a.flags.writeable:
    raise ValueError('a must be a writeable C-contiguous matrix')
  if not np.isfinite(a.sum(dtype=np.float64)):
    raise ValueError('a holds values that are not finite')


def _not_positive_definite(minor: int):
  raise np.linalg.LinAlgError(
    f'the matrix is not positive definite (near row {minor}); raise l2'
  )


def spd_inverse_peak_bytes(n: int, dtype=np.float32) -> int:
  """The most that `spd_inverse` holds at a time, its argument included."""
  size = np.dtype(dtype).itemsize
  panels = 0 if n <= LAPACK_LIMIT else 3 * n * BLOCK
  return (n * n + panels) * size


def available_bytes() -> int | None:
  """Memory that can still be had, None where that cannot be told."""
  try:
    text = pathlib.Path('/proc/meminfo').read_text()
  except OSError:
    return None
  for line in text.splitlines():
    if line.startswith('MemAvailable:'):
      return int(line.split()[1]) * 1024
  return None


def check_memory(required: int, what: str) -> None:
  """Raises InsufficientMemoryError where `required` bytes cannot be had."""
  available = available_bytes()
  if available is not None and required > available:
    raise InsufficientMemoryError(
      f'{what} needs {required / 2**30:.1f} GiB and {available / 2**30:.1f} '
      'GiB are free; drop rare items (min_item_interactions), use float32, a '
      'low-rank model (elsa), or a larger machine'
    )
