"""Optimizers whose schedule is in their state, so all share a compiled step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


class Cosine(NamedTuple):
  """State of the cosine schedule: first rate, steps done and steps in all."""

  lr: Float[Array, '']
  step: Int[Array, '']
  num_steps: Int[Array, '']


def cosine_adamw(
  lr: float, num_steps: int, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """AdamW (Loshchilov & Hutter, ICLR 2019) whose rate falls to 0 in a cosine.

  `lr` and `num_steps` enter the state by `init` and are no part of `update`: a
  step compiled with one of these optimizers runs the states of all that have
  the same `weight_decay`.

  Args:
    lr: the rate of the first step.
    num_steps: of the whole run; beyond it the rate is 0.
    weight_decay: of matrices only, not of biases and norms; times the rate.
  """

  def init(params):
    del params
    return Cosine(jnp.float32(lr), jnp.int32(0), jnp.int32(num_steps))

  def update(updates, state, params=None):
    del params
    share = jnp.minimum(state.step / jnp.maximum(state.num_steps, 1), 1.0)
    rate = state.lr * (1 + jnp.cos(jnp.pi * share)) / 2
    updates = jax.tree.map(lambda leaf: -rate * leaf, updates)
    return updates, state._replace(step=state.step + 1)

  return optax.chain(
    optax.scale_by_adam(),
    optax.add_decayed_weights(
      weight_decay,
      lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    ),
    optax.GradientTransformation(init, update),
  )
