"""Operations counted from programs, against known totals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.cost import counts

N = 64
A = jnp.ones((N, N))


def test_layers_are_products_of_their_widths():
  assert counts.layers(3, 5, 7, 2) == 2 * 3 * (5 * 7 + 7 * 2)


def test_matmul_is_exact():
  assert counts.program(lambda a: a @ a, A) == counts.matmul(N, N, N)


def test_scans_count_their_body_times_their_length():
  def scanned(a):
    return jax.lax.scan(lambda c, _: (c @ a, None), a, None, length=10)[0]

  def looped(a):
    return jax.lax.fori_loop(0, 10, lambda i, c: c @ a, a)

  exact = 10 * counts.matmul(N, N, N)
  assert counts.program(jax.jit(scanned), A) == exact
  assert counts.program(looped, A) == pytest.approx(exact, rel=1e-4)

  def nested(a):
    return jax.lax.scan(lambda c, _: (scanned(c), None), a, None, length=3)[0]

  assert counts.program(nested, A) == 3 * exact


def test_factorisations_by_their_published_totals():
  big = jnp.ones((512, 512))
  assert counts.program(jnp.linalg.cholesky, big) == pytest.approx(
    counts.cholesky(512), rel=0.05
  )
  # LU 2/3 n^3 and two triangular solves with n right-hand sides.
  assert counts.program(jnp.linalg.inv, big) == pytest.approx(
    2 / 3 * 512**3 + 2 * counts.triangular_solve(512, 512), rel=0.02
  )
  assert counts.spd_inverse(10) == 1000
  assert counts.gram(np.array([2, 3])) == 2 * (4 + 9)


def test_a_gradient_costs_two_more_products():
  x, w = jnp.ones((8, N)), jnp.ones((N, N))
  loss = lambda w, x: jnp.sum((x @ w) ** 2)  # noqa: E731
  forward = counts.matmul(8, N, N)
  one = counts.program(jax.grad(loss), w, x)
  both = counts.program(jax.grad(loss, argnums=(0, 1)), w, x)
  assert one == pytest.approx(2 * forward, rel=0.05)
  assert both == pytest.approx(3 * forward, rel=0.05)


def test_vmap_and_branches():
  rows = jnp.ones((5, N))
  assert counts.program(jax.vmap(lambda x: x @ A), rows) == (
    counts.matmul(5, N, N)
  )
  dearest = counts.program(
    lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a, lambda: a), A
  )
  assert dearest == pytest.approx(counts.matmul(N, N, N), rel=1e-3)


def test_an_open_loop_is_refused():
  with pytest.raises(counts.UncountableError, match='while loop'):
    counts.program(
      lambda a: jax.lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c - 1, a),
      A,
    )


def test_scatters_count_their_updates():
  table, rows, where = jnp.zeros((1000, 8)), jnp.ones((5, 8)), jnp.arange(5)
  add = lambda t, i, r: t.at[i].add(r, mode='drop')  # noqa: E731
  plain = lambda t, i, r: t.at[i].set(r, mode='drop')  # noqa: E731
  index = counts.program(plain, table, where, rows)
  assert counts.program(add, table, where, rows) == index + 40
  assert index < 40


def test_operations_that_shapes_do_not_tell_are_refused():
  with pytest.raises(counts.UncountableError, match='fft'):
    counts.program(jnp.fft.fft, jnp.ones(8))
  with pytest.raises(counts.UncountableError, match='pure_callback'):
    counts.program(lambda a: jax.pure_callback(lambda v: v, a, a), A)
