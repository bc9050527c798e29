"""Closed forms on Gowalla: their published settings, and those tried here."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from hyperrec import method as method_lib
from hyperrec.cost import measure
from hyperrec.data import interactions, splits
from hyperrec.evaluation import held_out, ranking, significance
from hyperrec.systems.graph import cheby_cf, gf_cf, turbo_cf
from hyperrec.systems.linear import dan, ease

METRICS = ('recall@20', 'ndcg@20')
Settings = Mapping[str, Any]


class Row(NamedTuple):
  """A model, and the settings that it is run with.

  Attributes:
    build: settings -> model.
    published: the settings of the authors' program.
    axes: the values that are tried of each setting. The search starts at the
      first ones and goes through the settings in this order.
    fit_depends_on: settings that change the fit; others only change the scores.
    most_items: settings are chosen on so many of the most frequent items; None
      takes all.
  """

  build: Callable[..., method_lib.Model]
  published: Settings
  axes: Mapping[str, tuple[float, ...]]
  fit_depends_on: tuple[str, ...]
  most_items: int | None = None


ROWS = {
  'gf_cf': Row(
    gf_cf.gf_cf,
    {'rank': 256, 'low_pass': 0.3},
    {'rank': (256, 128, 512, 768, 1024), 'low_pass': (1.0, 0.5, 0.3, 0.2, 0.1)},
    ('rank',),
  ),
  'cheby_cf': Row(
    cheby_cf.cheby_cf,
    {
      'order': 8, 'flatness': 1.5, 'rank': 512, 'low_pass': 0.2,
      'degree_power': 0.4,
    },
    {
      'rank': (256, 512, 768),
      'degree_power': (0.5, 0.4, 0.3, 0.2),
      'low_pass': (0.5, 0.3, 0.2, 0.1),
      'flatness': (1.0, 1.5, 2.0, 3.0),
      'order': (8, 4, 12),
    },
    ('rank',),
  ),
  'turbo_cf': Row(
    turbo_cf.turbo_cf,
    {'user_power': 0.6, 'power': 0.7, 'order': 1},
    {
      'user_power': (0.5, 0.6, 0.7, 0.8, 0.4),
      'power': (1.0, 0.85, 0.7, 0.55, 0.4, 1.2),
      'order': (1,),
    },
    ('user_power', 'power'),
  ),
  'dan': Row(
    dan.dan,
    {'l2': 20.0, 'dropout': 0.6, 'item_power': 0.2, 'user_power': 0.3},
    {
      'l2': (80.0, 40.0, 20.0, 10.0, 160.0, 320.0),
      'dropout': (0.0, 0.2, 0.4, 0.6, 0.8),
      'item_power': (0.0, 0.1, 0.2, 0.3, 0.4),
      'user_power': (0.0, 0.2, 0.3, 0.4, 0.6),
    },
    ('l2', 'dropout', 'item_power', 'user_power'),
    most_items=6000,
  ),
  'ease': Row(
    ease.ease,
    {'l2': 80.0},
    {'l2': (80.0, 40.0, 20.0, 160.0, 320.0, 640.0)},
    ('l2',),
    most_items=6000,
  ),
}  # fmt: skip


def hold_out(
  train: interactions.Interactions, num_users: int, seed: int
) -> tuple[interactions.Interactions, splits.HeldOut]:
  """Hides a fifth of each user's training items; some users are judged.

  Returns:
    What is left to train on, and the users who choose the settings.
  """
  left, hidden = splits.fold_in(train, seed)
  users = np.flatnonzero(hidden.user_counts())
  drawn = np.random.default_rng(seed).permutation(users)[:num_users]
  drawn = np.sort(drawn)
  return left, splits.HeldOut(left.take_users(drawn), hidden.take_users(drawn))


def choose(
  row: Row,
  train: interactions.Interactions,
  num_users: int,
  seed: int,
) -> tuple[Settings, list[dict[str, Any]]]:
  """Settings by recall@20 on a hidden part of train, one setting at a time.

  Returns:
    The best settings, and all trials.
  """
  if row.most_items is not None:
    order = np.argsort(-train.item_counts(), kind='stable')
    train = train.take_items(np.sort(order[: row.most_items]))
  left, held = hold_out(train, num_users, seed)
  states: dict[tuple, Any] = {}
  trials: list[dict[str, Any]] = []

  def recall(settings: Settings) -> float:
    for trial in trials:
      if trial['settings'] == settings:
        return trial['recall@20']
    model = row.build(**settings)
    fit = tuple(settings[name] for name in row.fit_depends_on)
    if fit not in states:
      states.clear()  # only the last one is kept
      states[fit] = model.fit(left, jax.random.key(seed)).state
    found = judge(model, states[fit], held).mean('recall@20')
    logging.info('%s %s: recall@20 %.5f', model.name, settings, found)
    trials.append({'settings': dict(settings), 'recall@20': found})
    return found

  best = {name: values[0] for name, values in row.axes.items()}
  for name, values in row.axes.items():
    candidates = [{**best, name: value} for value in values]
    best = max(candidates, key=recall)
  return best, trials


def judge(
  model: method_lib.Model, state: Any, held: splits.HeldOut
) -> ranking.Evaluation:
  """Full ranking with the histories left out."""
  return held_out.evaluate(
    lambda histories: model.score(state, histories), *held, metrics=METRICS
  )


def run(
  row: Row,
  settings: Settings,
  train: interactions.Interactions,
  test: splits.HeldOut,
) -> dict[str, Any]:
  """Fits the whole of train with some settings, and judges the test part."""
  model = row.build(**settings)
  start = time.perf_counter()
  fitted, peak = measure.peak_bytes(lambda: model.fit(train, jax.random.key(0)))
  seconds = time.perf_counter() - start
  logging.info('fitted %s in %.1f s', model.name, seconds)
  some = method_lib.Histories.of(
    train.by_user_and_time(), np.arange(min(512, train.num_users))
  )
  scored = measure.call(lambda: model.score(fitted.state, some), repeats=3)
  found = judge(model, fitted.state, test)
  return {
    'settings': dict(settings),
    'metrics': {name: found.mean(name) for name in METRICS},
    'interval': {
      name: list(significance.bootstrap_interval(found.values[name], seed=0))
      for name in METRICS
    },
    'prepare': {
      'flops': fitted.cost.operations,
      'seconds': seconds,
      'peak_bytes': peak,
      'stored_bytes': measure.stored_bytes(fitted.state, ()),
    },
    'score_seconds_per_user': scored.timing.median_seconds / len(some.items),
  }
