"""PReF behind the contract: base functions once, coefficients per user."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.pref import (
  base_functions,
  preference_pairs,
  question_rules,
  taken_weight,
)
from hyperrec.systems.pref import reward_factorization as rf

Cost = method_lib.Cost
DataError = interactions_lib.DataError
# Data -> features of their items, [V, F].
Features = method_lib.Features
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome

BASES = ('ease', 'svd', 'ials', 'preferences', 'text')
# Users whose coefficients are inferred at a time.
_BLOCK = 512
_STEPS_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class PrefConfig:
  """Hyperparameters.

  Attributes:
    base: Method that makes the base functions; `ease` (factors of the
      predictions of EASE), `svd` or `ials` (factors of the likes),
      `preferences` (the paper: maximum likelihood that starts from an SVD), or
      `text` (the same, linear in the features of the items).
    rank: Number of base functions; 5 in the paper.
    consensus: Add popularity and mean rating as base functions.
    separate: Give each user coefficients of taste (which of two rated items is
      better) and of choice (whether to take an item up), which the prior ties
      together; otherwise one reward explains both, as in the paper.
    taste_variance: Variance of a coefficient of taste at which the fit of the
      prior (EM) begins. The base functions were fitted to the same ratings that
      EM explains; if it begins at 1, it overestimates how much the taste of new
      users differs.
    choice_variance: Variance of a coefficient of choice at which the fit of
      the prior (EM) begins; where one reward explains both, it is 1.
    liked: Least rating of an item that counts as liked, such as 4.
    against_rated: Learn choice from a liked item against any that is not
      liked; otherwise only against items that the user has not rated, of which
      there are few where everybody rates most items.
    rounds: Number of rounds of the fit of the prior (EM).
    most_pairs: Largest number of pairs of each kind that the fit of the prior
      takes from a training user.
    ease_l2: Ridge of EASE (lambda), with the base `ease`.
    per_user: Number of pairs of a training user in the joint fit, which makes
      the bases `preferences` and `text`.
    unseen_share: Share of the pairs of a joint fit that set a liked item
      against one that is not liked; without against_rated, against an unseen
      one.
    start_items: Number of the most rated items whose pairs make the SVD from
      which the joint fit starts.
    l2: Ridge of the joint fit; 0.02 in the paper.
    learning_rate: Learning rate of the joint fit.
    steps: Number of steps of the joint fit.
    batch_size: Number of pairs in a step of the joint fit.

  Raises:
    DataError: a value that no fit can have.
  """

  base: str = config_lib.field('ease', choices=BASES)
  rank: int = config_lib.field(16, least=1)
  consensus: bool = True
  separate: bool = True
  taste_variance: float = config_lib.field(0.1, least=1e-6)
  choice_variance: float = config_lib.field(3.0, least=1e-6)
  liked: float | None = None
  against_rated: bool = True
  rounds: int = config_lib.field(5, least=1)
  most_pairs: int = config_lib.field(60, least=1)
  ease_l2: float = config_lib.field(100.0, least=1e-6)
  per_user: int = config_lib.field(200, least=1)
  unseen_share: float = config_lib.field(0.5, least=0, most=1)
  start_items: int = config_lib.field(100, least=1)
  l2: float = config_lib.field(0.02, least=0)
  learning_rate: float = config_lib.field(0.02, least=0)
  steps: int = config_lib.field(1000, least=1)
  batch_size: int = config_lib.field(2048, least=1)

  def __post_init__(self):
    config_lib.check(self)
    num_pairs = self.start_items * (self.start_items - 1) // 2
    if self.base in ('preferences', 'text') and num_pairs < self.rank:
      raise DataError(
        f'start_items={self.start_items} gives {num_pairs} pairs of items, '
        f'too few for rank={self.rank} base functions; choose more '
        'start_items, so that start_items * (start_items - 1) / 2 is at least '
        'the rank, or a smaller rank'
      )


class PrefState(NamedTuple):
  """What all users share. J coefficients make a user.

  Attributes:
    taste: [V, J] phi of every item, for what two rated items are compared by.
    choice: [V, J] phi of every item, for what is recommended.
    prior: of the coefficients.
    taken: weight of the fact that a user has chosen an item; see
      `taken_weight`.
    counts: [V] training users of each item.
    num_users: training users.
  """

  taste: Float[Array, 'V J']
  choice: Float[Array, 'V J']
  prior: rf.Gaussian
  taken: float
  counts: np.ndarray
  num_users: int


def pref(features: Features | None = None, **hyperparameters: Any) -> Model:
  """PReF for users who have shown items rather than answered questions.

  `fit` learns the base functions and the prior of the population. The
  coefficients of a user are inferred while she is scored: each shown item
  counts as one answer, that it was chosen before a random one. A user who has
  shown nothing has the mean of the prior. Answered questions are the business
  of `pref_interview`; they give coefficients of the same kind.

  Args:
    features: of the items, for base `text`.
    **hyperparameters: fields of `PrefConfig`.
  """
  config = PrefConfig(**hyperparameters)

  def fit_shared(data, key, start=None, run=None):
    del start, run
    return fit(config, data, key, features)

  def generate(state, data, key):
    del key
    num_shown = len(data) / max(1, data.num_users)
    num_coefficients = state.choice.shape[1]
    operations = rf.posterior_flops(num_shown, num_coefficients, _STEPS_SHOWN)
    return Outcome(state, Cost(per_user=operations))

  return Model('pref', config, fit_shared, score, generate=generate)


def fit(
  config: PrefConfig,
  data: Interactions,
  key: jax.Array,
  features: Features | None,
) -> Outcome:
  """Base functions and the population's prior.

  The start of a joint fit, and its features, are not counted.

  Args:
    config: hyperparameters.
    data: with ratings; without them every row counts as liked. Of repeated
      pairs see `one_rating_a_pair`.
    key: of the draws.
    features: of the items, for base `text`.

  Raises:
    DataError: base `text` without features, or a rank that the data cannot
      give.
  """
  _check(config, data, features)
  data = one_rating_a_pair(data)
  table = features(data) if config.base == 'text' else None
  ratings = rating_matrix(data, config.liked)
  draw_key, fit_key = jax.random.split(key)
  rng = np.random.default_rng(np.asarray(jax.random.key_data(draw_key)))
  phi_VxJ, operations = _phi(config, ratings, rng, table, fit_key)
  phi_VxJ = phi_VxJ / np.sqrt((phi_VxJ**2).sum(axis=1).mean())
  if config.consensus:
    both = base_functions.consensus(ratings), phi_VxJ
    phi_VxJ = np.concatenate(both, axis=1)
  phi_VxJ = jnp.asarray(phi_VxJ, jnp.float32)
  taste, choice = phi_VxJ, phi_VxJ
  variances = jnp.ones(phi_VxJ.shape[1])
  if config.separate:
    scales = config.taste_variance, config.choice_variance
    variances = jnp.concatenate([scale * variances for scale in scales])
    nothing = jnp.zeros_like(phi_VxJ)
    taste = jnp.concatenate([phi_VxJ, nothing], axis=1)
    choice = jnp.concatenate([nothing, phi_VxJ], axis=1)
  answers = training_answers(config, taste, choice, ratings, rng)
  prior = rf.population(answers, variances, num_rounds=config.rounds)
  taken = taken_weight.estimate(
    taste, choice, prior, ratings, liked=least_liked(config), rng=rng
  )
  operations += rf.population_flops(
    data.num_users, 2 * config.most_pairs, taste.shape[1], config.rounds
  )
  operations += taken_weight.flops(data.num_users, taste.shape[1])
  state = PrefState(
    taste, choice, prior, taken, data.item_counts(), data.num_users
  )
  return Outcome(state, Cost(operations))


def least_liked(config: PrefConfig) -> float:
  """The least rating that counts as liked."""
  return -np.inf if config.liked is None else config.liked


def training_answers(
  config: PrefConfig, taste, choice, ratings, rng: np.random.Generator
) -> rf.Answers:
  """What the training users would have answered [U, T, J].

  A single reward that is fitted to rated items alone (`unseen_share` 0) is not
  asked for choices.
  """
  rated, others = preference_pairs.draw_disjoint(
    ratings,
    liked=least_liked(config),
    most=config.most_pairs,
    rng=rng,
    against_rated=config.against_rated,
  )
  answers = preference_pairs.as_answers(taste, rated)
  if not (config.separate or config.unseen_share):
    return answers
  more = preference_pairs.as_answers(choice, others)
  return jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), answers, more)


def one_rating_a_pair(data: Interactions) -> Interactions:
  """The last row of each (user, item) pair: who rates again thinks anew."""
  return interactions_lib.drop_duplicates(data, 'last')


def rating_matrix(
  data: Interactions, liked: float | None = None
) -> scipy.sparse.csr_matrix:
  """Ratings [U, V], also those of 0; data without ratings is all liked.

  Of repeated pairs see `one_rating_a_pair`.
  """
  data = one_rating_a_pair(data)
  values = data.ratings
  if values is None:
    values = np.full(len(data), 1.0 if liked is None else liked, np.float32)
  return scipy.sparse.csr_matrix(
    (values, (data.users, data.items)), shape=(data.num_users, data.num_items)
  )


def of_pool(
  ratings: scipy.sparse.csr_matrix, items: np.ndarray
) -> Float[np.ndarray, 'U N']:
  """Ratings of a pool's items; NaN where there is none."""
  return preference_pairs.known(ratings[:, items])


