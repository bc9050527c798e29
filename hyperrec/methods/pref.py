"""PReF behind the contract: base functions once, coefficients per user."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.models import base_functions, question_rules
from hyperrec.models import reward_factorization as rf

CannotServe = method_lib.CannotServe
DataError = interactions_lib.DataError
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Method = method_lib.Method

BASES = ('preferences', 'text', 'svd', 'ease')
# Users whose coefficients are inferred at a time.
_BLOCK = 512


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyper-parameters.

  Attributes:
    base: where phi comes from: `preferences` (the paper: SVD start, joint
      maximum likelihood), `text` (the same, linear in item features), `svd`
      (factors of X) or `ease` (factors of EASE's predictions).
    rank: J; 5 in the paper.
    per_user: comparisons drawn of each training user.
    unseen_share: of them, between a liked and an unseen item.
    liked: least rating that counts as liked.
    start_items: most rated items whose pairs make the SVD start.
    l2: of the joint fit, 0.02 in the paper.
    ease_l2: of base `ease`.
    learning_rate: of the joint fit.
    steps: of the joint fit.
    batch_size: comparisons a step.
  """

  base: str = 'preferences'
  rank: int = 16
  per_user: int = 200
  unseen_share: float = 0.5
  liked: float = 4.0
  start_items: int = 100
  l2: float = 0.02
  ease_l2: float = 100.0
  learning_rate: float = 0.02
  steps: int = 1000
  batch_size: int = 2048


class Shared(NamedTuple):
  """What all users share.

  Attributes:
    features: [V, J] phi of every item.
    prior: of the coefficients of the training users.
    counts: [V] training rows of each item.
    num_users: training users.
    reference: [J] mean phi of the training rows' items.
    item_ids: the catalogue.
  """

  features: Float[Array, 'V J']
  prior: rf.Gaussian
  counts: np.ndarray
  num_users: int
  reference: Float[Array, ' J']
  item_ids: np.ndarray


def pref(features: Any = None, **hyper_parameters: Any) -> Method:
  """PReF for users who have shown items rather than answered questions.

  Each shown item counts as one answer: it was preferred to the mean training
  row. With nothing shown a user has the prior's mean. Answered questions are
  the business of `interview`; they give coefficients of the same kind.

  Args:
    features: [V, F] of the items, for base `text`.
    **hyper_parameters: fields of `Config`.
  """
  config = Config(**hyper_parameters)

  def adapt(shared, evidence, key):
    del key
    if not np.array_equal(shared.item_ids, evidence.item_ids):
      raise CannotServe(
        'PReF asks about items whose base functions it knows; this catalogue '
        'is another one'
      )
    return shared

  return Method(
    f'pref:{config.base}',
    lambda source, key: fit(config, source, key, features),
    adapt,
    score,
  )


def fit(
  config: Config, data: Interactions, key: jax.Array, features: Any = None
) -> Shared:
  """Base functions and the population's prior.

  Args:
    config: hyper-parameters.
    data: with ratings; without them every row counts as liked.
    key: of the draws.
    features: [V, F] of the items, for base `text`.

  Raises:
    DataError: an unknown base, base `text` without features, or a rank that
      the data cannot give.
  """
  _check(config, data, features)
  ratings = rating_matrix(data, config.liked)
  draw_key, fit_key = jax.random.split(key)
  made = base_functions.draw_comparisons(
    ratings,
    per_user=config.per_user,
    unseen_share=config.unseen_share,
    liked=config.liked,
    rng=np.random.default_rng(np.asarray(jax.random.key_data(draw_key))),
  )
  phi_VxJ = jnp.asarray(
    _phi(config, data, ratings, made=made, features=features, key=fit_key)
  )
  # EM starts at N(0, I): the mean squared difference is made 1 for it.
  answers = base_functions.as_answers(phi_VxJ, made)
  size = jnp.sqrt((answers.differences**2).sum(-1).mean())
  phi_VxJ = phi_VxJ / size
  answers = answers._replace(differences=answers.differences / size)
  prior, _ = rf.population(answers)
  return Shared(
    phi_VxJ,
    prior,
    data.item_counts(),
    data.num_users,
    phi_VxJ[data.items].mean(axis=0),
    data.item_ids,
  )


def rating_matrix(data: Interactions, liked: float) -> scipy.sparse.csr_matrix:
  """Ratings [U, V]; `liked` for every row where there are none."""
  values = data.ratings
  values = np.full(len(data), liked, np.float32) if values is None else values
  return scipy.sparse.csr_matrix(
    (values, (data.users, data.items)), shape=(data.num_users, data.num_items)
  )


def make_pool(shared: Shared, num_items: int) -> tuple[np.ndarray, Any]:
  """The most rated items, and what is known of them.

  Returns:
    Their numbers in the catalogue [N], and a `question_rules.Pool` in which
    the chance to know an item is the share of training users who rated it.
  """
  items = np.argsort(-shared.counts, kind='stable')[:num_items]
  share_N = jnp.asarray(shared.counts[items] / shared.num_users, jnp.float32)
  importance = shared.features.T @ shared.features / len(shared.features)
  return items, question_rules.Pool(
    shared.features[items], share_N, share_N, importance
  )


def score(shared: Shared, histories: Histories) -> Float[np.ndarray, 'B V']:
  """Scores from shown items, each an answer against the mean row."""
  v_VxJ = shared.features - shared.reference[None]
  blocks = []
  for start in range(0, len(histories.items), _BLOCK):
    items = jnp.asarray(histories.items[start : start + _BLOCK])
    mask = jnp.asarray(histories.mask[start : start + _BLOCK], jnp.float32)
    blocks.append(_coefficients(shared.prior, v_VxJ, items, mask))
  return rewards(shared, jnp.concatenate(blocks))


def rewards(
  shared: Shared, coefficients: Float[Array, 'B J']
) -> Float[np.ndarray, 'B V']:
  """Lambda . phi of every item."""
  return np.asarray(coefficients @ shared.features.T)


@jax.jit
def _coefficients(prior, v_VxJ, items_BxL, mask_BxL):
  infer = jax.vmap(functools.partial(rf.posterior, num_steps=4), (None, 0))
  answers = rf.Answers(v_VxJ[items_BxL], jnp.ones(mask_BxL.shape), mask_BxL)
  return infer(prior, answers).mean


def _phi(config, data, ratings, *, made, features, key):
  if config.base == 'svd':
    return base_functions.svd_factors(data.csr(), config.rank)
  if config.base == 'ease':
    return base_functions.ease_factors(data.csr(), config.rank, config.ease_l2)
  used = features if config.base == 'text' else None
  start = base_functions.svd_start(
    ratings, config.rank, used, config.start_items
  )
  w_FxJ = base_functions.fit_joint(
    start,
    made,
    used,
    l2=config.l2,
    learning_rate=config.learning_rate,
    num_steps=config.steps,
    batch_size=config.batch_size,
    key=key,
  )
  return w_FxJ if used is None else jnp.asarray(used, jnp.float32) @ w_FxJ


def _check(config, data, features):
  if config.base not in BASES:
    raise DataError(f'base={config.base!r} is unknown; use one of {BASES}')
  if config.base == 'text' and features is None:
    raise DataError(f'{data.name}: base text needs features of the items')
  if not 0 < config.rank < min(data.num_users, data.num_items):
    raise DataError(
      f'{data.name}: rank={config.rank} needs more users and items than that; '
      f'there are {data.num_users} and {data.num_items}'
    )
