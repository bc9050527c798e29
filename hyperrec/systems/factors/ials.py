"""Implicit ALS, with the settings of "Revisiting iALS" (RecSys 2022).

Hu, Koren and Volinsky, ICDM 2008, in the form of Rendle, Krichene, Zhang and
Koren (arXiv 2110.14037, eq. 3 to 5). Over factors w of users and h of items,

    sum_observed (1 - w.h)^2 + alpha sum_all (w.h)^2
      + l2 sum_u (|I_u| + alpha V)^nu |w_u|^2
      + l2 sum_i (|U_i| + alpha U)^nu |h_i|^2

is minimised by turns, each turn exactly, or by a few steps of conjugate
gradients from the last factors (`cg_steps`), which cost less. A user who was
not in the training has the factor that the same sum gives for the user's items:
one exact solve.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec import program as program_lib
from hyperrec.systems.factors import least_squares, row_blocks

Blocks = row_blocks.Blocks
Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program


@dataclasses.dataclass(frozen=True)
class IalsConfig:
  """Hyperparameters of implicit ALS.

  Attributes:
    dim: Number of factors of a user or an item.
    l2: Strength of the penalty, such as 0.003.
    unobserved: Weight alpha of every entry as a 0, such as 0.1.
    exponent: Exponent nu of the frequencies in the penalty; 0 penalises all
      factors alike, 1 as if each of their entries had a penalty.
    deviation: Standard deviation of a factor's length at the start.
    epochs: Turns of users and items in a training from scratch.
    finetune_epochs: Turns in fine-tuning.
    cg_steps: Steps of conjugate gradients of a turn, such as 3; 0 solves
      each turn exactly.
  """

  dim: int = config_lib.field(64, least=1)
  l2: float = config_lib.field(0.003, above=0)
  unobserved: float = config_lib.field(0.1, above=0)
  exponent: float = config_lib.field(1.0, least=0)
  deviation: float = config_lib.field(0.1, above=0)
  epochs: int = config_lib.field(16, least=1)
  finetune_epochs: int = config_lib.field(4, least=1)
  cg_steps: int = config_lib.field(0, least=0)

  def __post_init__(self):
    config_lib.check(self)


class Factors(NamedTuple):
  """The state: what scoring needs.

  Attributes:
    items: [V, D], the factors of the items.
    gram: [D, D], alpha times the Gram matrix of the items of the loss.
    num_trained: number of the items of the loss; all of the catalogue, but for
      those that have a factor without any interaction.
  """

  items: Float[np.ndarray, 'V D']
  gram: Float[np.ndarray, 'D D']
  num_trained: int


def ials(**hyperparameters: Any) -> Model:
  """Implicit ALS; new users are folded in when they are scored.

  Args:
    **hyperparameters: fields of `IalsConfig`.
  """
  config = IalsConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del run
    x_UxV, operations = data.csr(), 0.0
    by_user = row_blocks.of(x_UxV, config.dim)
    by_item = row_blocks.of(x_UxV.T.tocsr(), config.dim)
    epochs = config.epochs if start is None else config.finetune_epochs
    items = first_items(config, key, data) if start is None else start.items
    users = np.zeros((data.num_users, config.dim), np.float32)
    for _ in range(epochs):
      users, spent_on_users = half_sweep(config, by_user, items, users)
      items, spent_on_items = half_sweep(config, by_item, users, items)
      operations += spent_on_users + spent_on_items
    gram = least_squares.gram(items, config.unobserved)
    return Outcome(Factors(items, gram, len(items)), Cost(operations))

  return Model(
    'ials',
    config,
    fit,
    lambda state, histories: score(config, state, histories),
    update=lambda state, source, evidence: fold_in(config, state, evidence),
    program=lambda state: program(config, state),
    needs_history=True,
  )


def first_items(
  config: IalsConfig, key: jax.Array, data: Interactions
) -> Float[np.ndarray, 'V D']:
  """Random factors; their lengths do not depend on the number of factors."""
  shape = data.num_items, config.dim
  drawn = np.asarray(jax.random.normal(key, shape))
  return drawn * np.float32(config.deviation / np.sqrt(config.dim))


def ridge(
  config: IalsConfig, lengths: Int[np.ndarray, ' M'], num_columns: int
) -> Float[np.ndarray, ' M']:
  """The strength of the penalty of rows of so many entries and columns."""
  entries = lengths + config.unobserved * num_columns
  return config.l2 * entries**config.exponent


def half_sweep(
  config: IalsConfig,
  x: Blocks,
  columns: Float[np.ndarray, 'N D'],
  start: Float[np.ndarray, 'M D'] | None = None,
  mean: Float[np.ndarray, 'M D'] | None = None,
) -> tuple[Float[np.ndarray, 'M D'], float]:
  """The factors of the rows of X, given those of its columns; operations.

  Args:
    config: with `cg_steps`, they are improved by steps and not solved exactly.
    x: the rows of X.
    columns: factors of the columns.
    start: the last factors of the rows, where the steps start. Without them,
      rows are solved exactly.
    mean: what the penalty pulls the factor of each row towards; None is 0.
  """
  gram = least_squares.gram(columns, config.unobserved)
  strength = ridge(config, x.lengths, x.num_columns)
  if start is None or not config.cg_steps:
    found = least_squares.solve_rows(x, columns, gram, strength, mean)
    return found, least_squares.flops(x.lengths, config.dim, x.num_columns)
  found = least_squares.step_rows(
    x, columns, gram, strength, start, steps=config.cg_steps, mean=mean
  )
  return found, least_squares.step_flops(
    x.lengths, config.dim, x.num_columns, config.cg_steps
  )


def users_of(
  config: IalsConfig, state: Factors, histories: Histories
) -> Float[np.ndarray, 'B D']:
  """The factors of users whose items are known; 0 where there are none."""
  return users_in(config, state, row_blocks.of(histories.csr(), config.dim))


def users_in(
  config: IalsConfig, state: Factors, x: Blocks
) -> Float[np.ndarray, 'U D']:
  """The same of the rows of X [U, V]."""
  return least_squares.solve_rows(
    x,
    state.items,
    state.gram,
    ridge(config, x.lengths, state.num_trained),
    turn_all=False,
  )


def score(
  config: IalsConfig, state: Factors, histories: Histories
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V]; an empty history scores 0 everywhere."""
  return users_of(config, state, histories) @ state.items.T


