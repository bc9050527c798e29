"""The correction's algebra: zero diagonal, its parts, what is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import user_correction

V, R = 12, 3
KEY = jax.random.key(0)


def factors(seed=0):
  random = np.random.default_rng(seed)
  left, right = random.standard_normal((2, V, R)).astype(np.float32)
  bias = random.standard_normal(V).astype(np.float32)
  return user_correction.Factors(*map(jnp.asarray, (left, right, bias)))


def rows(*histories):
  x = np.zeros((len(histories), V), np.float32)
  for row, items in zip(x, histories, strict=True):
    row[list(items)] = 1
  return x


def coefficients():
  return user_correction.Coefficients(
    jnp.array([0.5, -2.0, 1.5]),
    jnp.float32(0.3),
    jnp.float32(1.0),
    jnp.float32(0.5),
  )


def weights(base, f, c):
  """B_u itself."""
  change = (f.left * c.factors[None]) @ f.right.T
  return base + change - jnp.diag(jnp.diagonal(change))


def test_scores_are_those_of_weights_with_a_zero_diagonal():
  base = np.random.default_rng(1).standard_normal((V, V)).astype(np.float32)
  np.fill_diagonal(base, 0)
  f, c = factors(), coefficients()
  b_VxV = weights(base, f, c)
  assert (np.diagonal(b_VxV) == 0).all()
  (x,) = rows([0, 4, 7])
  together = np.arange(V, dtype=np.float32)
  expected = x @ b_VxV + c.bias * f.bias + c.together * together
  scores = x @ base + user_correction.correction(f, x, together, c)
  np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_a_faster_way_is_the_same_for_items_that_are_not_in_the_history():
  (x,) = rows([0, 4, 7])
  given = factors(), x, np.arange(V, dtype=np.float32), coefficients()
  whole = user_correction.correction(*given)
  others = user_correction.correction_of_others(*given)
  np.testing.assert_allclose(whole[x == 0], others[x == 0], rtol=1e-5)
  assert (abs(whole - others)[x > 0] > 1e-4).all()


def test_no_item_scores_itself():
  f, c = factors(), coefficients()
  for item in range(V):
    (x,) = rows([item])
    own = user_correction.correction(f, x, np.zeros(V), c)[item]
    own -= c.bias * f.bias[item]
    assert float(own) == pytest.approx(0, abs=1e-5)


def test_a_generator_starts_at_zero_and_makes_r_numbers():
  network = user_correction.Generator(R, z_dim=4, hidden_dim=8)
  (x,) = rows([1, 2])
  told = user_correction.read(factors().left, x)
  theta = network.init(KEY, told, x.sum())
  c = network.apply(theta, told, x.sum())
  assert c.factors.shape == (R,)
  assert c.bias.shape == ()
  assert (np.asarray(c.factors) == 0).all()
  assert float(c.bias) == float(c.together) == 0
  assert float(c.temperature) > 0


def test_reading_forgets_the_order_and_knows_the_size():
  left = factors().left
  one, other, more = rows([1, 2], [2, 1], [1, 2, 3])
  read = user_correction.read
  np.testing.assert_array_equal(read(left, one), read(left, other))
  assert abs(read(left, one) - read(left, more))[-2:].max() > 0.01
  nothing = read(left, np.zeros(V, np.float32))
  assert np.isfinite(nothing).all()
  assert (nothing[:R] == 0).all()
  gradient = jax.grad(lambda a: read(a, jnp.zeros(V)).sum())(left)
  assert np.isfinite(gradient).all()


def test_controls_are_told_less():
  f, x = factors(), rows([0], [5], [0, 5, 6])
  strangers = rows([3], [8, 9]) > 0

  def tell(name, shown=x):
    return np.asarray(user_correction.tell(name, f.left, shown, strangers))

  assert set(user_correction.CONDITIONINGS) == {
    'history', 'size', 'constant', 'shuffled'
  }  # fmt: skip
  assert abs(tell('history')[0] - tell('history')[1]).max() > 0.1
  np.testing.assert_array_equal(tell('size')[0], tell('size')[1])
  assert abs(tell('size')[0] - tell('size')[2]).max() > 0.01
  assert (tell('constant') == 0).all()
  of_strangers = np.asarray(
    user_correction.tell('history', f.left, strangers.astype(np.float32), None)
  )
  # Items 0, 5 and 11 add up to even, odd and odd numbers.
  chosen = of_strangers[[0, 1, 1]]
  np.testing.assert_allclose(tell('shuffled'), chosen, atol=1e-5)
  alone = tell('shuffled', x[1:2])[0]
  np.testing.assert_allclose(alone, tell('shuffled')[1], atol=1e-5)


def test_first_factors_are_repeatable_and_bias_is_popularity():
  random = np.random.default_rng(0)
  x = scipy.sparse.csr_matrix((random.random((30, V)) < 0.3).astype(np.float32))
  first = user_correction.init_factors(x, 4)
  second = user_correction.init_factors(x, 4)
  np.testing.assert_array_equal(first.left, second.left)
  assert first.left.shape == (V, 4)
  order = np.argsort(np.asarray(x.sum(axis=0)).ravel(), kind='stable')
  assert (np.diff(np.asarray(first.bias)[order]) >= 0).all()
  assert float(first.bias.mean()) == pytest.approx(0, abs=1e-5)
  assert user_correction.init_factors(x, 100).left.shape == (V, V - 1)
