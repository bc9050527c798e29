"""Known operation counts, and the measurement of what is known."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from hyperrec.evaluation import cost, flops

N = 64
A = jnp.ones((N, N))


def test_matmul_is_exact():
  assert flops.jaxpr_flops(lambda a: a @ a, A) == flops.matmul_flops(N, N, N)


def test_scans_count_their_body_times_their_length():
  def scanned(a):
    return jax.lax.scan(lambda c, _: (c @ a, None), a, None, length=10)[0]

  def looped(a):
    return jax.lax.fori_loop(0, 10, lambda i, c: c @ a, a)

  exact = 10 * flops.matmul_flops(N, N, N)
  assert flops.jaxpr_flops(jax.jit(scanned), A) == exact
  assert flops.jaxpr_flops(looped, A) == pytest.approx(exact, rel=1e-4)

  def nested(a):
    return jax.lax.scan(lambda c, _: (scanned(c), None), a, None, length=3)[0]

  assert flops.jaxpr_flops(nested, A) == 3 * exact


def test_factorisations_by_their_published_totals():
  big = jnp.ones((512, 512))
  assert flops.jaxpr_flops(jnp.linalg.cholesky, big) == pytest.approx(
    flops.cholesky_flops(512), rel=0.05
  )
  # LU 2/3 n^3 and two triangular solves with n right-hand sides.
  assert flops.jaxpr_flops(jnp.linalg.inv, big) == pytest.approx(
    2 / 3 * 512**3 + 2 * flops.triangular_solve_flops(512, 512), rel=0.02
  )
  assert flops.cholesky_inverse_flops(10) == 1000
  assert flops.gram_flops(np.array([2, 3])) == 2 * (4 + 9)


def test_a_gradient_costs_two_more_products():
  x, w = jnp.ones((8, N)), jnp.ones((N, N))
  loss = lambda w, x: jnp.sum((x @ w) ** 2)  # noqa: E731
  forward = flops.matmul_flops(8, N, N)
  one = flops.jaxpr_flops(jax.grad(loss), w, x)
  both = flops.jaxpr_flops(jax.grad(loss, argnums=(0, 1)), w, x)
  assert one == pytest.approx(2 * forward, rel=0.05)
  assert both == pytest.approx(3 * forward, rel=0.05)


def test_vmap_and_branches():
  rows = jnp.ones((5, N))
  assert flops.jaxpr_flops(jax.vmap(lambda x: x @ A), rows) == (
    flops.matmul_flops(5, N, N)
  )
  dearest = flops.jaxpr_flops(
    lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a, lambda: a), A
  )
  assert dearest == pytest.approx(flops.matmul_flops(N, N, N), rel=1e-3)


def test_an_open_loop_is_refused():
  with pytest.raises(flops.UncountableError, match='while loop'):
    flops.jaxpr_flops(
      lambda a: jax.lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c - 1, a),
      A,
    )


def test_scatters_count_their_updates():
  table, rows, where = jnp.zeros((1000, 8)), jnp.ones((5, 8)), jnp.arange(5)
  add = lambda t, i, r: t.at[i].add(r, mode='drop')  # noqa: E731
  plain = lambda t, i, r: t.at[i].set(r, mode='drop')  # noqa: E731
  index = flops.jaxpr_flops(plain, table, where, rows)
  assert flops.jaxpr_flops(add, table, where, rows) == index + 40
  assert index < 40


def test_operations_that_shapes_do_not_tell_are_refused():
  with pytest.raises(flops.UncountableError, match='fft'):
    flops.jaxpr_flops(jnp.fft.fft, jnp.ones(8))
  with pytest.raises(flops.UncountableError, match='pure_callback'):
    flops.jaxpr_flops(lambda a: jax.pure_callback(lambda v: v, a, a), A)


def test_measure_is_the_median_of_warm_calls():
  calls = []

  def fn():
    calls.append(1)
    time.sleep(0.3 if len(calls) == 1 else 0.01)

  timing = cost.measure(fn, repeats=5).timing
  assert timing.repeats == 5
  assert len(calls) == 6
  assert 0.009 < timing.median_seconds < 0.1
  assert timing.compile_seconds > 0.2


def test_a_slow_function_is_timed_once():
  timing = cost.measure(
    lambda: time.sleep(0.1), repeats=50, max_seconds=0.05
  ).timing
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
  timing = cost.measure(lambda: slow_to_compile(x), max_seconds=5.0).timing
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
  timing = cost.measure(fn, max_seconds=0.1).timing
  total = time.perf_counter() - start
  assert timing.repeats == 1
  assert 0.2 < timing.median_seconds < total - timing.compile_seconds + 1e-3
  assert timing.compile_seconds > 0.1


def test_a_raising_function_leaves_no_listener_behind():
  def fail():
    raise RuntimeError('of the function')

  with pytest.raises(RuntimeError, match='of the function'):
    cost.measure(fail)
  # It would be refused, had the first one not been taken off.
  assert cost.measure(lambda: None, repeats=1).timing.repeats == 1


def test_peak_memory_sees_what_was_held_and_freed():
  def fn():
    held = np.ones(25_000_000)
    return float(held.sum())

  value, peak = cost.peak_bytes(fn)
  assert value == 25_000_000
  assert 180e6 < peak < 400e6


def test_without_a_reset_an_earlier_peak_is_not_taken_for_this_one(monkeypatch):
  def refuse(*unused):
    raise OSError('read-only')

  monkeypatch.setattr('pathlib.Path.write_text', refuse)
  np.ones(30_000_000).sum()
  _, peak = cost.peak_bytes(lambda: float(np.ones(10_000_000).sum()))
  assert peak < 40e6


def test_stored_bytes_leave_out_what_is_shared():
  shared = {'a': np.zeros(10), 'b': jnp.zeros(5)}
  matrix = scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32))
  adapted = {'a': shared['a'], 'b': np.zeros(4, np.float32), 'c': matrix}
  expected = 16 + matrix.data.nbytes + matrix.indices.nbytes
  assert cost.stored_bytes(adapted, shared) == expected + matrix.indptr.nbytes
  assert cost.stored_bytes(shared, shared) == 0


def test_break_even():
  assert cost.break_even(100.0, 3.0, 1.0) == 50
  assert cost.break_even(100.0, 1.0, 1.0) is None
  assert cost.break_even(100.0, 1.0, 2.0) is None
