"""EASE for matrices too large for one device, in shards over a mesh."""

import contextlib
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from absl import logging
from jax.sharding import Mesh
from jaxtyping import Array, Float

from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.linear import gauss_jordan, item_item
from hyperrec.training import mesh as mesh_lib

Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Model = method_lib.Model
Outcome = method_lib.Outcome

# An inverse is rejected above this |A A^-1 v - v| for random signs v.
_LARGEST_RESIDUAL = 1e-2


@dataclasses.dataclass(frozen=True)
class ShardedConfig:
  """Hyperparameters of EASE over a mesh.

  Attributes:
    l2: Ridge lambda, above 0.
    block: Number of rows that are eliminated at a time.
  """

  l2: float
  block: int = 512


def ease_sharded(**hyperparameters: Any) -> Model:
  """EASE (Steck, WWW 2019) over the mesh in use, or else over all devices.

  During the solve, the devices hold two matrices of the size of B, by rows.

  Args:
    **hyperparameters: fields of `ShardedConfig`.
  """
  config = ShardedConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    current = mesh_lib.current()
    with (
      mesh_lib.use()
      if current is None
      else contextlib.nullcontext(current) as mesh
    ):
      weights_WxW = _checked(x_UxV, config.l2, mesh, config.block)
    operations = counts.gram(x_UxV.getnnz(1)) + 2.0 * data.num_items**3
    return Outcome(weights_WxW, Cost(operations))

  made = item_item.closed_form('ease_sharded', config, fit)
  return dataclasses.replace(made, score=score)


def score(
  weights_WxW: Float[Array, 'W W'], histories: method_lib.Histories
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V] = x B."""
  x_BxV = histories.multi_hot()
  beyond = len(weights_WxW) - x_BxV.shape[1]
  scores_BxW = _product(np.pad(x_BxV, ((0, 0), (0, beyond))), weights_WxW)
  return np.asarray(scores_BxW)[:, : x_BxV.shape[1]]


def _checked(x: Csr, l2: float, mesh: Mesh, block: int) -> Array:
  weights_WxW, error = solve(x, l2, mesh, block)
  if not error < _LARGEST_RESIDUAL:
    raise np.linalg.LinAlgError(
      f'the inverse of {x.shape[1]:,} items over {mesh.size} devices is off by '
      f'{error:.2g}; raise l2={l2:g}'
    )
  logging.info('%d devices: the inverse is off by %.2g', mesh.size, error)
  return weights_WxW


def solve(
  x: Csr, l2: float, mesh: Mesh, block: int
) -> tuple[Float[Array, 'W W'], float]:
  """Solves EASE over the devices of a mesh and checks the inverse.

  Args:
    x: users' items [U, V].
    l2: lambda.
    mesh: devices over which the rows of B are sharded.
    block: rows eliminated at a time.

  Returns:
    B [W, W], zero beyond V, and the largest entry of |A A^-1 v - v| over four
    vectors v of random signs; A is computed from X again, in O(nnz).
  """
  num_items = x.shape[1]
  inverse_WxW = inverse(gram(x, l2, mesh, block), mesh, block)
  signs = np.random.default_rng(0).choice([-1.0, 1.0], (num_items, 4))
  beyond = len(inverse_WxW) - num_items
  back = _product(inverse_WxW, np.pad(signs, ((0, beyond), (0, 0))))
  back = np.asarray(back, np.float64)[:num_items]
  back = x.T @ (x @ back) + l2 * back
  return _weights(inverse_WxW), float(np.abs(back - signs).max())


def gram(x: Csr, l2: float, mesh: Mesh, block: int) -> Float[Array, 'W W']:
  """X'X + l2 I, computed block by block on its own devices.

  Args:
    x: users' items [U, V].
    l2: lambda.
    mesh: mesh of the devices.
    block: rows per step of the elimination.

  Returns:
    The matrix with ones on the diagonal beyond V, W the next multiple of
    a block on every device.
  """
  num_items = x.shape[1]
  step = block * mesh.size
  size = -(-num_items // step) * step
  columns = x.tocsc()

  def rows(first, last):
    out = np.zeros((last - first, size), np.float32)
    kept = min(last, num_items) - first
    if kept > 0:
      chosen = columns[:, first : first + kept]
      out[:kept, :num_items] = (chosen.T @ x).toarray()
    place = np.arange(first, last)
    out[place - first, place] += np.where(place < num_items, l2, 1)
    return out

  return mesh_lib.make_rows(mesh, (size, size), rows)


@functools.partial(jax.jit, static_argnames=('mesh', 'block'), donate_argnums=0)
def inverse(
  a_WxW: Float[Array, 'W W'], mesh: Mesh, block: int
) -> Float[Array, 'W W']:
  """A^-1, sharded as A; A is overwritten. See `gauss_jordan`."""
  own = functools.partial(gauss_jordan.sweep, axes=mesh.axis_names, block=block)
  return mesh_lib.map_rows(mesh, own)(a_WxW)


@functools.partial(jax.jit, donate_argnums=0)
def _weights(p_WxW: Float[Array, 'W W']) -> Float[Array, 'W W']:
  """B = I - P / diag P (Steck 2019, eq. 8); its diagonal is 0."""
  weights = -p_WxW / jnp.diagonal(p_WxW)[None]
  index = jnp.arange(len(p_WxW))
  return weights.at[index, index].set(0)


@jax.jit
def _product(a: Array, b: Array) -> Array:
  return jnp.asarray(a, jnp.float32) @ jnp.asarray(b, jnp.float32)
