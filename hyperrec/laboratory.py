"""Tunes, adapts, evaluates and times one method on one task (a cell)."""

import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from hyperrec import method as method_lib
from hyperrec import regimes
from hyperrec.cost import measure
from hyperrec.evaluation import (
  held_out,
  ranking,
  results,
  significance,
  strata,
)

# Hyperparameters to try, by name.
Trial = dict[str, Any]
Build = Callable[..., method_lib.Method]

METRICS = ('ndcg@100', 'recall@20', 'recall_min@20', 'recall_min@50', 'mrr')
PRIMARY = results.PRIMARY
HISTORY_EDGES = (5, 20, 50)
# Number of evidence users whose weight in tuning equals that of the rehearsals.
EQUAL_SAY = 20
# The most scores that are kept for other rankings of the same users: 1 GiB.
_MOST_KEPT = 2**28
# 1024 users are timed only if 64 foretell fewer seconds than this.
_MOST_SCORE_SECONDS = 5.0


class Stage(NamedTuple):
  """One setting in which trials are evaluated.

  Attributes:
    prepare: (method, index of its trial) -> its prepared state, which may be
      cached from another budget of the same source.
    parts: pairs of evidence to adapt to and users to evaluate on; users of all
      parts have equal weight.
    weight: weight of this stage relative to the other stages.
    is_of_evidence: whether the users are folds of the evidence, so that the
      stage is paid for again by every adaptation.
  """

  prepare: Callable[[method_lib.Method, int], 'Prepared']
  parts: tuple[regimes.Judged, ...]
  weight: float = 1.0
  is_of_evidence: bool = False


class Tuned(NamedTuple):
  """The chosen hyperparameters, and the cost of choosing them.

  Attributes:
    index: number of the chosen trial.
    trial: its hyperparameters.
    trials: number of trials.
    seconds: time of all trials.
    validation: primary metric of the chosen trial, the weighted mean over
      stages; None if nothing was evaluated.
    flops: operations of all trials on rehearsals, and of preparing those that
      were not chosen for the folds of the evidence; paid once.
    flops_of_evidence: operations of all trials on folds of the evidence, which
      every adaptation pays for.
    at_edge: numeric hyperparameters whose chosen value is the smallest or the
      largest that was tried.
  """

  index: int
  trial: Trial
  trials: int
  seconds: float
  validation: float | None
  flops: float = 0.0
  flops_of_evidence: float = 0.0
  at_edge: tuple[str, ...] = ()


def judge(
  method: method_lib.Method | method_lib.Model,
  state: Any,
  judged: regimes.Judged,
  metrics: tuple[str, ...] = METRICS,
  scored: dict[int, np.ndarray] | None = None,
) -> ranking.Evaluation:
  """Evaluates a method on held-out users by full ranking of the catalogue.

  Args:
    method: the method or model that computes the scores.
    state: its adapted state.
    judged: histories, targets and seen items of the users.
    metrics: names of metrics, such as 'ndcg@100'.
    scored: scores of these histories; see `held_out.evaluate`.
  """
  return held_out.evaluate(
    lambda histories: method.score(state, histories),
    judged.histories,
    judged.targets,
    metrics=metrics,
    seen=judged.seen,
    candidates=judged.candidates,
    scored=scored,
  )


class Prepared(NamedTuple):
  """The prepared state of a method, and its cost as entries of a row."""

  state: Any
  cost: dict[str, float]


def prepare(
  method: method_lib.Method, source: method_lib.Source, key: jax.Array
) -> Prepared:
  """Prepares on the source; it is timed once, since it may take minutes."""
  outcome, spent = _timed(lambda: method.prepare(source, key), 1, 0.0)
  return Prepared(outcome.state, {**spent, 'flops': outcome.cost.operations})


class TuningSet(NamedTuple):
  """The source to prepare on, with the other fields of a `Stage`."""

  source: method_lib.Source
  parts: tuple[regimes.Judged, ...]
  weight: float = 1.0
  is_of_evidence: bool = False


