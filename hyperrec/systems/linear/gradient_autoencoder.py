"""Linear autoencoders trained by gradient: ESLER (full rank) and ELSA.

ESLER is EASE (Steck, WWW 2019, arXiv 1905.03375) as a module: the same
objective and optimum as the closed form, reached by steps that can start from
any weights. ELSA (Vancura et al., RecSys 2022) has low rank.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Rows(NamedTuple):
  """X itself; with it a gradient is cheaper if 2 U < V."""

  x: Float[Array, 'U V']


class Gram(NamedTuple):
  """G = X'X; the objective depends on X only through G."""

  gram: Float[Array, 'V V']


class ESLER(nn.Module):
  """score = x B; the forward pass sets the diagonal of B to zero.

  Attributes:
    num_items: V.
  """

  num_items: int

  def setup(self):
    """Declares B."""
    shape = (self.num_items, self.num_items)
    self.weights = self.param('weights', nn.initializers.zeros, shape)

  def zero_diagonal_weights(self) -> Float[Array, 'V V']:
    """B * (1 - I)."""
    return self.weights * (1 - jnp.eye(self.num_items))

  def __call__(self, x_BxV: Float[Array, 'B V']) -> Float[Array, 'B V']:
    """Scores of all items."""
    return x_BxV @ self.zero_diagonal_weights()

  def loss(self, data: Rows | Gram, l2: float) -> Float[Array, '']:
    """(||X - X B||^2 + l2 ||B||^2) / 2; with a Gram, minus a constant.

    Its gradient, and a Hessian-vector product (forward over reverse), cost one
    product with X'X each.
    """
    weights = self.zero_diagonal_weights()
    penalty = 0.5 * l2 * jnp.sum(weights**2)
    if isinstance(data, Rows):
      return 0.5 * jnp.sum((data.x - self(data.x)) ** 2) + penalty
    return _gram_loss(weights, data.gram) + penalty


@jax.custom_jvp
def _gram_loss(weights_VxV, gram_VxV):
  """<B, G B> / 2 - <G, B>, which is (||X - X B||^2 - ||X||^2) / 2."""
  return jnp.vdot(weights_VxV, 0.5 * (gram_VxV @ weights_VxV) - gram_VxV)


@_gram_loss.defjvp
def _gram_loss_jvp(primals, tangents):
  # G is symmetric, so G B is also the product with G', which halves the work.
  weights_VxV, gram_VxV = primals
  product_VxV = gram_VxV @ weights_VxV
  loss = jnp.vdot(weights_VxV, 0.5 * product_VxV - gram_VxV)
  return loss, jnp.vdot(tangents[0], product_VxV - gram_VxV)


class Descent(NamedTuple):
  """State of the conjugate gradient method.

  Attributes:
    gradient: Gradient of the loss at the current weights.
    direction: Direction of the next step.
    loss: Loss at the current weights.
  """

  gradient: Float[Array, 'V V']
  direction: Float[Array, 'V V']
  loss: Float[Array, '']


def start_descent(model: ESLER, params: dict, data: Rows | Gram, l2) -> Descent:
  """State before the first step from `params`; it costs one product."""
  loss, grads = jax.value_and_grad(_loss_of(model, data, l2))(params)
  gradient = grads['weights']
  return Descent(gradient, -gradient, loss)


def descend(
  model: ESLER, params: dict, memory: Descent, data: Rows | Gram, l2
) -> tuple[dict, Descent, dict[str, Float[Array, '']]]:
  """One step of conjugate gradients (Hestenes & Stiefel 1952); one product.

  The loss is quadratic, and the columns of B do not interact. Each column
  therefore has its own direction and moves to the minimum along it; the
  directions of a column are conjugate. The curvature along a direction is a
  Hessian-vector product, forward over reverse.

  Args:
    model: the module.
    params: its parameters.
    memory: state from `start_descent` or from the last step, on the same data.
    data: X or its Gram.
    l2: the ridge, > 0.

  Returns:
    New parameters, new state and metrics: `loss`, and `error_bound`, an upper
    bound of the relative Frobenius error ||B - B*|| / ||B||. The eigenvalues of
    the Hessian are at least l2, so ||B - B*|| <= ||gradient|| / l2.
  """
  gradient, direction, loss = memory
  _, bent = jax.jvp(
    jax.grad(_loss_of(model, data, l2)), (params,), ({'weights': direction},)
  )
  bent = bent['weights']
  slope_V = jnp.sum(gradient * direction, axis=0)
  curvature_V = jnp.sum(direction * bent, axis=0)
  length_V = _ratio(-slope_V, curvature_V)
  weights = params['weights'] + direction * length_V[None, :]
  new_gradient = gradient + bent * length_V[None, :]
  square_V = jnp.sum(new_gradient**2, axis=0)
  kept_V = _ratio(square_V, jnp.sum(gradient**2, axis=0))
  direction = direction * kept_V[None, :] - new_gradient
  loss += 0.5 * jnp.vdot(length_V, slope_V)
  bound = _ratio(jnp.sqrt(square_V.sum()), l2 * jnp.linalg.norm(weights))
  metrics = {'loss': loss, 'error_bound': bound}
  return {'weights': weights}, Descent(new_gradient, direction, loss), metrics


def _loss_of(model: ESLER, data, l2):
  """The loss as a function of the parameters."""
  return lambda params: model.apply(
    {'params': params}, data, l2, method=model.loss
  )


