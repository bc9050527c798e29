"""Linear autoencoders trained by gradient: ESLER (full rank) and ELSA.

ESLER is EASE (Steck, WWW 2019, arXiv 1905.03375) as a module: the same
objective and optimum as the closed form, reached by steps that can start
anywhere. ELSA (Vancura et al., RecSys 2022) has low rank.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


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


class ConjugateState(NamedTuple):
  """Memory of `conjugate_step`: the last gradient and direction."""

  gradient: Float[Array, 'V V']
  direction: Float[Array, 'V V']


class DescentState(NamedTuple):
  """A `training.step.TrainState` whose optimizer is the descent below."""

  params: dict
  opt_state: ConjugateState
  step: Int[Array, '']
  key: Key[Array, '']
