"""PReF for users who answer questions: to adapt is to interview them.

The users are simulated: they answer from ratings that the evaluation hides
from every ranking and never judges.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from hyperrec import method as method_lib
from hyperrec.methods import pref
from hyperrec.models import interview, question_rules
from hyperrec.models import reward_factorization as rf

CannotServe = method_lib.CannotServe
Histories = method_lib.Histories
Interactions = method_lib.Interactions
Method = method_lib.Method

# Users who are interviewed at a time: each has a gain for all pairs.
_BLOCK = 256


class Adapted(NamedTuple):
  """All that is kept of the users.

  Attributes:
    choice: [V, J] of `pref.Shared`.
    coefficients: [U, J] of the interviewed users.
  """

  choice: Float[Array, 'V J']
  coefficients: Float[np.ndarray, 'U J']


def pref_interview(
  features: Any = None,
  *,
  num_questions: int,
  num_pool: int = 150,
  **hyper_parameters: Any,
) -> Method:
  """Asks each user `num_questions` times which of two items she prefers.

  Pairs are chosen by mutual information (`question_rules.bald`) among popular
  items, whether or not the user knows them; "I don't know" costs a question.

  Args:
    features: see `pref.pref`.
    num_questions: Q, of a user.
    num_pool: most rated items that may be asked about.
    **hyper_parameters: fields of `pref.Config`.
  """
  shown = pref.pref(features, **hyper_parameters)

  def adapt(shared, evidence, key):
    shown.adapt(shared, evidence, key)
    if evidence.ratings is None:
      raise CannotServe(
        f'{evidence.name}: simulated users answer which of two items they '
        'prefer by their ratings; this source has none'
      )
    items, pool = pref.make_pool(shared, num_pool)
    ratings_UxN = pref.of_pool(pref.rating_matrix(evidence, 0.0), items)
    keys = jax.random.split(key, len(ratings_UxN))
    blocks = [
      np.asarray(
        coefficients(
          shared.prior,
          pool,
          ratings_UxN[start : start + _BLOCK],
          keys[start : start + _BLOCK],
          num_questions=num_questions,
        )
      )
      for start in range(0, len(ratings_UxN), _BLOCK)
    ]
    return Adapted(shared.choice, np.concatenate(blocks))

  return Method(
    'pref',
    shown.prepare,
    adapt,
    score,
    shown.prepare_flops,
    functools.partial(adapt_flops, num_questions, num_pool),
  )


@functools.partial(jax.jit, static_argnames='num_questions')
def coefficients(
  prior: rf.Gaussian,
  pool: question_rules.Pool,
  ratings: Float[Array, 'B N'],
  keys: Array,
  *,
  num_questions: int,
) -> Float[Array, 'B J']:
  """What is known of each user after the questions."""

  def one(ratings_N, key):
    found = interview.simulate(
      question_rules.bald,
      prior,
      pool,
      ratings_N,
      key,
      num_questions=num_questions,
    )
    return found.coefficients[-1]

  return jax.vmap(one)(ratings, keys)


def score(adapted: Adapted, histories: Histories) -> Float[np.ndarray, 'B V']:
  """Rewards of all items; what was shown plays no part."""
  return pref.rewards(adapted.choice, adapted.coefficients[histories.users])


def adapt_flops(
  num_questions: int,
  num_pool: int,
  shared: pref.Shared,
  evidence: Interactions,
  adapted: Adapted,
) -> float:
  """Operations of all interviews: Newton's steps, and the gains of pairs."""
  del evidence
  num_users, j = adapted.coefficients.shape
  num_pool = min(num_pool, len(shared.counts))
  update = rf.posterior_flops(num_questions, j, interview.WARM_STEPS)
  # A triple product and an inverse; some 30 operations a pair and gain.
  ask = 2.0 * num_pool * j * (j + num_pool) + 2 * j**3 + 30.0 * num_pool**2
  return num_users * num_questions * (update + ask)
