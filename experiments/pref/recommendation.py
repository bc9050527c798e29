"""Experiment (a): quality against the number of questions, by arm."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from experiments.pref import curves
from experiments.pref import people as people_lib
from hyperrec import method as method_lib
from hyperrec.data import item_features
from hyperrec.methods import ease, l3ae, pref
from hyperrec.models import interview, interview_tree, question_rules
from hyperrec.models import reward_factorization as rf

Measured = curves.Measured

RULES = {
  'random': question_rules.random,
  'popular': question_rules.popular,
  'pref': question_rules.paper,
  'd_optimal': question_rules.d_optimal,
  'bald': question_rules.bald,
  'static': question_rules.static,
}
# `pref_sgd`: the paper's rule and the paper's flat SGD in place of the MAP.
ARMS = (*RULES, 'tree', 'pref_sgd')
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
  taken=True,
  text=None,
):
  """Yields `Measured` of every arm, condition and number of questions."""
  key = jax.random.key(seed)
  shared = pref.fit(config, people.train, key, text)
  items, pool = pref.make_pool(shared, num_pool, taken=taken)
  ratings = pref.of_pool(people.answers, items)

  def judge(coefficients):
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
    if is_known and 'pref_sgd' in arms:
      found = ask(question_rules.paper)
      for q in budgets:
        fitted = flat_coefficients(pool, found, q, key)
        share = answered(found, q)
        yield Measured('pref_sgd', condition, q, share, judge(fitted))
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
  yield from likes(
    people, shared, config, budgets=budgets, metric=metric, seed=seed
  )


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
  found = jax.jit(jax.vmap(rf.posterior, (None, 0)))(shared.prior, answers)
  num_asked = min(_TREE_ITEMS, len(items))
  tree = interview_tree.grow(
    pref.of_pool(train, items),
    np.asarray(found.mean, np.float64),
    np.array(np.triu_indices(num_asked, 1)).T,
    np.asarray(pool.importance, np.float64),
    depth=_TREE_DEPTH,
  )
  return interview_tree.walk(tree, ratings, num_questions)


def likes(people, shared, config, *, budgets, metric, seed):
  """The control of equal information: as many plain likes, no questions.

  L3AE is HyperEASE without what other domains teach; here are none.
  """
  train = people.train.rows(people.train.ratings >= config.liked)
  key = jax.random.key(seed)
  linear = {'ease': ease.ease(l2=100.0)}
  if train.item_text is not None:
    linear['l3ae'] = l3ae.l3ae(tfidf, l2=100.0, l2_features=10.0, trust=1.0)
  arms = {'pref': (pref.score, shared)}
  for name, method in linear.items():
    fitted = method.prepare(train, key)
    arms[name] = method.score, method.adapt(fitted, train, key)
  users = np.arange(people.answers.shape[0])
  for q in [q for q in budgets if q > 0]:
    shown = people_lib.some_likes(people, q, config.liked, seed)
    histories = method_lib.Histories.of(shown, users)
    share = len(shown) / (q * len(users))
    for name, (score, fitted) in arms.items():
      scores = np.asarray(score(fitted, histories))
      metrics = people_lib.judge(scores, scores, people, metric)
      yield Measured(name, 'likes', q, share, metrics)


def tfidf(data) -> np.ndarray:
  """Features [V, F] of the items' text."""
  return item_features.from_item_text(data, 'tfidf').table
