"""The differentiable solve: its values, its derivatives, its limits."""

import faulthandler
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from jax import test_util

from hyperrec.systems.hyperease import prior_solve
from hyperrec.systems.linear import linear_autoencoder


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
  with jax.enable_x64(request.param is np.float64):
    yield request.param


def make(num_users, num_items, rank=3, dtype=np.float64, seed=0):
  random = np.random.default_rng(seed)
  x = (random.random((num_users, num_items)) < 0.3).astype(dtype)
  prior = prior_solve.Prior(
    random.normal(size=(num_items, rank)).astype(dtype) / 5,
    random.normal(size=(rank, num_items)).astype(dtype) / 5,
  )
  ridge = random.uniform(1, 5, num_items).astype(dtype)
  histories = (random.random((4, num_items)) < 0.4).astype(dtype)
  return x, ridge, prior, histories


def expected_scores(x, ridge, prior, histories):
  weights = linear_autoencoder.solve_primal(
    scipy.sparse.csr_matrix(x, dtype=np.float64),
    ridge.astype(np.float64),
    linear_autoencoder.Prior(*prior),
    np.float64,
  )
  return histories @ weights


@pytest.mark.parametrize('num_users', [0, 1, 4, 30])
def test_equals_the_closed_form(num_users, dtype):
  case = make(num_users, 12, dtype=dtype)
  tolerance = 1e-5 if dtype is np.float32 else 1e-10
  np.testing.assert_allclose(
    jax.jit(prior_solve.scores)(*case),
    expected_scores(*case),
    rtol=tolerance,
    atol=tolerance,
  )


def test_equals_a_numerical_optimiser():
  x, ridge, prior, histories = make(6, 5)
  off = ~np.eye(5, dtype=bool)
  mean = prior.left @ prior.right

  def objective(free):
    b = np.zeros((5, 5))
    b[off] = free
    fit, move = x @ b - x, (b - mean) * off
    gradient = 2 * (x.T @ fit + ridge[:, None] * move)
    value = np.sum(fit**2) + np.sum(ridge[:, None] * move**2)
    return value, gradient[off]

  found = scipy.optimize.minimize(
    objective, np.zeros(20), jac=True, method='BFGS', options={'gtol': 1e-9}
  )
  b = np.zeros((5, 5))
  b[off] = found.x
  with jax.enable_x64(True):
    got = prior_solve.scores(x, ridge, prior, histories)
  np.testing.assert_allclose(got, histories @ b, atol=1e-6)


def test_without_a_prior_is_ease(dtype):
  x, _, prior, histories = make(5, 14, dtype=dtype)
  nothing = prior_solve.Prior(prior.left * 0, prior.right)
  ease = linear_autoencoder.solve_primal(
    scipy.sparse.csr_matrix(x, dtype=np.float64), np.full(14, 3.0),
    dtype=np.float64,
  )  # fmt: skip
  got = prior_solve.scores(x, np.full(14, 3.0, dtype), nothing, histories)
  tolerance = 1e-5 if dtype is np.float32 else 1e-10
  np.testing.assert_allclose(got, histories @ ease, atol=tolerance)


@pytest.mark.parametrize('num_users', [3, 30])
def test_derivatives_equal_finite_differences(num_users):
  with jax.enable_x64(True):
    x, ridge, prior, histories = make(num_users, 9)
    goal = np.random.default_rng(2).normal(size=(4, 9))

    def loss(ridge, prior, histories):
      return jnp.sum(
        (prior_solve.scores(x, ridge, prior, histories) - goal) ** 2
      )

    arguments = ridge, prior, jnp.asarray(histories)
    test_util.check_grads(loss, arguments, order=1, modes=['rev'])


def test_derivatives_equal_those_through_the_factorisation():
  with jax.enable_x64(True):
    x, ridge, prior, histories = make(3, 9)

    def plain(ridge, prior):
      p = jnp.linalg.inv(x.T @ x + jnp.diag(ridge))
      a = p @ (ridge[:, None] * prior.left) @ prior.right
      scale = (1 + jnp.diagonal(a)) / jnp.diagonal(p)
      b = a - p * scale[None]
      return jnp.sum(jnp.sin(histories @ (b - jnp.diag(jnp.diagonal(b)))))

    def ours(ridge, prior):
      return jnp.sum(jnp.sin(prior_solve.scores(x, ridge, prior, histories)))

    for got, expected in zip(
      jax.tree.leaves(jax.grad(ours, (0, 1))(ridge, prior)),
      jax.tree.leaves(jax.grad(plain, (0, 1))(ridge, prior)),
      strict=True,
    ):
      np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('num_users', [3, 40])
