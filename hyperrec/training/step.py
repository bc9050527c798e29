"""The training step: a pure function made of a loss and an optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

Params = Any
Batch = Any
LossFn = Callable[
  [Params, Batch, jax.Array, jax.Array],
  tuple[Float[Array, ''], Mapping[str, jax.Array]],
]


class TrainState(NamedTuple):
  """The complete state of a run; resuming from it gives bit-identical results.

  Attributes:
    params: the trained parameters.
    opt_state: the state of the optimizer.
    step: int32 [], steps done.
    key: typed key of the run; each step folds its number into it.
  """

  params: Params
  opt_state: Any
  step: Int[Array, '']
  key: Key[Array, '']


Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]


def init_state(
  params: Params,
  tx: optax.GradientTransformation,
  key: jax.Array,
  step: int = 0,
) -> TrainState:
  """Returns the state at the start of a run.

  The state holds `params` and `key` without a copy, so a step that donates its
  state destroys them. `loop.train` avoids this by copying the state.

  Args:
    params: the initial parameters.
    tx: the optimizer.
    key: typed key of the run.
    step: steps already done; above 0 it continues a schedule (fine-tuning).
  """
  opt_state = tx.init(params)
  return TrainState(params, opt_state, jnp.asarray(step, jnp.int32), key)


def make_train_step(loss_fn: LossFn, tx: optax.GradientTransformation) -> Step:
  """Makes a jitted step that donates (destroys) the state that it receives.

  Args:
    loss_fn: (params, batch, key, step) -> (loss, metrics); `metrics` is a flat
      dict of scalars.
    tx: the optimizer.

  Returns:
    (state, batch) -> (state, metrics); the metrics include the loss.
  """

  def train_step(state: TrainState, batch: Batch):
    key = jax.random.fold_in(state.key, state.step)
    value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, metrics), grads = value_and_grad(
      state.params, batch, key, state.step
    )
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new_state = TrainState(params, opt_state, state.step + 1, state.key)
    return new_state, {'loss': loss, **metrics}

  return jax.jit(train_step, donate_argnums=0)
