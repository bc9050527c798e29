"""An interview of one person: questions, answers, and what they tell.

  model = pref.pref(liked=4.0)
  state = model.fit(data, jax.random.key(0)).state
  talk = session.start(model.config, state, data.item_text, num_questions=10)
  question = session.ask(talk)
  print(question.first, 'or', question.second)
  talk = session.answer(talk, question, 'first')
  session.recommend(talk, 10)
  session.coefficients(talk)

A session is a value: `answer` returns a new one and leaves the old one as it
is. The mathematics is in `question_rules`, `interview` and
`reward_factorization`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from hyperrec.systems.pref import (
  base_functions,
  interview,
  pref,
  question_rules,
)

ANSWERS = ('first', 'second', 'neither')
# Only this many of the most rated items explain a base function, since a person
# knows them.
_NUM_EXAMPLES_FROM = 300
_RULE = question_rules.once(question_rules.bald)
_ask = jax.jit(question_rules.ask, static_argnums=0)
_update = jax.jit(interview.update)


class Question(NamedTuple):
  """A question: which of two items does the person prefer.

  Attributes:
    first: Text of the first item.
    second: Text of the second item.
    places: Indices of both items in the pool, the smaller one first.
  """

  first: str
  second: str
  places: tuple[int, int]


class Session(NamedTuple):
  """A person's interview so far.

  Attributes:
    config: Hyperparameters that `state` was fitted with.
    state: All that users share.
    texts: Text of each of the V items.
    items: [N], ids of the items that may be asked about.
    pool: The same items, as the question rules need them.
    belief: What the answers have told.
    num_questions: Largest number of questions.
    answers: Questions so far, and what was answered, one of `ANSWERS`.
  """

  config: pref.PrefConfig
  state: pref.PrefState
  texts: Sequence[str]
  items: Int[np.ndarray, ' N']
  pool: question_rules.Pool
  belief: question_rules.Belief
  num_questions: int
  answers: tuple[tuple[Question, str], ...] = ()


class Recommendation(NamedTuple):
  """A recommended item.

  Attributes:
    item: Id of the item.
    text: Text of the item.
    score: Sum of both rewards, of taste and of choice; higher is better.
  """

  item: int
  text: str
  score: float


class Coefficient(NamedTuple):
  """How a person differs from the average person in one base function.

  Attributes:
    name: Name of the base function, if it has a meaning by itself; otherwise
      ''.
    value: Coefficient minus that of the average person, in standard deviations
      of the training users.
    error: Standard deviation of `value` under the posterior, in the same unit.
      It is 1 before the first answer.
    raised: Texts of well-known items that a positive value raises most.
    lowered: Texts of well-known items that a positive value lowers most.
  """

  name: str
  value: float
  error: float
  raised: tuple[str, ...]
  lowered: tuple[str, ...]

  @property
  def certainty(self) -> float:
    """Posterior probability that the value has the sign that it has."""
    return (1 + math.erf(abs(self.value) / self.error / math.sqrt(2))) / 2


def start(
  config: pref.PrefConfig,
  state: pref.PrefState,
  texts: Sequence[str],
  *,
  num_questions: int,
  num_pool: int = 150,
) -> Session:
  """Returns the session before the first question.

  Args:
    config: Hyperparameters that `state` was fitted with.
    state: All that users share.
    texts: Text of each of the V items, such as its title.
    num_questions: Largest number of questions, 1 or more.
    num_pool: Number of the most rated items that may be asked about.
  """
  items, pool = pref.make_pool(state, num_pool)
  belief = interview.start(state.prior, pool, num_questions)
  return Session(config, state, texts, items, pool, belief, num_questions)


def ask(session: Session) -> Question | None:
  """Returns the next question, or None if no question is left.

  The rule is mutual information, and it avoids items that were asked about
  already (`question_rules.once`).
  """
  if len(session.answers) == session.num_questions:
    return None
  # This rule makes no random choice, so the key does not matter.
  first, second, is_left = _ask(
    _RULE, session.pool, session.belief, jax.random.key(0)
  )
  if not is_left:
    return None
  places = int(first), int(second)
  texts = [str(session.texts[item]) for item in session.items[list(places)]]
  return Question(*texts, places)


def answer(session: Session, question: Question, given: str) -> Session:
  """Returns the session after one more answer.

  Args:
    session: Session before the answer.
    question: Question that was asked.
    given: The preferred item, 'first' or 'second', or 'neither' if the person
      knows too little or likes both items alike. 'neither' says nothing about
      taste, but counts as a question.

  Raises:
    ValueError: There is no such answer, or all questions have been answered.
  """
  if given not in ANSWERS:
    raise ValueError(f'answer {given!r} is unknown; give one of {ANSWERS}')
  if len(session.answers) == session.num_questions:
    raise ValueError(
      f'all {session.num_questions} questions have been answered; start a '
      'session with more questions'
    )
  belief = _update(
    session.pool,
    session.belief,
    tuple(jnp.asarray(place) for place in question.places),
    jnp.float32(given == 'first'),
    jnp.float32(given != 'neither'),
  )
  told = (*session.answers, (question, given))
  return session._replace(belief=belief, answers=told)


def asked_items(session: Session) -> list[int]:
  """Returns the ids of the items of all questions so far."""
  places = {p for question, _ in session.answers for p in question.places}
  return [int(session.items[place]) for place in sorted(places)]


def recommend(session: Session, k: int) -> list[Recommendation]:
  """Returns the k best items, without those that were asked about.

  An item is good if the person would choose it and like it. With ratings, both
  have coefficients of their own (`pref.PrefConfig.separate`); the score is the
  sum of both rewards.
  """
  scores_V = _rewards(session, session.belief.posterior.mean)
  order = np.argsort(-scores_V, kind='stable')
  order = order[~np.isin(order, asked_items(session))][:k]
  return [
    Recommendation(int(i), str(session.texts[i]), float(scores_V[i]))
    for i in order
  ]


def coefficients(session: Session, num_examples: int = 3) -> list[Coefficient]:
  """Returns what is known about each of the F base functions.

  A person's coefficients of taste and of choice are added for each base
  function, as they are in the score of `recommend`.

  Args:
    session: A person's interview.
    num_examples: Number of items that are raised or lowered most.
  """
  prior, posterior = session.belief.prior, session.belief.posterior
  phi_VxF, sum_JxF = _functions(session)
  value_F = (posterior.mean - prior.mean) @ sum_JxF
  error_F, spread_F = (
    np.sqrt(np.diagonal(sum_JxF.T @ np.linalg.inv(each.precision) @ sum_JxF))
    for each in (posterior, prior)
  )
  names = base_functions.CONSENSUS if session.config.consensus else ()
  found = []
  for f, (value, error, spread) in enumerate(
    zip(value_F, error_F, spread_F, strict=True)
  ):
    raised, lowered = _ends(session, phi_VxF[:, f], num_examples)
    name = names[f] if f < len(names) else ''
    found.append(
      Coefficient(
        name, float(value / spread), float(error / spread), raised, lowered
      )
    )
  return found


def difference(
  session: Session, num_examples: int = 3
) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Returns how the person differs from the average person, in all at once.

  Args:
    session: A person's interview.
    num_examples: Number of items at either end.

  Returns:
    The texts of the well-known items whose scores all answers together have
    raised most, and of those whose scores they have lowered most. Items that
    were asked about are left out.
  """
  prior, posterior = session.belief.prior, session.belief.posterior
  moved_V = _rewards(session, posterior.mean - prior.mean)
  return _ends(session, moved_V, num_examples, without=asked_items(session))


