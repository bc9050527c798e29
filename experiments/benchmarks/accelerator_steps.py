"""Every trained model on an accelerator, compared with the same on the CPU."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments import catalogue
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec import regimes
from hyperrec.data import sources
from hyperrec.systems.baselines import blended

# Scores may differ by this share of their spread: sums are rounded in another
# order, and so are the steps of the optimizer that follow.
TOLERANCE = 0.01
# Fields that make a training short; a field counts where a model has it.
_STEPS = ('steps', 'num_steps', 'base_steps')
_SHORT = {
  **dict.fromkeys(_STEPS, 2), 'epochs': 1, 'finetune_epochs': 1, 'members': 1,
  'num_sets': 1, 'num_tasks': 3, 'num_codes': 16, 'num_groups': 2,
  'vocab_size': 400,
}  # fmt: skip
# The regimes in which a model is looked for, the first that it serves.
_REGIMES = ('new_users', 'returning_users', 'new_items', 'new_catalogue')


def trained_systems() -> dict[str, tuple[catalogue.System, str]]:
  """Returns name -> system and regime, one for each kind of trained model.

  Two systems are of one kind if their configurations have the same class.
  """
  features = _features(data())
  found, kinds = {}, set()
  for system in catalogue.SYSTEMS:
    regime = next((name for name in _REGIMES if name in system.arms), None)
    if regime is None or system.interviews:
      continue
    kind, is_trained = _kind(_built(system, regime, features).config)
    if is_trained and kind not in kinds:
      kinds.add(kind)
      found[system.name] = system, regime
  return found


def _kind(config: Any) -> tuple[type, bool]:
  """The class of a configuration, and whether it has epochs or steps."""
  if isinstance(config, blended.BlendConfig):  # its trials are of the first
    config = config.first
  names = _fields(config)
  return type(config), bool(names & {'epochs', *_STEPS})


def _fields(config: Any) -> set[str]:
  if not dataclasses.is_dataclass(config):
    return set()
  return {field.name for field in dataclasses.fields(config)}


@functools.cache
def data() -> method_lib.Interactions:
  """Small data with text and times."""
  made = sources.load('synthetic', num_users=80, num_items=40, seed=0)
  if made.timestamps is not None:
    return made
  return dataclasses.replace(made, timestamps=np.arange(len(made)))


@functools.lru_cache(maxsize=1)
def _features(of_data) -> features_lib.Features:
  return features_lib.read(
    [of_data], 'tfidf', cache_folder=None, num_features=8
  )


def _built(system, regime: str, features) -> method_lib.Method:
  """The method with the first hyperparameters and a short training."""
  trial = dict(system.arms[regime].trials[0])
  config = system.build(regime, features, **trial).config
  if isinstance(config, blended.BlendConfig):
    config = config.first
  names = _fields(config)
  if isinstance(trial.get('base'), dict):
    trial['base'] = {**trial['base'], 'epochs': 1}
  short = {name: value for name, value in _SHORT.items() if name in names}
  return system.build(regime, features, **{**trial, **short})


def compare(name: str) -> dict[str, Any]:
  """Trains a system briefly on the default device and on the CPU.

  Args:
    name: a key of `trained_systems`.

  Returns:
    The largest difference of the scores as a share of their spread, and whether
    it is within `TOLERANCE`.

  Raises:
    RuntimeError: JAX was started without its CPU.
  """
  system, regime = trained_systems()[name]
  both = []
  with jax.default_matmul_precision('float32'):
    for device in (jax.devices()[0], jax.devices('cpu')[0]):
      with jax.default_device(device):
        both.append(_scores(system, regime))
  found, wanted = both
  finite = np.isfinite(wanted)
  spread = float(wanted[finite].std()) or 1.0
  difference = np.abs(found - wanted)[finite].max() / spread
  is_close = bool(
    difference <= TOLERANCE and (finite == np.isfinite(found)).all()
  )
  return {
    'what': name,
    'regime': regime,
    'difference': float(difference),
    'is_close': is_close,
  }


def _scores(system, regime: str) -> np.ndarray:
  method = _built(system, regime, _features(data()))
  budget = 5 if regimes.find(regime).has_evidence else 0
  task = regimes.find(regime).make_task(data(), budget, 0, 10)
  key = jax.random.key(0)
  shared = method.prepare(task.source, key).state
  adapted = method.adapt(shared, task.test.evidence, key).state
  shown = task.test.histories.by_user_and_time()
  users = np.arange(min(10, shown.num_users))
  histories = method_lib.Histories.of(shown, users)
  return np.asarray(method.score(adapted, histories))