def _ratio(a, b):
  """The ratio a / b, or 0 where b is 0: a converged column does not move."""
  return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def product_flops(num_users: int, num_items: int) -> float:
  """Operations of X'X times a V x V matrix, in the cheaper order."""
  if is_rows_cheaper(num_users, num_items):
    return 4.0 * num_users * num_items**2
  return 2.0 * num_items**3


def is_rows_cheaper(num_users: int, num_items: int) -> bool:
  """Whether X'(X B) costs less than (X'X) B."""
  return 2 * num_users < num_items


def descent_flops(num_users: int, num_items: int, steps: int) -> float:
  """Operations of `start_descent` and `steps` calls of `descend`.

  Each of them costs one product and about 24 V^2 element-wise operations.
  """
  product = product_flops(num_users, num_items)
  return (steps + 1) * (product + 24.0 * num_items**2)


class ELSA(nn.Module):
  """score = x (A A' - I); rows of A have norm 1, so the diagonal is zero.

  Vancura, Alves, Kasalicky, Kordik: "Scalable Linear Shallow Autoencoder for
  Collaborative Filtering" (RecSys 2022).

  Attributes:
    num_items: V.
    rank: r.
  """

  num_items: int
  rank: int

  @nn.compact
  def __call__(self, x_BxV: Float[Array, 'B V']) -> Float[Array, 'B V']:
    """Scores of all items."""
    factors_Vxr = self.param(
      'factors', nn.initializers.xavier_uniform(), (self.num_items, self.rank)
    )
    factors_Vxr = _unit_rows(factors_Vxr)
    return x_BxV @ factors_Vxr @ factors_Vxr.T - x_BxV


def normalised_squared_error(
  scores: Float[Array, 'B V'], x: Float[Array, 'B V']
) -> Float[Array, '']:
  """Squared distance of `scores` and `x`, both scaled to norm 1; row mean.

  This is V times the loss of the ELSA paper, which also takes the mean over
  items. The factor V does not change Adam's steps, apart from its epsilon.
  """
  return jnp.mean(jnp.sum((_unit_rows(scores) - _unit_rows(x)) ** 2, axis=-1))


def elsa_loss_of_items(
  params: dict, items_BxL: Int[Array, 'B L'], mask_BxL: Bool[Array, 'B L']
) -> Float[Array, '']:
  """`normalised_squared_error` of ELSA, computed without the scores.

  It is 2 - 2 cos(s, x) for the scores s = z A' - x with z = x A. Rows of A have
  norm 1, so <s, x> = |z|^2 - |x|^2 and |s|^2 = z A'A z' - 2 |z|^2 + |x|^2:
  O(V r^2 + B L r) instead of O(B V r), and no [B, V] matrix.

  Args:
    params: parameters of `ELSA`.
    items_BxL: the distinct items of each row, at least one.
    mask_BxL: True at items, False at padding.
  """
  factors_Vxr = _unit_rows(params['factors'])
  z_Bxr = jnp.sum(factors_Vxr[items_BxL] * mask_BxL[..., None], axis=1)
  spread_rxr = factors_Vxr.T @ factors_Vxr
  size_B = mask_BxL.sum(axis=1).astype(z_Bxr.dtype)
  square_B = jnp.sum(z_Bxr**2, axis=1)
  norm_B = jnp.sum(z_Bxr @ spread_rxr * z_Bxr, axis=1) - 2 * square_B + size_B
  cosine_B = (square_B - size_B) * jax.lax.rsqrt(
    jnp.maximum(norm_B * size_B, 1e-24)
  )
  return jnp.mean(2 - 2 * cosine_B)


def _unit_rows(x):
  """Rows scaled to norm 1; a row of zeros stays zero."""
  square = jnp.sum(x**2, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))


def elsa_step_flops(
  num_items: int, rank: int, batch_size: int, length: int | None = None
) -> float:
  """Operations of a training step, NAdam included.

  The products are x A and (x A) A'. In the backward pass, the second needs the
  gradients of both factors, the first only that of A. With a `length`, the step
  uses `elsa_loss_of_items` on rows of that many items: it computes A'A three
  times, forward and backward, and sums of rows of A. NAdam takes 16 operations
  per weight.
  """
  adam = 16.0 * num_items * rank
  if length is None:
    return 10.0 * batch_size * num_items * rank + adam
  return 6.0 * rank * (num_items * rank + batch_size * length) + adam


def is_items_cheaper(
  num_items: int, rank: int, batch_size: int, length: int
) -> bool:
  """Whether `elsa_loss_of_items` is faster than a loss on scores.

  It must need less than half the operations, since gathering rows is slower
  than matrix products.
  """
  by_items = elsa_step_flops(num_items, rank, batch_size, length)
  return 2 * by_items < elsa_step_flops(num_items, rank, batch_size)


def elsa_peak_bytes(
  num_items: int, rank: int, batch_size: int, length: int
) -> int:
  """Peak bytes of training ELSA by minibatches, without the data."""
  # A and two moments, each before and after the step; A with rows of norm 1;
  # the gradients of both; the updates; and temporary arrays of the norms.
  tables = 14 * num_items * rank
  if is_items_cheaper(num_items, rank, batch_size, length):
    return 4 * (tables + 4 * batch_size * length * rank)
  return 4 * (tables + 6 * batch_size * num_items)
