"""Runs one cell: an arm on a task, tuned, adapted, judged and timed."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.adaptation import arms as arms_lib
from hyperrec import method as method_lib
from hyperrec.data import regimes
from hyperrec.evaluation import cost, ranking, significance

METRICS = ('ndcg@100', 'recall@20', 'recall_min@20', 'recall_min@50', 'mrr')
PRIMARY = 'ndcg@100'


class Tuned(NamedTuple):
  """The chosen hyper-parameters, and what choosing them cost."""

  trial: arms_lib.Trial
  trials: int
  seconds: float
  validation: float | None


def judge(
  method: method_lib.Method,
  adapted: Any,
  judged: regimes.Judged,
  metrics: tuple[str, ...] = METRICS,
) -> ranking.Evaluation:
  """Full ranking of the catalogue for the judged users."""
  histories = judged.histories.by_user_and_time()

  def score(users):
    return method.score(adapted, method_lib.Histories.of(histories, users))

  return ranking.evaluate(
    score,
    judged.histories.csr(),
    judged.targets.csr(),
    metrics=metrics,
    seen=judged.seen.csr(),
  )


def quality(
  method: method_lib.Method,
  source: regimes.Interactions,
  judged: regimes.Judged,
  key: jax.Array,
) -> float:
  """The primary metric of a method prepared and adapted anew."""
  prepare_key, adapt_key = jax.random.split(key)
  shared = method.prepare(source, prepare_key)
  adapted = method.adapt(shared, judged.evidence, adapt_key)
  return judge(method, adapted, judged, (PRIMARY,)).mean(PRIMARY)


def tune(
  arm: arms_lib.Arm,
  trials: tuple[arms_lib.Trial, ...],
  source: regimes.Interactions,
  judged: regimes.Judged,
  key: jax.Array,
) -> Tuned:
  """The best trial on `judged`; nothing to choose costs nothing."""
  if len(trials) == 1:
    return Tuned(trials[0], 1, 0.0, None)
  start = time.perf_counter()
  values = [
    quality(arm.build(**trial), source, judged, key) for trial in trials
  ]
  best = int(np.argmax(values))
  seconds = time.perf_counter() - start
  return Tuned(trials[best], len(trials), seconds, values[best])


def run_cell(
  method: method_lib.Method,
  task: regimes.Task,
  key: jax.Array,
  *,
  repeats: int,
  max_seconds: float,
) -> dict[str, Any]:
  """Quality on the test users, and what prepare and adapt cost.

  Args:
    method: the method with its hyper-parameters chosen.
    task: what it may see, and the users it is judged on.
    key: a typed key.
    repeats: how often an adaptation is timed (the median is reported).
    max_seconds: how long the repeats may take; a slow one is timed once.

  Returns:
    The metrics, intervals and costs of a result row.

  Raises:
    CannotServe: the method refuses the task.
  """
  prepare_key, adapt_key = jax.random.split(key)
  shared, prepare = _cost_of(
    lambda: method.prepare(task.source, prepare_key), 1, max_seconds
  )
  adapted, adapt = _cost_of(
    lambda: method.adapt(shared, task.test.evidence, adapt_key),
    repeats,
    max_seconds,
  )
  prepare['flops'] = method.prepare_flops(task.source, shared)
  adapt['flops'] = method.adapt_flops(shared, task.test.evidence, adapted)
  adapt['stored_bytes'] = cost.stored_bytes(adapted, shared)
  evaluation = judge(method, adapted, task.test)
  values = evaluation.values
  return {
    'metrics': {name: evaluation.mean(name) for name in METRICS},
    'interval': {
      name: list(significance.bootstrap_interval(values[name], seed=0))
      for name in METRICS
    },
    'per_user': [round(float(v), 5) for v in values[PRIMARY]],
    'prepare': prepare,
    'adapt': adapt,
    'score': _score_cost(method, adapted, task.test, repeats, max_seconds),
  }


def _cost_of(
  fn: Callable[[], Any], repeats: int, max_seconds: float
) -> tuple[Any, dict[str, float]]:
  """The value of fn(), its peak memory on the first call, its warm median."""
  value, peak = cost.peak_bytes(fn)
  timing = cost.measure(fn, repeats=repeats, max_seconds=max_seconds)
  return value, {
    'seconds': timing.median_seconds,
    'seconds_iqr': timing.iqr_seconds,
    'repeats': timing.repeats,
    'peak_bytes': peak,
  }


def _score_cost(method, adapted, judged, repeats, max_seconds):
  """Seconds to score 1 user and 1024 users (repeated where there are fewer)."""
  histories = judged.histories.by_user_and_time()
  seconds = {}
  for size in (1, 1024):
    users = np.arange(size) % judged.histories.num_users
    batch = method_lib.Histories.of(histories, users)
    timing = cost.measure(
      lambda batch=batch: method.score(adapted, batch),
      repeats=repeats,
      max_seconds=max_seconds,
    )
    seconds[f'seconds_{size}'] = timing.median_seconds
  return seconds