def tuning_sets(
  task: regimes.Task,
  is_oracle: bool,
  seed: int,
  num_domains: int = 3,
  num_folds: int = 0,
) -> list[TuningSet]:
  """Returns the sources and users on which hyperparameters are chosen.

  Args:
    task: the task to choose hyperparameters for.
    is_oracle: whether to tune on the validation users of the target. Otherwise
      rehearsals inside the source are used, and only the evidence of the
      target is seen.
    seed: seed of the random draws.
    num_domains: number of source domains to rehearse on, if there are several.
    num_folds: number of folds of the evidence that are used for tuning too. K
      evidence users weigh K / EQUAL_SAY times as much as all rehearsals
      together. 0 uses the rehearsals only.
  """
  if is_oracle:
    return [TuningSet(task.source, (task.validation,))]
  inner = regimes.rehearsals(task, seed, num_domains)
  sets = [TuningSet(r.source, (r.test,), 1 / len(inner)) for r in inner]
  folds = regimes.evidence_folds(task, num_folds, seed)
  if folds:
    weight = task.test.evidence.num_users / EQUAL_SAY
    sets.append(TuningSet(task.source, folds, weight, is_of_evidence=True))
  return sets


def tune(
  build: Build,
  trials: tuple[Trial, ...],
  prepare_trial: Callable[[method_lib.Method, int], Prepared],
  judged: regimes.Judged,
  key: jax.Array,
) -> Tuned:
  """`tune_on` a single stage."""
  return tune_on(build, trials, [Stage(prepare_trial, (judged,))], key)


def tune_on(
  build: Build,
  trials: tuple[Trial, ...],
  stages: Sequence[Stage],
  key: jax.Array,
) -> Tuned:
  """Returns the trial that is best over all stages.

  A single trial without a stage is returned at once, without training.

  Args:
    build: fields of a trial -> the method that is tuned.
    trials: the hyperparameters to try.
    stages: at least one stage if there are several trials.
    key: a typed key.
  """
  if len(trials) == 1 and not stages:
    return Tuned(0, trials[0], 1, 0.0, None)
  start = time.perf_counter()
  found = np.array(
    [_try(build(**trial), index, stages, key)
     for index, trial in enumerate(trials)]
  )  # fmt: skip
  values_TxS, flops_TxS, prepare_TxS = np.moveaxis(found, -1, 0)
  weights_S = np.array([stage.weight for stage in stages])
  best = best_trial(values_TxS, weights_S)
  is_of_evidence = np.array([stage.is_of_evidence for stage in stages])
  # On folds of the evidence, the chosen state is the one that serves.
  prepare_TxS[best, is_of_evidence] = 0
  return Tuned(
    index=best,
    trial=trials[best],
    trials=len(trials),
    seconds=time.perf_counter() - start,
    validation=float(np.average(values_TxS[best], weights=weights_S)),
    flops=float(flops_TxS[:, ~is_of_evidence].sum() + prepare_TxS.sum()),
    flops_of_evidence=float(flops_TxS[:, is_of_evidence].sum()),
    at_edge=at_edge(trials, best),
  )


def at_edge(trials: Sequence[Trial], index: int) -> tuple[str, ...]:
  """Numeric hyperparameters of a trial of which no lower or higher was tried.

  One that has the same value in all trials is not among them.
  """
  found = []
  for name, value in trials[index].items():
    tried = [trial[name] for trial in trials if name in trial]
    if all(map(_is_number, tried)) and min(tried) < max(tried):
      found += [name] if value in (min(tried), max(tried)) else []
  return tuple(found)


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def best_trial(
  values: Float[np.ndarray, 'T S'], weights: Float[np.ndarray, ' S']
) -> int:
  """Returns the trial (row) with the highest weighted mean over stages.

  Each value is divided by the best value of its stage, so that stages with
  larger values do not weigh more.
  """
  best_of_stage = values.max(axis=0)
  relative = values / np.where(best_of_stage > 0, best_of_stage, 1)
  return int(np.argmax(relative @ weights))


