"""Implicit ALS against dense solves, and against its own objective."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.factors import ials, least_squares, row_blocks
from tests import makers

KEY = jax.random.key(0)
TRIAL = {'dim': 5, 'l2': 0.02, 'unobserved': 0.2, 'exponent': 0.7}


def blocks(x, dim=4):
  return row_blocks.of(row_blocks.Csr(x), dim)


def dense_rows(x, columns, alpha, ridge, mean):
  """Row by row, as the objective's normal equations say."""
  found = []
  for row, r, m in zip(x, ridge, mean, strict=True):
    weight = row + alpha
    left = (columns * weight[:, None]).T @ columns + r * np.eye(len(m))
    found.append(np.linalg.solve(left, columns.T @ row + r * m))
  return np.array(found)


def objective(x, users, items, *, l2, unobserved, exponent, **unused):
  errors = x * (1 - users @ items.T) ** 2 + unobserved * (users @ items.T) ** 2
  of_users = (x.sum(1) + unobserved * x.shape[1]) ** exponent
  of_items = (x.sum(0) + unobserved * x.shape[0]) ** exponent
  penalty = of_users @ (users**2).sum(1) + of_items @ (items**2).sum(1)
  return errors.sum() + l2 * penalty


@pytest.mark.parametrize('numbers', [2**18, 40])
def test_rows_of_all_lengths_are_solved_exactly(monkeypatch, numbers):
  """Rows of 0 to 50 entries, in one block or in many."""
  monkeypatch.setattr(row_blocks, '_NUMBERS', numbers)
  random = np.random.default_rng(0)
  x = np.arange(50)[None] < np.arange(0, 51, 3)[:, None]
  x = random.permuted(x, axis=1).astype(np.float32)
  columns = random.normal(size=(50, 4)).astype(np.float32)
  ridge, mean = random.uniform(1, 2, len(x)), random.normal(size=(len(x), 4))
  found = least_squares.solve_rows(
    blocks(x),
    columns,
    least_squares.gram(columns, 0.3),
    ridge,
    mean,
  )
  expected = dense_rows(x, columns.astype(float), 0.3, ridge, mean)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('is_pulled', [False, True])
@pytest.mark.parametrize('are_alike', [False, True])
@pytest.mark.parametrize('turn_all', [False, True])
def test_both_solvers_agree_for_short_and_long_rows(
  is_pulled, are_alike, turn_all
):
  """Rows of 0 to 50 entries; shorter and longer than the factors."""
  random = np.random.default_rng(1)
  x = np.arange(50)[None] < np.arange(0, 51, 3)[:, None]
  x = random.permuted(x, axis=1).astype(np.float32)
  columns = random.normal(size=(50, 20)).astype(np.float32)
  ridge = np.ones(len(x)) if are_alike else random.uniform(1, 2, len(x))
  mean = random.normal(size=(len(x), 20)) if is_pulled else None
  rows = blocks(x, 20), columns, least_squares.gram(columns, 0.3), ridge
  expected = dense_rows(
    x, columns.astype(float), 0.3, ridge, mean if is_pulled else 0 * x[:, :20]
  )
  exact = least_squares.solve_rows(*rows, mean, turn_all=turn_all)
  np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-5)
  start = random.normal(size=exact.shape)
  errors = []
  for steps in (1, 3, 20):
    found = least_squares.step_rows(*rows, start, steps=steps, mean=mean)
    errors.append(np.abs(found - expected).max())
  assert errors[1] < 0.5 * errors[0]
  assert errors[2] < 1e-4


def test_steps_from_the_solution_stay_there():
  random = np.random.default_rng(0)
  x = blocks((random.random((30, 40)) < 0.2).astype(np.float32), 8)
  columns = random.normal(size=(40, 8)).astype(np.float32)
  rows = x, columns, least_squares.gram(columns, 0.3), np.ones(30)
  exact = least_squares.solve_rows(*rows)
  found = least_squares.step_rows(*rows, exact, steps=5)
  np.testing.assert_allclose(found, exact, atol=1e-5)


@pytest.mark.parametrize('cg_steps', [0, 1, 3])
def test_each_turn_lowers_the_objective(cg_steps):
  data = makers.make_data()
  config = ials.IalsConfig(**TRIAL, cg_steps=cg_steps)
  x, items = data.csr(), ials.first_items(config, KEY, data)
  by_user, by_item = blocks(x), blocks(x.T)
  users, values = np.zeros((data.num_users, 5), np.float32), []
  for _ in range(4):
    users, _ = ials.half_sweep(config, by_user, items, users)
    values.append(objective(x.toarray(), users, items, **TRIAL))
    items, _ = ials.half_sweep(config, by_item, users, items)
    values.append(objective(x.toarray(), users, items, **TRIAL))
  assert np.all(np.diff(values) < 1e-3)
  assert values[-1] < values[0] - 1


