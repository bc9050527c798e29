"""Permutations that gradients learn: they are soft in training, then rounded.

Mena, Belanger, Linderman & Snoek: "Learning latent permutations with
Gumbel-Sinkhorn networks" (ICLR 2018, arXiv 1802.08665).
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, Int

# Number of Sinkhorn iterations in training; VQ-Rec's published code uses 3.
_TRAINING_ITERATIONS = 5


def sinkhorn(
  logits: Float[Array, '*G M M'], iterations: int = 20
) -> Float[Array, '*G M M']:
  """Scales rows and columns in turn, towards a doubly stochastic matrix.

  At the end, columns sum to 1 up to rounding errors; rows come nearer to 1 with
  more iterations.

  Args:
    logits: logarithms of the matrix to scale.
    iterations: number of times that rows and columns are scaled.
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
  """A random soft permutation, which becomes hard as temperature falls to 0.

  Args:
    key: key of the noise.
    logits: learned logits of the permutation.
    temperature: tau of the paper.
    noise: factor of the Gumbel noise; with 0, nothing is random.
    iterations: number of iterations of `sinkhorn`.
  """
  gumbel = jax.random.gumbel(key, logits.shape, logits.dtype)
  return sinkhorn((logits + noise * gumbel) / temperature, iterations)


def draw(
  key: jax.Array,
  logits: Float[Array, '*G M M'],
  temperature: float,
  noise: float,
) -> Float[Array, '*G M M']:
  """A random permutation for training: hard rows with a soft gradient.

  Args:
    key: key of the noise.
    logits: learned logits of the permutation.
    temperature: tau; see `gumbel_sinkhorn`.
    noise: factor of the noise; see `gumbel_sinkhorn`.
  """
  soft = gumbel_sinkhorn(key, logits, temperature, noise, _TRAINING_ITERATIONS)
  return straight_through(soft)


def rounded(
  weights: Float[np.ndarray, 'G M M'],
) -> Int[np.ndarray, 'G M']:
  """The permutations of largest total weight, by the Hungarian method.

  Args:
    weights: weight of each column for each row, such as soft permutations.

  Returns:
    The column that each row is assigned to.

  Raises:
    ValueError: a weight is not finite.
  """
  weights = np.asarray(weights)
  if not np.isfinite(weights).all():
    raise ValueError(
      'a permutation needs finite weights; lower the learning rate'
    )
  columns = [
    scipy.optimize.linear_sum_assignment(w, maximize=True)[1] for w in weights
  ]
  return np.array(columns, np.int32)


def straight_through(
  soft: Float[Array, '*G M M'],
) -> Float[Array, '*G M M']:
  """Rows that are one-hot at their largest weight, with the soft gradient."""
  hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
  return hard + soft - jax.lax.stop_gradient(soft)
