"""Floating point operations, counted from the program or by published totals.

XLA's own count is not reliable: it is 170 times too low for an inverse, 17
times too low for a Cholesky factor, and counts the body of a scan only once.
Programs are therefore counted from their jaxpr, and LAPACK calls by their
published totals.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr


@dataclasses.dataclass(frozen=True)
class Cost:
  """Floating-point operations that a piece of work took.

  Attributes:
    operations: all that was done at once, for all users.
    of_text: the part of `operations` that depends on the catalogue's text
      alone. A catalogue pays it once, however often it is adapted to.
    per_user: operations that scoring spends on the parameters of each user.
  """

  operations: float = 0.0
  of_text: float = 0.0
  per_user: float = 0.0

  def __add__(self, other: 'Cost') -> 'Cost':
    return Cost(
      self.operations + other.operations,
      self.of_text + other.of_text,
      self.per_user + other.per_user,
    )


class UncountableError(ValueError):
  """A program whose number of operations depends on its data."""


def matmul(m: int, n: int, k: int) -> float:
  """[m, k] @ [k, n]: a multiplication and an addition each."""
  return 2.0 * m * n * k


def layers(num_rows: int, *widths: int) -> float:
  """Dense layers from each width to the next, for so many rows."""
  return sum(
    matmul(num_rows, after, before)
    for before, after in itertools.pairwise(widths)
  )


def cholesky(n: int) -> float:
  """LAPACK potrf: n^3 / 3."""
  return n**3 / 3


def spd_inverse(n: int) -> float:
  """LAPACK potrf and potri: n^3."""
  return float(n**3)


def svd(m: int, n: int) -> float:
  """LAPACK gesdd of [m, n] with the shorter side's singular vectors."""
  m, n = max(m, n), min(m, n)
  return float(14 * m * n**2 + 8 * n**3)


def triangular_solve(n: int, num_rhs: int) -> float:
  """LAPACK trtrs: n^2 a right-hand side."""
  return 1.0 * n**2 * num_rhs


def gram(row_counts: np.ndarray) -> float:
  """X'X of sparse rows: 2 |x_u|^2 each."""
  return 2 * float(np.square(np.asarray(row_counts, float)).sum())


def program(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
  """Counts the operations of fn(*args) from its jaxpr, without running it.

  A matrix product counts 2 m n k, a scan its body times its length, a
  conditional its most expensive branch, a factorisation its published total, an
  elementwise operation the size of its output, a reduction the size of its
  input, and a sort n log2 n.

  Raises:
    UncountableError: the number of operations depends on the data (a while
      loop), or cannot be derived from the shapes.
  """
  closed = jax.make_jaxpr(fn)(*args, **kwargs)
  return _count(closed.jaxpr)


# Moving data is not computing.
_FREE = frozenset([
  'bitcast_convert_type', 'broadcast_in_dim', 'concatenate',
  'convert_element_type', 'copy', 'copy_p', 'device_put', 'dynamic_slice',
  'dynamic_update_slice', 'expand_dims', 'gather', 'iota', 'pad',
  'random_bits', 'random_fold_in', 'random_seed', 'random_split',
  'random_unwrap', 'random_wrap', 'reshape', 'rev', 'scatter',
  'sharding_constraint', 'slice', 'split', 'squeeze', 'stop_gradient',
  'transpose',
])  # fmt: skip


# The jaxpr does not show how much work these operations do.
_OPAQUE = frozenset([
  'eig', 'ffi_call', 'fft', 'hessenberg', 'io_callback', 'pallas_call',
  'pure_callback', 'ragged_dot_general', 'schur', 'shard_map',
  'tridiagonal_solve',
])  # fmt: skip


def _count(jaxpr: Jaxpr) -> float:
  return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation) -> float:
  name = equation.primitive.name
  if name in _FREE:
    return 0.0
  if name in _COUNTS:
    return float(_COUNTS[name](equation))
  if name in _OPAQUE:
    raise UncountableError(
      f'the operations of {name} cannot be told from a jaxpr; count them by a '
      'published total'
    )
  inner = [p for p in equation.params.values() if _is_jaxpr(p)]
  if inner:
    return _inner(inner[0])
  if name.startswith(('reduce_', 'arg', 'cum')):
    return float(_size(equation.invars[0]))
  return float(max(_size(v) for v in equation.outvars))