def _try(
  method: method_lib.Method,
  index: int,
  stages: Sequence[Stage],
  key: jax.Array,
) -> list[tuple[float, float, float]]:
  """The primary metric of a trial on each stage, and its operations.

  These are those of adapting, and those of preparing.
  """
  found = []
  for stage in stages:
    prepared = stage.prepare(method, index)
    of_users, flops = [], 0.0
    for judged in stage.parts:
      adapted = method.adapt(prepared.state, judged.evidence, key)
      flops += _total(adapted.cost, judged.evidence)
      evaluation = judge(method, adapted.state, judged, (PRIMARY,))
      of_users.append(evaluation.values[PRIMARY])
    value = float(np.concatenate(of_users).mean())
    found.append((value, flops, prepared.cost['flops']))
  return found


def run_cell(
  method: method_lib.Method,
  prepared: Prepared,
  judged: regimes.Judged,
  key: jax.Array,
  *,
  repeats: int,
  max_seconds: float,
  views: Mapping[str, regimes.Judged] = types.MappingProxyType({}),
  num_arriving: int = 0,
  validation: regimes.Judged | None = None,
) -> dict[str, Any]:
  """Measures the quality on the held-out users and the costs.

  Args:
    method: the method with its chosen hyperparameters.
    prepared: the method's state after preparing on the source.
    judged: evidence to adapt to, and users to evaluate on.
    key: a typed key.
    repeats: number of timed adaptations (the median is reported).
    max_seconds: time limit of the repeats in seconds; a slow adaptation is
      timed once.
    views: see `Task.views`.
    num_arriving: see `Task.num_arriving`.
    validation: other users to evaluate on, whom no test draws; the row then
      has the primary metric on them.

  Returns:
    The metrics, intervals and costs of a result row.

  Raises:
    CannotServe: the method refuses the task.
  """
  shared = prepared.state
  outcome, adapt = _timed(
    lambda: method.adapt(shared, judged.evidence, key), repeats, max_seconds
  )
  adapted, spent = outcome
  adapt['flops'] = _total(spent, judged.evidence)
  adapt['flops_of_text'] = spent.of_text
  adapt['flops_per_user'] = spent.per_user
  adapt['stored_bytes'] = measure.stored_bytes(adapted, shared)
  adapt['state_bytes'] = measure.stored_bytes(adapted, None)
  size = judged.histories.num_users * judged.histories.num_items
  scored = {} if views and size <= _MOST_KEPT else None
  evaluation = judge(method, adapted, judged, scored=scored)
  values = evaluation.values
  more = {}
  if views:
    more['views'] = {
      name: _view(
        method,
        adapted,
        view,
        scored if view.histories is judged.histories else None,
      )
      for name, view in views.items()
    }
  if num_arriving:
    more['num_arriving'] = num_arriving
  if validation is not None:
    state = adapted
    if validation.evidence is not judged.evidence:
      state = method.adapt(shared, validation.evidence, key).state
    more['validation'] = judge(method, state, validation, (PRIMARY,)).mean(
      PRIMARY
    )
  return {
    'metrics': {name: evaluation.mean(name) for name in METRICS},
    'interval': {
      name: list(significance.bootstrap_interval(values[name], seed=0))
      for name in METRICS
    },
    'by_history': strata.by_history_length(
      values[PRIMARY],
      strata.history_lengths(evaluation, judged.histories.csr()),
      HISTORY_EDGES,
    ),
    'per_user': [round(float(v), 4) for v in values[PRIMARY]],
    'people': judged.targets.user_ids[evaluation.users].tolist(),
    'prepare': prepared.cost,
    'adapt': adapt,
    'score': _score_cost(method, adapted, judged, repeats, max_seconds),
    **more,
  }