def make_pool(
  state: PrefState, num_items: int, *, taken: bool = True
) -> tuple[np.ndarray, question_rules.Pool]:
  """The most rated items, and what is known of them.

  Args:
    state: what all users share.
    num_items: N.
    taken: an answer is also evidence that the user has chosen both items, by
      the weight that was estimated from the training users.

  Returns:
    Their numbers in the catalogue [N], and the pool, in which the chance to
    know an item is the share of training users who rated it.
  """
  items = np.argsort(-state.counts, kind='stable')[:num_items]
  share_N = jnp.asarray(state.counts[items] / state.num_users, jnp.float32)
  importance = state.taste.T @ state.taste + state.choice.T @ state.choice
  importance /= len(state.counts)
  told_NxJ = None
  if taken:
    told_NxJ = taken_weight.against_average(state.choice)[items]
  pool = question_rules.Pool(
    state.taste[items], share_N, share_N, importance, told_NxJ, state.taken
  )
  return items, pool


def score(state: PrefState, histories: Histories) -> Float[np.ndarray, 'B V']:
  """Scores from shown items, each an answer against a random item."""
  v_VxJ = taken_weight.against_average(state.choice)
  blocks = []
  for start in range(0, len(histories.items), _BLOCK):
    items = jnp.asarray(histories.items[start : start + _BLOCK])
    mask = jnp.asarray(histories.mask[start : start + _BLOCK], jnp.float32)
    blocks.append(coefficients(state.prior, v_VxJ, items, mask))
  return rewards(state.choice, jnp.concatenate(blocks))


