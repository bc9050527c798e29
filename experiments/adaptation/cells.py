"""A cell of the experiment: a method is tuned, adapted and judged on one task.

The result of a cell is one row. Scripts make the list of cells; here is how one
is run. Cells of one source share what they prepare.
"""

import functools
import gc
import time
from typing import Any, NamedTuple

import jax
from absl import logging

from experiments import arm_names, catalogue
from hyperrec import features as features_lib
from hyperrec import laboratory, regimes
from hyperrec import method as method_lib
from hyperrec.cost import memory
from hyperrec.regimes import new_users


class Data(NamedTuple):
  """The target data set, and the source domains of the regime new_domain."""

  target: regimes.Interactions
  domains: tuple[regimes.Interactions, ...] = ()


class Cell(NamedTuple):
  """One cell: a fair or an oracle arm on a task; its result is one row."""

  regime: str
  seed: int
  budget: int
  name: str
  oracle: bool = False


class Settings(NamedTuple):
  """How all cells of a run are tuned, judged and timed.

  Attributes:
    num_heldout: number of validation users, and of test users.
    trials: number of hyperparameter trials of every tuned arm.
    rehearsal_domains: number of source domains on which hyperparameters are
      chosen, if there are several.
    evidence_folds: see `laboratory.tuning_sets`.
    repeats: number of times that an adaptation is timed.
    max_seconds: time limit for the repeats of one timing, in seconds.
    validates: whether each method is judged on validation users, too.
  """

  num_heldout: int
  trials: int = 3
  rehearsal_domains: int = 3
  evidence_folds: int = 0
  repeats: int = 1
  max_seconds: float = 0.2
  validates: bool = False


class Runner:
  """Runs cells on the same data, one after another.

  It keeps the prepared states of the last system, so cells of one system should
  follow one another.
  """

  def __init__(
    self, data: Data, features: features_lib.Features, settings: Settings
  ):
    """Makes a runner; `features` are those of all items of the data."""
    self._data = data
    self._features = features
    self._settings = settings
    self._prepared: dict[tuple, laboratory.Prepared] = {}

  def run(self, cell: Cell, head: dict[str, Any]) -> tuple[dict, bool]:
    """Tunes, runs and evaluates one cell.

    Args:
      cell: the cell to run.
      head: entries of the row that say where it comes from, such as flags.

    Returns:
      The row, and whether it may be stored. A refusal for lack of memory may
      not, since another machine may have more memory.
    """
    start = time.perf_counter()
    row = {
      'dataset': self._data.target.name,
      'regime': cell.regime,
      'budget': cell.budget,
      'method': f'{cell.name}:{arm_names.ORACLE}' if cell.oracle else cell.name,
      'seed': cell.seed,
      'text_encoder': self._features.encoder,
      **head,
    }
    try:
      outcome = self._outcome(cell)
    except method_lib.CannotServe as refusal:
      return {**row, 'cannot': str(refusal)}, True
    except memory.InsufficientMemoryError as refusal:
      logging.warning('%s: %s', cell.name, refusal)
      return {**row, 'cannot': str(refusal)}, False
    logging.info(
      '%s %s budget %d seed %d: %s %.4f in %.1f s',
      cell.regime, row['method'], cell.budget, cell.seed, laboratory.PRIMARY,
      outcome['metrics'][laboratory.PRIMARY], time.perf_counter() - start,
    )  # fmt: skip
    return {**row, **outcome}, True

  def _outcome(self, cell: Cell) -> dict[str, Any]:
    """Returns the entries of a row: quality, costs and hyperparameters."""
    settings = self._settings
    task = make_task(
      self._data, cell.regime, cell.budget, cell.seed, settings.num_heldout
    )
    system = catalogue.BY_NAME[cell.name]
    arm = system.arms[cell.regime]
    build = functools.partial(system.build, cell.regime, self._features)
    if system.interviews:
      build = functools.partial(build, num_questions=cell.budget)
    trials = arm.trials[: settings.trials]
    key = jax.random.key(cell.seed)
    tune_key, adapt_key = jax.random.split(
      jax.random.fold_in(key, cell.budget + 1)
    )
    learner = _Learner(
      self._prepared,
      (cell.regime, cell.seed, arm.shares or cell.name),
      jax.random.fold_in(key, 0),
    )
    sets = ()
    if len(trials) > 1:
      sets = _tuning_sets(self._data, cell._replace(name=''), settings)
    stages = [
      laboratory.Stage(
        learner.on(source, None if source is task.source else place),
        tuple(_shown_to(system, judged) for judged in parts),
        *others,
      )
      for place, (source, parts, *others) in enumerate(sets)
    ]
    tuned = laboratory.tune_on(build, trials, stages, tune_key)
    method = build(**tuned.trial)
    outcome = laboratory.run_cell(
      method,
      learner.on(task.source)(method, tuned.index),
      _shown_to(system, task.test),
      adapt_key,
      repeats=settings.repeats,
      max_seconds=settings.max_seconds,
      views=task.views,
      num_arriving=task.num_arriving,
      validation=_shown_to(system, task.validation)
      if settings.validates
      else None,
    )
    if system.interviews:
      outcome['adapt'] |= laboratory.per_answer(
        outcome['adapt'], task.test.seen.num_users, cell.budget
      )
    return {
      **outcome,
      'hyperparameters': tuned.trial,
      'tuning': {
        'trials': tuned.trials,
        'seconds': tuned.seconds,
        'flops': tuned.flops,
        'flops_of_evidence': tuned.flops_of_evidence,
      },
      'at_edge': list(tuned.at_edge),
      'rehearsal': tuned.validation,
    }


