"""The control of equal information: as many plain likes, no questions."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from absl import logging

from experiments.adaptation import grids
from experiments.pref import curves
from experiments.pref import people as people_lib
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.systems.linear import ease, l3ae
from hyperrec.systems.pref import pref

Measured = curves.Measured
# Likes that trials are compared at.
_TUNED_AT = 10


class Rival(NamedTuple):
  """One way to use likes.

  Attributes:
    build: trial -> a model.
    trials: hyperparameters to choose among.
  """

  build: Callable[..., method_lib.Model]
  trials: tuple[grids.Trial, ...]


def rivals(features: features_lib.Features, num_trials: int) -> dict:
  """EASE, L3AE, and HyperEASE as it is without a source, by name.

  Without a source HyperEASE is L3AE with a kernel.

  Args:
    features: of the items' text.
    num_trials: of each.
  """
  found = {'ease': Rival(ease.ease, grids.EASE)}
  if features.encoder is not None:
    found['l3ae'] = Rival(
      functools.partial(l3ae.l3ae, features.own), grids.L3AE
    )
    found['hyperease'] = Rival(
      functools.partial(l3ae.l3ae, features.units), grids.L3AE_KERNEL
    )
  return {
    name: rival._replace(trials=rival.trials[:num_trials])
    for name, rival in found.items()
  }


def measure(
  people, shared, *, features, num_trials, budgets, metric, liked, seed
) -> Iterator[Measured]:
  """Yields every rival, and PReF itself, given likes.

  Rivals are tuned on users of the training set, drawn as the test users are.

  Args:
    people: whose likes are shown.
    shared: PReF's fit.
    features: of the items' text.
    num_trials: of each rival.
    budgets: numbers of likes; 0 is left out.
    metric: of the ranking.
    liked: least rating of a like.
    seed: of the draw of likes.
  """
  inner = people_lib.draw(
    people.train,
    num_test=people.answers.shape[0],
    min_rows=1,
    liked=liked,
    seed=seed,
  )
  arms = {'pref': (pref.score, shared)}
  for name, rival in rivals(features, num_trials).items():
    values = [
      _value(rival.build(**trial), inner, metric, liked, seed)
      for trial in rival.trials
    ]
    best = rival.trials[int(np.argmax(values))]
    logging.info('%s: %s of validation %s', name, best, values)
    arms[name] = _fit(rival.build(**best), people, liked, seed)
  for q in [q for q in budgets if q > 0]:
    shown = people_lib.some_likes(people, q, liked, seed)
    share = len(shown) / (q * people.answers.shape[0])
    for name, arm in arms.items():
      metrics = _judge(arm, shown, people, metric)
      yield Measured(name, 'likes', q, share, metrics)


def _fit(model, people, liked, seed):
  """Score function and state of a model of the training users' likes."""
  train = people.train.rows(people.train.ratings >= liked)
  return model.score, model.fit(train, jax.random.key(seed)).state


def _value(model, people, metric, liked, seed) -> float:
  shown = people_lib.some_likes(people, _TUNED_AT, liked, seed)
  arm = _fit(model, people, liked, seed)
  return float(_judge(arm, shown, people, metric)[metric].mean())


def _judge(arm, shown, people, metric):
  score, state = arm
  users = np.arange(people.answers.shape[0])
  histories = method_lib.Histories.of(shown, users)
  scores = np.asarray(score(state, histories))
  return people_lib.judge(scores, scores, people, metric)
