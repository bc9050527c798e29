"""The closed form around a prior in JAX, so that priors can be trained by it.

The problem and the letters are those of `linear_autoencoder`: with P = (X'X +
Lambda)^-1, A = P Lambda B0 and s = (1 + diag A) / diag P, the scores of a
history x are

    x B = x + x A - (x P) s.

Scoring therefore needs P only through products with thin matrices, and so does
its derivative. For Y = P M and d = diag P it is

    dM = P dY,    dLambda = -rowsum((P dY) Y) - (P o P) dd.

The rule below keeps P (primal) or its factor W (dual) and Y, and never
differentiates a factorisation. The evidence X is data and gets no derivative.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hyperrec.systems.linear import linear_autoencoder

Prior = linear_autoencoder.Prior


class Dual(NamedTuple):
  """P = diag(1 / ridge) - W'W, for few users; making it costs O(V U^2)."""

  ridge: Float[Array, ' V']
  w: Float[Array, 'U V']

  def times(self, m_VxN: Float[Array, 'V N']) -> Float[Array, 'V N']:
    """P M in O(V U N)."""
    return m_VxN / self.ridge[:, None] - self.w.T @ (self.w @ m_VxN)

  def diagonal(self) -> Float[Array, ' V']:
    """The diagonal of P."""
    return 1 / self.ridge - jnp.einsum('uv,uv->v', self.w, self.w)

  def squared_times(self, d_V: Float[Array, ' V']) -> Float[Array, ' V']:
    """(P o P) d, P squared entry by entry, in O(V U^2)."""
    weighted_UxU = (self.w * d_V[None]) @ self.w.T
    product = jnp.einsum('uv,uv->v', self.w, weighted_UxU @ self.w)
    own = d_V / self.ridge
    square = jnp.einsum('uv,uv->v', self.w, self.w)
    return own / self.ridge - 2 * own * square + product


class Primal(NamedTuple):
  """P itself, for many users; making it costs O(V^3)."""

  p: Float[Array, 'V V']

  def times(self, m_VxN: Float[Array, 'V N']) -> Float[Array, 'V N']:
    """P M in O(V^2 N)."""
    return self.p @ m_VxN

  def diagonal(self) -> Float[Array, ' V']:
    """The diagonal of P."""
    return jnp.diagonal(self.p)

  def squared_times(self, d_V: Float[Array, ' V']) -> Float[Array, ' V']:
    """(P o P) d, P squared entry by entry, in O(V^2)."""
    return jnp.einsum('ij,ij,j->i', self.p, self.p, d_V)


def make_dual(x_UxV: Float[Array, 'U V'], ridge_V: Float[Array, ' V']) -> Dual:
  """W = L^-1 X Lambda^-1 with L L' = I + X Lambda^-1 X' (Woodbury).

  Rows of zeros (padding) change nothing.
  """
  scaled_UxV = x_UxV / ridge_V[None]
  inner_UxU = scaled_UxV @ x_UxV.T + jnp.eye(len(x_UxV), dtype=x_UxV.dtype)
  lower = jnp.linalg.cholesky(inner_UxU)
  w_UxV = jax.scipy.linalg.solve_triangular(lower, scaled_UxV, lower=True)
  return Dual(ridge_V, w_UxV)


def make_primal(
  x_UxV: Float[Array, 'U V'], ridge_V: Float[Array, ' V']
) -> Primal:
  """P from a Cholesky factor of X'X + Lambda."""
  factor = jax.scipy.linalg.cho_factor(
    x_UxV.T @ x_UxV + jnp.diag(ridge_V), lower=True
  )
  identity = jnp.eye(x_UxV.shape[1], dtype=x_UxV.dtype)
  return Primal(jax.scipy.linalg.cho_solve(factor, identity))


def _make(x_UxV, ridge_V):
  is_dual = 2 * x_UxV.shape[0] < x_UxV.shape[1]
  return (make_dual if is_dual else make_primal)(x_UxV, ridge_V)


@jax.custom_vjp
def precision_products(
  x_UxV: Float[Array, 'U V'],
  ridge_V: Float[Array, ' V'],
  m_VxN: Float[Array, 'V N'],
) -> tuple[Float[Array, 'V N'], Float[Array, ' V']]:
  """P M and diag P for P = (X'X + diag(ridge))^-1, in the cheaper form.

  Differentiable in `ridge_V` and `m_VxN`; `x_UxV` gets a zero derivative.
  """
  precision = _make(x_UxV, ridge_V)
  return precision.times(m_VxN), precision.diagonal()


def _products_forward(x_UxV, ridge_V, m_VxN):
  precision = _make(x_UxV, ridge_V)
  y_VxN = precision.times(m_VxN)
  return (y_VxN, precision.diagonal()), (precision, y_VxN, x_UxV.shape)


def _products_backward(residuals: Any, cotangents: Any):
  precision, y_VxN, x_shape = residuals
  dy_VxN, dd_V = cotangents
  dm_VxN = precision.times(dy_VxN)
  dridge_V = -jnp.einsum('vn,vn->v', dm_VxN, y_VxN)
  dridge_V -= precision.squared_times(dd_V)
  return jnp.zeros(x_shape, y_VxN.dtype), dridge_V, dm_VxN


precision_products.defvjp(_products_forward, _products_backward)


def scores(
  x_UxV: Float[Array, 'U V'],
  ridge_V: Float[Array, ' V'],
  prior: Prior,
  histories_BxV: Float[Array, 'B V'],
) -> Float[Array, 'B V']:
  """Scores x B of histories under the solution B around the prior.

  Args:
    x_UxV: the evidence; rows of zeros are padding.
    ridge_V: Lambda > 0.
    prior: B0.
    histories_BxV: binary rows x.
  """
  scaled_Vxr = prior.left * ridge_V[:, None]
  both = jnp.concatenate([scaled_Vxr, histories_BxV.T], axis=1)
  solved, p_diag = precision_products(x_UxV, ridge_V, both)
  rank = scaled_Vxr.shape[1]
  a_Vxr, xp_BxV = solved[:, :rank], solved[:, rank:].T
  scale_V = (1 + jnp.einsum('vr,rv->v', a_Vxr, prior.right)) / p_diag
  return (
    histories_BxV
    + (histories_BxV @ a_Vxr) @ prior.right
    - xp_BxV * scale_V[None]
  )