def _scan(equation) -> float:
  return equation.params['length'] * _inner(equation.params['jaxpr'])


def _cond(equation) -> float:
  return max(_inner(branch) for branch in equation.params['branches'])


def _while(equation):
  raise UncountableError(
    'a while loop runs as often as its data say; use a scan or fori_loop with '
    'static bounds, or count the steps that were done'
  )


def _linear_solve(equation) -> float:
  return _inner(equation.params['jaxprs'].solve)


def _is_jaxpr(value: Any) -> bool:
  return isinstance(value, ClosedJaxpr | Jaxpr)


def _inner(jaxpr: Any) -> float:
  return _count(jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr)


def _size(variable) -> int:
  return math.prod(getattr(variable.aval, 'shape', ()))


def _dot_general(equation) -> float:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  depth = math.prod(left[axis] for axis in contracted)
  return 2.0 * _size(equation.outvars[0]) * depth


def _conv(equation) -> float:
  kernel = equation.invars[1].aval.shape
  numbers = equation.params['dimension_numbers']
  out_features = kernel[numbers.rhs_spec[0]]
  return 2.0 * _size(equation.outvars[0]) * math.prod(kernel) / out_features


def _square(equation) -> tuple[int, int]:
  """Number of matrices, and n, of the first argument [..., n, n]."""
  shape = equation.invars[0].aval.shape
  return math.prod(shape[:-2]), shape[-1]


def _triangular(equation) -> float:
  batch, n = _square(equation)
  return batch * n * _size(equation.invars[1]) / max(1, batch)


def _cubic(factor: float) -> Callable[[Any], float]:
  def count(equation):
    batch, n = _square(equation)
    return factor * batch * n**3

  return count


def _rectangular(factor: float) -> Callable[[Any], float]:
  def count(equation):
    *batch, m, n = equation.invars[0].aval.shape
    return factor * math.prod(batch) * max(m, n) * min(m, n) ** 2

  return count


def _updates(equation) -> float:
  return float(_size(equation.invars[2]))


def _svd(equation) -> float:
  *batch, m, n = equation.invars[0].aval.shape
  m, n, batch = max(m, n), min(m, n), math.prod(batch)
  if not equation.params['compute_uv']:
    return batch * (4 * m * n**2 - 4 / 3 * n**3)
  if equation.params['full_matrices']:
    return batch * (4 * m**2 * n + 8 * m * n**2 + 9 * n**3)
  return batch * svd(m, n)


def _sort(equation) -> float:
  shape = equation.invars[0].aval.shape
  return math.prod(shape) * math.log2(max(2, shape[-1] if shape else 2))


# Golub & Van Loan, "Matrix Computations", 4th ed.: chapters 3, 4, 5 and 8.
_COUNTS = {
  'dot_general': _dot_general,
  'conv_general_dilated': _conv,
  'cholesky': _cubic(1 / 3),
  'triangular_solve': _triangular,
  'lu': _cubic(2 / 3),
  'eigh': _cubic(9.0),
  'qr': _rectangular(2.0),
  'geqrf': _rectangular(2.0),
  'householder_product': _rectangular(2.0),
  'svd': _svd,
  'scatter-add': _updates,
  'scatter-max': _updates,
  'scatter-min': _updates,
  'scatter-mul': _updates,
  'scatter-sub': _updates,
  'scan': _scan,
  'while': _while,
  'cond': _cond,
  'custom_linear_solve': _linear_solve,
  'sort': _sort,
  'top_k': _sort,
}
