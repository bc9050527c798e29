"""A blend of two models: a weighted sum of their standardised scores."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

# A user whose scores differ by less is one to whom a model says nothing.
_LEAST = 1e-9


@dataclasses.dataclass(frozen=True)
class BlendConfig:
  """Hyperparameters.

  Attributes:
    first: Hyperparameters of the first model.
    second: Hyperparameters of the second model.
    weight: Share of the second model, from 0 to 1.
  """

  first: Any
  second: Any
  weight: float = config_lib.field(least=0, most=1)

  def __post_init__(self):
    config_lib.check(self)


class State(NamedTuple):
  """The states of both models."""

  first: Any
  second: Any


def blended(
  first: Model,
  second: Model,
  weight: float,
  pass_flops: Callable[[Any], float],
) -> Model:
  """A model that ranks by two models together.

  The scores of each user are standardised before they are summed, since models
  have other units. If the first model is a generator, so is the blend; the
  second one is not adapted.

  Args:
    first: a model.
    second: a model that needs only a pass for a new user.
    weight: share of the second one.
    pass_flops: state of the second one -> operations of its pass for one user,
      which a blended generator pays beside its own.
  """
  config = BlendConfig(first.config, second.config, weight)

  def fit(data, key, start=None, run=None):
    del start, run
    first_key, second_key = jax.random.split(key)
    found = first.fit(data, first_key)
    other = second.fit(data, second_key)
    return Outcome(State(found.state, other.state), found.cost + other.cost)

  def generate(state, data, key):
    made = first.generate(state.first, data, key)
    passing = Cost(per_user=pass_flops(state.second))
    return Outcome(state._replace(first=made.state), made.cost + passing)

  def score(state, histories):
    parts = (
      (1 - weight, first.score(state.first, histories)),
      (weight, second.score(state.second, histories)),
    )
    return sum(share * standardised(scores) for share, scores in parts)

  def program(state):
    parts = first.program(state.first), second.program(state.second)
    return _blend_of_programs(*parts, weight)

  has_program = first.program is not None and second.program is not None
  return Model(
    f'{first.name} and {second.name}',
    config,
    fit,
    score,
    generate=None if first.generate is None else generate,
    program=program if has_program else None,
    needs_history=first.needs_history or second.needs_history,
    needs_interactions=first.needs_interactions or second.needs_interactions,
  )


def _blend_of_programs(
  first: Program, second: Program, weight: float
) -> Program:
  if first.length != second.length:
    raise method_lib.CannotServe(
      f'its two models read the last {first.length or "of all"} and the last '
      f'{second.length or "of all"} items of a history; give both the same '
      'length'
    )

  def score(params, items_BxL, mask_BxL):
    parts = (
      (1 - weight, first.score(params['first'], items_BxL, mask_BxL)),
      (weight, second.score(params['second'], items_BxL, mask_BxL)),
    )
    return sum(share * standardised(scores, jnp) for share, scores in parts)

  both = [name for name in first.platforms if name in second.platforms]
  return Program(
    {'first': first.params, 'second': second.params},
    score,
    length=first.length,
    platforms=tuple(both),
    counts=second.counts if first.counts is None else first.counts,
  )


def standardised(
  scores: Float[np.ndarray, 'B V'], numpy: ModuleType = np
) -> Float[np.ndarray, 'B V']:
  """The scores of each user with mean 0 and deviation 1; equal ones give 0.

  Args:
    scores: of B users.
    numpy: NumPy, or `jax.numpy` in a program.
  """
  scores = numpy.asarray(scores, numpy.float32)
  centred = scores - scores.mean(axis=1, keepdims=True)
  deviation = centred.std(axis=1, keepdims=True)
  return centred / numpy.where(deviation > _LEAST, deviation, numpy.inf)
