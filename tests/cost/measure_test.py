"""Measurements of what is known: seconds, memory, stored bytes."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from hyperrec.cost import measure


def test_measure_is_the_median_of_warm_calls():
  calls = []

  def fn():
    calls.append(1)
    time.sleep(0.3 if len(calls) == 1 else 0.01)

  timing = measure.timing(fn, repeats=5)
  assert timing.repeats == 5
  assert len(calls) == 6
  assert 0.009 < timing.median_seconds < 0.1
  assert timing.compile_seconds > 0.2


def test_a_slow_function_is_timed_once():
  timing = measure.timing(lambda: time.sleep(0.1), repeats=50, max_seconds=0.05)
  assert timing.repeats == 1
  assert timing.median_seconds > 0.09


def test_compiling_is_not_taken_for_running():
  @jax.jit
  def slow_to_compile(x):
    for i in range(60):
      x = jnp.sort(jnp.sin(x @ x), axis=0) * i
    return x

  x = jnp.ones((4, 4))
  start = time.perf_counter()
  timing = measure.timing(lambda: slow_to_compile(x), max_seconds=5.0)
  assert time.perf_counter() - start > 0.1
  assert timing.repeats == 20
  assert timing.median_seconds < 0.05
  assert timing.compile_seconds > 0.1


def test_of_a_slow_function_compiling_is_told_apart():
  @jax.jit
  def compiled(x):
    for i in range(60):
      x = jnp.sort(jnp.sin(x @ x), axis=0) * i
    return x

  def fn():
    time.sleep(0.2)
    return compiled(jnp.ones((5, 5)))

  start = time.perf_counter()
  timing = measure.call(fn, max_seconds=0.1).timing
  total = time.perf_counter() - start
  assert timing.repeats == 1
  assert 0.2 < timing.median_seconds < total - timing.compile_seconds + 1e-3
  assert timing.compile_seconds > 0.1


@pytest.mark.parametrize('max_seconds', [0.0, 5.0])
def test_a_program_that_was_kept_counts_as_compiled(max_seconds):
  def fn():
    jax.monitoring.record_event_duration_secs(
      '/jax/compilation_cache/compile_time_saved_sec', 30.0
    )

  timing = measure.timing(fn, repeats=2, max_seconds=max_seconds)
  assert 30 <= timing.compile_seconds < 31
  assert timing.median_seconds < 1


def test_a_raising_function_leaves_no_listener_behind():
  def fail():
    raise RuntimeError('of the function')

  with pytest.raises(RuntimeError, match='of the function'):
    measure.call(fail)
  # It would be refused, had the first one not been taken off.
  assert measure.call(lambda: None, repeats=1).timing.repeats == 1


def test_peak_memory_sees_what_was_held_and_freed():
  def fn():
    held = np.ones(25_000_000)
    return float(held.sum())

  value, peak = measure.peak_bytes(fn)
  assert value == 25_000_000
  assert 180e6 < peak < 400e6


def test_without_a_reset_an_earlier_peak_is_not_taken_for_this_one(monkeypatch):
  def refuse(*unused):
    raise OSError('read-only')

  monkeypatch.setattr('pathlib.Path.write_text', refuse)
  np.ones(30_000_000).sum()
  _, peak = measure.peak_bytes(lambda: float(np.ones(10_000_000).sum()))
  assert peak < 40e6


def test_stored_bytes_leave_out_what_is_shared():
  shared = {'a': np.zeros(10), 'b': jnp.zeros(5)}
  matrix = scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32))
  adapted = {'a': shared['a'], 'b': np.zeros(4, np.float32), 'c': matrix}
  expected = 16 + matrix.data.nbytes + matrix.indices.nbytes
  assert (
    measure.stored_bytes(adapted, shared) == expected + matrix.indptr.nbytes
  )
  assert measure.stored_bytes(shared, shared) == 0


def test_break_even():
  assert measure.break_even(100.0, 3.0, 1.0) == 50
  assert measure.break_even(100.0, 1.0, 1.0) is None
  assert measure.break_even(100.0, 1.0, 2.0) is None
