"""The generators of items and users in a larger form, and their scores."""

import functools
import time
from typing import Any, NamedTuple

import jax

from hyperrec import adapting, laboratory, regimes
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.systems.hyperease import (
  hyperease_user,
  item_columns,
  item_generator,
)
from hyperrec.systems.linear import cease
from hyperrec.training import loop

_HELD_OUT = 500
_USER_BUDGETS, _ITEM_BUDGETS = (1, 5, 20), (0, 1, 5, 20)
# The hyperparameters of the closed forms are those that their grids try first.
_ITEM_BASE = {'l2': 100.0, 'l2_kernel': 3.0, 'sharpness': 1.0}
_USER_BASE = {'l2': 1000.0, 'alpha': 5.0}


class Generator(NamedTuple):
  """A generator and the closed form at which it starts, in one regime."""

  regime: str
  budgets: tuple[int, ...]
  model: method_lib.Model
  base: method_lib.Method


def generators(
  features: features_lib.Features, **training: Any
) -> dict[str, Generator]:
  """The generators in their larger form, by the kind of their tasks.

  Args:
    features: of the items.
    **training: hyperparameters that both have, such as `steps`.
  """
  return {
    'items': Generator(
      'new_items',
      _ITEM_BUDGETS,
      item_generator.item_generator(
        features.units, features.views, rank=128, **_ITEM_BASE, **training
      ),
      adapting.generated(
        item_columns.item_columns(features.units, **_ITEM_BASE)
      ),
    ),
    'users': Generator(
      'new_users',
      _USER_BUDGETS,
      hyperease_user.hyperease_user(
        features.units, rank=64, z_dim=128, **_USER_BASE, **training
      ),
      adapting.frozen(cease.cease(features.units, **_USER_BASE)),
    ),
  }


def train(
  generator: Generator,
  data: regimes.Interactions,
  run: loop.Run,
  seed: int,
) -> dict[str, Any]:
  """Trains a generator, or goes on with it, and scores it beside its base.

  Args:
    generator: see `Generator`.
    data: the data set.
    run: where the networks are saved.
    seed: of the split and of the training.

  Returns:
    NDCG@100 by budget of both, and what the training took.
  """
  make_task = functools.partial(
    regimes.find(generator.regime).make_task,
    data,
    seed=seed,
    num_heldout=max(1, min(_HELD_OUT, data.num_users // 5)),
  )
  key = jax.random.key(seed)
  source = make_task(generator.budgets[0]).source
  start = time.perf_counter()
  fitted = generator.model.fit(source, key, run=run)
  seconds = time.perf_counter() - start
  method = adapting.generated(generator.model)
  shared = adapting.Shared(fitted.state, source)
  base = generator.base.prepare(source, key).state
  scores = {name: {} for name in ('generated', 'closed form')}
  for budget in generator.budgets:
    task = make_task(budget)
    found = _ndcg(method, shared, task, key)
    scores['generated'][str(budget)] = found
    scores['closed form'][str(budget)] = _ndcg(generator.base, base, task, key)
  return {
    'dataset': data.name,
    'ndcg@100': scores,
    'operations': float(fitted.cost.operations),
    'seconds_since_start_or_resumption': seconds,
  }


def _ndcg(
  method: method_lib.Method, shared: Any, task: regimes.Task, key: jax.Array
) -> float:
  adapted = method.adapt(shared, task.test.evidence, key)
  found = laboratory.judge(method, adapted.state, task.test, ('ndcg@100',))
  return found.mean('ndcg@100')