def _view(
  method, adapted, view: regimes.Judged, scored: dict[int, np.ndarray] | None
) -> dict[str, Any]:
  """Metrics on other targets or candidates, and the number of their users."""
  found = judge(method, adapted, view, scored=scored)
  metrics = {name: found.mean(name) for name in METRICS}
  return {'metrics': metrics, 'users': len(found.users)}


def evaluate(
  method: method_lib.Method,
  data: method_lib.Interactions,
  *,
  regime: str = 'new_users',
  budget: int | None = None,
  num_heldout: int | None = None,
  seed: int = 0,
) -> dict[str, float]:
  """Measures the quality and the costs of a method in a regime, without tuning.

  Args:
    method: a model under a policy.
    data: the interactions.
    regime: a regime of one data set, such as "new_users".
    budget: amount of evidence; see the regime. By default 5, or 0 in a regime
      without evidence.
    num_heldout: number of held-out users for validation, and as many for test;
      by default a fifth of all users, and at most 130.
    seed: seed of the split and of all random draws.

  Returns:
    The metrics of the test users, and the numbers of floating-point operations
    of the preparation (`prepare_operations`) and of the adaptation for all test
    users (`adapt_operations`).

  Raises:
    CannotServe: the method refuses the regime.
    DataError: the task cannot be made from these data.
  """
  held = num_heldout or max(1, min(130, data.num_users // 5))
  found = regimes.find(regime)
  if budget is None:
    budget = 5 if found.has_evidence else 0
  task = found.make_task(data, budget, seed, held)
  prepare_key, adapt_key = jax.random.split(jax.random.key(seed))
  shared = method.prepare(task.source, prepare_key)
  adapted = method.adapt(shared.state, task.test.evidence, adapt_key)
  judged = judge(method, adapted.state, task.test)
  return {
    **{name: judged.mean(name) for name in METRICS},
    'prepare_operations': float(shared.cost.operations),
    'adapt_operations': float(_total(adapted.cost, task.test.evidence)),
  }


def _total(cost: method_lib.Cost, evidence: method_lib.Interactions) -> float:
  """Operations of an adaptation, including those for each evidence user."""
  return cost.operations + cost.per_user * evidence.num_users


def _timed(
  fn: Callable[[], Any], repeats: int, max_seconds: float
) -> tuple[Any, dict[str, float]]:
  """Returns the value of fn(), and its costs as entries of a row.

  There is an entry `joules` only where energy can be read.
  """
  measured = measure.call(fn, repeats=repeats, max_seconds=max_seconds)
  timing = measured.timing
  energy = {} if timing.joules is None else {'joules': timing.joules}
  return measured.value, {
    'seconds': timing.median_seconds,
    'seconds_iqr': timing.iqr_seconds,
    'compile_seconds': timing.compile_seconds,
    'repeats': timing.repeats,
    'peak_bytes': measured.peak_bytes,
    **energy,
  }


def per_answer(
  adapt: dict[str, float], num_users: int, num_questions: int
) -> dict[str, float]:
  """Returns bytes per interviewed user and microseconds per answer."""
  num_answers = num_users * max(1, num_questions)
  return {
    'user_bytes': adapt['stored_bytes'] / num_users,
    'answer_microseconds': 1e6 * adapt['seconds'] / num_answers,
  }


def _score_cost(method, adapted, judged, repeats, max_seconds):
  """Seconds to score 1, 64 and 1024 users; users repeat if there are fewer.

  1024 are left out where that would take long.
  """
  histories = judged.histories.by_user_and_time()
  seconds = {}
  for size in (1, 64, 1024):
    if size * seconds.get('seconds_64', 0) / 64 > _MOST_SCORE_SECONDS:
      break
    users = np.arange(size) % judged.histories.num_users
    batch = method_lib.Histories.of(histories, users)
    # Memory is not measured, since the collection before it takes longer.
    timing = measure.timing(
      lambda batch=batch: method.score(adapted, batch),
      repeats=repeats,
      max_seconds=max_seconds,
    )
    seconds[f'seconds_{size}'] = timing.median_seconds
  return seconds