def _rewards(session, mean_J) -> Float[np.ndarray, ' V']:
  """Returns the sum of both rewards of every item."""
  features = session.state.taste + session.state.choice
  return pref.rewards(features, mean_J[None])[0]


def _functions(session):
  """Returns the base functions [V, F] and the sum over their coefficients.

  The second array [J, F] adds the coefficients of taste and of choice of each
  base function, if they are separate.
  """
  phi_VxJ = np.asarray(session.state.taste + session.state.choice)
  num_kinds = 2 if session.config.separate else 1
  num_functions = phi_VxJ.shape[1] // num_kinds
  sum_JxF = np.tile(np.eye(num_functions, dtype=np.float32), (num_kinds, 1))
  return phi_VxJ[:, :num_functions], sum_JxF


def _ends(session, values_V, count, without=()):
  """Returns the texts of the well-known items with the largest values.

  Items with the smallest values come second, smallest first.
  """
  known = np.argsort(-session.state.counts, kind='stable')
  known = known[:_NUM_EXAMPLES_FROM]
  known = known[~np.isin(known, without)]
  order = known[np.argsort(-values_V[known], kind='stable')]
  # An item is never at both ends.
  count = min(count, len(order) // 2)
  ends = order[:count], order[::-1][:count]
  return tuple(tuple(str(session.texts[i]) for i in end) for end in ends)
