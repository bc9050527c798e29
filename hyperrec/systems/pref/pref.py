"""PReF as a `Model`: shared base functions and coefficients for each user.

The paper is Shenfeld et al., arXiv 2503.06358. Its mathematics is in
`reward_factorization`.
"""

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
# A function from data to the features of the items, [V, F].
Features = method_lib.Features
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

BASES = ('ease', 'svd', 'ials', 'preferences', 'text')
# Number of users whose coefficients are inferred at a time.
_BLOCK = 512
# Newton steps that infer coefficients from shown items.
_STEPS_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class PrefConfig:
  """Hyperparameters of PReF.

  Attributes:
    base: Method that makes the base functions; `ease` (factors of the
      predictions of EASE), `svd` or `ials` (factors of the likes),
      `preferences` (the paper: maximum likelihood that starts from an SVD), or
      `text` (like `preferences`, but linear in the features of the items).
    rank: Number of base functions; 5 in the paper.
    consensus: Add popularity and mean rating as base functions.
    separate: Give each user coefficients of taste (which of two rated items is
      better) and of choice (which items the user chooses), which are correlated
      in the prior; otherwise one reward explains both, as in the paper.
    taste_variance: Initial variance of each coefficient of taste in the fit of
      the prior (EM). The base functions were fitted to the same ratings that EM
      explains, so an initial variance of 1 overestimates how much the tastes of
      new users differ.
    choice_variance: Initial variance of each coefficient of choice in the fit
      of the prior (EM). Without separate, all initial variances are 1.
    liked: Least rating of an item that counts as liked, such as 4; by default
      every rated item counts as liked.
    against_rated: Compare a liked item with any item that is not liked;
      otherwise only with items that the user has not rated. Few such items
      exist where everybody rates most items.
    rounds: Number of rounds of the fit of the prior (EM).
    most_pairs: Largest number of pairs of each kind (taste and choice) per
      training user in the fit of the prior.
    ease_l2: Ridge of EASE (lambda), with the base `ease`.
    per_user: Number of pairs per training user in the joint fit, which makes
      the bases `preferences` and `text`.
    unseen_share: Share of the pairs of the joint fit that compare a liked item
      with one that is not liked or, without against_rated, with one that the
      user has not rated; from 0 to 1. Without separate, 0 also leaves choices
      out of the fit of the prior.
    start_items: Number of the most rated items whose pairs make the SVD from
      which the joint fit starts. There must be at least as many pairs as base
      functions: n items give n (n - 1) / 2 pairs.
    l2: Ridge of the joint fit; 0.02 in the paper.
    learning_rate: Learning rate of the joint fit.
    steps: Number of steps of the joint fit.
    batch_size: Number of pairs in a batch of the joint fit.

  Raises:
    DataError: A value is outside its limits, or `start_items` gives fewer pairs
      than `rank`.
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
  """All that users share. Each user has J coefficients.

  Attributes:
    taste: [V, J], phi of every item, which compares two rated items.
    choice: [V, J], phi of every item, which ranks items for recommendation.
    prior: Prior of the coefficients.
    taken: Weight of the fact that a user has chosen an item; see
      `taken_weight`.
    counts: [V], number of training users who rated each item.
    num_users: Number of training users.
  """

  taste: Float[Array, 'V J']
  choice: Float[Array, 'V J']
  prior: rf.Gaussian
  taken: float
  counts: np.ndarray
  num_users: int


def pref(features: Features | None = None, **hyperparameters: Any) -> Model:
  """Builds PReF for users who have shown items and answered no questions.

  `fit` learns the base functions and the prior of the population. Scoring
  infers the coefficients of each user: each shown item counts as one answer,
  which prefers the item to an average one. A user with an empty history gets
  the mean of the prior. For users who answer questions see `pref_interview`.

  Args:
    features: Function from data to the features of the items [V, F]; only the
      base `text` needs it.
    **hyperparameters: Fields of `PrefConfig`.

  Raises:
    DataError: A hyperparameter has an unusable value; see `PrefConfig`.
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

  return Model(
    'pref', config, fit_shared, score, generate=generate, program=program
  )


def fit(
  config: PrefConfig,
  data: Interactions,
  key: jax.Array,
  features: Features | None,
) -> Outcome:
  """Fits the base functions and the prior of the population.

  The counted operations leave out the SVD that starts a joint fit, and the
  computation of the item features.

  Args:
    config: Hyperparameters.
    data: Training data. Without ratings every row counts as liked. Only the
      last row of a repeated (user, item) pair counts.
    key: Key that draws the pairs and the batches.
    features: Function from data to the features of the items [V, F]; only the
      base `text` needs it.

  Returns:
    A `PrefState`, and what the fit cost.

  Raises:
    DataError: The base is `text` and there are no features, or `rank` is not
      below the numbers of users and items.
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
  """Returns the least rating that counts as liked, -inf if all do."""
  return -np.inf if config.liked is None else config.liked


def training_answers(
  config: PrefConfig, taste, choice, ratings, rng: np.random.Generator
) -> rf.Answers:
  """Makes answers of the training users from their ratings, [U, T, J].

  The answers about choice are left out if one reward explains both taste and
  choice and `unseen_share` is 0, since that reward is fitted to rated items
  alone.

  Args:
    config: Hyperparameters.
    taste: [V, J], phi of every item, which compares two rated items.
    choice: [V, J], phi of every item, which ranks items for recommendation.
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
    rng: Generator that draws the pairs.
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
  """Keeps the last row of each (user, item) pair.

  A user who rates an item again has changed her mind.
  """
  return interactions_lib.drop_duplicates(data, 'last')


