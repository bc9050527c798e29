"""Optimizers whose state contains the schedule.

Runs with different schedules therefore share one compiled step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


class Cosine(NamedTuple):
  """State of the cosine schedule.

  Attributes:
    lr: float32 [], learning rate of the first step.
    step: int32 [], steps done.
    num_steps: int32 [], steps of the whole run.
  """

  lr: Float[Array, '']
  step: Int[Array, '']
  num_steps: Int[Array, '']


def cosine_adamw(
  lr: float, num_steps: int, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """AdamW (Loshchilov & Hutter, ICLR 2019) with cosine decay to 0.

  `init` puts `lr` and `num_steps` into the state, and `update` does not depend
  on them. So a compiled step serves all of these optimizers that have the same
  `weight_decay`.

  Args:
    lr: learning rate of the first step.
    num_steps: number of steps of the whole run; afterwards the rate is 0.
    weight_decay: decoupled weight decay, which is multiplied by the learning
      rate. It applies to matrices only, not to biases and norms.
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
