"""A model to whose scores popularity is added.

    score of an item = model's score + popularity * share of users who have it

Item-item weights with a strong ridge say little to users with few items. A
constant preference for popular items, tuned on validation users, is the
cheapest remedy.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class AddedPopularityConfig:
  """Hyperparameters.

  Attributes:
    base: Hyperparameters of the model to which popularity is added.
    popularity: Factor of the popularity, at least 0, such as 0.3; 0 is the
      model itself. Popularity is the share of the users who have the item, so
      that the factor is comparable between data sets.
  """

  base: Any
  popularity: float = config_lib.field(least=0)

  def __post_init__(self):
    config_lib.check(self)


class State(NamedTuple):
  """The state of the model, and what is added to its scores."""

  base: Any
  added: Float[np.ndarray, ' V']


def added_popularity(model: Model, popularity: float) -> Model:
  """Adds popularity to the scores of a model.

  Users with empty histories get popularity alone.

  Args:
    model: gives scores in the unit of EASE, where 1 is a certain item.
    popularity: see `AddedPopularityConfig`.
  """
  config = AddedPopularityConfig(model.config, popularity)

  def fit(data, key, start=None, run=None):
    del start, run
    base = model.fit(data, key)
    users = max(1, np.count_nonzero(data.user_counts()))
    share_V = data.item_counts() / users
    state = State(base.state, np.float32(popularity * share_V))
    return Outcome(state, base.cost + Cost(float(len(data) + 2 * len(share_V))))

  def score(state, histories):
    return model.score(state.base, histories) + state.added

  def program(state):
    base = model.program(state.base)

    def score_histories(params, items_BxL, mask_BxL):
      scores = base.score(params['base'], items_BxL, mask_BxL)
      return scores + params['added'][None]

    params = {'base': base.params, 'added': state.added}
    return base._replace(params=params, score=score_histories, kind='network')

  return Model(
    f'{model.name} and popularity',
    config,
    fit,
    score,
    program=None if model.program is None else program,
    needs_interactions=model.needs_interactions,
  )