def rating_matrix(
  data: Interactions, liked: float | None = None
) -> scipy.sparse.csr_matrix:
  """Builds the matrix of ratings [U, V]; a rating of 0 is stored too.

  Only the last row of a repeated (user, item) pair counts.

  Args:
    data: Interactions. Without ratings every row counts as liked.
    liked: Least rating that counts as liked. It is the rating of every row of
      data without ratings, where None stands for 1.
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
  """Returns the ratings of the items [N] of a pool; NaN where there is none."""
  return preference_pairs.known(ratings[:, items])


def make_pool(
  state: PrefState, num_items: int, *, taken: bool = True
) -> tuple[np.ndarray, question_rules.Pool]:
  """Makes the pool of items that can be asked about: the most rated ones.

  Args:
    state: All that users share.
    num_items: Number of items in the pool, N, or all V items if they are fewer.
    taken: Whether an answer is also evidence that the user has chosen both
      items. This evidence has the weight `state.taken`.

  Returns:
    The item ids [N], and the pool. The pool takes the share of training users
    who rated an item as the probability that a user knows it.
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
  """Scores all items for users who have shown items.

  Each shown item counts as one answer, which prefers it to an average item.
  """
  v_VxJ = taken_weight.against_average(state.choice)
  blocks = []
  for start in range(0, len(histories.items), _BLOCK):
    items = jnp.asarray(histories.items[start : start + _BLOCK])
    mask = jnp.asarray(histories.mask[start : start + _BLOCK], jnp.float32)
    blocks.append(coefficients(state.prior, v_VxJ, items, mask))
  return rewards(state.choice, jnp.concatenate(blocks))


def program(state: PrefState) -> Program:
  """The same scores as one function, which runs on CPUs alone."""
  params = {
    'prior': state.prior,
    'against': taken_weight.against_average(state.choice),
    'choice': state.choice,
  }

  def score_histories(params, items_BxL, mask_BxL):
    found_BxJ = coefficients(
      params['prior'],
      params['against'],
      items_BxL,
      mask_BxL.astype(jnp.float32),
    )
    return found_BxJ @ params['choice'].T

  return Program(
    params, score_histories, platforms=('cpu',), counts=state.counts
  )


def rewards(
  features: Float[Array, 'V J'], coefficients: Float[Array, 'B J']
) -> Float[np.ndarray, 'B V']:
  """Returns lambda . phi of every item, the reward.

  Args:
    features: phi, which is `PrefState.taste` or `PrefState.choice`.
    coefficients: lambda of each user.
  """
  return np.asarray(jnp.asarray(coefficients) @ features.T)


@jax.jit
def coefficients(prior, v_VxJ, items_BxL, mask_BxL):
  """Infers the MAP coefficients [B, J] of users from their shown items.

  Args:
    prior: Prior of the coefficients.
    v_VxJ: phi of each item minus that of an average item.
    items_BxL: Ids of the shown items.
    mask_BxL: 1 for a shown item, 0 for padding.
  """
  infer = jax.vmap(
    functools.partial(rf.posterior, num_steps=_STEPS_SHOWN), (None, 0)
  )
  answers = rf.Answers(v_VxJ[items_BxL], jnp.ones(mask_BxL.shape), mask_BxL)
  return infer(prior, answers).mean


def _phi(config, ratings, rng, table, key) -> tuple[np.ndarray, float]:
  """Makes the base functions [V, J] and counts the operations of doing so."""
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
  # A pair has two items, and each costs a forward and a backward pass.
  return phi_VxJ, 12.0 * config.steps * config.batch_size * rank


def _ease_operations(likes, rank: int) -> float:
  """Counts the operations of EASE, its predictions and their factors."""
  num_users, num_items = likes.shape
  solved = linear_autoencoder.solve_flops(likes.getnnz(1), num_items)
  solved += 2.0 * likes.nnz * num_items
  return solved + base_functions.truncated_flops(
    num_users, num_items, num_users * num_items, rank
  )


def _joint_phi(config, ratings, rng, table, key) -> np.ndarray:
  """Fits the paper's base functions [V, J] by maximum likelihood.

  The fit starts from an SVD.
  """
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