@functools.lru_cache(maxsize=8)
def make_task(
  data: Data, regime: str, budget: int, seed: int, num_heldout: int
) -> regimes.Task:
  """The task of a cell, made once for all systems."""
  return regimes.find(regime).make_task(
    data.target, budget, seed, num_heldout, data.domains
  )


@functools.lru_cache(maxsize=8)
def _tuning_sets(data: Data, cell: Cell, settings: Settings):
  """The tuning sets of a cell, made once for all systems."""
  task = make_task(
    data, cell.regime, cell.budget, cell.seed, settings.num_heldout
  )
  return laboratory.tuning_sets(
    task,
    cell.oracle,
    cell.seed,
    settings.rehearsal_domains,
    settings.evidence_folds,
  )


class _Learner(NamedTuple):
  """Prepares methods; cells that can share a prepared state do share it.

  Attributes:
    cache: prepared states, keyed by (regime, seed, name, rehearsal, trial);
      only those of the last learner are kept.
    shared_by: regime, seed, and the name shared by systems that learn the
      same state from the source.
    key: a typed key.
  """

  cache: dict
  shared_by: tuple[str, int, str]
  key: jax.Array

  def on(self, source: method_lib.Source, rehearsal: int | None = None):
    """Returns a function (method, trial number) -> state prepared on a source.

    Args:
      source: the data to learn from.
      rehearsal: number of the rehearsal; None means the task itself.
    """

    def prepare(method, trial):
      tag = (*self.shared_by, rehearsal, trial)
      if tag not in self.cache:
        self._forget_others()
        if rehearsal is None:
          self.cache[tag] = laboratory.prepare(method, source, self.key)
        else:
          # Its seconds and bytes are not reported, and measuring takes time.
          outcome = method.prepare(source, self.key)
          cost = {'flops': outcome.cost.operations}
          self.cache[tag] = laboratory.Prepared(outcome.state, cost)
      return self.cache[tag]

    return prepare

  def _forget_others(self) -> None:
    """Frees the states of other systems."""
    others = [tag for tag in self.cache if tag[:3] != self.shared_by]
    for tag in others:
      del self.cache[tag]
    if others:
      # What is left, such as compiled programs, stays until the end. Without
      # this, each collection of `measure.call` scans it.
      gc.collect()
      gc.freeze()


def _shown_to(
  system: catalogue.System, judged: regimes.Judged
) -> regimes.Judged:
  return new_users.interviewed(judged) if system.interviews else judged


def cell_of(row: dict[str, Any]) -> Cell:
  """The cell of a row."""
  name, _, suffix = row['method'].rpartition(':')
  oracle = suffix == arm_names.ORACLE
  method = name if oracle else row['method']
  return Cell(row['regime'], row['seed'], row['budget'], method, oracle)
