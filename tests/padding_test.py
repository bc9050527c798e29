"""Sizes to which batches are padded."""

from hyperrec import padding


def test_the_next_power_of_two():
  found = [padding.power_of_two(size) for size in range(10)]
  assert found == [1, 1, 2, 4, 4, 8, 8, 8, 8, 16]
  assert [padding.power_of_two(size, 4) for size in (0, 4, 5)] == [4, 4, 8]
