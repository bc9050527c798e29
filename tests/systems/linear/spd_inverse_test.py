"""Tests of the in-place inverse: LAPACK and blocks against NumPy."""

import numpy as np
import pytest

from hyperrec.systems.linear import spd_inverse as lib


def make(n, dtype, seed=0):
  x = np.random.default_rng(seed).normal(size=(2 * n + 1, n))
  return (x.T @ x + np.eye(n)).astype(dtype)


def ill_conditioned(n, condition):
  rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))
  a = (rotation * np.geomspace(1, 1 / condition, n)) @ rotation.T
  return ((a + a.T) / 2).astype(np.float32)


@pytest.mark.parametrize('n', [1, 5, 64, 150, 331])
@pytest.mark.parametrize('block', [None, 7, 64, 512])
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize(
  ('dtype', 'tolerance'), [(np.float64, 1e-10), (np.float32, 1e-3)]
)
def test_equals_numpy_in_place(n, block, order, dtype, tolerance):
  a = np.array(make(n, dtype), order=order)
  address = a.ctypes.data
  expected = np.linalg.inv(make(n, np.float64))
  inverse = lib.spd_inverse(a, block=block)
  assert inverse is a
  assert inverse.ctypes.data == address
  np.testing.assert_array_equal(inverse, inverse.T)
  scale = np.abs(expected).max()
  assert np.abs(inverse - expected).max() < tolerance * scale


@pytest.mark.parametrize('block', [None, 16])
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('rubbish', [7.0, np.nan, np.inf, -1e308])
def test_only_the_lower_triangle_is_read(block, order, rubbish):
  a = make(40, np.float64)
  expected = np.linalg.inv(a)
  a[np.triu_indices(40, 1)] = rubbish
  inverse = lib.spd_inverse(np.array(a, order=order), block=block)
  np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('block', [32, 150, 300])
def test_tiles_lose_no_accuracy_to_lapack(block):
  a = ill_conditioned(400, 1e6)
  expected = np.linalg.inv(a.astype(np.float64))
  error, lapack_error = (
    np.linalg.norm(lib.spd_inverse(a.copy(), block=size) - expected)
    for size in (block, None)
  )
  assert error < 2 * lapack_error


@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('block', [None, 16, 64])
def test_not_positive_definite_names_the_minor(block, order):
  a = make(50, np.float64)
  a[30, 30] = -1
  with pytest.raises(np.linalg.LinAlgError, match=r'order 31 .*raise l2'):
    lib.spd_inverse(np.array(a, order=order), block=block)


@pytest.mark.parametrize('block', [None, 2])
def test_an_overflow_is_not_an_answer(block):
  a = np.eye(5, dtype=np.float32) * np.float32(1e-42)
  with pytest.raises(np.linalg.LinAlgError, match=r'not finite.*raise l2'):
    lib.spd_inverse(a, block=block)


def read_only():
  a = np.eye(3)
  a.flags.writeable = False
  return a


@pytest.mark.parametrize(
  ('a', 'block', 'message'),
  [
    (np.ones((2, 3)), None, 'square'),
    (np.ones(4), None, 'square'),
    (np.ones((0, 0)), None, 'square'),
    (np.eye(3, dtype=np.int64), None, 'float32 or float64'),
    (np.eye(3, dtype=np.float16), None, 'float32 or float64'),
    (np.eye(6)[::2, ::2], None, 'contiguous'),
    (read_only(), None, 'writeable'),
    (np.full((3, 3), np.nan), None, 'not finite in rows'),
    (np.diag([1, np.inf]), 1, 'not finite in rows'),
    (np.eye(3), 0, 'block=0'),
    (np.eye(3), -1, 'block=-1'),
  ],
)
def test_bad_input_is_explained(a, block, message):
  with pytest.raises(ValueError, match=message):
    lib.spd_inverse(a, block=block)


def test_large_values_are_finite():
  a = np.eye(4) * 1e308
  np.testing.assert_allclose(lib.spd_inverse(a), np.eye(4) / 1e308)


def test_jax_agrees():
  a = make(60, np.float32)
  on_device = np.asarray(lib.spd_inverse_jax(a))
  np.testing.assert_allclose(
    on_device, lib.spd_inverse(a.copy()), rtol=1e-3, atol=1e-5
  )


@pytest.mark.parametrize('order', ['C', 'F'])
def test_an_accelerator_is_used_in_place(monkeypatch, order):
  used, on_device = [], lib.spd_inverse_jax

  def inverse(a):
    used.append(a.dtype)
    return on_device(a)

  expected = np.linalg.inv(make(40, np.float64))
  monkeypatch.setattr(lib.jax, 'default_backend', lambda: 'gpu')
  monkeypatch.setattr(lib, 'spd_inverse_jax', inverse)
  for dtype in (np.float32, np.float64):  # JAX would narrow float64 to float32
    a = np.array(make(40, dtype), order=order)
    assert lib.spd_inverse(a) is a
    np.testing.assert_array_equal(a, a.T)
    np.testing.assert_allclose(a, expected, rtol=1e-3, atol=1e-5)
  assert used == [np.float32]
  with pytest.raises(np.linalg.LinAlgError, match='raise l2'):
    lib.spd_inverse(-np.eye(3, dtype=np.float32))


def test_memory_is_predicted_before_it_is_taken():
  assert lib.spd_inverse_peak_bytes(40_000) > 40_000**2 * 4
  assert lib.spd_inverse_peak_bytes(40_000) < 1.05 * 40_000**2 * 4
  assert lib.spd_inverse_peak_bytes(100) == 100**2 * 4
  assert lib.spd_inverse_peak_bytes(100, np.float64) == 100**2 * 8
