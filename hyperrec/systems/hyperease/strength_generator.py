"""A network that generates the multiplier of each part of a prior.

`prior_generator` has a multiplier for each of its parts, and the closed form
has a ridge. Here a network maps the evidence to these numbers and is trained
*through the solve*: in tasks made from the source, the closed form is solved on
a few users, and the loss is that of its scores for other users' held-out items.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hyperrec.systems.hyperease import prior_solve


class Generated(NamedTuple):
  """The ridge and the multipliers of `prior_generator.Strengths`."""

  l2: Array
  trust: Array
  relation: Array
  transfer: Array
  popularity: Array


class Parts(NamedTuple):
  """The parts of one catalogue's prior, each with multiplier 1.

  Attributes:
    own: C, in factors.
    relation: F M F', in factors.
    transfer: T B T', in factors.
    log_rate: [V], log popularity predicted from features.
    variance: variance of log popularity that features do not explain.
  """

  own: prior_solve.Prior
  relation: prior_solve.Prior
  transfer: prior_solve.Prior
  log_rate: Array
  variance: Array


class StrengthGenerator(nn.Module):
  """Strengths = base exp(h(z)); the last layer is zero at the start.

  Attributes:
    base: strengths at the start of training.
    hidden_dim: width of the one hidden layer.
  """

  base: Generated
  hidden_dim: int = 16

  @nn.compact
  def __call__(self, z: Float[Array, ' Z']) -> Generated:
    """The strengths for evidence described by z (see `describe`)."""
    hidden = jnp.tanh(nn.Dense(self.hidden_dim)(z))
    last = nn.Dense(
      len(self.base),
      kernel_init=nn.initializers.zeros,
      bias_init=nn.initializers.zeros,
    )
    moved = jnp.exp(last(hidden))
    return Generated(*(b * m for b, m in zip(self.base, moved, strict=True)))


def describe(x_UxV: Float[Array, 'U V']) -> Float[Array, ' Z']:
  """z: numbers of users with items and of interactions, in log scale.

  Both are about of unit size. Rows of zeros do not count as users.
  """
  users = jnp.sum(x_UxV.sum(axis=1) > 0)
  return jnp.stack([jnp.log1p(users) / 2 - 1, jnp.log1p(x_UxV.sum()) / 4 - 1])


def log_popularity(parts: Parts, x_UxV: Float[Array, 'U V']) -> Array:
  """`item_popularity.log_posterior` for padded evidence, in JAX."""
  counts_V = x_UxV.sum(axis=0)
  users = jnp.sum(x_UxV.sum(axis=1) > 0)
  relative_V = jnp.exp(parts.log_rate - parts.log_rate.max())
  level = counts_V.sum() / jnp.maximum(users, 1) / relative_V.sum()
  shape = 1 / jnp.expm1(parts.variance)
  # Without users the level is 0; 1.0 keeps the unused branch finite.
  prior_users = shape / jnp.where(users > 0, level * relative_V, 1.0)
  seen_V = jnp.log(shape + counts_V) - jnp.log(prior_users + users)
  log_rate_V = jnp.where(users > 0, seen_V, parts.log_rate)
  return log_rate_V - log_rate_V.mean()


def scores(
  generated: Generated,
  parts: Parts,
  x_UxV: Float[Array, 'U V'],
  histories_BxV: Float[Array, 'B V'],
) -> Float[Array, 'B V']:
  """Scores x B of histories under the solution around the generated prior.

  Args:
    generated: the ridge and the strengths.
    parts: parts of the catalogue's prior.
    x_UxV: the evidence; rows of zeros are padding.
    histories_BxV: binary rows x.
  """
  weighted = (
    (parts.own, generated.trust),
    (parts.relation, generated.relation),
    (parts.transfer, generated.transfer),
  )
  tilt_V = jnp.exp(generated.popularity * log_popularity(parts, x_UxV))
  left = jnp.concatenate([p.left for p, _ in weighted], axis=1)
  right = jnp.concatenate([w * p.right for p, w in weighted])
  prior = prior_solve.Prior(left / tilt_V[:, None], right * tilt_V[None])
  ridge_V = jnp.full(x_UxV.shape[1], generated.l2)
  return prior_solve.scores(x_UxV, ridge_V, prior, histories_BxV)


def multinomial_loss(
  scores_BxV: Float[Array, 'B V'],
  histories_BxV: Float[Array, 'B V'],
  targets_BxV: Float[Array, 'B V'],
  log_temperature: Array,
) -> Array:
  """Mean negative log-likelihood of held-out items; history items are masked.

  Scores grow with the length of a history, so they are not logits. They are
  divided by the root of the length and multiplied by a learned
  exp(log_temperature).
  """
  length_B = jnp.maximum(histories_BxV.sum(axis=1), 1)
  logits = scores_BxV * jnp.exp(log_temperature) / jnp.sqrt(length_B)[:, None]
  logits = jnp.where(histories_BxV > 0, -1e9, logits)
  log_p = jax.nn.log_softmax(logits)
  targets_B = jnp.maximum(targets_BxV.sum(axis=1), 1)
  return -jnp.mean((log_p * targets_BxV).sum(axis=1) / targets_B)