def test_what_is_kept_for_derivatives_is_one_square_at_most(num_users):
  """P alone where it is made (primal); by the dual way nothing as large."""
  num_items = 40
  x, ridge, prior, histories = make(num_users, num_items, dtype=np.float32)

  def run(ridge, prior, histories):
    return prior_solve.scores(x, ridge, prior, histories)

  _, backward = jax.vjp(run, ridge, prior, histories)
  kept = [np.shape(leaf) for leaf in jax.tree.leaves(backward)]
  squares = [shape for shape in kept if np.prod(shape) >= num_items**2]
  is_dual = 2 * num_users < num_items
  # The evidence itself, a constant, may be among them.
  assert squares.count((num_items, num_items)) <= (0 if is_dual else 2)
  assert len(squares) <= (0 if is_dual else 2)


def test_a_catalogue_of_one_item_has_no_weights():
  x, ridge, prior, _ = make(3, 1)
  history = np.ones((2, 1))
  with jax.enable_x64(True):
    got = prior_solve.scores(x, ridge, prior, history)
  np.testing.assert_allclose(got, np.zeros((2, 1)), atol=1e-12)


def test_padding_changes_nothing():
  x, ridge, prior, histories = make(4, 12, dtype=np.float32)
  expected = prior_solve.scores(x, ridge, prior, histories)
  padded = prior_solve.scores(
    np.pad(x, ((0, 1), (0, 3))),
    np.pad(ridge, (0, 3), constant_values=1),
    prior_solve.Prior(
      np.pad(prior.left, ((0, 3), (0, 0))),
      np.pad(prior.right, ((0, 0), (0, 3))),
    ),
    np.pad(histories, ((0, 0), (0, 3))),
  )
  np.testing.assert_allclose(padded[:, :12], expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(padded[:, 12:], 0, atol=1e-6)


@pytest.fixture
def ends_in_time():
  """A hang inside of XLA ends the process: no Python code would run there."""
  faulthandler.dump_traceback_later(120, exit=True)
  yield
  faulthandler.cancel_dump_traceback_later()


# JAX 0.10.2 runs a *batched* LAPACK call (what vmap makes of a Cholesky factor
# or a triangular solve) in pieces on XLA's thread pool, and the thread that
# called waits for them. Two such calls that do not depend on each other take
# both threads of two cores: each waits, none is left to do the pieces, and the
# program hangs at 0% CPU (seen in the stacks of all threads). At n = 384 two
# independent calls hung in each of two tries; one call, a batch of one, and
# `lax.map` over tasks ended. So tasks go in turn.
def test_a_step_of_several_tasks_ends(ends_in_time):
  num_items, num_users = 384, 64
  cases = [make(num_users, num_items, 8, np.float32, seed=s) for s in range(4)]
  x, ridge, prior, histories = jax.tree.map(lambda *a: np.stack(a), *cases)
  features = np.random.default_rng(0).normal(size=(4, num_items, 96))
  tasks = x, ridge, prior, histories, features.astype(np.float32)

  def loss(strength, task):
    x, ridge, prior, histories, features = task
    inner = features.T @ features + strength[0] * jnp.eye(96)
    lower = jnp.linalg.cholesky(inner)
    w = jax.scipy.linalg.solve_triangular(lower, features.T, lower=True)
    shrink = 1 / (1 - jnp.einsum('fv,fv->v', w, w))
    both = prior_solve.Prior(
      jnp.concatenate([prior.left, w.T], 1),
      jnp.concatenate([prior.right, strength[1] * w * shrink[None]]),
    )
    scores = prior_solve.scores(x, ridge * strength[2], both, histories)
    return -jnp.mean(jax.nn.log_softmax(scores) * histories)

  @jax.jit
  def step(strength):
    def total(s):
      return jax.lax.map(functools.partial(loss, s), tasks).mean()

    return strength - jax.grad(total)(strength)

  strength = jnp.ones(3)
  for _ in range(3):
    strength = step(strength)
  assert np.isfinite(jax.block_until_ready(strength)).all()
