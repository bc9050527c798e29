"""Linear autoencoders trained by gradient: ESLER (full rank) and ELSA.

ESLER is EASE (Steck, WWW 2019, arXiv 1905.03375) as a module: the same
objective and optimum as the closed form, reached by steps that can start
anywhere. ELSA (Vancura et al., RecSys 2022) has low rank.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Rows(NamedTuple):
  """X itself: the cheaper way to a gradient where 2 U < V."""

  x: Float[Array, 'U V']


class Gram(NamedTuple):
  """G = X'X: all that the objective needs to know of X."""

  gram: Float[Array, 'V V']


class ESLER(nn.Module):
  """score = x B with the diagonal of B held at zero in the pass itself.

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
    """Scores of the catalogue."""
    return x_BxV @ self.zero_diagonal_weights()

  def loss(self, data: Rows | Gram, l2: float) -> Float[Array, '']:
    """(||X - X B||^2 + l2 ||B||^2) / 2; from a Gram, less a constant.

    Differentiable once in reverse and then forward, each time at the cost of
    one product with X'X.
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
  # G is symmetric: G B serves for its transpose too, which halves the work.
  weights_VxV, gram_VxV = primals
  product_VxV = gram_VxV @ weights_VxV
  loss = jnp.vdot(weights_VxV, 0.5 * product_VxV - gram_VxV)
  return loss, jnp.vdot(tangents[0], product_VxV - gram_VxV)


class Descent(NamedTuple):
  """Memory of the conjugate gradient method.

  Attributes:
    gradient: of the loss at the present weights.
    direction: of the next step.
    loss: at the present weights.
  """

  gradient: Float[Array, 'V V']
  direction: Float[Array, 'V V']
  loss: Float[Array, '']


def start_descent(model: ESLER, params: dict, data: Rows | Gram, l2) -> Descent:
  """Memory for a first step from `params`; one product."""
  loss, grads = jax.value_and_grad(_loss_of(model, data, l2))(params)
  gradient = grads['weights']
  return Descent(gradient, -gradient, loss)


def descend(
  model: ESLER, params: dict, memory: Descent, data: Rows | Gram, l2
) -> tuple[dict, Descent, dict[str, Float[Array, '']]]:
  """One step of gradient descent with conjugate directions; one product.

  The loss is quadratic and its columns do not meet: each of them goes to the
  minimum along its own direction, and the directions of a column are conjugate
  (Hestenes & Stiefel 1952). The curvature along a direction is a
  Hessian-vector product, forward over reverse.

  Args:
    model: the module.
    params: its parameters.
    memory: of `start_descent` or the last step, on the same data.
    data: X or its Gram.
    l2: the penalty, > 0.

  Returns:
    Parameters, memory and metrics: `loss`, and `error_bound`, which the
    relative Frobenius error ||B - B*|| / ||B|| cannot exceed: the Hessian's
    eigenvalues are at least l2, so ||B - B*|| <= ||gradient|| / l2.
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
  return lambda params: model.apply(
    {'params': params}, data, l2, method=model.loss
  )


def _ratio(a, b):
  """The ratio, and 0 where b is 0: a column that has arrived stays."""
  return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def product_flops(num_users: int, num_items: int) -> float:
  """Operations of X'X times a V x V matrix, by the cheaper way."""
  if is_rows_cheaper(num_users, num_items):
    return 4.0 * num_users * num_items**2
  return 2.0 * num_items**3


def is_rows_cheaper(num_users: int, num_items: int) -> bool:
  """Whether X'(X B) costs less than (X'X) B."""
  return 2 * num_users < num_items


def descent_flops(num_users: int, num_items: int, steps: int) -> float:
  """Operations of a start and `steps` steps: products, 24 V^2 around each."""
  product = product_flops(num_users, num_items)
  return (steps + 1) * (product + 24.0 * num_items**2)


class ELSA(nn.Module):
  """score = x (A A' - I), rows of A of norm 1, so the diagonal is zero.

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
    """Scores of the catalogue."""
    factors_Vxr = self.param(
      'factors', nn.initializers.xavier_uniform(), (self.num_items, self.rank)
    )
    factors_Vxr = _unit_rows(factors_Vxr)
    return x_BxV @ factors_Vxr @ factors_Vxr.T - x_BxV


def normalised_squared_error(
  scores: Float[Array, 'B V'], x: Float[Array, 'B V']
) -> Float[Array, '']:
  """Squared distance of the two unit vectors, mean over rows.

  V times the loss of the ELSA paper, whose mean is over entries too; Adam
  does not see the factor, but its epsilon does.
  """
  return jnp.mean(jnp.sum((_unit_rows(scores) - _unit_rows(x)) ** 2, axis=-1))


def elsa_loss_of_items(
  params: dict, items_BxL: Int[Array, 'B L'], mask_BxL: Bool[Array, 'B L']
) -> Float[Array, '']:
  """`normalised_squared_error` of ELSA's scores, none of which is made.

  It is 2 - 2 cos(s, x) for the scores s = z A' - x with z = x A. Rows of A have
  norm 1, so <s, x> = |z|^2 - |x|^2 and |s|^2 = z A'A z' - 2 |z|^2 + |x|^2:
  O(V r^2 + B L r) instead of O(B V r), and no [B, V] matrix.

  Args:
    params: of `ELSA`.
    items_BxL: the items of each row, each of them once, at least one.
    mask_BxL: where an item is.
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
  square = jnp.sum(x**2, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))


def elsa_step_flops(
  num_items: int, rank: int, batch_size: int, length: int | None = None
) -> float:
  """Operations of a train step: 2 m n k a product, and NAdam.

  The products are x A and (x A) A'; backward the second needs both gradients,
  the first only that of A. By `elsa_loss_of_items`, with rows of `length`
  items, they are A'A, thrice, and sums of rows. NAdam takes 16 operations a
  weight.
  """
  adam = 16.0 * num_items * rank
  if length is None:
    return 10.0 * batch_size * num_items * rank + adam
  return 6.0 * rank * (num_items * rank + batch_size * length) + adam


def is_items_cheaper(
  num_items: int, rank: int, batch_size: int, length: int
) -> bool:
  """Whether `elsa_loss_of_items` pays: gathering is slower than products."""
  by_items = elsa_step_flops(num_items, rank, batch_size, length)
  return 2 * by_items < elsa_step_flops(num_items, rank, batch_size)


def elsa_peak_bytes(
  num_items: int, rank: int, batch_size: int, length: int
) -> int:
  """The most that a training by minibatches holds, its data aside."""
  # A, two moments, each before and after the step; A of norm 1, the gradients
  # of both, the updates, and what norms take on the way.
  tables = 14 * num_items * rank
  if is_items_cheaper(num_items, rank, batch_size, length):
    return 4 * (tables + 4 * batch_size * length * rank)
  return 4 * (tables + 6 * batch_size * num_items)
