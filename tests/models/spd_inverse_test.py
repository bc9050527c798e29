"""The in-place inverse: both ways against NumPy, in every odd size."""

import numpy as np
import pytest

from hyperrec.models import spd_inverse as lib


def make(n, dtype, seed=0):
  x = np.random.default_rng(seed).normal(size=(2 * n + 1, n))
  return (x.T @ x + np.eye(n)).astype(dtype)


@pytest.mark.parametrize('n', [1, 5, 64, 150, 331])
@pytest.mark.parametrize('block', [None, 7, 64, 512])
@pytest.mark.parametrize(
  ('dtype', 'tolerance'), [(np.float64, 1e-10), (np.float32, 1e-3)]
)
def test_equals_numpy_in_place(n, block, dtype, tolerance):
  a = make(n, dtype)
  expected = np.linalg.inv(make(n, np.float64))
  inverse = lib.spd_inverse(a, block=block)
  assert inverse is a
  np.testing.assert_array_equal(inverse, inverse.T)
  scale = np.abs(expected).max()
  assert np.abs(inverse - expected).max() < tolerance * scale


def test_only_the_lower_triangle_is_read():
  a = make(40, np.float64)
  expected = np.linalg.inv(a)
  for block in (None, 16):
    lower = np.tril(a) + np.triu(np.full_like(a, 7.0), 1)
    np.testing.assert_allclose(
      lib.spd_inverse(lower, block=block), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize('block', [None, 16])
def test_not_positive_definite_is_explained(block):
  a = np.eye(50)
  a[30, 30] = -1
  with pytest.raises(np.linalg.LinAlgError, match='raise l2'):
    lib.spd_inverse(a, block=block)


@pytest.mark.parametrize(
  ('a', 'message'),
  [
    (np.ones((2, 3)), 'square'),
    (np.eye(3, dtype=np.int64), 'float32 or float64'),
    (np.asfortranarray(make(4, np.float64)), 'C-contiguous'),
    (np.full((3, 3), np.nan), 'not finite'),
  ],
)
def test_bad_input_is_explained(a, message):
  with pytest.raises(ValueError, match=message):
    lib.spd_inverse(a)


def test_the_device_way_agrees():
  a = make(60, np.float32)
  on_device = np.asarray(lib.spd_inverse_on_device(a))
  np.testing.assert_allclose(
    on_device, lib.spd_inverse(a.copy()), rtol=1e-3, atol=1e-5
  )


def test_memory_is_predicted_before_it_is_taken():
  assert lib.spd_inverse_peak_bytes(40_000) > 40_000**2 * 4
  assert lib.spd_inverse_peak_bytes(100) == 100**2 * 4
  lib.check_memory(1, 'nothing')
  with pytest.raises(lib.InsufficientMemoryError, match=r'GiB.*elsa'):
    lib.check_memory(2**60, 'a huge matrix')
