"""Sizes to which batches are padded, so that few shapes are compiled."""


def power_of_two(size: int, least: int = 1) -> int:
  """The smallest power of two that is at least `size` and at least `least`."""
  return 1 << (max(size, least) - 1).bit_length()