def rewards(
  features: Float[Array, 'V J'], coefficients: Float[Array, 'B J']
) -> Float[np.ndarray, 'B V']:
  """Lambda . phi of every item; phi is `PrefState.taste` or `.choice`."""
  return np.asarray(jnp.asarray(coefficients) @ features.T)


@jax.jit
def coefficients(prior, v_VxJ, items_BxL, mask_BxL):
  """MAP coefficients [B, J] of who preferred items to an average one."""
  infer = jax.vmap(
    functools.partial(rf.posterior, num_steps=_STEPS_SHOWN), (None, 0)
  )
  answers = rf.Answers(v_VxJ[items_BxL], jnp.ones(mask_BxL.shape), mask_BxL)
  return infer(prior, answers).mean


def _phi(config, ratings, rng, table, key) -> tuple[np.ndarray, float]:
  """Base functions [V, J], and the operations that they took."""
  likes = preference_pairs.likes_of(ratings, least_liked(config))
  rank = config.rank
  if config.base == 'svd':
    phi_VxJ = base_functions.svd_factors(likes, rank)
    operations = base_functions.truncated_flops(*likes.shape, likes.nnz, rank)
    return phi_VxJ, operations
  if config.base == 'ials':
    phi_VxJ = base_functions.ials_factors(likes, rank)
    operations = base_functions.ials_flops(*likes.shape, likes.nnz, rank)
    return phi_VxJ, operations
  if config.base == 'ease':
    phi_VxJ = base_functions.ease_factors(likes, rank, config.ease_l2)
    return phi_VxJ, _ease_operations(likes, rank)
  phi_VxJ = _joint_phi(config, ratings, rng, table, key)
  # Both items of a pair, forwards and backwards.
  return phi_VxJ, 12.0 * config.steps * config.batch_size * rank


def _ease_operations(likes, rank: int) -> float:
  """Operations of EASE, its predictions and their factors."""
  num_users, num_items = likes.shape
  solved = linear_autoencoder.solve_flops(likes.getnnz(1), num_items)
  solved += 2.0 * likes.nnz * num_items
  return solved + base_functions.truncated_flops(
    num_users, num_items, num_users * num_items, rank
  )


def _joint_phi(config, ratings, rng, table, key) -> np.ndarray:
  """The paper's base functions: maximum likelihood that starts from an SVD."""
  made = preference_pairs.draw(
    ratings,
    per_user=config.per_user,
    unseen_share=config.unseen_share,
    liked=least_liked(config),
    rng=rng,
    against_rated=config.against_rated,
  )
  start = base_functions.svd_start(
    ratings, config.rank, table, config.start_items
  )
  w_FxJ = base_functions.fit_joint(
    start,
    made,
    table,
    l2=config.l2,
    learning_rate=config.learning_rate,
    num_steps=config.steps,
    batch_size=config.batch_size,
    key=key,
  )
  w_FxJ = np.asarray(w_FxJ, np.float64)
  return w_FxJ if table is None else np.asarray(table, np.float64) @ w_FxJ


def _check(config, data, features):
  if config.base == 'text' and features is None:
    raise DataError(f'{data.name}: base text needs features of the items')
  if config.rank >= min(data.num_users, data.num_items):
    raise DataError(
      f'{data.name}: PReF with rank={config.rank} base functions needs more '
      f'users and items than that; there are {data.num_users} users and '
      f'{data.num_items} items; choose a smaller rank, another method or more '
      'data'
    )
