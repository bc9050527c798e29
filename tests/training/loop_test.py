"""Tests of hyperrec.training.loop."""

import io
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hyperrec.training import loop, run_log
from hyperrec.training import step as step_lib

TX = optax.adam(0.05)


def _loss(params, batch, key, step):
  del step
  kept = jax.random.bernoulli(key, 0.7, batch.shape)
  return jnp.mean(((params['w'][None, :] - batch) * kept) ** 2), {}


STEP = step_lib.make_train_step(_loss, TX)
DATA = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)


def _state():
  params = {'w': jnp.zeros(4)}
  return step_lib.init_state(params, TX, jax.random.key(3))


def _batch_at(step):
  return DATA[loop.batch_rows(step, 4, 10, seed=5)]


def _nan_after(step):
  return lambda s: _batch_at(s) * (np.nan if s >= step else 1)


def _evaluate(params):
  return {'score': -float(jnp.abs(params['w'] - 0.1).sum()), 'other': 1.0}


def _assert_same(a, b):
  unwrap = lambda x: (  # noqa: E731
    jax.random.key_data(x)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    else x
  )
  jax.tree.map(
    lambda x, y: np.testing.assert_array_equal(unwrap(x), unwrap(y)), a, b
  )
  chex.assert_trees_all_equal_structs(a, b)


def test_batches_cover_every_epoch_without_a_gap():
  rows = np.concatenate([loop.batch_rows(s, 4, 10, seed=1) for s in range(5)])
  assert len(rows) == 20
  np.testing.assert_array_equal(np.sort(rows[:10]), np.arange(10))
  np.testing.assert_array_equal(np.sort(rows[10:]), np.arange(10))
  assert not np.array_equal(rows[:10], rows[10:])


def test_a_batch_may_span_many_epochs():
  rows = loop.batch_rows(3, 7, 2, seed=1)
  assert rows.shape == (7,)
  assert set(rows) == {0, 1}


def test_training_in_memory_reduces_the_loss():
  result = loop.train(STEP, _state(), _batch_at, 200)
  assert result.best is None
  np.testing.assert_allclose(result.state.params['w'], DATA.mean(0), atol=0.15)


def test_the_initial_state_survives():
  state = _state()
  loop.train(STEP, state, _batch_at, 2)
  assert float(state.params['w'].sum()) == 0.0


def test_resume_is_bitwise(tmp_path):
  def run(num_steps, folder):
    run = loop.Run(_evaluate, 'score', 1, workdir=folder, log_every=1)
    return loop.train(STEP, _state(), _batch_at, num_steps, run)

  whole = run(4, tmp_path / 'whole')
  run(2, tmp_path / 'parts')
  resumed = run(4, tmp_path / 'parts')
  _assert_same(whole, resumed)
  logs = [
    (tmp_path / name / 'metrics.jsonl').read_text()
    for name in ('whole', 'parts')
  ]
  assert logs[0] == logs[1]
  assert int(resumed.state.step) == 4


def test_a_finished_run_is_only_read(tmp_path):
  run = loop.Run(workdir=tmp_path)
  first = loop.train(STEP, _state(), _batch_at, 3, run)

  def no_batch(step):
    raise AssertionError(step)

  again = loop.train(STEP, _state(), no_batch, 3, run)
  _assert_same(first, again)


def test_a_corrupt_newest_checkpoint_falls_back(tmp_path, caplog):
  run = loop.Run(workdir=tmp_path, checkpoint_every=2)
  whole = loop.train(STEP, _state(), _batch_at, 6, run)
  newest = tmp_path / 'checkpoints' / '6'
  for path in newest.rglob('*'):
    if path.is_file():
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  resumed = loop.train(STEP, _state(), _batch_at, 6, run)
  _assert_same(whole, resumed)
  assert 'checkpoint 6' in caplog.text
  assert 'step 4' in caplog.text


def test_a_checkpoint_of_another_model_is_refused_and_kept(tmp_path):
  run = loop.Run(workdir=tmp_path)
  loop.train(STEP, _state(), _batch_at, 2, run)
  other = step_lib.init_state({'w': jnp.zeros(7)}, TX, jax.random.key(3))
  with pytest.raises(
    RuntimeError, match=r'float32\[4\] in the checkpoint.*empty workdir'
  ):
    loop.train(STEP, other, _batch_at, 2, run)
  assert (tmp_path / 'checkpoints' / '2').exists()


def test_the_best_parameters_are_kept():
  seen = []

  def evaluate(params):
    seen.append(np.array(params['w']))
    return {'ndcg': [0.1, 0.5, 0.3][len(seen) - 1]}

  run = loop.Run(evaluate, 'ndcg', evaluate_every=2)
  result = loop.train(STEP, _state(), _batch_at, 6, run)
  assert len(seen) == 3
  assert int(result.best.step) == 4
  assert float(result.best.value) == np.float32(0.5)
  np.testing.assert_array_equal(result.best.params['w'], seen[1])


def test_an_unknown_best_metric_is_named():
  run = loop.Run(_evaluate, 'mrr')
  with pytest.raises(ValueError, match=r"'mrr'.*\['other', 'score'\]"):
    loop.train(STEP, _state(), _batch_at, 1, run)


def test_nan_stops_with_the_step_and_keeps_the_last_checkpoint(tmp_path):
  run = loop.Run(workdir=tmp_path, checkpoint_every=2)
  with pytest.raises(loop.TrainingDiverged, match='checkpoint is step 4') as e:
    loop.train(STEP, _state(), _nan_after(4), 8, run)
  assert e.value.step == 5
  good = loop.train(STEP, _state(), _batch_at, 4, run)
  assert int(good.state.step) == 4
  assert np.isfinite(good.state.params['w']).all()


def test_a_nan_parameter_is_never_saved(tmp_path):
  def loss(params, batch, key, step):
    del key, step
    return jnp.sqrt(jnp.sum(params['w'] * 0)) + 0 * batch.sum(), {}

  step = step_lib.make_train_step(loss, TX)
  with pytest.raises(loop.TrainingDiverged, match='no checkpoint'):
    loop.train(step, _state(), _batch_at, 1, loop.Run(workdir=tmp_path))


def test_records_and_writers(tmp_path):
  seen = []
  run = loop.Run(
    _evaluate,
    'other',
    evaluate_every=4,
    workdir=tmp_path,
    log_every=2,
    writers=[lambda step, values: seen.append((step, sorted(values)))],
  )
  loop.train(STEP, _state(), _batch_at, 5, run)
  train, valid = ['loss'], ['other', 'score']
  assert seen == [(2, train), (4, train), (4, valid), (5, train), (5, valid)]
  records = run_log.read_metrics(tmp_path / 'metrics.jsonl')
  assert [record['step'] for record in records] == [2, 4, 4, 5, 5]


def test_one_trace_over_a_whole_run():
  chex.clear_trace_counter()
  step = step_lib.make_train_step(chex.assert_max_traces(_loss, n=1), TX)
  loop.train(step, _state(), _batch_at, 20)


def test_the_bar_shows_on_terminals_only(monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  run = loop.Run(description='my model')
  for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
    monkeypatch.setattr(sys, 'stderr', stream)
    loop.train(STEP, _state(), _batch_at, 3, run)
    assert ('my model' in stream.getvalue()) == shown
