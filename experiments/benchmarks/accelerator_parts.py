"""The timed parts of `accelerator`, each with its sizes and operations."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import (
  accelerator_budget,
  accelerator_steps,
  inputs,
)
from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.cost import counts, measure
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sources, splits
from hyperrec.evaluation import held_out
from hyperrec.systems.hyperease import (
  catalogue_generator,
  hyperease_user,
  item_generator,
)
from hyperrec.systems.linear import ease, spd_inverse
from hyperrec.systems.p5 import prompts, t5
from hyperrec.systems.p5 import training as p5_training
from hyperrec.systems.sequential import sasrec
from hyperrec.training import optimizers
from hyperrec.training import step as step_lib

Part = accelerator_budget.Part
Row = accelerator_budget.Row

# Precision of products -> how JAX calls it. All else is computed in float32.
PRECISIONS = {'float32': 'float32', 'bfloat16': 'BF16_BF16_F32'}
# SASRec as in experiments/sasrec/beauty.flags.
_BEAUTY = {
  'num_layers': 1, 'num_heads': 1, 'dim': 128, 'hidden_ratio': 1,
  'dropout': 0.2, 'item_dropout': 0.2, 'num_negatives': 4096, 'logq': False,
  'from_the_end': True, 'sees_padding': True,
}  # fmt: skip
_BEAUTY_EPOCHS = 30
_METRICS = ('recall@10', 'ndcg@10')


def all_of(*, small: bool) -> list[Part]:
  """Returns all parts, the most important ones first.

  Args:
    small: whether the inputs are tiny, so that a CPU needs seconds for them.
  """
  items = (60, 80) if small else (20_000, 41_000)
  return [
    Part('steps', 150, _steps),
    Part('ease', 20, functools.partial(_ease, items[0])),
    Part('ranking', 15, functools.partial(_ranking, 500 if small else 10**6)),
    Part('generators', 100, functools.partial(_generators, small)),
    Part('sasrec', 40, functools.partial(_sasrec, small)),
    Part('p5', 40, functools.partial(_p5, small)),
    Part('ease_large', 60, functools.partial(_ease, items[1])),
    Part('sasrec_row', 90, functools.partial(_sasrec_row, small)),
  ]


def _steps() -> Iterator[Row]:
  """Every trained model; one that fails does not stop the others."""
  for name in accelerator_steps.trained_systems():
    try:
      yield accelerator_steps.compare(name)
    except Exception as error:
      failed = {'error': accelerator_budget.told(error), 'is_close': False}
      yield {'what': name, **failed}


def _row(
  what: str, precision: str, fn: Callable[[], Any], operations: Any
) -> Row:
  """Times a call.

  Args:
    what: the call, with its sizes.
    precision: a key of `PRECISIONS`.
    fn: the call.
    operations: value of the call -> its number of operations.
  """
  with _products_in(precision):
    measured = measure.call(fn, repeats=5, max_seconds=5.0)
  timing = measured.timing
  return {
    'what': what,
    'precision': precision,
    'seconds': float(timing.median_seconds),
    'compile_seconds': float(timing.compile_seconds),
    'repeats': timing.repeats,
    'operations': float(operations(measured.value)),
    **({} if timing.joules is None else {'joules': timing.joules}),
  }


@contextlib.contextmanager
def _products_in(precision: str) -> Iterator[None]:
  with jax.default_matmul_precision(PRECISIONS[precision]):
    yield


def _spent(outcome: method_lib.Outcome) -> float:
  return outcome.cost.operations


def _ease(num_items: int) -> Iterator[Row]:
  """EASE from interactions to weights, and its inverse on the device alone."""
  data = inputs.skewed(3 * num_items, num_items)
  model = ease.ease(l2=500.0)
  key = jax.random.key(0)
  name = f'EASE, {num_items:,} items'
  yield _row(name, 'float32', lambda: model.fit(data, key), _spent)
  if jax.default_backend() == 'cpu':
    return  # There the fit inverts by LAPACK.
  made = jnp.eye(num_items) + 1 / num_items
  yield _row(
    f'{name}: inverse alone', 'float32',
    lambda: spd_inverse.spd_inverse_jax(made),
    lambda _: counts.spd_inverse(num_items),
  )  # fmt: skip


def _ranking(num_items: int) -> Iterator[Row]:
  """The 100 best items of 256 users by products of 128 numbers."""
  num_users, dim, k = 256, 128, min(100, num_items)
  user_key, item_key = jax.random.split(jax.random.key(0))
  for precision in PRECISIONS:
    dtype = jnp.dtype(precision)
    users_UxD = jax.random.normal(user_key, (num_users, dim), dtype)
    items_VxD = jax.random.normal(item_key, (num_items, dim), dtype)

    @jax.jit
    def rank(users_UxD, items_VxD):
      scores_UxV = jnp.matmul(
        users_UxD, items_VxD.T, preferred_element_type=jnp.float32
      )
      return jax.lax.top_k(scores_UxV, k)

    yield _row(
      f'{num_users} users, {num_items:,} items', precision,
      functools.partial(rank, users_UxD, items_VxD),
      lambda _: counts.matmul(num_users, num_items, dim),
    )  # fmt: skip


def _generators(small: bool) -> Iterator[Row]:
  """A short training of each generator, and what it generates."""
  data, units = _with_features(small)
  views = lambda part, known=None: [units(part, known)]  # noqa: E731
  width = {'steps': 2, 'members': 1, 'batch_size': 16, 'hidden_dim': 8}
  if not small:
    width = {'steps': 200, 'members': 1, 'batch_size': 512, 'hidden_dim': 512}
  tasks = {'steps': 2, 'base_steps': 2, 'num_tasks': 3} if small else {}
  key = jax.random.key(0)
  models = {
    'hyperease_item_trained': item_generator.item_generator(
      units, views, l2=100.0, **width
    ),
    'hyperease_user': hyperease_user.hyperease_user(units, l2=1000.0, **width),
  }
  for name, model in models.items():
    fit = functools.partial(model.fit, data, key)
    for precision in PRECISIONS:
      yield _row(f'{name}: training', precision, fit, _spent)
  model = catalogue_generator.catalogue_generator(views, **tasks)
  name = 'hyperease_catalogue'
  fitted = {}

  def fit_catalogues():
    fitted['it'] = model.fit(data, key)
    return fitted['it']

  yield _row(f'{name}: training', 'float32', fit_catalogues, _spent)
  method = adapting.generated(model)
  shared = adapting.Shared(fitted['it'].state, data)
  yield _row(
    f'{name}: a catalogue of {data.num_items:,} items', 'float32',
    lambda: method.adapt(shared, data, key), _spent,
  )  # fmt: skip


def _with_features(
  small: bool,
) -> tuple[interactions_lib.Interactions, Callable[..., np.ndarray]]:
  """Interactions, and random features of their items as of a text encoder."""
  users, items, width = (80, 40, 8) if small else (10_000, 5_000, 512)
  data = inputs.skewed(users, items, mean_length=8 if small else 50)
  table_VxF = np.random.default_rng(0).normal(size=(items, width))
  table_VxF /= np.linalg.norm(table_VxF, axis=1, keepdims=True)

  def units(part, known=None):
    del known
    return table_VxF[np.asarray(part.item_ids, int)]

  return data, units


def _beauty(small: bool) -> interactions_lib.Interactions:
  """The data set Beauty, or data of its sizes where its files are missing."""
  if not small:
    with contextlib.suppress(interactions_lib.DataError):
      return sources.load('amazon_2014', domain='Beauty', duplicates='keep')
  users, items = (60, 40) if small else (22_363, 12_101)
  made = inputs.skewed(users, items, mean_length=9)
  times = np.arange(len(made))
  return interactions_lib.from_columns(
    made.users, made.items, timestamp=times, name='data of the size of Beauty'
  )


def _sasrec(small: bool) -> Iterator[Row]:
  """An epoch of SASRec."""
  train = splits.leave_one_out(_beauty(small)).train
  model = sasrec.sasrec(**_BEAUTY, epochs=1)
  for precision in PRECISIONS:
    yield _row(
      f'an epoch, {train.name}', precision,
      lambda: model.fit(train, jax.random.key(0)), _spent,
    )  # fmt: skip


def _sasrec_row(small: bool) -> Iterator[Row]:
  """The whole training of SASRec and its evaluation, without validations."""
  split = splits.leave_one_out(_beauty(small))
  epochs = 1 if small else _BEAUTY_EPOCHS
  model = sasrec.sasrec(**_BEAUTY, epochs=epochs)
  fitted = {}

  def fit():
    fitted['it'] = model.fit(split.train, jax.random.key(0))
    return fitted['it']

  row = _row(f'{epochs} epochs, {split.train.name}', 'float32', fit, _spent)
  found = held_out.evaluate(
    functools.partial(model.score, fitted['it'].state),
    split.test.histories,
    split.test.targets,
    metrics=_METRICS,
  )
  yield {**row, 'metrics': {name: found.mean(name) for name in _METRICS}}


def _p5(small: bool) -> Iterator[Row]:
  """A training step of P5-small: T5-small with random prompts."""
  if small:
    config = p5_training.P5Config(dim=16, head_dim=8, num_layers=1)
    vocab_size, rows, source, answer = 100, 4, 12, 6
  else:
    config = p5_training.P5Config(dim=512, head_dim=64, num_layers=6)
    vocab_size, rows, source, answer = 32_128, 32, 512, 64
  network = config.t5(vocab_size)
  batch = _prompts(vocab_size, rows, source, answer)
  step = p5_training.train_step(network, 0.01)
  tx = optimizers.cosine_adamw(1e-3, 100, 0.01)
  params = jax.jit(t5.init_params, static_argnums=0)(network, jax.random.key(0))
  operations = 3 * t5.forward_flops(network, rows, source, answer)
  operations += 3 * counts.matmul(rows * answer, vocab_size, config.dim)
  for precision in PRECISIONS:
    # The step donates its state.
    state = [
      step_lib.init_state(jax.tree.map(jnp.copy, params), tx, jax.random.key(1))
    ]

    def once(state=state):
      state[0], metrics = step(state[0], batch)
      return metrics

    yield _row(
      f'a step of {rows} prompts of {source} tokens', precision, once,
      lambda _: operations,
    )  # fmt: skip


def _prompts(vocab_size: int, rows: int, source: int, answer: int):
  """A batch of random tokens without padding."""
  random = np.random.default_rng(0)
  draw = lambda *shape: random.integers(  # noqa: E731
    3, vocab_size, shape, dtype=np.int32
  )
  whole = np.tile(np.arange(1, source + 1, dtype=np.int32), (rows, 1))
  return prompts.Batch(
    tokens=draw(rows, source),
    whole=whole,
    mask=np.ones((rows, source), bool),
    inputs=draw(rows, answer),
    targets=draw(rows, answer),
    target_mask=np.ones((rows, answer), bool),
  )