def program(config: IalsConfig, state: Factors) -> Program:
  """The same scores as one function, which solves for each user."""
  users = users_program(config, state)

  def score_histories(params, items_BxL, mask_BxL):
    factors_BxD = users.score(params, items_BxL, mask_BxL)
    return factors_BxD @ params['items'].T

  return users._replace(score=score_histories)


def users_program(config: IalsConfig, state: Factors) -> Program:
  """`users_of` as one function, whose outputs are factors [B, D].

  It has a Cholesky factorisation, and is compiled for CPUs alone.
  """

  def factors_of(
    params, items_BxL: program_lib.Items, mask_BxL: program_lib.Mask
  ) -> Float[Array, 'B D']:
    sizes_B = mask_BxL.sum(axis=1)
    entries_B = sizes_B + config.unobserved * state.num_trained
    rows = least_squares.Rows(
      items_BxL,
      mask_BxL,
      config.l2 * entries_B**config.exponent,
      jnp.zeros((items_BxL.shape[0], config.dim)),
    )
    return least_squares.solve_padded(params['items'], params['gram'], rows)

  params = {'items': state.items, 'gram': state.gram}
  return Program(params, factors_of, platforms=('cpu',))


def fold_in(
  config: IalsConfig, state: Factors, evidence: Interactions
) -> Outcome:
  """The same state; scoring spends one solve on each user of the evidence."""
  lengths = np.diff(evidence.csr().indptr)
  operations = least_squares.flops(lengths, config.dim)
  return Outcome(state, Cost(per_user=operations / max(1, evidence.num_users)))
