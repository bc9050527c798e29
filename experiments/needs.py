"""What a training needs: its memory and about its time, said beforehand."""

import time
from collections.abc import Callable

import numpy as np

from experiments.adaptation import grids
from hyperrec.cost import counts, memory
from hyperrec.data import interactions
from hyperrec.systems.linear import (
  item_kernel,
  linear_autoencoder,
  sparse_autoencoder,
  spd_inverse,
)
from hyperrec.systems.linear import slim as slim_method
from hyperrec.systems.linear import slim_admm as slim

# Side of the product whose time tells how fast the machine is.
_SIDE = 1500
# Width of the features of items' text.
_WIDTH = 128
# Seconds of a column of `ease_sparse` beside its arithmetic.
_COLUMN = 3e-4


def memory_bytes(name: str, data: interactions.Interactions, settings) -> int:
  """The most that training a method holds, about.

  Args:
    name: of an item-item method of `experiments.export.run`.
    data: that it is trained on.
    settings: its hyperparameters.
  """
  users, items = data.num_users, data.num_items
  square = spd_inverse.spd_inverse_peak_bytes(items)
  solve = linear_autoencoder.solve_peak_bytes(users, items)
  if name == 'ease_sparse':
    return sparse_autoencoder.neighbour_peak_bytes(
      data.csr(), settings['neighbours']
    )
  if name == 'itemknn':
    # Blocks of similarities, and three copies of what is kept.
    return 1024 * items * 24 + 24 * items * settings['neighbours']
  if name == 'slim':
    return slim.peak_bytes(items)
  # A prior of the weights is one matrix more, and a kernel's inverse another.
  return solve if name == 'ease' else 3 * square


def operations(name: str, data: interactions.Interactions, settings) -> float:
  """Floating-point operations of training a method, about.

  Args:
    name: of an item-item method of `experiments.export.run`.
    data: that it is trained on.
    settings: its hyperparameters.
  """
  x_UxV, items = data.csr(), data.num_items
  rows_U = x_UxV.getnnz(1)
  if name == 'ease_sparse':
    return sparse_autoencoder.neighbour_flops(x_UxV, settings['neighbours'])
  if name == 'itemknn':
    return counts.gram(rows_U)
  if name == 'slim':
    touched = int((data.item_counts() > 0).sum())
    config = slim_method.SlimConfig(**settings)
    return slim.slim_flops(rows_U, touched, config.max_iterations)
  if name == 'hyperease':
    kernel = item_kernel.flops(items, _WIDTH)
    return kernel + linear_autoencoder.solve_around_flops(rows_U, items)
  if name == 'l3ae':
    prior = linear_autoencoder.feature_prior_flops(items, _WIDTH)
    return prior + linear_autoencoder.solve_flops(rows_U, items, _WIDTH)
  return linear_autoencoder.solve_flops(rows_U, items)


def tell(
  name: str,
  data: interactions.Interactions,
  settings,
  show: Callable[[str], None],
) -> None:
  """Says what memory and time a training takes, and refuses what cannot be.

  Args:
    name: of the method.
    data: that it is trained on.
    settings: its hyperparameters.
    show: prints a line.

  Raises:
    InsufficientMemoryError: less memory is free. Names what needs less.
  """
  required = memory_bytes(name, data, settings)
  free = memory.available_bytes()
  seconds = operations(name, data, settings) / flops_per_second()
  if name == 'ease_sparse':
    seconds += _COLUMN * data.num_items
  left = '' if free is None else f' ({free / 2**30:,.1f} GiB are free)'
  show(
    f'{name} of {data.num_items:,} items and {data.num_users:,} users: about '
    f'{required / 2**30:,.2f} GiB of memory{left} and {duration(seconds)}'
  )
  if free is not None and required > free:
    memory.check_memory(required, f'--method={name}', _remedy(name, data))


def _remedy(name: str, data: interactions.Interactions) -> str:
  remedy = 'leave rare items out (--min_item_interactions)'
  if name == 'ease_sparse':
    return remedy
  least = memory_bytes('ease_sparse', data, grids.EASE_SPARSE[0]) / 2**30
  return (
    f'{remedy}; give --method=ease_sparse, EASE with sparse weights, which '
    f'needs about {least:,.2f} GiB'
  )


def flops_per_second() -> float:
  """Of a product of two matrices in single precision, here and now."""
  side = np.ones((_SIDE, _SIDE), np.float32)
  side[:64] @ side  # the threads start
  start = time.perf_counter()
  side @ side
  return 2 * _SIDE**3 / (time.perf_counter() - start)


def duration(seconds: float) -> str:
  """Seconds, minutes or hours with their unit; at least 1 s."""
  if seconds < 100:
    return f'{max(1, seconds):.0f} s'
  if seconds < 6000:
    return f'{round(seconds / 60)} minutes'
  return f'{seconds / 3600:.1f} hours'