def test_a_new_user_is_folded_in_by_the_exact_solve():
  data = makers.make_data()
  model = ials.ials(**TRIAL)
  source, new = data.take_users(range(35)), data.take_users(range(35, 40))
  method = adapting.updated(model)
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared.state, new, KEY)
  histories = method_lib.Histories.of(new.by_user_and_time(), np.arange(5))
  items = shared.state.state.items.astype(float)
  x = new.csr().toarray()
  ridge = 0.02 * (x.sum(1) + 0.2 * x.shape[1]) ** 0.7
  users = dense_rows(x, items, 0.2, ridge, np.zeros((5, 5)))
  np.testing.assert_allclose(
    method.score(adapted.state, histories), users @ items.T, rtol=1e-3,
    atol=1e-4,
  )  # fmt: skip
  assert adapted.cost.operations == 0
  lengths = new.user_counts()
  assert adapted.cost.per_user * 5 == pytest.approx(
    least_squares.flops(lengths, 5)
  )


@pytest.mark.parametrize('cg_steps', [0, 3])
def test_it_finds_the_kinds_of_items_that_users_like(cg_steps):
  random = np.random.default_rng(0)
  likes = np.arange(120)[:, None] % 4 == np.arange(60)[None] % 4
  taken = random.random(likes.shape) < 0.02 + 0.4 * likes
  data = interactions.Interactions(*np.nonzero(taken), 120, 60)
  model = ials.ials(dim=8, epochs=8, cg_steps=cg_steps)
  state = model.fit(data, KEY).state
  scores = model.score(state, method_lib.Histories.of(data, np.arange(120)))
  assert scores[likes & ~taken].mean() > 0.5
  assert abs(scores[~likes & ~taken].mean()) < 0.1


def test_fine_tuning_goes_on_from_the_items_and_costs_less():
  data = makers.make_data()
  model = ials.ials(epochs=8, finetune_epochs=2, **TRIAL)
  first = model.fit(data, KEY)
  more = model.fit(data, KEY, first.state)
  longer = ials.ials(epochs=10, **TRIAL).fit(data, KEY)
  np.testing.assert_allclose(more.state.items, longer.state.items, atol=1e-5)
  assert more.cost.operations == pytest.approx(first.cost.operations / 4)


def test_an_empty_history_is_refused():
  data = makers.make_data()
  method = adapting.updated(ials.ials(**TRIAL))
  shared = method.prepare(data.take_users(range(30)), KEY)
  silent = data.rows([]).take_users(range(30, 40))
  with pytest.raises(method_lib.CannotServe, match='empty histories'):
    method.adapt(shared.state, silent, KEY)


def test_a_fit_compiles_no_solve():
  data = makers.make_data()
  before = least_squares.solve_padded._cache_size()
  ials.ials(**TRIAL).fit(data, KEY)
  assert least_squares.solve_padded._cache_size() == before


def test_the_factor_of_a_row_that_is_folded_in_does_not_depend_on_others():
  random = np.random.default_rng(0)
  x = row_blocks.Csr((random.random((60, 400)) < 0.3).astype(np.float32))
  columns = random.normal(size=(400, 8)).astype(np.float32)
  gram, ridge = least_squares.gram(columns, 0.3), random.uniform(1, 2, 60)
  together = least_squares.solve_rows(
    blocks(x), columns, gram, ridge, turn_all=False
  )
  alone = [
    least_squares.solve_rows(
      blocks(x[u]), columns, gram, ridge[u : u + 1], turn_all=False
    )[0]
    for u in range(60)
  ]
  np.testing.assert_array_equal(together, alone)


def test_a_matrix_that_is_not_positive_definite_is_told():
  with pytest.raises(np.linalg.LinAlgError, match='row 0 has no factor'):
    least_squares.solve_rows(
      blocks(np.ones((3, 5), np.float32)),
      np.zeros((5, 4), np.float32),
      -np.eye(4),
      np.full(3, 0.5),
    )


def test_conjugate_gradients_cost_less_and_rank_alike():
  """Three steps of each turn find the factors of exact turns, nearly."""
  data = makers.make_data()
  exact = ials.ials(**TRIAL).fit(data, KEY)
  stepped = ials.ials(**TRIAL, cg_steps=3).fit(data, KEY)
  histories = method_lib.Histories.of(data, np.arange(data.num_users))
  expected = ials.score(ials.IalsConfig(**TRIAL), exact.state, histories)
  scores = ials.score(ials.IalsConfig(**TRIAL), stepped.state, histories)
  assert np.abs(scores - expected).max() < 0.05 * np.abs(expected).max()


def test_operations_are_those_of_the_smaller_system():
  short, long = np.array([3]), np.array([300])
  assert least_squares.flops(short, 64) < 2 * 64 * 64 * 64
  assert least_squares.flops(long, 64) > 2 * 300 * 64 * 64
  lengths = np.full(100, 50)
  exact = least_squares.flops(lengths, 64, 1000)
  steps = [least_squares.step_flops(lengths, 64, 1000, n) for n in (3, 6)]
  assert steps[0] < steps[1] < exact
