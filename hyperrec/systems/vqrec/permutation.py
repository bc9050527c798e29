"""Permutations that gradients can learn: soft while learned, then rounded.

Mena, Belanger, Linderman & Snoek: "Learning latent permutations with
Gumbel-Sinkhorn networks" (ICLR 2018, arXiv 1802.08665).
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, Int

# Of Sinkhorn in training; VQ-Rec's published code has 3.
_TRAINING_ITERATIONS = 5


def sinkhorn(
  logits: Float[Array, '*G M M'], iterations: int = 20
) -> Float[Array, '*G M M']:
  """The doubly stochastic matrix that scaling rows and columns leads to.

  Columns sum to 1 but for rounding, rows the nearer the more iterations.
  """

  def scale(_, logits):
    logits -= jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    return logits - jax.nn.logsumexp(logits, axis=-2, keepdims=True)

  return jnp.exp(jax.lax.fori_loop(0, iterations, scale, logits))


def gumbel_sinkhorn(
  key: jax.Array,
  logits: Float[Array, '*G M M'],
  temperature: float,
  noise: float = 1.0,
  iterations: int = 20,
) -> Float[Array, '*G M M']:
  """A random soft permutation; hard as the temperature falls to 0.

  Args:
    key: of the noise.
    logits: what is learned.
    temperature: tau of the paper.
    noise: the factor of the Gumbel noise; with 0 nothing is random.
    iterations: of `sinkhorn`.
  """
  gumbel = jax.random.gumbel(key, logits.shape, logits.dtype)
  return sinkhorn((logits + noise * gumbel) / temperature, iterations)


def draw(
  key: jax.Array,
  logits: Float[Array, '*G M M'],
  temperature: float,
  noise: float,
) -> Float[Array, '*G M M']:
  """What `logits` have learned: hard rows with a soft gradient, for training.

  Args:
    key: of the noise.
    logits: what is learned.
    temperature: see `gumbel_sinkhorn`.
    noise: likewise.
  """
  soft = gumbel_sinkhorn(key, logits, temperature, noise, _TRAINING_ITERATIONS)
  return straight_through(soft)


def rounded(
  weights: Float[np.ndarray, 'G M M'],
) -> Int[np.ndarray, 'G M']:
  """The permutations of greatest total weight (the Hungarian method).

  Returns:
    For each row the column that is its own.

  Raises:
    ValueError: a weight is not finite.
  """
  weights = np.asarray(weights)
  if not np.isfinite(weights).all():
    raise ValueError('a permutation needs finite weights; lower the rate')
  columns = [
    scipy.optimize.linear_sum_assignment(w, maximize=True)[1] for w in weights
  ]
  return np.array(columns, np.int32)


def straight_through(
  soft: Float[Array, '*G M M'],
) -> Float[Array, '*G M M']:
  """Each row's largest weight alone, with the gradient of all of them."""
  hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
  return hard + soft - jax.lax.stop_gradient(soft)
