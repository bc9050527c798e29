"""Experiment (a): quality against the number of questions, by arm."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from experiments.pref import people as people_lib
from hyperrec import method as method_lib
from hyperrec.data import item_features
from hyperrec.methods import ease, l3ae, pref
from hyperrec.models import (
  base_functions,
  interview,
  interview_tree,
  question_rules,
)
from hyperrec.models import reward_factorization as rf

RULES = {
  'random': question_rules.random,
  'popular': question_rules.popular,
  'pref': question_rules.paper,
  'd_optimal': question_rules.d_optimal,
  'bald': question_rules.bald,
  'static': question_rules.static,
}
# `known`: only what the user has rated is asked about, as if she had first
# ticked it. `all`: anything popular is, and "I don't know" costs a question.
CONDITIONS = ('known', 'all')


def curves(
  people, config, *, budgets, num_pool, metric, seed, noise, arms, text=None
):
  """Per-user values of every arm at every number of questions.

  Yields:
    (arm, condition, questions, answered share, metric -> [B'] values).
  """
  key = jax.random.key(seed)
  shared = pref.fit(config, people.train, key, text)
  items, pool = pref.make_pool(shared, num_pool)
  ratings = people_lib.of_pool(people.answers, items)
  judge = lambda c: people_lib.judge(  # noqa: E731
    pref.rewards(shared, jnp.asarray(c)), people, metric
  )
  for condition in CONDITIONS:
    for name in [a for a in arms if a in RULES]:
      found = interviews(
        RULES[name],
        shared.prior,
        pool,
        ratings,
        jax.random.fold_in(key, 1),
        num_questions=max(budgets),
        noise=noise,
        is_known=condition == 'known',
      )
      for q in budgets:
        share = float(found.weights[:, :q].mean()) if q else 0.0
        yield name, condition, q, share, judge(found.coefficients[:, q])
      logging.info('%s %s', name, condition)
  if 'tree' in arms:
    profiles = tree_profiles(
      people,
      shared,
      pool=pool,
      items=items,
      ratings=ratings,
      config=config,
      num_questions=max(budgets),
      seed=seed,
    )
    for q in budgets:
      yield 'tree', 'all', q, float('nan'), judge(profiles[:, q])
  yield from likes(people, config, budgets, metric, seed)


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


def tree_profiles(
  people, shared, *, pool, items, ratings, config, num_questions, seed
):
  """The decision tree's profiles, grown on the training users."""
  train = pref.rating_matrix(people.train, config.liked)
  made = base_functions.draw_comparisons(
    train,
    per_user=config.per_user,
    unseen_share=config.unseen_share,
    liked=config.liked,
    rng=np.random.default_rng(seed),
  )
  answers = base_functions.as_answers(shared.features, made)
  found = jax.jit(jax.vmap(rf.posterior, (None, 0)))(shared.prior, answers)
  num_asked = min(50, len(items))
  tree = interview_tree.grow(
    people_lib.of_pool(train, items),
    np.asarray(found.mean, np.float64),
    np.array(np.triu_indices(num_asked, 1)).T,
    np.asarray(pool.importance, np.float64),
    depth=8,
  )
  return interview_tree.walk(tree, ratings, num_questions)


def likes(people, config, budgets, metric, seed):
  """The control of equal information: as many plain likes to a linear model.

  L3AE is HyperEASE without what other domains teach; here are none.
  """
  methods = {'ease': ease.ease(l2=100.0)}
  if people.train.item_text is not None:
    methods['l3ae'] = l3ae.l3ae(tfidf, l2=100.0, l2_features=10.0, trust=1.0)
  train = people.train.rows(people.train.ratings >= config.liked)
  users = np.arange(people.answers.shape[0])
  for name, method in methods.items():
    key = jax.random.key(seed)
    shared = method.prepare(train, key)
    for q in [q for q in budgets if q > 0]:
      shown = people_lib.some_likes(people, q, config.liked, seed)
      fitted = method.adapt(shared, shown, key)
      histories = method_lib.Histories.of(shown, users)
      found = people_lib.judge(
        np.asarray(method.score(fitted, histories)), people, metric
      )
      yield name, 'likes', q, len(shown) / (q * len(users)), found


def tfidf(data) -> np.ndarray:
  """Features [V, F] of the items' text."""
  return item_features.from_item_text(data, 'tfidf').table
