"""PReF for users who answer questions: a user is adapted to by an interview.

The users are simulated. They answer from ratings of items that the evaluation
leaves out of every ranking and never uses as targets.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.pref import interview, pref, question_rules
from hyperrec.systems.pref import reward_factorization as rf

CannotServe = method_lib.CannotServe
Cost = method_lib.Cost
Histories = method_lib.Histories
Model = method_lib.Model
Outcome = method_lib.Outcome

# Number of users who are interviewed at a time, and the multiple to which the
# room for questions is rounded up. With fixed shapes, one compiled interview
# serves any number of users, and any number of questions up to the multiple.
_BLOCK, _ROOM = 128, 32


@dataclasses.dataclass(frozen=True)
class InterviewConfig(pref.PrefConfig):
  """Hyperparameters of PReF with interviews; it adds three to those of PReF.

  Attributes:
    num_questions: Number of questions that each user is asked; "I don't know"
      counts.
    num_pool: Number of the most rated items that may be asked about.
    only_known: Ask a user only about items that she has rated, as if she had
      first marked the items that she knows. These marks tell more about a user
      than her answers do.
  """

  num_questions: int = config_lib.field(10, least=0)
  num_pool: int = config_lib.field(150, least=2)
  only_known: bool = False


class Interviewed(NamedTuple):
  """The state after the interviews.

  Attributes:
    choice: [V, J], `choice` of `pref.PrefState`.
    coefficients: [U, J], coefficients of the interviewed users.
  """

  choice: Float[Array, 'V J']
  coefficients: Float[np.ndarray, 'U J']


def pref_interview(
  features: pref.Features | None = None, **hyperparameters: Any
) -> Model:
  """Builds PReF that repeatedly asks each user which of two items she prefers.

  `fit` is that of PReF, and `generate` interviews the users. The rule
  `question_rules.bald` (mutual information) selects each pair among the most
  rated items. `generate` raises `CannotServe` if the data has no ratings.

  Args:
    features: Function from data to the features of the items [V, F]; only the
      base `text` needs it.
    **hyperparameters: Fields of `InterviewConfig`.

  Raises:
    DataError: A hyperparameter has an unusable value; see `pref.PrefConfig`.
  """
  config = InterviewConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del start, run
    return pref.fit(config, data, key, features)

  def generate(state, data, key):
    if data.ratings is None:
      raise CannotServe(
        f'{data.name}: simulated users answer which of two items they '
        'prefer by their ratings; this source has none'
      )
    items, pool = pref.make_pool(state, config.num_pool)
    ratings_UxN = pref.of_pool(pref.rating_matrix(data), items)
    found = [
      _interview_block(
        state.prior,
        pool,
        ratings_UxN[start : start + _BLOCK],
        jax.random.fold_in(key, start),
        num_questions=config.num_questions,
        only_known=config.only_known,
      )
      for start in range(0, len(ratings_UxN), _BLOCK)
    ]
    operations = _interview_operations(
      config.num_questions, len(items), state.choice.shape[1]
    )
    interviewed = Interviewed(state.choice, np.concatenate(found))
    return Outcome(interviewed, Cost(per_user=operations))

  return Model('pref_interview', config, fit, score, generate=generate)


def _interview_block(
  prior, pool, ratings_BxN, key, *, num_questions, only_known
):
  """Interviews a block of users and returns their coefficients [B, J].

  The block is padded to a fixed number of users, who have rated no item.
  """
  count = len(ratings_BxN)
  filled = np.full((_BLOCK, ratings_BxN.shape[1]), np.nan, np.float32)
  filled[:count] = ratings_BxN
  known_BxN = np.broadcast_to(pool.known, filled.shape)
  if only_known:
    known_BxN = np.where(np.isnan(filled), 0.0, 1.0).astype(np.float32)
  room = _ROOM * max(1, -(-num_questions // _ROOM))
  found = _interviews(
    (prior, pool), filled, known_BxN, key, num_questions, room=room
  )
  return np.asarray(found)[:count]


@functools.partial(jax.jit, static_argnames='room')
def _interviews(asked_of, ratings_BxN, known_BxN, key, num_questions, *, room):
  prior, pool = asked_of

  def one(ratings_N, known_N, key):
    own = pool._replace(known=known_N)

    def step(number, belief):
      return interview.turn(
        question_rules.bald,
        own,
        belief,
        ratings_N,
        jax.random.fold_in(key, number),
      )[0]

    belief = interview.start(prior, own, room)
    return jax.lax.fori_loop(0, num_questions, step, belief).posterior.mean

  keys = jax.random.split(key, len(ratings_BxN))
  return jax.vmap(one)(ratings_BxN, known_BxN, keys)


def score(
  interviewed: Interviewed, histories: Histories
) -> Float[np.ndarray, 'B V']:
  """Scores all items by their rewards; shown items play no part.

  Args:
    interviewed: State after the interviews.
    histories: Only `users` is read: B indices of interviewed users.
  """
  return pref.rewards(
    interviewed.choice, interviewed.coefficients[histories.users]
  )


def _interview_operations(num_questions: int, num_pool: int, j: int) -> float:
  """Counts the operations of an interview: Newton steps and gains of pairs."""
  # One answer counts as three: about the pair, and that each item was chosen.
  update = rf.posterior_flops(3 * num_questions, j, interview.WARM_STEPS)
  # A gain needs a triple product, an inverse, and about 30 operations per pair.
  ask = 2.0 * num_pool * j * (j + num_pool) + 2 * j**3 + 30.0 * num_pool**2
  return num_questions * (update + ask)
