"""Experiment (a): quality against the number of questions, by arm."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from experiments.pref import curves
from experiments.pref import likes as likes_lib
from experiments.pref import people as people_lib
from hyperrec.systems.pref import (
  interview,
  interview_tree,
  pref,
  question_rules,
)
from hyperrec.systems.pref import reward_factorization as rf

Measured = curves.Measured

RULES = {
  'random': question_rules.random,
  'popular': question_rules.popular,
  'pref': question_rules.paper,
  'd_optimal': question_rules.d_optimal,
  'bald': question_rules.bald,
  'static': question_rules.static,
}
# `published`: the paper's rule, base functions and flat SGD, one reward of five
# coefficients and no prior. `likes`: no questions, but as many plain likes.
ARMS = (*RULES, 'tree', 'published', 'likes')
PUBLISHED = {
  'base': 'preferences',
  'rank': 5,
  'consensus': False,
  'separate': False,
}
# `known`: only what the user has rated is asked about, as if she had first
# ticked it. `all`: anything popular is, and "I don't know" costs a question.
CONDITIONS = ('known', 'all')
_TREE_DEPTH, _TREE_ITEMS = 8, 50


def measure(
  people,
  config,
  *,
  budgets,
  num_pool,
  metric,
  seed,
  noise,
  arms,
  features,
  num_trials,
  taken=True,
):
  """Yields `Measured` of every arm, condition and number of questions.

  Args:
    people: who is asked and judged.
    config: of PReF.
    budgets: numbers of questions.
    num_pool: items that may be asked about.
    metric: of the ranking.
    seed: of every draw.
    noise: probability of a wrong answer.
    arms: some of `ARMS`.
    features: of the items' text.
    num_trials: settings that each rival of plain likes is tuned over.
    taken: an answer also tells that the user took both items up.
  """
  key = jax.random.key(seed)
  model = pref.pref(features and features.own, **dataclasses.asdict(config))
  shared = model.fit(people.train, key).state
  items, pool = pref.make_pool(shared, num_pool, taken=taken)
  ratings = pref.of_pool(people.answers, items)

  def judge(coefficients, shared=shared):
    choice = pref.rewards(shared.choice, coefficients)
    taste = pref.rewards(shared.taste, coefficients)
    return people_lib.judge(choice, taste, people, metric)

  yield nobody_asked(people, metric)
  for condition in CONDITIONS:
    is_known = condition == 'known'
    ask = functools.partial(
      interviews,
      prior=shared.prior,
      pool=pool,
      ratings=ratings,
      key=jax.random.fold_in(key, 1),
      num_questions=max(budgets),
      noise=noise,
      is_known=is_known,
    )
    for name in [a for a in arms if a in RULES]:
      found = ask(RULES[name])
      for q in budgets:
        metrics = judge(found.coefficients[:, q])
        yield Measured(name, condition, q, answered(found, q), metrics)
      logging.info('%s %s', name, condition)
    if 'published' in arms:
      single, fitted = published_estimates(
        people,
        config,
        ask=ask,
        num_pool=num_pool,
        budgets=budgets,
        key=key,
      )
      for q, (coefficients, share) in fitted.items():
        metrics = judge(coefficients, single)
        yield Measured('published', condition, q, share, metrics)
  if 'tree' in arms:
    profiles = tree_profiles(
      people,
      shared,
      config,
      items=items,
      pool=pool,
      ratings=ratings,
      num_questions=max(budgets),
      seed=seed,
    )
    for q in budgets:
      yield Measured('tree', 'all', q, float('nan'), judge(profiles[:, q]))
  if 'likes' in arms:
    yield from likes_lib.measure(
      people,
      shared,
      features=features,
      num_trials=num_trials,
      budgets=budgets,
      metric=metric,
      liked=pref.least_liked(config),
      seed=seed,
    )


def published_estimates(people, config, *, ask, num_pool, budgets, key):
  """What the paper's method finds of each user.

  Args:
    people: who is asked.
    config: of PReF, before the paper's settings.
    ask: runs the interviews by a rule.
    num_pool: number of items that may be asked about.
    budgets: numbers of questions.
    key: seeds the fit.

  Returns:
    The model's state; and by number of questions the coefficients [B, J] and
    the share of questions that were answered.
  """
  published = dataclasses.replace(config, **PUBLISHED)
  model = pref.pref(**dataclasses.asdict(published))
  state = model.fit(people.train, key).state
  _, pool = pref.make_pool(state, num_pool, taken=False)
  found = ask(question_rules.paper, prior=state.prior, pool=pool)
  return state, {
    q: (flat_coefficients(pool, found, q, key), answered(found, q))
    for q in budgets
  }


def answered(found: interview.Record, questions: int) -> float:
  """The share of the first questions that were answered."""
  weights = found.weights[:, :questions]
  return float(weights.mean()) if questions else float('nan')


def nobody_asked(people, metric) -> Measured:
  """Popularity ranks, the mean rating orders pairs."""
  train = people.train
  counts = train.item_counts()
  totals = np.bincount(train.items, train.ratings, train.num_items)
  mean = (totals + 5 * train.ratings.mean()) / (counts + 5)
  shape = people.answers.shape
  metrics = people_lib.judge(
    np.broadcast_to(counts.astype(float), shape),
    np.broadcast_to(mean, shape),
    people,
    metric,
  )
  return Measured('popularity, mean rating', 'nothing', 0, 0.0, metrics)


@functools.partial(
  jax.jit, static_argnames=('rule', 'num_questions', 'is_known')
)
def interviews(
  rule, prior, pool, ratings, key, *, num_questions, noise, is_known
) -> interview.Record:
  """Interviews of all users [B], compiled once for all seeds."""

  def one(ratings_N, key):
    known_N = jnp.where(jnp.isnan(ratings_N), 0.0, 1.0)
    return interview.simulate(
      rule,
      prior,
      pool._replace(known=known_N) if is_known else pool,
      ratings_N,
      key,
      num_questions=num_questions,
      noise=noise,
    )

  return jax.vmap(one)(ratings, jax.random.split(key, len(ratings)))


def flat_coefficients(pool, found, questions, key):
  """The paper's estimate [B, J] from the first answers of each user."""
  pairs = found.pairs[:, :questions]
  v_BxTxJ = pool.features[pairs[..., 0]] - pool.features[pairs[..., 1]]
  answers = rf.Answers(
    v_BxTxJ, found.is_first[:, :questions], found.weights[:, :questions]
  )
  start_BxJ = jax.random.normal(key, found.coefficients[:, 0].shape)
  return jax.jit(jax.vmap(rf.flat_sgd))(start_BxJ, answers)


def tree_profiles(
  people, shared, config, *, items, pool, ratings, num_questions, seed
):
  """The decision tree's profiles, grown on the training users."""
  train = pref.rating_matrix(people.train, config.liked)
  answers = pref.training_answers(
    config, shared.taste, shared.choice, train, np.random.default_rng(seed)
  )
  found = rf.posteriors(shared.prior, answers)
  num_asked = min(_TREE_ITEMS, len(items))
  tree = interview_tree.grow(
    pref.of_pool(train, items),
    np.asarray(found.mean, np.float64),
    np.array(np.triu_indices(num_asked, 1)).T,
    np.asarray(pool.importance, np.float64),
    depth=_TREE_DEPTH,
  )
  return interview_tree.walk(tree, ratings, num_questions)
